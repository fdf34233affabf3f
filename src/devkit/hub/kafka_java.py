"""The Java side of the hub: its jars, its compiled authentication, and the command lines."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devkit import cache, jars, runtimes
from devkit.java import find_java
from spark_utils.errors import RuntimeSetupError

AUTHENTICATION_SOURCE = Path(__file__).with_name("ConnectionStringAuthentication.java")
# Quick to start and small: one client compiler, a serial collector, no shared performance counters.
JVM_OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
LOG_OPTIONS = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")


@dataclass(frozen=True)
class KafkaJava:
    """How to run Kafka's classes.

    Attributes:
        java: The executable.
        class_path: Jars and compiled classes; handed over in the environment, so `ps` stays readable.
    """

    java: Path
    class_path: str

    def command(self, main_class: str, *arguments: str) -> list[str]:
        """Return the command line that runs a class."""
        return [str(self.java), *JVM_OPTIONS, *LOG_OPTIONS, main_class, *arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment to run it in, without Java options meant for other programs."""
        ours = {name: value for name, value in os.environ.items() if name not in ("_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")}
        return ours | {"CLASSPATH": self.class_path}

    def run(self, main_class: str, *arguments: str) -> None:
        """Run a class to its end.

        Raises:
            RuntimeSetupError: It ended with a failure; the message holds the last line it wrote.
        """
        done = subprocess.run(
            self.command(main_class, *arguments), env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = [line for line in (done.stderr + done.stdout).splitlines() if not line.startswith(("\tat", "SLF4J"))]
            raise RuntimeSetupError(
                f"{main_class} ended with status {done.returncode}: {(said or ['it wrote nothing'])[0]}",
                remedy="`devkit hub reset` starts with an empty hub.",
            )


def prepare(lock_file: Path | None = None) -> KafkaJava:
    """Fetch the broker's jars and compile the authentication; both once, then from the cache.

    Raises:
        RuntimeSetupError: Java or a jar cannot be had.
    """
    java = find_java((17, 21)).home / "bin" / "java"
    paths = jars.fetch(lock_file or runtimes.folder() / "local-hub.lock")
    class_path = os.pathsep.join(map(str, paths))
    compiled = _compile_authentication(KafkaJava(java, class_path))
    return KafkaJava(java, f"{compiled}{os.pathsep}{class_path}")


def _compile_authentication(kafka: KafkaJava) -> Path:
    """Compile the one Java class with Janino into the cache, named by what went into it."""
    ingredients = AUTHENTICATION_SOURCE.read_bytes() + kafka.class_path.encode()
    classes = cache.home() / "hub-classes" / hashlib.sha256(ingredients).hexdigest()[:16]
    with cache.exclusive(classes.with_suffix(".lock")):
        if not classes.is_dir():
            fresh = Path(tempfile.mkdtemp(dir=classes.parent))
            kafka.run(
                "org.codehaus.commons.compiler.samples.CompilerDemo",
                *("-g", "-d", str(fresh), "-classpath", kafka.class_path, str(AUTHENTICATION_SOURCE)),
            )
            if not any(fresh.rglob("*.class")):  # Janino's command line reports errors with status 0
                shutil.rmtree(fresh)
                raise RuntimeSetupError("the hub's authentication was not compiled", origin=str(AUTHENTICATION_SOURCE))
            fresh.replace(classes)
    return classes
