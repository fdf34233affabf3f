"""The Java side of the hub: its jars, its compiled authentication, and the command lines."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from devkit import cache
from devkit.spark import jars, runtimes
from devkit.spark.compiled_classes import compile_to_jar
from devkit.spark.java import SMALL_JVM, find_java, own_environment
from spark_utils.errors import RuntimeSetupError

AUTHENTICATION_SOURCES = sorted(Path(__file__).parent.glob("*.java"))
MAIN_CLASS = "kafka.Kafka"
LOG_OPTIONS = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")


@dataclass(frozen=True)
class KafkaJava:
    """How to run Kafka's classes.

    Attributes:
        java: The executable.
        class_path: Jars and compiled classes; handed over in the environment, so `ps` stays readable.
        formatted: A data folder as Kafka's storage tool formats it, to be copied for a new hub.
    """

    java: Path
    class_path: str
    formatted: Path | None = None

    def command(self, main_class: str, *arguments: str) -> list[str]:
        """Return the command line that runs a class."""
        return [str(self.java), *SMALL_JVM, *LOG_OPTIONS, main_class, *arguments]

    def run(self, main_class: str, *arguments: str) -> None:
        """Run a class to its end.

        Raises:
            RuntimeSetupError: It ended with a failure; the message holds the last line it wrote.
        """
        done = subprocess.run(
            self.command(main_class, *arguments),
            env=own_environment(self.class_path),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = [line for line in (done.stderr + done.stdout).splitlines() if not line.startswith(("\tat", "SLF4J"))]
            raise RuntimeSetupError(
                f"{main_class} ended with status {done.returncode}: {(said or ['it wrote nothing'])[0]}",
                remedy="`devkit hub reset` starts with an empty hub.",
            )


def prepare() -> KafkaJava:
    """Fetch the broker's jars, compile the authentication, format a data folder: all once, then from the cache.

    Raises:
        RuntimeSetupError: Java or a jar cannot be had.
    """
    java = find_java((17, 21))
    fetched = jars.fetch(runtimes.folder() / "local-hub.lock")
    bare = KafkaJava(java.home / "bin" / "java", os.pathsep.join(map(str, fetched)))
    sources = b"".join(source.read_bytes() for source in AUTHENTICATION_SOURCES)
    ingredients = hashlib.sha256(sources + bare.class_path.encode() + java.build.encode())
    prepared = cache.home() / "hub-prepared" / ingredients.hexdigest()[:16]
    with cache.exclusive(prepared.with_suffix(".lock")):
        if not prepared.is_dir():
            with tempfile.TemporaryDirectory(dir=prepared.parent) as scratch:
                compile_to_jar(java, bare.class_path, AUTHENTICATION_SOURCES, Path(scratch, "authentication.jar"))
                _format_data(bare, Path(scratch) / "data")
                Path(scratch).rename(prepared)
                Path(scratch).mkdir()  # what the temporary folder expects to remove
    class_path = f"{prepared / 'authentication.jar'}{os.pathsep}{bare.class_path}"
    return KafkaJava(bare.java, class_path, prepared / "data")


def _format_data(kafka: KafkaJava, data: Path) -> None:
    """Let Kafka's storage tool format a data folder once; every hub starts from a copy, which saves a JVM each time.

    All local hubs share the cluster's id that way, and each is a cluster for itself.
    """
    properties = data.with_name("format.properties")
    properties.write_text(
        "process.roles=broker,controller\nnode.id=1\nlisteners=CONTROLLER://127.0.0.1:1,PLAINTEXT://127.0.0.1:2\n"
        f"controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@127.0.0.1:1\nlog.dirs={data}\n",
        encoding="utf-8",
    )
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    kafka.run("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties))
