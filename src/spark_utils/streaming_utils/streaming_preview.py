"""A look at a stream: `preview_stream` gives the first rows and leaves nothing behind.

A preview is a query of its own with a checkpoint in a temporary folder: a job that reads the same source is not
disturbed, and no query, view or folder is left. It reads no more than it needs for the rows it was asked for, except
where the frame has state (an aggregation, a join of streams): there each micro-batch has to be taken whole.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from spark_utils.errors import ConfigurationError, SparkUtilsError, StreamFailedError
from spark_utils.streaming_utils.preview import LiveFigures, Preview, source_positions
from spark_utils.streaming_utils.preview_collecting import Collector, LiveCollector, holds_state, output_modes
from spark_utils.streaming_utils.preview_display import databricks_display, live_screen
from spark_utils.streaming_utils.query_failure import failure_sentence

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

POLL_SECONDS = 0.05
_DRAINED = "Waiting for data to arrive"  # StreamExecution's status once everything available has been processed


def preview_stream(
    df: DataFrame,
    rows: int = 20,
    timeout: float = 30.0,
    *,
    live: bool = False,
    display: Callable[[DataFrame], object] | None = None,
) -> Preview:
    """Return the first rows of a frame, streaming or batch, without leaving anything behind.

    It comes back as soon as it has the rows, or the source has no more for now and gave some, or time is up.

    Args:
        df: Any frame; with aggregations and watermarks too (shown with output mode complete where there is one).
        rows: How many rows at most.
        timeout: Seconds to wait at most for a stream; a micro-batch that is running then is interrupted.
        live: Instead of one look, keep showing the newest rows with events per second, rejects and lag until the
            timeout or Ctrl-C, in the terminal or the notebook.
        display: Shows a batch frame, as Databricks' `display` does, which is used there by default.

    Returns:
        The rows seen. Print it, or let it be the last value of a notebook cell.

    Raises:
        ConfigurationError: If `rows` or `timeout` is not positive.
        StreamFailedError: If the query fails, or Spark refuses the frame as a stream.
    """
    _check(rows, timeout)
    if live:
        return _show_live(df, rows, timeout)
    preview = _preview_streaming(df, rows, timeout) if df.isStreaming else _preview_batch(df, rows)
    show = display or databricks_display(os.environ, builtins, sys.modules)
    if show is None or not preview.rows:
        return preview
    show(df.sparkSession.createDataFrame(list(preview.rows), df.schema, verifySchema=False))
    return Preview(**{**vars(preview), "displayed": True})


def watch_stream(df: DataFrame, rows: int = 20, timeout: float = 60.0, interval: float = 1.0) -> Iterator[Preview]:
    """Yield a preview at each interval: the rows of the last micro-batch that had any, and how the stream runs.

    Unlike `preview_stream` it reads everything that arrives; set `--max-events-per-trigger` for a large backlog.

    Args:
        df: A streaming frame. A column `reason` counts as rejected where it is not null; `enqueued_time` gives the lag.
        rows: How many rows at most.
        timeout: Seconds until it ends by itself.
        interval: Seconds between two previews.

    Raises:
        ConfigurationError: If the frame is not a stream, or a number is not positive.
        StreamFailedError: If the query fails.
    """
    _check(rows, timeout)
    if not df.isStreaming:
        raise ConfigurationError("only a streaming frame can be watched", remedy="Use preview_stream(df).")
    return _watch(df, rows, timeout, interval)


def _check(rows: int, timeout: float) -> None:
    if rows < 1 or timeout <= 0:
        raise ConfigurationError(
            f"a preview needs rows >= 1 and timeout > 0, got rows={rows} and timeout={timeout}",
            remedy="Ask for 20 rows within 30 seconds, for example.",
        )


def _preview_batch(df: DataFrame, rows: int) -> Preview:
    began = time.monotonic()
    seen = df.limit(rows + 1).collect()
    took = time.monotonic() - began
    return Preview(df.schema, seen[:rows], more=len(seen) > rows, seconds=took, zone=_session_zone(df))


def _preview_streaming(df: DataFrame, rows: int, timeout: float) -> Preview:
    began, drained = time.monotonic(), False
    collector = Collector(rows, whole_batches=holds_state(df))
    with _running(df, collector) as query:
        while query.isActive and time.monotonic() < began + timeout:
            drained = _drained(query)
            if collector.enough.wait(POLL_SECONDS) or drained:
                break
        reports = _reports(query)
        unfinished = not drained and query.isActive and query.status["isDataAvailable"]
    return Preview(
        schema=df.schema,
        rows=collector.rows[:rows],
        more=len(collector.rows) > rows,
        events=sum(report["numInputRows"] for report in reports),
        drained=drained,
        unfinished=unfinished,
        seconds=time.monotonic() - began,
        sources=source_positions(reports),
        zone=_session_zone(df),
    )


def _drained(query: StreamingQuery) -> bool:
    """Whether the query has read something and has processed all there is for now."""
    return query.status["message"] == _DRAINED and any(_read_something(p) for p in _reports(query))


def _read_something(report: dict[str, Any]) -> bool:
    # Kafka counts what it reads, and moves from no offset to its first one with nothing read. A file source moves
    # only with data, and does not count rows that a pushed-down filter drops while reading.
    moved = (s["startOffset"] != s["endOffset"] and "Kafka" not in s["description"] for s in report["sources"])
    return bool(report["numInputRows"]) or any(moved)


def _reports(query: StreamingQuery) -> list[dict[str, Any]]:
    return [json.loads(progress.json) for progress in query.recentProgress]


@contextmanager
def _running(df: DataFrame, collector: Collector) -> Iterator[StreamingQuery]:
    """Run the collecting query; stop it, remove its checkpoint, and raise what it failed with."""
    with tempfile.TemporaryDirectory(prefix="spark-preview-", ignore_cleanup_errors=True) as folder:
        query = _start(df, collector, Path(folder))
        try:
            yield query
        finally:
            collector.closing.set()  # an interrupted micro-batch is no failure from here on
            query.stop()
        failure = collector.failure or query.exception()
    if failure is not None:
        raise _failed(failure)


def _start(df: DataFrame, collector: Collector, checkpoint: Path) -> StreamingQuery:
    from pyspark.errors import AnalysisException

    refusals = []
    for mode in output_modes(df):
        writer = df.writeStream.foreachBatch(collector).outputMode(mode)
        try:
            # A processing-time trigger, not availableNow: a stream that starts at the latest offset has nothing yet.
            return writer.option("checkpointLocation", checkpoint.joinpath(mode).as_uri()).start()
        except AnalysisException as refusal:
            refusals.append(refusal)
    raise _failed(refusals[0])


def _failed(failure: BaseException) -> SparkUtilsError:
    return StreamFailedError(
        f"the preview's query failed: {failure_sentence(failure)}",
        remedy="The Spark log has the whole trace.",
    )


def _session_zone(df: DataFrame) -> ZoneInfo:
    name = df.sparkSession.conf.get("spark.sql.session.timeZone") or "UTC"
    return ZoneInfo(name)


def _watch(df: DataFrame, rows: int, timeout: float, interval: float) -> Generator[Preview, None, None]:
    began = time.monotonic()
    collector = LiveCollector(rows, df.columns)
    zone = _session_zone(df)
    with _running(df, collector) as query:
        while query.isActive and not collector.enough.is_set():
            left = began + timeout - time.monotonic()
            if left <= 0:
                break
            collector.enough.wait(min(interval, left))
            yield Preview(
                schema=df.schema,
                rows=collector.rows,
                seconds=time.monotonic() - began,
                sources=source_positions(_reports(query)),
                live=collector.figures,
                zone=zone,
            )


def _show_live(df: DataFrame, rows: int, timeout: float) -> Preview:
    latest = Preview(df.schema, live=LiveFigures())
    previews = watch_stream(df, rows, timeout)
    show = live_screen(sys.stdout)
    try:
        for latest in previews:
            show(latest)
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a live preview is left
    finally:
        previews.close()  # type: ignore[attr-defined]  # a generator; closing it stops the query
    return latest
