"""What is known of a Spark Connect server of this machine: where its state lies, and how pyspark attaches to it."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from devkit import cache
from devkit.processes import LOOPBACK, is_running
from spark_utils.session import is_connect, is_here

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MAIN_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
STATE_FILE, PROPERTIES_FILE = "state.json", "spark-defaults.conf"
TOKEN_VARIABLE = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105  # the name of Spark's own variable, not a token
REMOTE_VARIABLE = "SPARK_REMOTE"


@dataclass(frozen=True)
class ServerState:
    """What a server keeps in its folder, in a file that only its owner may read.

    Attributes:
        port: It serves this port on loopback.
        token: Who attaches must know it.
        pid: The server's process.
        started: When, in seconds since 1970.
        spark: The version of Spark.
        ui: The address of its Spark UI, where it has one.
    """

    port: int
    token: str = field(repr=False)
    pid: int
    started: float
    spark: str
    ui: str | None = None

    @property
    def remote(self) -> str:
        """The address for ``SPARK_REMOTE``: by name, because pyspark takes a token without TLS for `localhost` only."""
        return f"sc://localhost:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by which pyspark attaches; the token is a secret."""
        return {REMOTE_VARIABLE: self.remote, TOKEN_VARIABLE: self.token}


def shared_folder() -> Path:
    """Return the folder of the warm server: one for each Python environment, whose packages its workers use."""
    environment = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
    return cache.home() / "spark-server" / environment


def running_server(folder: Path) -> ServerState | None:
    """Return what is known of the server in a folder, or None when it does not run."""
    try:
        state = ServerState(**json.loads((folder / STATE_FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # of another version: it is started anew
        return None
    return state if is_running(state.pid, MAIN_CLASS, str(folder / PROPERTIES_FILE)) else None


def ui_address(spark: SparkSession) -> str | None:
    """Return the address of a session's Spark UI; None where it has none, or is of a server elsewhere."""
    if not is_connect(spark):
        return spark.sparkContext.uiWebUrl
    port = spark.conf.get("spark.ui.port", None) if is_here(spark) else None
    return port and f"http://{LOOPBACK}:{port}"
