"""What a preview takes from each micro-batch, and how a frame must be run so that it may be taken."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from spark_utils.streaming_utils.preview import LiveFigures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame, Row

# Spark's logical operators that keep state on a stream. A micro-batch of theirs must be consumed whole: where a task
# is left out its state is not committed, and the query fails.
_STATEFUL = ("Aggregate", "Deduplicate", "Distinct", "Join", "State", "GroupsInPandas", "GlobalLimit", "Sort")


class Collector:
    """A `foreachBatch` function that keeps the first rows.

    It never raises: what goes wrong is kept as `failure`, the very exception instead of a trace of it inside a trace.

    Attributes:
        rows: One row more than asked for, if there are as many.
        enough: Set when there is no reason to go on: all rows are there, or it failed.
        closing: Set by the owner before the query is stopped.
        failure: What went wrong.
    """

    def __init__(self, rows: int, *, whole_batches: bool = False) -> None:
        self.limit = rows
        self.rows: list[Row] = []
        self.enough = threading.Event()
        self.closing = threading.Event()
        self.failure: Exception | None = None
        self._whole_batches = whole_batches

    def __call__(self, batch: DataFrame, _batch_id: int) -> None:
        """Take what is needed from one micro-batch."""
        if self.closing.is_set() or self.enough.is_set():
            return
        try:
            self.take(batch)
        except Exception as error:
            if not self.closing.is_set():
                self.failure = error
                self.enough.set()

    def take(self, batch: DataFrame) -> None:
        """Take the rows that are missing; of a stateful frame, take the newest result that has any."""
        if not self._whole_batches:
            self.rows += batch.limit(self.limit + 1 - len(self.rows)).collect()
            if len(self.rows) >= self.limit:
                self.enough.set()
            return
        batch.persist()
        try:
            if batch.count():
                self.rows = batch.limit(self.limit + 1).collect()
        finally:
            batch.unpersist()


class LiveCollector(Collector):
    """Keeps the rows of the newest micro-batch and counts all of them."""

    def __init__(self, rows: int, columns: Sequence[str]) -> None:
        super().__init__(rows)
        self.figures = LiveFigures(rejected=0 if "reason" in columns else None)
        self._columns = columns

    def take(self, batch: DataFrame) -> None:
        """Count the micro-batch and keep its first rows."""
        from pyspark.sql import functions as F  # the name every Spark user knows

        began = time.monotonic()
        reason, enqueued = (
            F.col(name) if name in self._columns else F.lit(None) for name in ("reason", "enqueued_time")
        )
        batch.persist()
        try:
            counted = batch.agg(
                F.count(F.lit(1)).alias("rows"),
                F.count(reason).alias("rejected"),
                F.unix_millis(F.max(enqueued.cast("timestamp"))).alias("newest"),
            ).first()
            if counted is not None and counted["rows"]:
                self.rows = batch.limit(self.limit).collect()
                self._count(counted, time.monotonic() - began)
        finally:
            batch.unpersist()

    def _count(self, counted: Row, seconds: float) -> None:
        before, newest = self.figures, counted["newest"]
        self.figures = LiveFigures(
            events=before.events + counted["rows"],
            events_per_second=counted["rows"] / max(seconds, 1e-3),
            rejected=None if before.rejected is None else before.rejected + counted["rejected"],
            lag_seconds=None if newest is None else max(time.time() - newest / 1000, 0.0),
            batch_seconds=seconds,
        )


def holds_state(df: DataFrame) -> bool:
    """Whether the frame's plan has an operator that keeps state between micro-batches."""
    return any(any(word in name for word in _STATEFUL) for name in _streaming_operators(df))


def output_modes(df: DataFrame) -> tuple[str, ...]:
    """Return the output modes to try, in order.

    Complete first for an aggregation: append would show a window only after the watermark has passed it.
    """
    aggregates = any("Aggregate" in name for name in _streaming_operators(df))
    return ("complete", "append", "update") if aggregates else ("append", "update")


def _streaming_operators(df: DataFrame) -> list[str]:
    """Names of the logical operators whose every input is a stream."""

    def walk(node: Any) -> Iterator[str]:
        children = [node.children().apply(i) for i in range(node.children().size())]
        if children and all(child.isStreaming() for child in children):
            yield str(node.nodeName())
        for child in children:
            yield from walk(child)

    return list(walk(df._jdf.queryExecution().analyzed()))
