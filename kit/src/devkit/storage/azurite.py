"""The local storage account: Azurite's blob service on loopback, without Docker, as the real `abfs://` driver sees it.

::

    with Azurite(tmp_path / "storage") as storage:   # a port, a folder and an account key of its own
        ... storage.endpoint ... storage.account_key ...

Azurite is a Node program; its packages are those of `configuration/azurite/package-lock.json` (`devkit.storage.node`).
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from devkit.processes import POLL_SECONDS, accepts_connections, free_port
from devkit.storage.node import find_node, install_packages
from spark_utils.errors import RuntimeSetupError
from spark_utils.sinks.storage import AZURITE_ACCOUNT

LOCK: Final = Path(__file__).parent / "azurite_packages" / "package-lock.json"
PROGRAM: Final = Path("azurite", "dist", "src", "blob", "main.js")
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
# `--loose` and `--skipApiVersionCheck`: the driver sends headers and API versions that Azurite does not know yet.
_FLAGS: Final = ("--skipApiVersionCheck", "--loose", "--disableTelemetry", "--silent", "--blobHost", "127.0.0.1")


class Azurite:
    """A storage account in a folder; it runs until `stop`, or the end of the `with` block.

    Args:
        folder: Where its blobs are kept.
        port: The port to serve; a free one by default.
        account_key: The account's key, in Base64; a new random one by default.
    """

    account: Final = AZURITE_ACCOUNT

    def __init__(self, folder: Path, *, port: int | None = None, account_key: str | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self.account_key = account_key or base64.b64encode(secrets.token_bytes(64)).decode()
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        """Show where it is, never its key."""
        return f"Azurite({str(self.folder)!r}, port={self.port})"

    @property
    def endpoint(self) -> str:
        """`host:port`, as `--storage-endpoint` takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "azurite.log"

    def start(self) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            RuntimeSetupError: If the port is taken, Node is missing, npm fails, or it does not start.
        """
        if accepts_connections(self.port):
            raise RuntimeSetupError(f"port {self.port} is taken", remedy="Stop what listens there, or name no port.")
        node = find_node()
        program = install_packages(node, LOCK) / PROGRAM
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(node.program),
            str(program),
            *_FLAGS,
            "--blobPort",
            str(self.port),
            "--location",
            str(self.folder),
        ]
        # By the environment, not the command line: the process list shows command lines to everyone.
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{self.account}:{self.account_key}"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._wait_until_it_answers(self._process)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if accepts_connections(self.port):
                return
            time.sleep(POLL_SECONDS)
        self.stop()
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() or ["it said nothing"]
        raise RuntimeSetupError(f"Azurite did not start: {lines[-1]}", origin=str(self.log), remedy="Try another port.")

    def stop(self) -> None:
        """Stop it and wait for its end; nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
