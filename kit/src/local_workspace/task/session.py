"""Spark in a task's process: started when it is asked for, by ``SparkSession.builder`` as well as by ``spark``.

The settings are in the environment that the launcher prepared, the catalogs of the workspace among them. On standard
access mode and serverless compute it is Spark Connect; the server is asked for when pyspark first needs its address.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REMOTE: Final = "SPARK_REMOTE"
UNKNOWN: Final = "sc://localhost"  # what kind of Spark it is; the port and the token follow
CLIENT: Final = "pyspark.sql.connect.session"
ASKED: Final = "spark.asked"
ANSWER: Final = "spark.json"
LOOK_SECONDS: Final = 0.02


def session() -> SparkSession:
    """Return the session of this process; the first call starts it."""
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def is_connect() -> bool:
    """Return whether the sessions of this process are Spark Connect's."""
    return REMOTE in os.environ


def is_started() -> bool:
    """Return whether Spark runs in this process; asking for the active session would look at this thread only."""
    if is_connect():
        return _remote() is not None
    module = sys.modules.get("pyspark")
    return module is not None and module.SparkContext._active_spark_context is not None


def close() -> None:
    """Close a session of Spark Connect, so that nothing that it started goes on."""
    if (remote := _remote()) is not None:
        remote.stop()


def _remote() -> Any:
    module = sys.modules.get(CLIENT)
    return module.SparkSession._get_default_session() if module else None


def provide_server(folder: Path) -> None:
    """Ask the workspace for a Spark Connect server as soon as pyspark imports its client.

    Args:
        folder: Of the task's run, in which the workspace answers.
    """
    sys.meta_path.insert(0, _Server(folder))


class _Server(MetaPathFinder):
    """Finds no module, and makes the first import of the client wait for a server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == CLIENT:
            sys.meta_path.remove(self)
            (self._folder / ASKED).touch()
            while not (self._folder / ANSWER).exists():
                time.sleep(LOOK_SECONDS)
            answer = json.loads((self._folder / ANSWER).read_text(encoding="utf-8"))
            if "error" in answer:
                raise RuntimeError(answer["error"])
            os.environ.update(answer["variables"])
