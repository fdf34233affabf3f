"""Wait for a streaming query, and end it well: done, stopped between two batches, or failed with one readable line."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from spark_utils.configuration.values import StopAfter
from spark_utils.errors import SparkUtilsError, StreamFailedError
from spark_utils.redaction import mask_credentials
from spark_utils.session import NO_ANSWER, limit_retries, log_file
from spark_utils.streaming_utils.channel import STOPPED_ON_REQUEST, Channel
from spark_utils.streaming_utils.failures import (
    error_line,
    remedy_for,
    root_cause,
    silence_query_context_log,
    users_line,
)
from spark_utils.streaming_utils.progress import stop_listening, wait_until_told

_LOOK_SECONDS = 0.25  # how often the wait looks up, while nothing is asked
_NEAR_SECONDS = 0.02  # and while the batch that runs is being finished
_LISTENERS_SECONDS = 30.0  # a listener that hangs must not keep the job from ending
_SHUT_DOWN = ("SparkContext was shut down", "Cannot call methods on a stopped SparkContext")
_log = logging.getLogger(__name__)


class StopRequest:
    """What signals have asked for: the first to finish the batch and stop, the second to stop at once."""

    def __init__(self) -> None:
        self.signals = 0

    @property
    def asked(self) -> bool:
        """Whether to stop after the batch that runs."""
        return self.signals > 0

    @property
    def at_once(self) -> bool:
        """Whether not to wait for that batch."""
        return self.signals > 1

    def receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Count one signal; nothing else is safe to do in a handler."""
        self.signals += 1


def await_termination(
    query: StreamingQuery, stop_after: StopAfter | float | None = None, *, finish_within: float = 300.0
) -> None:
    """Wait until the query is done, is asked to stop, or fails.

    SIGTERM and Ctrl-C let the running micro-batch commit, then stop the query and return, so that a script ends with
    status 0. A second one stops at once, which is safe too: the next start repeats the batch, and each event is still
    written once. Outside the main thread (a notebook's) there are no signals to handle, and none are.

    Args:
        query: A started query.
        stop_after: Stop in the same way after so many seconds, or after a time or a number of events.
        finish_within: Seconds to wait, at most, for the running batch once a stop is asked for.

    Raises:
        StreamFailedError: The query failed; the message is the cause in one line and the place of the log.
    """
    limit = StopAfter(seconds=stop_after) if isinstance(stop_after, int | float) else stop_after
    request, listeners = StopRequest(), _LISTENERS_SECONDS
    with signals_to(request.receive):
        try:
            if not _wait(query, limit, request):
                _finish_batch(query, request, finish_within)
                query.stop()
        except StreamingQueryException as failure:
            text = str(failure)
            if STOPPED_ON_REQUEST not in text and not (request.asked and any(sign in text for sign in _SHUT_DOWN)):
                raise _failed(query, failure) from failure
        except Exception as failure:
            listeners = 0.0
            if request.asked and _is_gone(failure):
                _log.warning("Spark was stopped too, before the batch was committed; the next start repeats it")
            elif NO_ANSWER in str(failure):
                raise _server_lost(query) from failure
            else:
                raise
        finally:
            wait_until_told(query.runId, listeners)


def readable_errors() -> None:
    """Let a script end with one line on standard error instead of pages of two languages' stack traces.

    A :class:`SparkUtilsError` is its own sentence. Any other exception gets the first line that says what went wrong.
    The whole trace is added to Spark's log file, which the line names; where there is none, it is shown as usual.
    The exit status is 1, as without this. Notebooks and IPython handle errors themselves and are not touched.
    """
    usual = sys.excepthook
    silence_query_context_log()
    # What pyspark warns of when a Spark Connect server has gone; the error itself is told.
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]|StreamingQueryListenerBus|Failed to remove the listener")

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        with suppress(Exception):
            stop_listening()
        if isinstance(error, KeyboardInterrupt):
            sys.stderr.write("interrupted\n")
            return
        log = _log_path()
        whole = "".join(traceback.format_exception(kind, error, trace))
        kept = log is not None and _append(log, mask_credentials(whole))
        line = error_line(error)
        if isinstance(error, SparkUtilsError | SyntaxError):
            sys.stderr.write(f"{line}\n")
        elif kept or isinstance(error, PySparkException):
            sys.stderr.write(f"{line}{f'. The whole error is in {log}' if kept else ''}\n")
        else:  # no session yet, so no log that could keep the trace
            sys.stderr.write(f"{line}\n" if users_line(error) else "")
            usual(kind, error, trace)

    sys.excepthook = hook


def _wait(query: StreamingQuery, limit: StopAfter | None, request: StopRequest) -> bool:
    """Return whether the query ended by itself, and not because a stop is due."""
    started = time.monotonic()
    while not _ends_within(query, _LOOK_SECONDS):
        if request.asked or (limit is not None and _is_reached(query, limit, started)):
            return False
    return True


def _ends_within(query: StreamingQuery, seconds: float) -> bool:
    return bool(query.awaitTermination(seconds))  # type: ignore[arg-type]  # takes parts of a second, declared int


def _is_reached(query: StreamingQuery, limit: StopAfter, started: float) -> bool:
    if limit.seconds is not None:
        return time.monotonic() - started >= limit.seconds
    return limit.events is not None and _channel(query).events_read() >= limit.events


def _channel(query: StreamingQuery) -> Channel:
    session = SparkSession.getActiveSession()
    assert session is not None  # noqa: S101 - the query belongs to one
    return Channel(session, str(query.id))


def _finish_batch(query: StreamingQuery, request: StopRequest, seconds: float) -> None:
    """Return when the batch that runs now has committed, when none runs, or when waiting is over."""
    _channel(query).ask_to_stop()
    if sys.stderr.isatty() and query.status["isTriggerActive"]:
        sys.stderr.write(f"\nfinishing {_running_batch(query)}; press Ctrl-C again to stop now\n")
    before = _last_batch(query)
    until = time.monotonic() + seconds
    while query.status["isTriggerActive"] and _last_batch(query) == before:
        if request.at_once or time.monotonic() > until or _ends_within(query, _NEAR_SECONDS):
            return


def _running_batch(query: StreamingQuery) -> str:
    """Name the batch that runs: the one after the last that had events, where one is known."""
    progress: Any = query.lastProgress
    return f"batch {progress['batchId'] + bool(progress['numInputRows'])}" if progress else "the batch"


def _last_batch(query: StreamingQuery) -> tuple[object, object] | None:
    """Name the latest reported trigger; Spark reports after the commit."""
    progress: Any = query.lastProgress
    return (progress["batchId"], progress["timestamp"]) if progress else None


@contextmanager
def signals_to(receive: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Send SIGTERM and SIGINT to a handler, where signals can be handled at all, and put back what was there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _is_gone(failure: Exception) -> bool:
    """Return whether Spark cannot be reached any more: a signal to a terminal's programs ends its JVM too."""
    return isinstance(failure, ConnectionError) or re.search("Py4J|Connect", type(failure).__name__) is not None


def _failed(query: StreamingQuery, failure: StreamingQueryException) -> StreamFailedError:
    place = _log_path() or (
        "the driver's log4j output" if "DATABRICKS_RUNTIME_VERSION" in os.environ else "Spark's log"
    )
    at = users_line(failure)
    way_on = remedy_for(failure) or "Nothing is lost: a restart repeats the batch."
    return StreamFailedError(
        f"{at}: {root_cause(failure)}" if at else root_cause(failure),
        origin=f"query {query.name or query.id}",
        remedy=f"{way_on} The whole error is in {place}.",
    )


def _server_lost(query: StreamingQuery) -> StreamFailedError:
    if session := SparkSession.getActiveSession():
        limit_retries(session, 0)
    return StreamFailedError(
        "the Spark Connect server no longer answers",
        origin=f"query {query.name or query.id}",
        remedy="Nothing is lost: start the server and the job again, and the batch is repeated.",
    )


def _log_path() -> Path | None:
    """Return Spark's log file, if there is a session with one that still answers."""
    session = SparkSession.getActiveSession()
    with suppress(Exception):  # Spark may be gone, and this is asked while an error is told
        return log_file(session) if session else None
    return None


def _append(log: Path, text: str) -> bool:
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return False
    return True
