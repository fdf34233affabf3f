"""Prepare what a local Spark needs before its JVM starts: jars, settings, logging and start-up archive.

`spark_utils.session.get_session` finds `local_runtime` by an entry point, so that the library never imports this.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from devkit import cache
from devkit.databricks import here, paths
from devkit.processes import LOOPBACK
from devkit.spark import auto_loader, catalog, jars, start_archive
from devkit.spark.compiled_classes import compile_to_jar
from devkit.spark.java import Java, find_java
from devkit.spark.runtimes import RuntimeProfile, installed_profile, installed_spark
from devkit.spark.server_state import running_server, shared_folder
from spark_utils.errors import RuntimeSetupError
from spark_utils.session import LOG_SETTING, LOG_VARIABLE

KEPT_LOGS = 20
FILE_SYSTEM = {
    "spark.hadoop.fs.file.impl": "devkit.QuickLocalFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "devkit.QuickLocalFileSystem$Abstract",
}

# Spark's launcher asks the JVM for an incubator module, and the JVM has no switch that keeps it from saying so. So
# Spark's own hook drops this one line, and then hands over the empty folder that a start-up archive needs.
LAUNCH_HOOK = r"""\
line='^WARNING: Using incubator modules: jdk.incubator.vector$'
exec 2> >(trap '' INT TERM HUP; exec grep --line-buffered -v "$line" >&2)
SPARK_CONF_DIR={empty}
"""
# The terminal belongs to the job, so Spark's warnings and stack traces go to a file and only a fatal one is shown.
LOG4J = """\
status = error
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${{env:{variable}:-{folder}/spark.log}}
appender.file.createOnDemand = true
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss.SSS}} %-5p %c{{1}}: %m%n%ex
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %c{{1}}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
rootLogger.appenderRef.console.ref = console
rootLogger.appenderRef.console.level = fatal
"""


@dataclass(frozen=True)
class Preparation:
    """What one local session is started with.

    Attributes:
        profile: The runtime profile of the installed pyspark.
        java: The Java it runs on.
        jars: The locked jars, and one of the classes that come as source, all in the cache.
        spark_home: The folder of the installed pyspark.
    """

    profile: RuntimeProfile
    java: Java
    jars: tuple[Path, ...]
    spark_home: Path

    @property
    def class_path(self) -> str:
        """The jars as a class path."""
        return os.pathsep.join(map(str, self.jars))

    def archive(self) -> start_archive.Archive:
        """Return the start-up archive."""
        path = start_archive.archive_of(self.java, [*self.jars, *sorted((self.spark_home / "jars").glob("*.jar"))])
        return start_archive.Archive(path, automatic=self.java.version >= start_archive.AUTOMATIC_SINCE)


def prepare() -> Preparation:
    """Find Java and the profile of the installed pyspark, fetch and compile what is missing.

    Raises:
        RuntimeSetupError: Java is missing, no profile fits the installed pyspark, or a jar cannot be had.
    """
    profile = installed_profile()
    java = find_java(profile.java)
    spark_home = installed_spark()
    return Preparation(profile, java, (*jars.fetch(profile.lock), _compiled(java, spark_home), *_reader()), spark_home)


def _compiled(java: Java, spark_home: Path) -> Path:
    """Compile our Java classes, once for each Spark and source."""
    class_path = os.pathsep.join(map(str, sorted((spark_home / "jars").glob("*.jar"))))
    sources = [*sorted(Path(__file__).parent.glob("*.java")), *catalog.SOURCES, *auto_loader.SOURCES]
    marks = f"{class_path}\n".encode() + b"".join(source.read_bytes() for source in sources)
    jar = cache.home() / "compiled" / f"local-session-{hashlib.sha256(marks).hexdigest()[:16]}.jar"
    with cache.exclusive(jar.with_suffix(".lock")):
        if not jar.exists():
            compile_to_jar(java, class_path, sources, jar)
    return jar


def _reader() -> list[Path]:
    """Keep the wheel's reader of bodies in the cache, where a start-up archive finds it again from any environment."""
    from spark_utils.parsing.jvm.java_reader import packaged_jar  # it imports pyspark: verbs like `status` need it not

    packaged = packaged_jar()
    if packaged is None:
        return []
    content = packaged.read_bytes()
    jar = cache.home() / "compiled" / f"{packaged.stem}-{hashlib.sha256(content).hexdigest()[:16]}.jar"
    with cache.exclusive(jar.with_suffix(".lock")):
        if not jar.exists():
            draft = jar.with_suffix(".draft")
            draft.write_bytes(content)
            draft.rename(jar)
    return [jar]


@contextmanager
def local_runtime(app_name: str, *, warm: bool, fast_start: bool) -> Iterator[None]:
    """Let a JVM that pyspark starts inside this block have everything that a local session needs.

    The environment is put back afterwards, so that other programs started by this one are not touched; only
    ``PYSPARK_PYTHON`` stays, which pyspark asks for again at every later session of this JVM. Nothing is prepared
    when ``SPARK_CONF_DIR`` is set: then the configuration is the user's own.

    Args:
        app_name: Names the log file.
        warm: Start none: let pyspark attach to the warm server, which is started if it does not run. Its address and
            token stay in the environment, since pyspark asks for them whenever a session is asked for.
        fast_start: Take the levers that start quicker and run slower: for cells and tests.
    """
    here.provide()
    if warm:
        _attach_to_warm_server()
        yield
        return
    from pyspark import SparkContext

    if os.environ.get("SPARK_CONF_DIR") or SparkContext._gateway is not None:  # an earlier session's JVM runs already
        yield
        return
    prepared = prepare()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    flags = prepared.archive().flags()
    defaults = _configuration_folder(prepared, flags, fast_start=fast_start) / "spark-defaults.conf"
    with _environment(launch_variables(prepared, defaults, app_name)):
        threading.Thread(target=_import_pandas, daemon=True).start()
        yield
    from spark_utils.streaming_utils.failures import silence_query_context_log

    silence_query_context_log()


def _attach_to_warm_server() -> None:
    if running_server(shared_folder()) is None:
        subprocess.run([sys.executable, "-m", "devkit.cli", "spark", "up"], stdout=sys.stderr, check=False)
    state = running_server(shared_folder())
    if state is None:
        raise RuntimeSetupError("the warm Spark server does not run", remedy="`devkit spark up` says why.")
    os.environ.update(state.variables)


def _import_pandas() -> None:
    """Import what pyspark would import at its first call of the JVM, which starts meanwhile."""
    for name in ("pandas", "pyarrow"):
        with suppress(ImportError):
            importlib.import_module(name)


def launch_variables(prepared: Preparation, defaults: Path, app_name: str) -> dict[str, str]:
    """Return the environment variables that pyspark starts its JVM with."""
    empty = cache.home() / "conf" / "empty"  # Spark puts this folder on the class path, and an archive needs it empty
    empty.mkdir(parents=True, exist_ok=True)
    hook = cache.home() / "conf" / "launch" / "spark-env.sh"
    cache.write_atomically(hook, LAUNCH_HOOK.format(empty=shlex.quote(str(empty))))
    arguments = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell")
    log = str(_new_log(app_name))
    told = f"--properties-file {shlex.quote(str(defaults))} --conf {shlex.quote(f'{LOG_SETTING}={log}')}"
    return {
        "SPARK_HOME": str(prepared.spark_home),
        "SPARK_CONF_DIR": str(empty if " " in str(hook) else hook.parent),  # Spark does not quote the hook's name
        "SPARK_SCALA_VERSION": prepared.profile.scala,
        "PYSPARK_SUBMIT_ARGS": f"{told} {arguments}",
        "JAVA_HOME": str(prepared.java.home),
        "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable),
        # In the address of the Spark UI: a container's own is no way in, and what an editor forwards is `localhost`.
        "SPARK_PUBLIC_DNS": os.environ.get("SPARK_PUBLIC_DNS") or os.environ.get("SPARK_LOCAL_IP") or "localhost",
        "SPARK_LOCAL_IP": listening_address(),
        LOG_VARIABLE: log,
    }


def listening_address() -> str:
    """Return where a local Spark listens: what the user says, else this machine alone, the pages of the Spark UI too.

    Spark has no setting for the address of its pages, only this variable; without it they are on every interface.
    """
    return os.environ.get("SPARK_LOCAL_IP") or LOOPBACK


def settings(
    prepared: Preparation, flags: list[str], log4j: Path, *, fast_start: bool = False, own_workers: bool = True
) -> dict[str, str]:
    """Return the content of ``spark-defaults.conf``.

    Args:
        prepared: What the session is started with.
        flags: Of the JVM.
        log4j: The settings of its logging.
        fast_start: See ``local_runtime``.
        own_workers: Executors run on this machine and in this environment, so they know our file system.
    """
    # From 21 MB of classes on, and Spark has 150, each doubling of them would be a full collection.
    options = [*flags, "-XX:MetaspaceSize=256m", "-XX:-UsePerfData", f"-Dlog4j2.configurationFile=file:{log4j}"]
    from_profile = {setting.key: setting.value for setting in prepared.profile.settings}
    return {
        "spark.master": "local[*]",
        "spark.driver.extraClassPath": prepared.class_path,
        "spark.executor.extraClassPath": prepared.class_path,
        **(FILE_SYSTEM | paths.settings() if own_workers else {}),
        **from_profile,
        **catalog.settings(f"{from_profile[catalog.EXTENSIONS]},devkit.PlanRedaction,{auto_loader.EXTENSION}"),
        **(start_archive.FAST_SETTINGS if fast_start else {}),
        "spark.driver.extraJavaOptions": " ".join(
            f'"{option}"' if " " in option else option
            for option in [*options, *(start_archive.FAST_FLAGS if fast_start else ())]
        ),
    }


def write_configuration(folder: Path, content: dict[str, str]) -> None:
    """Write ``spark-defaults.conf`` and the logging beside it."""
    logs = cache.home() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    cache.write_atomically(folder / "log4j2.properties", LOG4J.format(variable=LOG_VARIABLE, folder=logs))
    lines = [f"{key} {value.replace(chr(92), chr(92) * 2)}" for key, value in content.items()]
    cache.write_atomically(folder / "spark-defaults.conf", "\n".join([*lines, ""]))


def _configuration_folder(prepared: Preparation, flags: list[str], *, fast_start: bool) -> Path:
    """Return a folder named by the hash of what it says, written if it is not there yet."""
    conf = cache.home() / "conf"
    content = settings(prepared, flags, conf, fast_start=fast_start)
    said = f"{sorted(content.items())}{LOG4J}{prepared.java}{prepared.spark_home}{prepared.profile.spark}"
    folder = conf / hashlib.sha256(said.encode()).hexdigest()[:16]
    if not (folder / "spark-defaults.conf").exists():
        content = settings(prepared, flags, folder / "log4j2.properties", fast_start=fast_start)
        write_configuration(folder, content)
    return folder


def _new_log(app_name: str) -> Path:
    folder = cache.home() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.log"), key=_last_written)[:-KEPT_LOGS]:
        pid = old.stem.rpartition("-")[2]
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):  # a session that runs keeps its log
            old.unlink(missing_ok=True)
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in app_name)
    return folder / f"{plain}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"


def _last_written(log: Path) -> float:
    try:
        return log.stat().st_mtime
    except FileNotFoundError:  # another session has just thrown it away
        return 0.0


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
