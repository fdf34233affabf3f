"""Wait for a streaming query, and end it well: done, stopped between two batches, or failed with one readable line."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from spark_utils.configuration.values import StopAfter
from spark_utils.errors import SparkUtilsError, StreamFailedError
from spark_utils.session import log_file
from spark_utils.streaming_utils import stopping
from spark_utils.streaming_utils.batch_counts import events_read
from spark_utils.streaming_utils.root_cause import root_cause

_LOOK_SECONDS = 0.25  # how often the wait looks up, while nothing is asked
_NEAR_SECONDS = 0.02  # and while the batch that runs is being finished
_LISTENERS_MILLISECONDS = 5_000  # a listener that hangs must not keep the job from ending
_SHARED_CHECKPOINT = ("CONCURRENT_STREAM_LOG_UPDATE", "Multiple streaming jobs detected", "ConcurrentTransaction")
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
    request = StopRequest()
    with _signals_to(request):
        try:
            if not _wait(query, limit, request):
                _finish_batch(query, request, finish_within)
                query.stop()
                stopping.forget(query.id)
        except StreamingQueryException as failure:
            if not (request.asked and any(sign in str(failure) for sign in _SHUT_DOWN)):
                raise _failed(query, failure) from failure
        except (Py4JError, ConnectionError):
            if not request.asked:
                raise
            _log.warning("the JVM was stopped too, before the batch was committed; the next start repeats it")
        finally:
            _let_listeners_finish(query)


def readable_errors() -> None:
    """Let a script end with one line on standard error instead of pages of two languages' stack traces.

    A :class:`SparkUtilsError` is its own sentence. Any other exception gets the first line that says what went wrong.
    The whole trace is added to Spark's log file, which the line names; where there is none, it is shown as usual.
    The exit status is 1, as without this. Notebooks and IPython handle errors themselves and are not touched.
    """
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            usual(kind, error, trace)
            return
        log = _log_path()
        kept = log is not None and _append(log, "".join(traceback.format_exception(kind, error, trace)))
        if isinstance(error, SparkUtilsError):
            sys.stderr.write(f"{kind.__name__}: {error}\n")
        elif kept:
            sys.stderr.write(f"{kind.__name__}: {root_cause(error)}. The whole error is in {log}\n")
        else:
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
    return limit.events is not None and events_read(query.id) >= limit.events


def _finish_batch(query: StreamingQuery, request: StopRequest, seconds: float) -> None:
    """Return when the batch that runs now has committed, when none runs, or when waiting is over."""
    stopping.ask(query.id)
    before = _last_batch(query)
    until = time.monotonic() + seconds
    while query.status["isTriggerActive"] and _last_batch(query) == before:
        if (
            request.at_once
            or stopping.is_held(query.id)
            or time.monotonic() > until
            or _ends_within(query, _NEAR_SECONDS)
        ):
            return


def _last_batch(query: StreamingQuery) -> tuple[object, object] | None:
    """Name the latest reported trigger; Spark reports after the commit."""
    progress: Any = query.lastProgress
    return (progress["batchId"], progress["timestamp"]) if progress else None


@contextmanager
def _signals_to(request: StopRequest) -> Iterator[None]:
    """Send SIGTERM and SIGINT to the request, where signals can be handled at all, and put back what was there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, request.receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _let_listeners_finish(query: StreamingQuery) -> None:
    """Wait until the last batch has been reported: Spark tells listeners on a thread of its own."""
    with suppress(Py4JError, ConnectionError, AttributeError):  # the JVM is gone, or not to be reached (Spark Connect)
        query._jsq.sparkSession().sparkContext().listenerBus().waitUntilEmpty(_LISTENERS_MILLISECONDS)


def _failed(query: StreamingQuery, failure: StreamingQueryException) -> StreamFailedError:
    place = _log_path() or (
        "the driver's log4j output" if "DATABRICKS_RUNTIME_VERSION" in os.environ else "Spark's log"
    )
    shared = any(sign in str(failure) for sign in _SHARED_CHECKPOINT)
    advice = "Another query runs with the same checkpoint: stop one of them. " if shared else ""
    return StreamFailedError(
        root_cause(failure),
        origin=f"query {query.name or query.id}",
        remedy=f"{advice}Nothing is lost: a restart repeats the batch. The whole error is in {place}.",
    )


def _log_path() -> Path | None:
    """Return Spark's log file, if there is a session with one that still answers."""
    session = SparkSession.getActiveSession()
    if session is not None:
        with suppress(Py4JError, ConnectionError):
            return log_file(session)
    return None


def _append(log: Path, text: str) -> bool:
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return False
    return True
