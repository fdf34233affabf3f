"""The local event hub: one real Kafka broker on loopback that takes Event Hubs connection strings.

::

    with LocalHub(tmp_path / "hub") as hub:          # a port and a folder of its own
        hub.create_hub("telemetry", partitions=2)
        send(hub.connection_string("telemetry"), generate(1000))

The broker runs in a session of its own and survives the process that started it; whoever names the same folder finds
it again. The shipped one, of ``devkit hub up``, is ``LocalHub.shared()``.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from devkit import cache
from devkit.hub import client, kafka_java
from devkit.hub.kafka_java import MAIN_CLASS
from devkit.hub.settings import HubState, server_properties
from devkit.processes import (
    LOOPBACK,
    POLL_SECONDS,
    accepts_connections,
    free_port,
    is_running,
    refuse_taken,
    resident_bytes,
    spawn_detached,
    terminate,
)
from devkit.spark.java import own_environment
from spark_utils.errors import RuntimeSetupError

DEFAULT_PORT, DEFAULT_TLS_PORT = 19092, 19093
DEFAULT_HUB = "telemetry"
DEFAULT_PARTITIONS = 4
START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class HubStatus:
    """What is known of a hub.

    Attributes:
        running: Whether the broker's process runs.
        port: The Kafka endpoint's port; None for a hub that was never started.
        pid: The broker's process.
        uptime: In seconds.
        memory: Resident memory in bytes, where the system tells.
        hubs: Partitions by event hub; empty unless running.
    """

    running: bool
    port: int | None = None
    pid: int | None = None
    uptime: float | None = None
    memory: int | None = None
    hubs: dict[str, int] | None = None


class LocalHub:
    """A local event hub in a folder.

    Args:
        folder: Where its data, state, properties and log are kept; private to the user.
        port: The port to serve; by default the one it had before, or a free one.
        tls: Whether to serve TLS on a port of its own too; by default as before, at first not.
    """

    def __init__(self, folder: Path, *, port: int | None = None, tls: bool | None = None) -> None:
        self.folder = folder.absolute()
        self._port = port
        self._tls = tls

    @classmethod
    def shared(cls, *, port: int | None = None, tls: bool | None = None) -> LocalHub:
        """Return the hub of ``devkit hub up``, kept in the cache folder; it serves port 19092 unless told otherwise.

        Clients find what they need for its listener with TLS by themselves: no other hub's.
        """
        hub = cls(cache.home() / "hub", port=port, tls=tls)
        if port is None and hub._state() is None:
            hub._port = DEFAULT_PORT
        return hub

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self.folder / "broker.log"

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def _properties_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def bootstrap_server(self) -> str:
        """``127.0.0.1:<port>``, Kafka's name of the endpoint."""
        return f"{LOOPBACK}:{self._known_state().port}"

    @property
    def tls_server(self) -> str | None:
        """The same of the endpoint with TLS; None where it has none."""
        port = self._known_state().tls_port
        return f"{LOOPBACK}:{port}" if port else None

    @property
    def client_secret(self) -> str:
        """The secret of the application `devkit.hub.tls.CLIENT_ID`, which gets tokens for the endpoint with TLS."""
        return self._known_state().key

    def connection_string(self, hub: str | None = None, *, tls: bool = False) -> str:
        """Return the connection string of an event hub, or (None) of the namespace. It is a secret."""
        return self._known_state().connection_string(hub, tls=tls)

    def start(self) -> None:
        """Start the broker and wait until it answers; nothing happens when it runs already.

        Safe to call from several processes at once.

        Raises:
            RuntimeSetupError: The port is taken by another program, or the broker does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with cache.exclusive(self.folder / ".lock"):
            state = self._state()
            if not self._is_running(state):
                state = self._spawn(state)
            elif state is not None and self._port not in (None, state.port):
                raise _already_running(f"on port {state.port}, not {self._port}")
            elif state is not None and self._tls not in (None, state.tls_port is not None):
                raise _already_running("without TLS" if self._tls else "with TLS")
            self._wait_until_it_answers()

    def stop(self) -> None:
        """Stop the broker with SIGTERM and wait for its end; nothing happens when it does not run."""
        self._end(patience=STOP_SECONDS)

    def kill(self) -> None:
        """End the broker as a crash would, with SIGKILL."""
        self._end(patience=0.0)

    def restart(self) -> None:
        """Stop and start, on the same port and with the same data."""
        self.stop()
        self.start()

    def reset(self) -> None:
        """Drop every event hub and event; key and port stay. A running broker runs again afterwards."""
        was_running = self.status().running
        self.stop()
        with cache.exclusive(self.folder / ".lock"):
            shutil.rmtree(self._data, ignore_errors=True)
            self.log.unlink(missing_ok=True)
        if was_running:
            self.start()

    def status(self) -> HubStatus:
        """Look at the hub without changing anything."""
        state = self._state()
        if state is None:
            return HubStatus(running=False)
        if not self._is_running(state) or state.pid is None:
            return HubStatus(running=False, port=state.port)
        return HubStatus(
            running=True,
            port=state.port,
            pid=state.pid,
            uptime=time.time() - (state.started or time.time()),
            memory=resident_bytes(state.pid),
            hubs=client.list_hubs(state.connection_string(None)),
        )

    def create_hub(self, name: str = DEFAULT_HUB, *, partitions: int = DEFAULT_PARTITIONS) -> int:
        """Create an event hub (a Kafka topic); one that exists stays as it is.

        Returns:
            How many partitions it has.
        """
        return client.create_hub(self.connection_string(None), name, partitions)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _state(self) -> HubState | None:
        return HubState.load(self._state_file)

    def _known_state(self) -> HubState:
        state = self._state()
        if state is None:
            raise RuntimeSetupError("there is no local hub yet", origin=str(self.folder), remedy="Run `devkit hub up`.")
        return state

    def _is_running(self, state: HubState | None) -> bool:
        return state is not None and is_running(state.pid, MAIN_CLASS, str(self._properties_file))

    def _end(self, *, patience: float) -> None:
        if not self.folder.is_dir():
            return
        with cache.exclusive(self.folder / ".lock"):
            state = self._state()
            if state is None or state.pid is None:
                return
            terminate(state.pid, MAIN_CLASS, str(self._properties_file), patience=patience)
            state.pid = state.started = None
            state.save(self._state_file)

    def _spawn(self, state: HubState | None) -> HubState:
        kafka = kafka_java.prepare()
        port = self._port or (state.port if state else free_port())
        state = state or HubState.create(port)
        state.port = port
        if self._tls is False:
            state.tls_port = state.token_port = None
        elif self._tls and not state.tls_port:
            state.tls_port = DEFAULT_TLS_PORT if port == DEFAULT_PORT else free_port()
            state.token_port = free_port()
        for each in state.ports:
            refuse_taken(each)
        properties = server_properties(state, data=self._data, controller_port=free_port())
        cache.write_private(self._properties_file, properties)
        if kafka.formatted and not (self._data / "meta.properties").exists():
            shutil.copytree(kafka.formatted, self._data, dirs_exist_ok=True)
        command = kafka.command(MAIN_CLASS, str(self._properties_file))
        state.pid = spawn_detached(command, log=self.log, environment=own_environment(kafka.class_path))
        state.started = time.time()
        state.save(self._state_file)
        return state

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        state = self._known_state()
        while time.monotonic() < deadline:
            if not self._is_running(state):
                raise self._failure("the local hub's broker ended while it started")
            if all(map(accepts_connections, state.ports)) and client.answers(state.connection_string(None)):
                return
            time.sleep(POLL_SECONDS)
        raise self._failure(f"the local hub did not answer within {START_SECONDS:.0f} seconds")

    def _failure(self, problem: str) -> RuntimeSetupError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        telling = [line for line in lines if "ERROR" in line or "Exception" in line or "Error" in line]
        last = f"; its log ends: {telling[-1].strip()}" if telling else ""
        return RuntimeSetupError(
            f"{problem}{last}", origin=str(self.log), remedy="`devkit hub reset` starts with an empty hub."
        )


def _already_running(how: str) -> RuntimeSetupError:
    return RuntimeSetupError(f"the local hub is already running {how}", remedy="Stop it first: `devkit hub down`.")
