"""Class-data sharing: the JVM maps the classes of an earlier run instead of loading them again.

The first run writes an archive when it ends, later runs map it, which takes a third off the time to the first
micro-batch and costs about 200 MB of disk. An archive belongs to one build of Java and one list of jars, which its name
carries. From Java 19 on the JVM does all of it (``-XX:+AutoCreateSharedArchive``, JDK-8261455). Java 17 writes on
request (``-XX:ArchiveClassesAtExit``) and maps what it is given (``-XX:SharedArchiveFile``); one that is absent or
damaged is written anew by the next run here: that JVM would pass over a damaged head, but crash on a short file.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from filelock import Timeout

from devkit import cache
from devkit.spark.java import Java

SWITCH_VARIABLE = "SPARK_DEVKIT_INSTANT_START"
WRITE_AT_ONCE = "write"  # for `devkit warm`, which does not wait for a job that runs for hours
SILENT = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")
# Quick to start, slower in the long run: for cells and tests.
FAST_FLAGS = (
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
    "-XX:ReservedCodeCacheSize=240m",  # one tier gets 48m: full after some minutes of tests, and all is interpreted
    *("-Xms512m", "-Xmn192m"),  # half the young collections
)
FAST_SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    # A tenth of the start; the price is spark.catalog.listTables(), which needs generated code (SHOW TABLES does not).
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.stats.collect": "false",
    "spark.driver.memory": "1g",
}
DUMP_SECONDS = 120
AUTOMATIC_SINCE = 19


def is_on() -> bool:
    """Return whether archives are used: unless ``SPARK_DEVKIT_INSTANT_START=off``."""
    return os.environ.get(SWITCH_VARIABLE, "on").lower() not in {"off", "0", "false", "no"}


def archive_of(java: Java, jars: Iterable[Path]) -> Path:
    """Return the place of the archive for this Java and these jars; it may not exist."""
    digest = hashlib.sha256(f"{java.home}\n{java.build}\n".encode())
    for jar in jars:
        found = jar.stat()
        digest.update(f"{jar} {found.st_size} {found.st_mtime_ns}\n".encode())
    return cache.home() / "archives" / f"java{java.version}-{digest.hexdigest()[:16]}.jsa"


class Archive:
    """The archive of one run: used if it is there, else written by this run if no other process is at it.

    Args:
        path: Its place.
        automatic: Whether the JVM looks after it by itself.
    """

    def __init__(self, path: Path, *, automatic: bool = False) -> None:
        self.path = path
        self._automatic = automatic
        self._part = path.with_name(f"{path.name}.{os.getpid()}.part")
        self._note = path.with_name(f"{path.name}.complete")
        self._held = contextlib.ExitStack()
        self._writes = False

    def flags(self) -> list[str]:
        """Return the JVM's flags for this run, and take the lock if it is to write the archive."""
        reading = self.reading_flags()
        if reading or not is_on():
            return reading
        try:
            self._held.enter_context(cache.exclusive(self.path.with_suffix(".lock")).acquire(timeout=0))
        except Timeout:
            if os.environ.get(SWITCH_VARIABLE) != WRITE_AT_ONCE:
                return []  # another process will write it
        else:
            for left_over in self.path.parent.glob(f"{self.path.name}*"):  # damaged, or of a run that was killed
                left_over.unlink(missing_ok=True)
        self._writes = True
        return [f"-XX:ArchiveClassesAtExit={self._part}", *SILENT]

    def reading_flags(self) -> list[str]:
        """Return the flags that map the archive: none when it is not whole, or archives are switched off."""
        if not is_on():
            return []
        if self._automatic:
            self._writes = not self.is_whole()
            return ["-XX:+AutoCreateSharedArchive", f"-XX:SharedArchiveFile={self.path}", *SILENT]
        return ["-Xshare:auto", f"-XX:SharedArchiveFile={self.path}", *SILENT] if self.is_whole() else []

    def is_whole(self) -> bool:
        """Return whether the archive is there, of the size and time that were noted when it was complete."""
        if self._automatic:
            return self.path.exists()
        try:
            return self._note.read_text(encoding="utf-8") == self._state()
        except FileNotFoundError:
            return False

    def keep_at_exit(self, jvm: subprocess.Popen[bytes]) -> None:
        """When Python ends, let the JVM end first and put what it wrote into place."""
        if self._writes:
            atexit.register(self._keep, jvm)

    def _keep(self, jvm: subprocess.Popen[bytes]) -> None:
        from pyspark import SparkContext

        with self._held, contextlib.suppress(OSError, subprocess.TimeoutExpired, KeyboardInterrupt):
            if SparkContext._active_spark_context is not None:
                SparkContext._active_spark_context.stop()  # else its threads here complain about the JVM's end
            if jvm.stdin:
                jvm.stdin.close()  # the JVM of pyspark ends, and writes the archive, when its standard input does
            if jvm.wait(DUMP_SECONDS) == 0 and not self.is_whole():
                self._part.replace(self.path)
                cache.write_atomically(self._note, self._state())
            self._part.unlink(missing_ok=True)

    def _state(self) -> str:
        found = self.path.stat()
        return f"{found.st_size} {found.st_mtime_ns}\n"
