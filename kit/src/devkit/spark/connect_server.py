"""A warm Spark: one local Spark Connect server, started once, that jobs, cells and tests attach to in about a second.

::

    with ConnectServer(tmp_path / "server") as server:      # a port, a token and a folder of its own
        spark = server.session()

It runs in a session of its own and survives the process that started it; whoever names the same folder finds it again.
The one of ``devkit spark up`` is ``ConnectServer.shared()``. It serves loopback alone, and only who knows its token.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from devkit import cache
from devkit.processes import (
    LOOPBACK,
    POLL_SECONDS,
    accepts_connections,
    free_port,
    is_running,
    resident_bytes,
    spawn_detached,
    terminate,
)
from devkit.spark import local_session
from devkit.spark.server_state import (
    MAIN_CLASS,
    PROPERTIES_FILE,
    REMOTE_VARIABLE,
    STATE_FILE,
    TOKEN_VARIABLE,
    ServerState,
    running_server,
    shared_folder,
)
from spark_utils.errors import RuntimeSetupError
from spark_utils.session import LOG_VARIABLE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODE_VARIABLE = "SPARK_CONNECT_MODE_ENABLED"
ATTACHED = (REMOTE_VARIABLE, MODE_VARIABLE)  # the variables of a client, which is no environment for a server
# The Python worker of a stream prints the address that it attaches to, and in that is the token.
MASKED = r"""exec "$@" > >(trap '' INT TERM HUP; exec sed -u 's/\(token=\)[^; ]*/\1***/g') 2>&1"""
START_SECONDS, STOP_SECONDS = 120.0, 30.0


class ConnectServer:
    """A local Spark Connect server in a folder.

    Args:
        folder: Where its state and log are kept; private to the user.
        fast_start: Start quicker and run slower: for tests.
        settings: More Spark settings.
        environment: The environment of its process, this process's own by default.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fast_start: bool = False,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self._fast_start = fast_start
        self._settings = {**(settings or {})}
        self._environment = environment

    @classmethod
    def shared(cls) -> ConnectServer:
        """Return the server of ``devkit spark up``: one for each Python environment, whose packages its workers use."""
        return cls(shared_folder())

    @property
    def log(self) -> Path:
        """The server's log: Spark's warnings and errors."""
        return self.folder / "spark.log"

    @property
    def output(self) -> Path:
        """What its process wrote: the JVM's own messages."""
        return self.folder / "output.log"

    @property
    def _state_file(self) -> Path:
        return self.folder / STATE_FILE

    @property
    def _mark(self) -> str:
        return str(self.folder / PROPERTIES_FILE)

    def state(self) -> ServerState | None:
        """Return what is known of the running server, or None when it does not run."""
        return running_server(self.folder)

    def memory(self) -> int | None:
        """Return the memory of the running server in bytes, where the system tells."""
        state = self.state()
        return resident_bytes(state.pid) if state else None

    def start(self) -> ServerState:
        """Start the server and wait until it accepts connections; nothing happens when it runs already.

        Safe to call from several processes at once.

        Raises:
            RuntimeSetupError: Java, a jar or pyspark's part for Spark Connect is missing, or the server does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with cache.exclusive(self.folder / ".lock"):
            state = self.state() or self._spawn()
            self._wait_until_it_answers(state)
        return state

    def stop(self) -> None:
        """Stop the server with SIGTERM and wait for its end; nothing happens when it does not run."""
        self._end(patience=STOP_SECONDS)

    def kill(self) -> None:
        """End the server as a crash would, with SIGKILL."""
        self._end(patience=0.0)

    def session(self) -> SparkSession:
        """Return a new Spark Connect session of the running server.

        It can be had beside a classic session of the same process: see `connect_mode`.

        Raises:
            RuntimeSetupError: The server does not run.
        """
        state = self.state()
        if state is None:
            raise RuntimeSetupError(
                "the warm Spark server is not running", origin=str(self.folder), remedy="Start it: `devkit spark up`."
            )
        from pyspark.sql.connect.session import SparkSession as ConnectSession

        remote = f"{state.remote}/;token={state.token}"
        session: SparkSession = ConnectSession.builder.remote(remote).create()  # type: ignore[assignment]
        return session

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _end(self, *, patience: float) -> None:
        if not self.folder.is_dir():
            return
        with cache.exclusive(self.folder / ".lock"):
            state = self.state()
            if state is not None:
                terminate(state.pid, MAIN_CLASS, self._mark, patience=patience)
            self._state_file.unlink(missing_ok=True)

    def _spawn(self) -> ServerState:
        _require_connect()
        prepared = local_session.prepare()
        port, token = free_port(), secrets.token_urlsafe(32)
        ui_port = None if self._fast_start else str(free_port())
        local_session.write_configuration(
            self.folder,
            local_session.settings(
                prepared,
                prepared.archive().flags(),
                self.folder / "log4j2.properties",
                fast_start=self._fast_start,
            )
            | {
                "spark.app.name": "warm-server",
                "spark.connect.grpc.binding.address": LOOPBACK,
                "spark.connect.grpc.binding.port": str(port),
            }
            | ({"spark.ui.port": ui_port} if ui_port else {"spark.ui.enabled": "false"})
            | self._settings,
        )
        environment = (
            {name: value for name, value in (self._environment or os.environ).items() if name not in ATTACHED}
            | local_session.launch_variables(prepared, Path(self._mark), "warm-server")
            | {
                TOKEN_VARIABLE: token,
                LOG_VARIABLE: str(self.log),
                "SPARK_LOCAL_IP": LOOPBACK,  # the page of the Spark UI binds to that address
            }
        )
        submit = str(prepared.spark_home / "bin" / "spark-submit")
        command = [submit, "--class", MAIN_CLASS, "--properties-file", self._mark, "spark-internal"]
        masked = ["/usr/bin/env", "bash", "-c", MASKED, "bash", *command]
        pid = spawn_detached(masked, log=self.output, environment=environment)
        ui = ui_port and f"http://{LOOPBACK}:{ui_port}"
        state = ServerState(port, token, pid, time.time(), prepared.profile.spark, ui)
        cache.write_private(self._state_file, json.dumps(asdict(state), indent=1) + "\n")
        return state

    def _wait_until_it_answers(self, state: ServerState) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not accepts_connections(state.port):
            if not is_running(state.pid) or time.monotonic() > deadline:
                output = self.output.read_text(encoding="utf-8", errors="replace").splitlines()
                telling = [line for line in output if "ERROR" in line or "Exception" in line or "Error" in line]
                last = f": {telling[-1].strip()}" if telling else ""
                raise RuntimeSetupError(
                    f"the warm Spark server did not start{last}",
                    origin=str(self.output),
                    remedy="`devkit spark logs` shows what Spark said; `devkit spark up` tries again.",
                )
            time.sleep(POLL_SECONDS)


@contextmanager
def connect_mode() -> Iterator[None]:
    """Let pyspark's functions build Spark Connect's columns inside this block, beside a classic session.

    pyspark decides by an environment variable which kind of column ``F.col`` makes and which session is the active one.
    """
    before = os.environ.get(MODE_VARIABLE)
    os.environ[MODE_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(MODE_VARIABLE, None)
        else:
            os.environ[MODE_VARIABLE] = before


def _require_connect() -> None:
    try:
        import pyspark.sql.connect.session  # noqa: F401  # it raises when a package is missing
    except ImportError as error:
        raise RuntimeSetupError(
            f"pyspark lacks what Spark Connect needs: {error}",
            remedy="Run `pip install 'spark-streaming-devkit[local]'` in this environment.",
        ) from None
