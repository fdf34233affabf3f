"""The Spark session of a job: the cluster's own on Databricks, a locally prepared one on a laptop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spark_utils.errors import ConfigurationError, RuntimeSetupError
from spark_utils.redaction import looks_secret_name

ENTRY_POINT_GROUP, DBUTILS_GROUP = "spark_utils.local_runtime", "spark_utils.local_dbutils"
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Whoever starts a local Spark says where its log is: to the processes it starts, or to the session.
LOG_VARIABLE, LOG_SETTING = "SPARK_DEVKIT_LOG", "spark.devkit.log"

NO_ANSWER = "StatusCode.UNAVAILABLE"  # of a Spark Connect server
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_starting = threading.Lock()  # of two threads at a time one starts a JVM, and the other finds it


def get_session(
    app_name: str = "streaming-job",
    *,
    config: Mapping[str, str] | None = None,
    local: str = "classic",
    fast_start: bool = False,
) -> SparkSession:
    """Return the Spark session to use here.

    On Databricks, under ``spark-submit``, on Spark Connect (``SPARK_REMOTE``), and where a session is active already,
    that one is used and only those settings of `config` are changed that a running session can change. Anywhere else a
    local session is started, prepared by the runtime that registered itself for it (`devkit`), or plain when there is
    none.

    Args:
        app_name: The application's name.
        config: Spark settings, none of them secret: a setting given here is visible in the process list.
        local: ``classic`` starts a Spark in this process; ``warm`` attaches by Spark Connect to the one that
            ``devkit spark up`` keeps ready, and starts it if it does not run.
        fast_start: Start a local session quicker at the price of throughput: for cells and tests.

    Raises:
        ConfigurationError: A key of `config` looks like a secret's, or the session that runs already has another
            value that cannot be changed any more.
        RuntimeSetupError: Java, a jar or a runtime profile is not as it must be, or no server answers at a
            ``SPARK_REMOTE`` of this machine.
    """
    from pyspark.sql import SparkSession  # here: the kit knows this module before it starts a JVM, or without one

    wanted = {key: _to_text(value) for key, value in (config or {}).items()}
    _refuse_secrets(wanted)
    session = SparkSession.getActiveSession()
    if session is None:
        with _starting, nullcontext() if _is_given() else _local_runtime(app_name, local, fast_start):
            builder = SparkSession.builder
            if "SPARK_REMOTE" not in os.environ:  # what is set by a builder there, a server is asked for at once
                builder = builder.appName(app_name).config(map={**wanted})
            session = builder.getOrCreate()
    if is_connect(session) and is_here(session):
        limit_retries(session, 4)  # a server here that gives no answer for some seconds has ended
        _require_answer(session)
    _apply(session, wanted)
    return session


def get_dbutils(spark: SparkSession) -> Any:
    """Return `dbutils`: Databricks' own there and in a task of a local workspace, else the kit's, on local folders.

    Args:
        spark: The session.

    Raises:
        ConfigurationError: Neither is there.
    """
    try:
        from pyspark.dbutils import DBUtils  # type: ignore[import-not-found]  # exists on Databricks only
    except ImportError:
        for entry_point in entry_points(group=DBUTILS_GROUP):
            return entry_point.load()(spark)
        raise ConfigurationError(
            "dbutils needs Databricks or the kit", remedy="Run `pip install spark-devkit`."
        ) from None
    return DBUtils(spark)


def is_connect(spark: SparkSession) -> bool:
    """Return whether a session is one of Spark Connect: standard clusters, serverless, Databricks Connect."""
    return type(spark).__module__.startswith("pyspark.sql.connect.")


def is_here(spark: SparkSession) -> bool:
    """Return whether Spark's driver runs on this machine, as far as that is known."""
    return not is_connect(spark) or _client(spark).host in _THIS_MACHINE


def limit_retries(session: SparkSession, times: int) -> None:
    """Let what a Spark Connect session asks its server be asked again so many times; pyspark does it for ten minutes.

    The first time after 0.05 s, and then after four times as long.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy

    _client(session).set_retry_policies([DefaultPolicy(max_retries=times)])


def _require_answer(session: SparkSession) -> None:
    try:
        session.version  # noqa: B018 - the server tells it
    except Exception as failure:
        if NO_ANSWER not in str(failure):
            raise
        limit_retries(session, 0)  # pyspark asks it for more while this process ends
        address = urlsplit(os.environ.get("SPARK_REMOTE", "")).netloc or _client(session).host
        raise RuntimeSetupError(
            f"no Spark Connect server answers at {address}",
            origin="SPARK_REMOTE",
            remedy="Start it, or unset SPARK_REMOTE: then Spark is started here.",
        ) from None


def _client(session: SparkSession) -> Any:
    return session.client  # type: ignore[operator]  # a property, by a decorator that is not typed as one


def log_file(spark: SparkSession) -> Path | None:
    """Return the file that Spark's warnings and errors are written to, or nothing where that is the cluster's."""
    path = os.environ.get(LOG_VARIABLE) or spark.conf.get(LOG_SETTING, None)
    return Path(path) if path else None


def _to_text(value: object) -> str:
    """Write a setting as pyspark's builder does, which takes numbers and truth values too."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_given() -> bool:
    """Return whether a Spark is there that is not ours to start: Databricks', Spark Connect's, spark-submit's."""
    given = ("DATABRICKS_RUNTIME_VERSION", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "PYSPARK_GATEWAY_PORT")
    return any(name in os.environ for name in given)


def _local_runtime(app_name: str, local: str, fast_start: bool) -> AbstractContextManager[None]:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        prepare: Callable[..., AbstractContextManager[None]] = entry_point.load()
        return prepare(app_name, warm=local == "warm", fast_start=fast_start)
    if local == "warm":
        raise ConfigurationError("the warm Spark needs the kit", remedy="Run `pip install spark-devkit`.")
    return nullcontext()


def _refuse_secrets(config: Mapping[str, object]) -> None:
    secrets = [key for key in config if looks_secret_name(key)]
    if secrets:
        raise ConfigurationError(
            f"{', '.join(secrets)} would be visible in the process list and the Spark UI",
            origin="the `config` of get_session",
            remedy="Give credentials of a storage account to configure_storage, and those of a hub to read_stream.",
        )


def _apply(session: SparkSession, wanted: Mapping[str, str]) -> None:
    different = []
    for key, value in wanted.items():
        if key == "spark.ui.enabled":
            continue  # whether a session that runs has a page is for who started it to say
        found = session.conf.get(key, None)
        if found != value and session.conf.isModifiable(key):
            session.conf.set(key, value)
        elif found not in (value, f"file:{value}"):  # Spark qualifies the path of its warehouse
            different.append(f"{key} = {found}, not {value}")
    if different:
        raise ConfigurationError(
            f"the session that runs already has {'; '.join(different)}",
            origin="the `config` of get_session",
            remedy="Start a new Python process, or set it where the session is started.",
        )
