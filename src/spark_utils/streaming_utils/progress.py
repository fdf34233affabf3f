"""What a running stream does, batch by batch: a live line on a terminal, JSON lines anywhere else.

The keys of a JSON line are stable:

* ``time`` string: when the batch's trigger started, ISO 8601, UTC;
* ``query`` string: the query's name, or its id;
* ``batch`` int: the micro-batch's number;
* ``events`` int, ``total_events`` int: read in this batch, and by this query since it started;
* ``events_per_second`` float: of this batch;
* ``rejected`` int or null, ``total_rejected`` int: null when the batch was repeated, where they are not counted;
* ``lag`` int or null: how many offsets the slowest partition is behind the newest event that was known when the batch
  began (Spark's ``maxOffsetsBehindLatest``), so 0 says nothing of events that came since, and is left out of the line
  for people; null for a source that has none;
* ``batch_seconds`` float: from trigger to commit.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from threading import Event, Thread
from typing import TextIO

from pyspark.sql import SparkSession
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
    StreamingQueryProgress,
)

from spark_utils.configuration.settings import StreamingConfig
from spark_utils.session import is_connect
from spark_utils.streaming_utils.channel import BatchCounts, Channel

# Entry points of what else wants to know, given the session and the configuration: an `Observer`.
OBSERVERS_GROUP = "spark_utils.stream_observers"
# Told of a run, by its id, and what happened: `started`, `ended` (with `exception`), or a batch: the keys of a JSON
# line, and `spark`, Spark's own progress as JSON. What it returns of a start is told to a terminal.
Observer = Callable[[str, Mapping[str, object]], str | None]

_log = logging.getLogger(__name__)
_CLEAR_LINE = "\r\x1b[2K"
_watched: dict[str | None, Event] = {}  # by run id: set when a listener of this module has told of its end, and is gone
_listening: set[ProgressListener] = set()


@dataclass(frozen=True)
class BatchProgress:
    """One micro-batch in figures; the fields are the keys of a JSON line (see the module)."""

    time: str
    query: str
    batch: int
    events: int
    events_per_second: float
    rejected: int | None
    total_events: int
    total_rejected: int
    lag: int | None
    batch_seconds: float

    def as_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self))

    def as_line(self) -> str:
        """Return the record for people, short enough for a terminal's line."""
        lag = f"  lag {self.lag:,}" if self.lag else ""
        return (
            f"batch {self.batch}  {self.total_events:,} events  {self.events_per_second:,.0f}/s  "
            f"{self.total_rejected:,} rejected{lag}  last batch {self.batch_seconds:.1f} s"
        )

    def as_end(self, *, counted: bool = True) -> str:
        """Return the totals for people, once the query has ended; `counted` when all rejected events were."""
        good = f"{self.total_events - self.total_rejected:,} good, " if counted else f"{self.total_events:,} events, "
        return (
            f"stopped after batch {self.batch}: {good}{'' if counted else 'at least '}{self.total_rejected:,} rejected"
        )


def summarize(
    progress: StreamingQueryProgress, counts: BatchCounts | None, before: BatchProgress | None
) -> BatchProgress:
    """Put together what Spark reports, what the sink counted, and the totals so far."""
    events = counts.rows if counts is not None else progress.numInputRows
    rejected = counts.rejected if counts is not None else None
    seconds = progress.durationMs.get("triggerExecution", progress.batchDuration) / 1000
    return BatchProgress(
        time=progress.timestamp,
        query=progress.name or str(progress.id),
        batch=progress.batchId,
        events=events,
        events_per_second=round(events / seconds, 1) if seconds else 0.0,
        rejected=rejected,
        total_events=(before.total_events if before else 0) + events,
        total_rejected=(before.total_rejected if before else 0) + (rejected or 0),
        lag=_lag([source.metrics for source in progress.sources]),
        batch_seconds=round(seconds, 3),
    )


def attach_progress(
    spark: SparkSession, config: StreamingConfig | None = None, *, stream: TextIO | None = None
) -> ProgressListener:
    """Report every batch of the session's queries on a text stream, until they end.

    This is the job's edge: writing to the stream is its purpose. A terminal gets one line that is renewed, anything
    else gets a JSON line for each batch. What a batch warned of on a Spark Connect server is logged here. The listener
    removes itself when its last query has ended.

    Args:
        spark: The session whose queries are reported.
        config: The job's; a terminal is told from where to where it goes, and the kit, where it is installed, keeps
            the batches for `devkit page`.
        stream: Where to; standard error by default.
    """
    about = f"{config.source.identity} → {config.output.path}" if config else ""
    found = entry_points(group=OBSERVERS_GROUP) if config else ()
    listener = ProgressListener(spark, stream or sys.stderr, about, [each.load()(spark, config) for each in found])
    spark.streams.addListener(listener)
    _listening.add(listener)
    return listener


def stop_listening() -> None:
    """Remove every listener that is still there: on Spark Connect each would keep this process from ending."""
    for listener in [*_listening]:
        listener.close()


def wait_until_told(run_id: object, seconds: float) -> None:
    """Wait until a query's last batch and its end have been reported: Spark tells listeners on a thread of its own."""
    if (told := _watched.get(str(run_id))) is not None:
        told.wait(seconds)
        _watched.pop(str(run_id), None)


class ProgressListener(StreamingQueryListener):
    """Writes a line for each micro-batch; made by :func:`attach_progress`."""

    def __init__(
        self, spark: SparkSession, stream: TextIO, about: str = "", observers: Sequence[Observer] = ()
    ) -> None:
        super().__init__()
        self._spark, self._about, self._observers = spark, about, observers
        self._uncounted: set[str] = set()  # runs with a batch of which the rejected events are not known
        self._stream = stream
        self._latest: dict[str, BatchProgress | None] = {}
        self._names: dict[str, str] = {}
        self._heard = False
        self._is_terminal = stream.isatty()

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802 - Spark's name
        """Start the totals of this run."""
        run = str(event.runId)
        self._latest[run] = None
        self._heard = True
        self._names[run] = event.name or str(event.id)
        _watched[run] = Event()
        told = self._observe(run, {"started": event.timestamp, "query": self._names[run]})
        if self._about and self._is_terminal:
            self._write("\n".join([self._about, *told, ""]))

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 - Spark's name
        """Report a batch; a trigger without new events is none."""
        progress = event.progress
        run = str(progress.runId)
        counts = Channel(self._spark, str(progress.id)).counts_of(progress.batchId)
        if counts is None and not progress.numInputRows:
            return
        for warning in counts.warnings if counts else ():
            _log.warning("%s", warning)
        record = summarize(progress, counts, self._latest.get(run))
        self._latest[run] = record
        if record.rejected is None:
            self._uncounted.add(run)
        self._write(f"{_CLEAR_LINE}{record.as_line()}" if self._is_terminal else f"{record.as_json()}\n")
        if self._observers:
            self._observe(run, {**asdict(record), "spark": progress.json})

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802 - Spark's name
        """Say that nothing new came."""
        if self._is_terminal:
            known = self._latest.get(str(event.runId))
            self._write(f"{_CLEAR_LINE}{f'{known.as_line()}  ' if known else ''}idle: no new events")

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 - Spark's name
        """Say what was done, or that there was nothing to do, and end the listening with the last query."""
        run = str(event.runId)
        if run not in self._latest:
            return  # it ended before this listener came, and Spark tells it late
        known, name = self._latest[run], self._names.pop(run, "")
        if self._is_terminal:
            end = f"\n{known.as_end(counted=run not in self._uncounted)}" if known else f"{_CLEAR_LINE}0 new events"
            self._write(f"{end}\n" if event.exception is None else "\n")
        elif known is None and event.exception is None:
            self._write(f"{json.dumps({'query': name, 'events': 0, 'note': '0 new events'})}\n")
        self._observe(run, {"ended": time.time(), "exception": event.exception})
        self._latest.pop(run)
        if self._latest:
            self._told(run)
        elif is_connect(self._spark):  # it waits for the thread that calls listeners, which is this one
            Thread(target=self.close, args=(run,), daemon=True).start()
        else:
            self.close(run)

    def close(self, run: str | None = None) -> None:
        """Listen no more, now that the end of the last run was told."""
        _listening.discard(self)
        self._spark.streams.removeListener(self)
        self._told(run)

    def _observe(self, run: str, happened: Mapping[str, object]) -> list[str]:
        return [told for observer in self._observers if (told := observer(run, happened))]

    def _told(self, run: str | None) -> None:
        if run in _watched:
            _watched[run].set()

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until every query that it has heard of has ended, and that has been told."""
        until = time.monotonic() + seconds
        while (self._latest or not self._heard) and time.monotonic() < until:
            time.sleep(0.01)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _lag(metrics: list[Mapping[str, str]]) -> int | None:
    """Add up how far the sources are behind, as far as they tell."""
    told = [each["maxOffsetsBehindLatest"] for each in metrics if "maxOffsetsBehindLatest" in each]
    return sum(int(float(value)) for value in told) if told else None
