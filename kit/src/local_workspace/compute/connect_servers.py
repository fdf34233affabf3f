"""The Spark of standard access mode and of serverless compute: Spark Connect servers, kept by the workspace.

Tasks whose clusters have the same settings, variables and libraries share a server. It is started when a task first
asks for Spark; one that no task uses ends when another is started, and all end with the workspace.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from databricks.sdk.service.compute import ClusterDetails, ClusterSpec, DataSecurityMode

from devkit import cache
from devkit.spark.connect_server import ConnectServer
from devkit.spark.server_state import ServerState
from local_workspace.compute import spark_environment
from local_workspace.server.state import State
from local_workspace.task.session import ANSWER, ASKED
from spark_utils.errors import RuntimeSetupError, SparkUtilsError

FOLDER: Final = "connect"
STANDARD: Final = (
    DataSecurityMode.USER_ISOLATION,
    DataSecurityMode.DATA_SECURITY_MODE_STANDARD,
    DataSecurityMode.DATA_SECURITY_MODE_AUTO,
)


def is_standard(cluster: ClusterSpec | ClusterDetails) -> bool:
    """Return whether a cluster has standard access mode, which an automatic one has but for machine learning.

    Source: https://docs.databricks.com/compute/dedicated-overview
    """
    automatic = cluster.data_security_mode is DataSecurityMode.DATA_SECURITY_MODE_AUTO
    return cluster.data_security_mode in STANDARD and not (automatic and "-ml-" in (cluster.spark_version or ""))


@dataclass(frozen=True)
class Wanted:
    """What a server is started with.

    Attributes:
        settings: Spark's, of the cluster.
        variables: The environment of its Python workers.
    """

    settings: Mapping[str, str]
    variables: Mapping[str, str]

    @property
    def key(self) -> str:
        """The same for equal servers."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()[:16]


class ConnectServers:
    """The servers of one workspace.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()
        self._littered: set[str] = set()
        self._is_closed = False

    def log(self, wanted: Wanted) -> Path:
        """Return where a server writes Spark's log."""
        return self._server(wanted.key).log

    def take(self, wanted: Wanted) -> ServerState:
        """Return the server for one more task, started if it does not run.

        Raises:
            RuntimeSetupError: It does not start, or the workspace stops.
        """
        folder = self._server(wanted.key).folder
        own = spark_environment.own_settings(self._state, wanted.settings, folder)
        with self._lock:
            if self._is_closed:
                raise RuntimeSetupError("the workspace is stopped")
            for other in [key for key, users in self._users.items() if key != wanted.key and not users]:
                self._end(other)
            self._users[wanted.key] += 0
            started = ConnectServer(folder, fast_start=True, settings=own, environment=wanted.variables).start()
            self._users[wanted.key] += 1
            return started

    def give_back(self, wanted: Wanted, *, ended: bool) -> None:
        """Let a task have done with its server.

        Args:
            wanted: As it was taken.
            ended: The task closed its session; otherwise what it left there, streams for example, ends with the server.
        """
        with self._lock:
            self._users[wanted.key] -= 1
            if not ended:
                self._littered.add(wanted.key)
            if wanted.key in self._littered and not self._users[wanted.key]:
                self._end(wanted.key)

    def kill_leftovers(self) -> None:
        """End the servers that a stopped workspace left behind."""
        for folder in (self._state.folder / FOLDER).glob("*"):
            self._end(folder.name)

    def close(self) -> None:
        """End all servers."""
        with self._lock:
            self._is_closed = True
            for key in [*self._users]:
                self._end(key)

    def _server(self, key: str) -> ConnectServer:
        return ConnectServer(self._state.folder / FOLDER / key)

    def _end(self, key: str) -> None:
        server = self._server(key)
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)  # its settings may hold secrets
        del self._users[key]
        self._littered.discard(key)


class Lease:
    """What one task has of a server: nothing until its process asks for Spark.

    Args:
        servers: Of the workspace.
        wanted: The task's server.
        folder: Of the task's run.
    """

    def __init__(self, servers: ConnectServers, wanted: Wanted, folder: Path) -> None:
        self._servers, self._wanted, self._folder = servers, wanted, folder
        self._is_answered = self._is_taken = False

    def look(self) -> None:
        """Answer the task's process when it has asked."""
        if self._is_answered or not (self._folder / ASKED).exists():
            return
        self._is_answered = True
        try:
            answer: dict[str, object] = {"variables": self._servers.take(self._wanted).variables}
            self._is_taken = True
        except SparkUtilsError as error:
            answer = {"error": str(error)}
        cache.write_private(self._folder / ANSWER, json.dumps(answer))

    def end(self, *, ended: bool) -> None:
        """Give the server back; see `ConnectServers.give_back`."""
        (self._folder / ANSWER).unlink(missing_ok=True)
        if self._is_taken:
            self._servers.give_back(self._wanted, ended=ended)
