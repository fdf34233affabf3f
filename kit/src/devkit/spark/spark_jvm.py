"""Start the JVM of a local session by the command that Spark's scripts arrive at, without running them each time.

pyspark runs ``bin/spark-submit``: shell scripts and a first JVM that works out the command of the second, for whose
answer pyspark then looks ten times a second. The command depends on the configuration alone, so it is asked for once
and kept beside it. What runs is the same: Spark's own ``SparkSubmit``, told the same arguments.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from devkit import cache
from devkit.spark.java import SMALL_JVM
from devkit.spark.start_archive import SWITCH_VARIABLE
from spark_utils.errors import RuntimeSetupError

LAUNCHER, SUBMIT = "org.apache.spark.launcher.Main", "org.apache.spark.deploy.SparkSubmit"
# What the user can say to the launcher. Some of these say nothing to it; then Spark's scripts run, as they always did.
LAUNCHER_SETTINGS = ("spark.driver.", "spark.submit.", "spark.remote", "spark.api.", "spark.connect.")
LAUNCHER_VARIABLES = ("PYSPARK_SUBMIT_ARGS", "SPARK_", "_SPARK", "HADOOP_", "YARN_")
# The last two are pyspark's own, and so in every program that a program with a session starts.
NOT_THE_LAUNCHERS = ("SPARK_DEVKIT_", "SPARK_LOCAL_", "SPARK_HOME", "SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE")
EXPORTED = {"PYTHONHASHSEED": "0", "SPARK_CONNECT_MODE": "0", "SPARK_ENV_LOADED": "1"}  # by the scripts and by pyspark
LOOK_SECONDS = 0.005


def is_as_usual(config: Mapping[str, str]) -> bool:
    """Tell whether the user said nothing that takes part in the command, which is then the kept one.

    Args:
        config: The user's Spark settings.
    """
    variables = (name for name in os.environ if name.startswith(LAUNCHER_VARIABLES))
    return not any(key.startswith(LAUNCHER_SETTINGS) for key in config) and all(
        name.startswith(NOT_THE_LAUNCHERS) for name in variables
    )


def launch_command(properties: Path) -> list[str] | None:
    """Return the command of a JVM, from the file beside the properties or else from Spark's launcher.

    Args:
        properties: The ``spark-defaults.conf`` to start with.

    Returns:
        The command; nothing when the launcher fails, as Spark's scripts then will, and say why.
    """
    kept = properties.with_name("command")
    if not kept.exists() or kept.stat().st_mtime_ns < properties.stat().st_mtime_ns:
        java = Path(os.environ["JAVA_HOME"], "bin", "java")
        jars = Path(os.environ["SPARK_HOME"], "jars", "*")
        asked = [SUBMIT, "--properties-file", str(properties), "pyspark-shell"]
        done = subprocess.run(
            [str(java), *SMALL_JVM, "-cp", str(jars), LAUNCHER, *asked], capture_output=True, text=True, check=False
        )
        _, _, command = done.stdout.partition("\0\n")  # the sign that what follows is no error message
        if done.returncode or not command.endswith("pyspark-shell\0"):
            return None
        cache.write_atomically(kept, command)
    return kept.read_text(encoding="utf-8").split("\0")[:-1]


@contextmanager
def running(command: Sequence[str], config: Mapping[str, str]) -> Iterator[None]:
    """Let pyspark find a running JVM inside this block, as it does under spark-submit, and not start its own.

    Args:
        command: See ``launch_command``.
        config: Spark settings for ``SparkSubmit``, such as ``spark.jars.packages``.

    Raises:
        RuntimeSetupError: The JVM ended at once.
    """
    from pyspark import SparkContext

    position = command.index(SUBMIT) + 1
    settings = [argument for item in config.items() for argument in ("--conf", "=".join(item))]
    jvm, address = _start([*command[:position], *settings, *command[position:]])
    os.environ.update(address)
    try:
        yield
    finally:
        for name in address:
            os.environ.pop(name, None)
        if SparkContext._gateway and SparkContext._gateway.proc is None:
            SparkContext._gateway.proc = jvm  # where pyspark keeps it, for as long as the JVM is to live
        else:
            _end(jvm)


def _start(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "connection")  # written under another name and moved here
        jvm = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # its end is the sign for the JVM to end
            env={**os.environ, **EXPORTED, "_PYSPARK_DRIVER_CONN_INFO_PATH": str(told)},
            preexec_fn=_ignore_interrupts,  # noqa: PLW1509  # as pyspark does; it runs one system call
        )
        try:
            _import_meanwhile()
            _wait_for(told, jvm)
        except BaseException:  # Ctrl-C: without its folder the JVM would neither work nor end
            _end(jvm)
            raise
        said = told.read_bytes()
    port, length = struct.unpack_from("!ii", said)
    return jvm, {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": said[8 : 8 + length].decode()}


def _wait_for(told: Path, jvm: subprocess.Popen[bytes]) -> None:
    while not told.exists():
        if jvm.poll() is not None:
            raise RuntimeSetupError(
                f"the JVM ended with exit code {jvm.returncode} before it could be used",
                remedy=f"It said why on standard error; {SWITCH_VARIABLE}=off starts it by Spark's scripts.",
            )
        time.sleep(LOOK_SECONDS)


def _end(jvm: subprocess.Popen[bytes]) -> None:
    jvm.kill()
    jvm.communicate()


def _import_meanwhile() -> None:
    """Import what pyspark 4.1 would import at its first call of the JVM, which then waits: pandas, for 0.4 s."""
    with suppress(Exception):
        import pyspark.testing.utils  # noqa: F401  # for the sake of its imports


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Python, which stops the stream and then the JVM
