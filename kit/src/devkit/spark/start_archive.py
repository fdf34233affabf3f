"""Class-data sharing: the JVM maps the classes of an earlier run instead of loading them again.

``devkit warm`` writes an archive, later runs map it, which takes a third off the time to the first micro-batch and
costs about 200 MB of disk. An archive belongs to one build of Java and one list of jars, which its name carries. It has
just the classes that its run loaded, so no other session writes one: after a small one, all later starts would be slow.
From Java 19 on the JVM does all of it (``-XX:+AutoCreateSharedArchive``, JDK-8261455). Java 17 writes on request
(``-XX:ArchiveClassesAtExit``) and maps what it is given (``-XX:SharedArchiveFile``): none that was cut short, since
that JVM passes over a damaged head, but crashes on a short file.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from devkit import cache
from devkit.spark.java import Java

SWITCH_VARIABLE = "SPARK_DEVKIT_INSTANT_START"
WRITE = "write"  # for the run of `devkit warm`
SILENT = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")
# Quick to start, slower in the long run: for cells and tests.
FAST_FLAGS = (
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
    "-XX:ReservedCodeCacheSize=240m",  # one tier gets 48m: full after some minutes of tests, and all is interpreted
    *("-Xms512m", "-Xmn192m"),  # half the young collections
)
FAST_SETTINGS = {
    # A plan that is made anew while it runs takes more jobs: a sixth of the processor time of a small pipeline's tests.
    "spark.sql.adaptive.enabled": "false",
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
    """The archive of a Java and its jars.

    Args:
        path: Its place.
        automatic: Whether the JVM looks after it by itself.
    """

    def __init__(self, path: Path, *, automatic: bool = False) -> None:
        self.path = path
        self._automatic = automatic
        self._part = path.with_name(f"{path.name}.{os.getpid()}.part")
        self._note = path.with_name(f"{path.name}.complete")

    def flags(self) -> list[str]:
        """Return the JVM's flags that map the archive: none when it is not whole, or archives are switched off."""
        if not is_on():
            return []
        if self._automatic:
            return ["-XX:+AutoCreateSharedArchive", f"-XX:SharedArchiveFile={self.path}", *SILENT]
        if self.is_whole():
            return ["-Xshare:auto", f"-XX:SharedArchiveFile={self.path}", *SILENT]
        if os.environ.get(SWITCH_VARIABLE) != WRITE:
            return []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in self.path.parent.glob(f"{self.path.name}*"):  # damaged, or of a run that was killed
            left_over.unlink(missing_ok=True)
        return [f"-XX:ArchiveClassesAtExit={self._part}", *SILENT]

    def is_whole(self) -> bool:
        """Return whether the archive is there, of the size and time that were noted when it was complete."""
        if self._automatic:
            return self.path.exists()
        try:
            return self._note.read_text(encoding="utf-8") == self._state()
        except FileNotFoundError:
            return False

    def keep(self, jvm: subprocess.Popen[bytes]) -> None:
        """Let the JVM of a run with these flags end, and put what it wrote into place."""
        if jvm.stdin:
            jvm.stdin.close()  # the JVM of pyspark ends, and writes the archive, when its standard input does
        if jvm.wait(DUMP_SECONDS) == 0 and self._part.exists():
            self._part.replace(self.path)
            cache.write_atomically(self._note, self._state())
        self._part.unlink(missing_ok=True)

    def _state(self) -> str:
        found = self.path.stat()
        return f"{found.st_size} {found.st_mtime_ns}\n"
