"""The server of local workspaces: `with Workspace() as w:` in tests, `devkit workspace up` by hand."""

from __future__ import annotations

import logging
import secrets
import shutil
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request as HttpRequest

from local_workspace.server.application import Application
from local_workspace.server.faults import Faults
from local_workspace.server.routing import Reply
from local_workspace.server.sign_in import SignIn
from local_workspace.server.state import Identity, Options, State
from local_workspace.services.registry import SERVICES

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

logger = logging.getLogger(__name__)
HOST: Final = "127.0.0.1"
SAVE_SECONDS: Final = 1.0
STOP_SECONDS: Final = 0.02  # a stop waits that long at most


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many calls, as the real service has it
    disable_nagle_algorithm = True  # headers and body are two writes, and the second must not wait for an answer
    wbufsize = -1

    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing: the page and `Workspace.calls` show what was called."""


class _Server(ThreadedWSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a client that hung up go in silence; tell of everything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typed by the socket server


class Workspace:
    """One or more isolated local workspaces behind one address.

    Example::

        with Workspace() as w:
            w.client().jobs.list()

    Args:
        folder: Where state, files, tables and logs are kept for the next start; a temporary folder by default.
        port: The port on 127.0.0.1; 0 for a free one.
        token: The token that opens the first workspace; a random one by default.
        options: What differs from the defaults, such as small pages.
    """

    def __init__(
        self, folder: Path | None = None, *, port: int = 0, token: str | None = None, options: Options | None = None
    ) -> None:
        self._temporary = tempfile.mkdtemp(prefix="workspace-") if folder is None else None
        self.folder = (folder or Path(str(self._temporary))).resolve()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)  # it holds secrets, data and logs, and other users of the machine are no part of it
        self._options = options or Options()
        self._states: dict[str, State] = {}
        self._own: list[State] = []  # each once, however many tokens open it
        self._application = Application(SERVICES, self._find, self._sign_in)
        self._server = _Server(HOST, port, self._application, handler=_Handler)
        self.host = f"http://{HOST}:{self._server.server_port}"
        self.token = self.add_workspace(token)
        self.sign_in = SignIn(self.host, Identity.workspace_id, self._admit)
        self._stopping = threading.Event()
        serve = partial(self._server.serve_forever, poll_interval=STOP_SECONDS)
        self._threads = [threading.Thread(target=serve, daemon=True)]
        if self._temporary is None:
            self._threads.append(threading.Thread(target=self._save_now_and_then, daemon=True))

    @property
    def faults(self) -> Faults:
        """What goes wrong on request."""
        return self._application.faults

    @property
    def calls(self) -> dict[str, int]:
        """How often each route was called: ``GET /api/…`` to a count."""
        return dict(self._application.calls)

    def add_workspace(self, token: str | None = None) -> str:
        """Add an isolated workspace and return the token that opens it."""
        token = token or f"dapi-local-{secrets.token_hex(16)}"
        number = len(self._own)
        identity = Identity(workspace_id=Identity.workspace_id + number)
        state = State(self.folder / str(identity.workspace_id), token, self.host, identity, self._options)
        state.faults, state.calls = self._application.faults, self._application.calls
        state.add_services(SERVICES)
        self._own.append(state)
        self._states[token] = state
        return token

    def state(self, token: str | None = None) -> State:
        """Return the state behind a token; the first workspace's by default."""
        return self._states[token or self.token]

    def client(self, token: str | None = None) -> WorkspaceClient:
        """Return the official client of a workspace; the first one's by default."""
        from databricks.sdk import WorkspaceClient

        return WorkspaceClient(host=self.host, token=token or self.token, auth_type="pat")

    def start(self) -> Self:
        """Serve in the background."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End what runs, keep the state if there is a folder for it, and close the port."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        for state in self._own:
            for service in state.services.values():
                service.stop()
        if self._temporary is None:
            self._save()
        else:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> Self:
        """Serve in the background."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _find(self, token: str) -> State | None:
        """Return the workspace that a token opens: its own, one issued at sign-in, or one made in the workspace."""
        if token in self._states:
            return self._states[token]
        return next((state for state in self._own if any(opens(token) for opens in state.keys)), None)

    def _sign_in(self, request: HttpRequest) -> Reply | None:
        return self.sign_in.answer(request)

    def _admit(self, token: str, workspace_token: str) -> None:
        """Let one more token open a workspace."""
        self._states[token] = self._states[workspace_token]

    def _save_now_and_then(self) -> None:
        while not self._stopping.wait(SAVE_SECONDS):
            self._save()

    def _save(self) -> None:
        for state in self._own:
            try:
                state.save()
            except Exception:  # one workspace, or a disk that is full for a while, must not end saving for good
                logger.exception("the state of %s could not be written; the next try follows", state.folder)
