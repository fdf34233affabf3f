"""A look at a stream: `preview_stream` gives the first rows and leaves nothing behind.

A preview is a query of its own with a checkpoint of its own: a job that reads the same source is not disturbed, and no
query, view or folder is left. It reads no more than it needs for the rows it was asked for, except where the frame has
state (an aggregation, a join of streams): there each micro-batch has to be taken whole.

The rows come back by a temporary view, for with Spark Connect the batches run in a process of the server.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.listener import StreamingQueryProgress
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from spark_utils.errors import ConfigurationError, SparkUtilsError, StreamFailedError
from spark_utils.session import is_connect
from spark_utils.streaming_utils.failures import failure_sentence, root_cause, users_line, was_interrupted
from spark_utils.streaming_utils.late_analysis import apply_step
from spark_utils.streaming_utils.preview import LiveFigures, Preview
from spark_utils.streaming_utils.users_code import send_users_modules

POLL_SECONDS = 0.05
_DRAINED = "Waiting for data to arrive"  # StreamExecution's status once everything available has been processed
# Operators that keep state on a stream. A micro-batch of theirs must be consumed whole: where a task is left out its
# state is not committed, and the query fails.
_STATEFUL = re.compile(
    r"^\W*(?:Aggregate|Deduplicate|Distinct|Join|\w*State\b|\w*GroupsInPandas|GlobalLimit|Sort)", re.MULTILINE
)


def preview_stream(
    df: DataFrame,
    rows: int = 20,
    timeout: float = 30.0,
    *,
    step: Callable[[DataFrame], DataFrame] | None = None,
    live: bool = False,
    display: Callable[[DataFrame], object] | None = None,
) -> Preview:
    """Return the first rows of a frame, streaming or batch, without leaving anything behind.

    It comes back as soon as it has the rows, or the source has no more for now and gave some, or time is up.

    Args:
        df: Any frame; with aggregations and watermarks too (shown with output mode complete where there is one).
        rows: How many rows at most.
        timeout: Seconds to wait at most for a stream; a micro-batch that is running then is interrupted.
        step: Applied to the frame first; what Spark refuses of it is told with your line, on Spark Connect too.
        live: Instead of one look, keep showing the newest rows with events per second, rejects and lag until the
            timeout or Ctrl-C, in the terminal or the notebook.
        display: Shows a batch frame, as Databricks' `display` does, which is used there by default.

    Returns:
        The rows seen. Print it, or let it be the last value of a notebook cell.

    Raises:
        ConfigurationError: If `rows` or `timeout` is not positive.
        StreamFailedError: If the query fails, or Spark refuses the frame as a stream.
        AnalysisException: If Spark refuses the frame.
    """
    _check(rows, timeout)
    df = apply_step(step, df) if step else df
    if live:
        return _show_live(df, rows, timeout)
    preview = _preview_streaming(df, rows, timeout) if df.isStreaming else _preview_batch(df, rows)
    show = display or databricks_display()
    if show is None or not preview.rows:
        return preview
    show(_frame(df.sparkSession, preview.rows, df.schema))
    return replace(preview, displayed=True)


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


def databricks_display() -> Callable[[Any], object] | None:
    """Return the notebook's `display` on Databricks, else None."""
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        return None
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    display = (shell.user_ns if shell else {}).get("display") or getattr(builtins, "display", None)
    return display if callable(display) else None


def _check(rows: int, timeout: float) -> None:
    if rows < 1 or timeout <= 0:
        raise ConfigurationError(
            f"a preview needs rows >= 1 and timeout > 0, got rows={rows} and timeout={timeout}",
            remedy="Ask for 20 rows within 30 seconds, for example.",
        )


def _frame(spark: SparkSession, rows: Sequence[Row], schema: StructType) -> DataFrame:
    """Return collected rows as a frame again; they need no verification, which Spark Connect cannot leave out."""
    options: dict[str, Any] = {} if is_connect(spark) else {"verifySchema": False}
    return spark.createDataFrame(list(rows), schema, **options)


@dataclass
class Keeper:
    """A `foreachBatch` function that keeps the first rows as a temporary view, or the newest ones.

    Attributes:
        view: The name of the global temporary view.
        limit: One row more than asked for.
        newest: Whether to keep the last micro-batch that had rows instead of the first rows.
        whole_batches: Whether each micro-batch must be read to its end.
        counted: Columns to aggregate over the whole micro-batch, for a watched stream.
    """

    view: str
    limit: int
    newest: bool = False
    whole_batches: bool = False
    counted: tuple[str, ...] = ()
    _rows: list[Row] = field(default_factory=list)
    _rejected: int = 0

    def __call__(self, batch: DataFrame, _batch_id: int) -> None:
        """Take what is needed from one micro-batch; one that is interrupted, as the time is up, gives nothing."""
        try:
            self._take(batch)
        except Exception as failure:
            if not was_interrupted(failure):
                raise

    def _take(self, batch: DataFrame) -> None:
        whole = self.whole_batches or bool(self.counted)
        missing = self.limit if self.newest else self.limit - len(self._rows)
        if missing <= 0 and not whole:
            return
        read = batch.persist() if whole else batch
        try:
            if self.counted:
                self._count(read)
            elif whole:
                read.count()
            if taken := read.limit(max(missing, 0)).collect():
                self._rows = taken if self.newest else [*self._rows, *taken]
                kept = _frame(batch.sparkSession, self._rows, batch.schema)
                kept.createOrReplaceGlobalTempView(self.view)
        finally:
            if whole:
                read.unpersist()

    def _count(self, batch: DataFrame) -> None:
        reason, enqueued = (F.col(c) if c in self.counted else F.lit(None) for c in ("reason", "enqueued_time"))
        counted = batch.agg(F.count(reason), F.unix_millis(F.max(enqueued.cast("timestamp")))).first()
        if counted is not None:
            self._rejected += counted[0]
            values = [(self._rejected, counted[1], time.time())]
            frame = batch.sparkSession.createDataFrame(values, "rejected long, newest long, now double")
            frame.createOrReplaceGlobalTempView(f"{self.view}_figures")


@contextlib.contextmanager
def _running(df: DataFrame, keeper: Keeper) -> Iterator[StreamingQuery]:
    """Run the collecting query; stop it, drop its views, and raise what it failed with before it was stopped."""
    query = _start(df, keeper)
    failure = None
    try:
        yield query
        failure = query.exception()  # asked before it is stopped: an interrupted micro-batch is no failure
    finally:
        query.stop()
        for view in (keeper.view, f"{keeper.view}_figures"):
            df.sparkSession.catalog.dropGlobalTempView(view)
    if failure is not None:
        raise _failed(failure)


def _start(df: DataFrame, keeper: Keeper) -> StreamingQuery:
    # Complete first, which Spark refuses where nothing is aggregated: append would show a window only after the
    # watermark has passed it. A processing-time trigger, not availableNow: a stream that starts at the latest offset
    # has nothing yet. Without a checkpoint's location Spark makes a temporary one, and deletes it at the end.
    refusals = []
    send_users_modules(df.sparkSession)
    with contextlib.suppress(PySparkException):  # not every session lets it be set
        df.sparkSession.conf.set("spark.sql.streaming.forceDeleteTempCheckpointLocation", "true")
    for mode in ("complete", "append", "update"):
        keeper.newest = mode == "complete" or (keeper.newest and bool(keeper.counted))
        keeper.whole_batches = mode == "complete" or _holds_state(df)
        try:
            return df.writeStream.foreachBatch(keeper).outputMode(mode).start()
        except AnalysisException as refusal:
            refusals.append(refusal)
    raise _failed(refusals[1])


def _holds_state(df: DataFrame) -> bool:
    """Return whether the frame's plan has an operator that keeps state between micro-batches."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        df.explain(mode="extended")
    return _STATEFUL.search(text.getvalue().split("== Optimized Logical Plan ==")[0]) is not None


def _preview_batch(df: DataFrame, rows: int) -> Preview:
    began = time.monotonic()
    send_users_modules(df.sparkSession)
    seen = df.limit(rows + 1).collect()
    took = time.monotonic() - began
    return Preview(df.schema, seen[:rows], more=len(seen) > rows, seconds=took, zone=_session_zone(df))


def _preview_streaming(df: DataFrame, rows: int, timeout: float) -> Preview:
    began, drained = time.monotonic(), False
    keeper = Keeper(_new_view(), rows + 1)
    seen: list[Row] = []
    with _running(df, keeper) as query:
        while query.isActive and not drained and len(seen) <= rows and time.monotonic() < began + timeout:
            time.sleep(POLL_SECONDS)
            drained = _drained(query)  # asked before the rows, which are then all there
            if drained or not keeper.newest:
                seen = _rows_of(df.sparkSession, keeper.view)
        seen = seen or _rows_of(df.sparkSession, keeper.view)
        reports = query.recentProgress
        unfinished = not drained and len(seen) <= rows and query.isActive and query.status["isDataAvailable"]
    return Preview(
        schema=df.schema,
        rows=seen[:rows],
        more=len(seen) > rows,
        events=sum(report.numInputRows for report in reports),
        drained=drained,
        unfinished=unfinished,
        seconds=time.monotonic() - began,
        sources=_positions(reports),
        zone=_session_zone(df),
    )


def _new_view() -> str:
    return f"spark_utils_preview_{uuid.uuid4().hex}"


def _rows_of(spark: SparkSession, view: str) -> list[Row]:
    name = f"global_temp.{view}"
    return spark.table(name).collect() if spark.catalog.tableExists(name) else []


def _drained(query: StreamingQuery) -> bool:
    """Return whether the query has read something and has processed all there is for now."""
    return query.status["message"] == _DRAINED and any(_read_something(p) for p in query.recentProgress)


def _read_something(report: StreamingQueryProgress) -> bool:
    # Kafka counts what it reads, and moves from no offset to its first one with nothing read. A file source moves
    # only with data, and does not count rows that a pushed-down filter drops while reading.
    moved = (s.startOffset != s.endOffset and "Kafka" not in s.description for s in report.sources)
    return bool(report.numInputRows) or any(moved)


def _positions(reports: Sequence[StreamingQueryProgress]) -> tuple[tuple[str, str], ...]:
    """Return description and reached offset of each source in the last of a query's progress reports."""
    if not reports:
        return (("the source", "an offset it has not told yet"),)
    return tuple((s.description, str(s.endOffset or "its start")) for s in reports[-1].sources)


def _failed(failure: BaseException) -> SparkUtilsError:
    place = users_line(failure)
    sentence = failure_sentence(failure) if isinstance(failure, AnalysisException) else root_cause(failure)
    return StreamFailedError(
        f"{f'{place}: ' if place else ''}the preview's query failed: {sentence}",
        remedy="The Spark log has the whole trace.",
    )


def _session_zone(df: DataFrame) -> ZoneInfo:
    return ZoneInfo(df.sparkSession.conf.get("spark.sql.session.timeZone") or "UTC")


def _watch(df: DataFrame, rows: int, timeout: float, interval: float) -> Generator[Preview, None, None]:
    columns = tuple(name for name in ("reason", "enqueued_time") if name in df.columns)
    keeper = Keeper(_new_view(), rows, newest=True, counted=columns or ("",))
    with _running(df, keeper) as query:
        began = time.monotonic()
        while query.isActive and (left := began + timeout - time.monotonic()) > 0:
            time.sleep(min(interval, left))
            reports = query.recentProgress
            yield Preview(
                schema=df.schema,
                rows=_rows_of(df.sparkSession, keeper.view),
                seconds=time.monotonic() - began,
                sources=_positions(reports),
                live=_figures(reports, columns, _rows_of(df.sparkSession, f"{keeper.view}_figures")),
                zone=_session_zone(df),
            )


def _figures(reports: Sequence[StreamingQueryProgress], columns: tuple[str, ...], counted: list[Row]) -> LiveFigures:
    busy = [report for report in reports if report.numInputRows]
    seconds = busy[-1].durationMs.get("triggerExecution", 0) / 1000 if busy else 0.0
    rejected, newest, now = counted[0] if counted else (0, None, 0.0)
    return LiveFigures(
        events=sum(report.numInputRows for report in busy),
        events_per_second=busy[-1].numInputRows / max(seconds, 1e-3) if busy else 0.0,
        rejected=rejected if "reason" in columns else None,
        lag_seconds=None if newest is None else max(now - newest / 1000, 0.0),
        batch_seconds=seconds,
    )


def _show_live(df: DataFrame, rows: int, timeout: float) -> Preview:
    latest = Preview(df.schema, live=LiveFigures())
    show = live_screen(sys.stdout)
    # Ctrl-C is how a live preview is left; closing the generator stops the query.
    with contextlib.closing(_watch(df, rows, timeout, 1.0)) as previews, contextlib.suppress(KeyboardInterrupt):
        for latest in previews:
            show(latest)
    return latest


def live_screen(stream: TextIO) -> Callable[[Preview], None]:
    """Return a function that shows one preview in the place of the one before.

    Args:
        stream: Where text goes outside a notebook. A stream that is not a terminal gets one summary line per preview.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    handle: Any = None
    lines = 0

    def in_notebook(preview: Preview) -> None:
        nonlocal handle
        from IPython.display import display

        if handle is None:
            handle = display(preview, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types here
        else:
            handle.update(preview)

    def in_stream(preview: Preview) -> None:
        nonlocal lines
        text = str(preview) if stream.isatty() else preview.summary()
        # Up to the first line of the last picture, then clear to the end of the screen (ECMA-48: CUU, ED).
        stream.write((f"\x1b[{lines}F\x1b[J" if lines and stream.isatty() else "") + text + "\n")
        stream.flush()
        lines = text.count("\n") + 1

    return in_notebook if hasattr(shell, "kernel") else in_stream
