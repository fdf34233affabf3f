"""The official client with safe retries beneath it.

The SDK repeats 429, 503 and broken connections, even of calls that must not be sent twice, and does not repeat 500,
502 and 504 (see ``databricks/sdk/_base_client.py``). Here the transport below the SDK decides: a call that may be
repeated is, with growing pauses; one that may not is sent once, and ends as `UnknownOutcome` if no answer came.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
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
class RetryPolicy:
    """How often a call is repeated.

    Attributes:
        attempts: How often it is sent at most.
        first: Seconds before the second attempt; each further pause is twice as long.
        longest: The longest pause in seconds.
    """

    attempts: int = 8
    first: float = 0.5
    longest: float = 20.0

    def retrying(self, clock: Clock, retry: Any, **settings: Any) -> tenacity.Retrying:
        """Return what repeats a call while `retry`, a condition of tenacity, holds."""
        settings.setdefault("wait", self.backoff)
        stop = tenacity.stop_after_attempt(self.attempts)
        return tenacity.Retrying(sleep=clock.sleep, stop=stop, retry=retry, reraise=True, **settings)

    @property
    def backoff(self) -> Any:
        """Return the growing pause."""
        return tenacity.wait_exponential(multiplier=self.first, max=self.longest)


class _Unanswered(Exception):  # noqa: N818  # it stays in this module
    """A request without a usable answer.

    Args:
        trouble: What went wrong.
        sent: Whether it left this machine.
        pause: Seconds that the server asks to wait.
    """

    def __init__(self, trouble: str, *, sent: bool = True, pause: float = 0.0) -> None:
        super().__init__(trouble)
        self.sent = sent
        self.pause = pause


class RetryingTransport(HTTPAdapter):
    """Sends requests, and decides which may be sent again.

    Args:
        clock: The clock that pauses are taken on.
        policy: How often a call is repeated.
    """

    def __init__(self, clock: Clock, policy: RetryPolicy) -> None:
        super().__init__(pool_connections=20, pool_maxsize=20, pool_block=True)
        self._clock = clock
        self._policy = policy

    def send(self, request: requests.PreparedRequest, *args: Any, **settings: Any) -> requests.Response:
        """Send a request until it is answered.

        Raises:
            UnknownOutcome: If it must not be sent twice, and its effect is unknown.
            Unavailable: If it was repeated as often as the policy allows.
        """
        method, path = request.method or "GET", urlsplit(request.url or "").path
        repeatable = is_repeatable(method, path, request.body)
        stream: Any = request.body
        start = stream.tell() if hasattr(stream, "tell") else None

        def attempt() -> requests.Response:
            if start is not None:
                stream.seek(start)
            return self._send_once(request, *args, **settings)

        def may_repeat(error: BaseException) -> bool:
            return isinstance(error, _Unanswered) and (repeatable or not error.sent)

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.pause if isinstance(error, _Unanswered) else 0.0
            return max(float(self._policy.backoff(state)), asked)

        try:
            return self._policy.retrying(self._clock, tenacity.retry_if_exception(may_repeat), wait=pause)(attempt)
        except _Unanswered as error:
            parts = urlsplit(request.url or "")
            origin = f"{parts.scheme}://{parts.netloc}"
            if not may_repeat(error):
                problem = f"{method} {path} got no answer ({error}); it may have had its effect, and is not sent again"
                raise UnknownOutcome(problem, origin=origin) from None
            problem = f"{method} {path} was tried {self._policy.attempts} times; the last answer was: {error}"
            remedy = "Try again later: completed steps are kept."
            raise Unavailable(problem, origin=origin, remedy=remedy) from None

    def _send_once(self, request: requests.PreparedRequest, *args: Any, **settings: Any) -> requests.Response:
        try:
            response = super().send(request, *args, **settings)
            if not settings.get("stream"):
                _ = response.content  # a connection that breaks in the middle of an answer breaks here
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Unanswered(f"the connection broke ({type(error).__name__})", sent=not _never_sent(error)) from error
        if response.status_code in TRANSIENT:
            wait = response.headers.get("Retry-After", "0")
            pause = min(float(wait), 60.0) if wait.isdigit() else 0.0
            raise _Unanswered(f"status {response.status_code}", pause=pause)
        return response


def is_repeatable(method: str, path: str, body: Any = None) -> bool:
    """Return whether a call has the same effect when it is sent twice."""
    if method != "POST":
        return True  # GET and HEAD read; PUT, PATCH and DELETE name their outcome
    if any(fnmatch.fnmatch(path, pattern) for pattern in REPEATABLE_POSTS):
        return True
    return any(fnmatch.fnmatch(path, pattern) for pattern in TOKENED_POSTS) and _has_token(body)


def connect(
    config: Any, clock: Clock | None = None, policy: RetryPolicy | None = None, proxy: str = ""
) -> WorkspaceClient:
    """Return the official client of a workspace, with safe retries beneath it.

    Args:
        config: A ``databricks.sdk.core.Config``.
        clock: The clock that pauses are taken on; the machine's by default.
        policy: How often calls are repeated.
        proxy: The address of a proxy for every call; by default that of ``HTTPS_PROXY`` and ``HTTP_PROXY``.
    """
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(config=config)
    session = client.api_client._api_client._session
    transport = RetryingTransport(clock or RealClock(), policy or RetryPolicy())
    session.mount("https://", transport)
    session.mount("http://", transport)
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    return client


def repeat(step: Callable[[], T], clock: Clock) -> T:
    """Repeat a step of several calls from its beginning while an answer gets lost; it must be safe to repeat.

    Raises:
        UnknownOutcome: If the last attempt got no answer either.
    """
    return RetryPolicy().retrying(clock, tenacity.retry_if_exception_type(UnknownOutcome))(step)


def create_once(create: Callable[[], str], look: Callable[[], str | None], clock: Clock) -> str:
    """Create something exactly once, though an answer may get lost.

    Args:
        create: Creates it and returns its id.
        look: Finds it by its ownership tag; None if it does not exist.
        clock: The clock that pauses are taken on.

    Raises:
        UnknownOutcome: If every attempt got no answer.
    """
    from databricks.sdk.errors import AlreadyExists, ResourceAlreadyExists, ResourceConflict

    lost: UnknownOutcome | None = None
    missing = tenacity.retry_if_result(lambda found: found is None)  # a listing may be older than the last write
    looking = RetryPolicy(attempts=4).retrying(clock, missing, retry_error_callback=lambda _: None)

    def attempt() -> str:
        nonlocal lost
        try:
            return create()
        except UnknownOutcome as error:
            lost = error
        except (AlreadyExists, ResourceAlreadyExists, ResourceConflict):
            if lost is None:
                raise  # it existed before: no answer got lost
        found = looking(look)
        if found is None:
            raise lost
        return found

    return repeat(attempt, clock)


def wait_until(
    probe: Callable[[], T],
    done: Callable[[T], bool],
    *,
    what: str,
    clock: Clock,
    interval: float = 10.0,
    limit: float = 1200.0,
) -> T:
    """Ask until the answer is the expected one; a failing question does not end the wait.

    Args:
        probe: Asks; it may raise what a broken connection or a server in trouble raises.
        done: Returns whether the answer ends the wait; it raises if the wait can no longer succeed.
        what: What is waited for, for the message.
        clock: The clock that pauses are taken on.
        interval: Seconds between questions.
        limit: Seconds until the wait ends without success.

    Raises:
        WaitEnded: If the limit is reached.
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
    """Return whether asking again cannot help: no such thing, no permission, a wrong question."""
    from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, Unauthenticated

    return isinstance(error, BadRequest | NotFound | PermissionDenied | Unauthenticated)


def _never_sent(error: requests.RequestException) -> bool:
    """Return whether the connection could not even be opened."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _has_token(body: Any) -> bool:
    try:
        return bool(json.loads(body or b"{}").get("idempotency_token"))
    except (ValueError, TypeError, AttributeError):
        return False
