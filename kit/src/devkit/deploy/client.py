"""The official client with safe retries beneath it.

The SDK repeats 429, 503 and dropped connections, even of calls that must not be sent twice, and does not repeat 500,
502 and 504 (see ``databricks/sdk/_base_client.py``). Here the transport decides, below the SDK: a call that may be
repeated is, with growing pauses; one that may not is sent once, and ends as `UnknownOutcome` when no answer came.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from databricks.sdk.clock import Clock, RealClock
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError

from devkit.deploy.errors import Unavailable, UnknownOutcome, WaitEnded

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

T = TypeVar("T")
TRANSIENT: Final = (429, 500, 502, 503, 504)
# POST calls that leave the same behind when they are sent twice.
REPEATABLE_POSTS: Final = tuple(
    f"/api/*/{path}"
    for path in (
        "clusters/edit",
        "clusters/delete",
        "clusters/permanent-delete",
        "instance-pools/edit",
        "instance-pools/delete",
        "policies/clusters/edit",
        "policies/clusters/delete",
        "libraries/install",
        "libraries/uninstall",
        "secrets/put",
        "secrets/delete",
        "secrets/acls/put",
        "secrets/acls/delete",
        "secrets/scopes/delete",
        "workspace/import",
        "workspace/mkdirs",
        "workspace/delete",
        "jobs/reset",
        "jobs/update",
        "jobs/delete",
        "jobs/runs/cancel",
        "jobs/runs/cancel-all",
        "sql/warehouses/*/edit",
        "sql/warehouses/*/start",
        "sql/warehouses/*/stop",
        "sql/statements/*/cancel",
        "pipelines/*/stop",
        "fs/create-*",  # addresses to download from and to upload to; nothing is written yet
    )
)
TOKENED_POSTS: Final = tuple(f"/api/*/jobs/{path}" for path in ("run-now", "runs/submit"))


@dataclass(frozen=True)
class Patience:
    """How long a call is repeated.

    Attributes:
        attempts: How often it is sent at most.
        first: Seconds before the second time; each further pause is twice as long.
        longest: The longest pause.
    """

    attempts: int = 8
    first: float = 0.5
    longest: float = 20.0

    def pauses(self) -> Iterator[float]:
        """Yield the pause after each attempt but the last."""
        for attempt in range(self.attempts - 1):
            yield min(self.first * 2**attempt, self.longest)


class RetryingTransport(HTTPAdapter):
    """Sends requests, and decides which may be sent again.

    Args:
        clock: What pauses are taken on.
        patience: How long.
    """

    def __init__(self, clock: Clock, patience: Patience) -> None:
        super().__init__(pool_connections=20, pool_maxsize=20, pool_block=True)
        self._clock = clock
        self._patience = patience

    def send(self, request: requests.PreparedRequest, *args: Any, **settings: Any) -> requests.Response:
        """Send a request until it is answered.

        Raises:
            UnknownOutcome: When it must not be sent twice, and its effect is unknown.
            Unavailable: When patience ended.
        """
        method, path = request.method or "GET", urlsplit(request.url or "").path
        repeatable = is_repeatable(method, path, request.body)
        stream: Any = request.body
        start = stream.tell() if hasattr(stream, "tell") else None
        trouble = ""
        for pause in [*self._patience.pauses(), None]:
            if start is not None:
                stream.seek(start)
            sent, response, trouble = self._send_once(request, *args, **settings)
            if response is not None and not trouble:
                return response
            if sent and not repeatable:
                problem = (
                    f"{method} {path} got no answer ({trouble}); it may have had its effect, and is not sent again"
                )
                raise UnknownOutcome(problem, origin=_origin(request))
            if pause is not None:
                self._clock.sleep(max(pause, _asked(response)))
        problem = f"{method} {path} was tried {self._patience.attempts} times; the last answer was: {trouble}"
        raise Unavailable(problem, origin=_origin(request), remedy="Try again later: what was done stays done.")

    def _send_once(
        self, request: requests.PreparedRequest, *args: Any, **settings: Any
    ) -> tuple[bool, requests.Response | None, str]:
        """Return whether it left this machine, the answer, and what was wrong with it."""
        try:
            response = super().send(request, *args, **settings)
            if not settings.get("stream"):
                _ = response.content  # a connection that breaks in the middle of an answer breaks here
        except requests.ConnectionError as error:
            return not _never_sent(error), None, f"the connection broke ({type(error).__name__})"
        except (requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            return True, None, f"the connection broke ({type(error).__name__})"
        if response.status_code in TRANSIENT:
            return True, response, f"status {response.status_code}"
        return True, response, ""


def is_repeatable(method: str, path: str, body: Any = None) -> bool:
    """Tell whether a call leaves the same behind when it is sent twice."""
    if method != "POST":
        return True  # GET and HEAD read; PUT, PATCH and DELETE name what they leave behind
    if any(fnmatch.fnmatch(path, pattern) for pattern in REPEATABLE_POSTS):
        return True
    return any(fnmatch.fnmatch(path, pattern) for pattern in TOKENED_POSTS) and _has_token(body)


def connect(
    config: Any, clock: Clock | None = None, patience: Patience | None = None, proxy: str = ""
) -> WorkspaceClient:
    """Return the official client of a workspace, with safe retries beneath it.

    Args:
        config: A ``databricks.sdk.core.Config``.
        clock: What pauses are taken on; the machine's by default.
        patience: How long calls are repeated.
        proxy: The address of a proxy for every call; by default what ``HTTPS_PROXY`` and ``HTTP_PROXY`` say.
    """
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(config=config)
    session = client.api_client._api_client._session
    transport = RetryingTransport(clock or RealClock(), patience or Patience())
    session.mount("https://", transport)
    session.mount("http://", transport)
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    return client


def repeat(step: Callable[[], T], clock: Clock) -> T:
    """Take a step of several calls again from its beginning while an answer gets lost; it must be one that may be.

    Raises:
        UnknownOutcome: When patience ended.
    """
    lost: UnknownOutcome | None = None
    for pause in [*Patience().pauses(), 0.0]:
        try:
            return step()
        except UnknownOutcome as error:
            lost = error
            clock.sleep(pause)
    raise lost or UnknownOutcome("a step was never answered")


def create_once(create: Callable[[], str], look: Callable[[], str | None], clock: Clock, *, looks: int = 4) -> str:
    """Create something exactly once, though an answer may get lost.

    Args:
        create: Creates it and returns its id.
        look: Finds it by its ownership tag; None when it is not there.
        clock: What pauses are taken on.
        looks: How often to look before it is created again: a listing may be older than the last write.

    Raises:
        UnknownOutcome: When it cannot be told again and again.
    """
    from databricks.sdk.errors import AlreadyExists, ResourceAlreadyExists, ResourceConflict

    lost: Exception | None = None
    for _ in range(Patience.attempts):
        try:
            return create()
        except UnknownOutcome as error:
            lost = error
        except (AlreadyExists, ResourceAlreadyExists, ResourceConflict):
            if lost is None:
                raise  # it was there before: nobody's answer got lost
        for attempt in range(looks):
            found = look()
            if found is not None:
                return found
            clock.sleep(0.5 * 2**attempt)
    raise lost or UnknownOutcome("something was neither created nor found")


def wait_until(
    probe: Callable[[], T],
    done: Callable[[T], bool],
    *,
    what: str,
    clock: Clock,
    interval: float = 10.0,
    limit: float = 1200.0,
) -> T:
    """Ask until the answer is as wished; a failing question does not end the wait.

    Args:
        probe: Asks; it may raise what a broken connection or a server in trouble raises.
        done: Tells whether the answer ends the wait; it raises when the wait can no longer succeed.
        what: What is waited for, for the message.
        clock: What pauses are taken on.
        interval: Seconds between questions.
        limit: Seconds until the wait ends without success.

    Raises:
        WaitEnded: When the limit is reached.
    """
    from databricks.sdk.core import DatabricksError

    end = clock.time() + limit
    last = "no answer yet"
    while True:
        try:
            answer = probe()
        except (Unavailable, UnknownOutcome, DatabricksError, OSError) as error:
            if _hopeless(error):
                raise
            last = str(error)
        else:
            if done(answer):
                return answer
            last = str(answer)
        if clock.time() >= end:
            raise WaitEnded(f"{what}: not reached within {limit:.0f} s; the last answer was: {last[:300]}")
        clock.sleep(interval)


def _hopeless(error: Exception) -> bool:
    """Tell whether asking again cannot help: no such thing, no permission, a wrong question."""
    from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, Unauthenticated

    return isinstance(error, BadRequest | NotFound | PermissionDenied | Unauthenticated)


def _never_sent(error: requests.ConnectionError) -> bool:
    """Tell whether the connection could not even be opened."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _has_token(body: Any) -> bool:
    try:
        return bool(json.loads(body or b"{}").get("idempotency_token"))
    except (ValueError, TypeError, AttributeError):
        return False


def _asked(response: requests.Response | None) -> float:
    """Return the pause that the server asks for."""
    text = response.headers.get("Retry-After", "0") if response is not None else "0"
    return min(float(text), 60.0) if text.isdigit() else 0.0


def _origin(request: requests.PreparedRequest) -> str:
    parts = urlsplit(request.url or "")
    return f"{parts.scheme}://{parts.netloc}"
