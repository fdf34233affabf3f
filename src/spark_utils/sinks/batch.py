"""One micro-batch, written to both tables, each event exactly once.

``foreachBatch`` computes its frame anew for each write, and parsing is what costs. So while the good rows are written,
an ``Observation`` counts all rows and collects the rejected ones, as long as they are few and small; they come back
with the write's own job and need no second pass over the source, only to be parsed again by themselves. What was
observed is trusted only when it covers every row of the batch: a user's ``limit``, or a join with an empty frame, may
end the pass early, and a write that Delta skips observes nothing. Then there is a second pass for the rejected rows.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    IntegralType,
    StringType,
    StructType,
    TimestampType,
)

from spark_utils.errors import StreamFailedError
from spark_utils.names import quote
from spark_utils.parsing import rejected_rows
from spark_utils.parsing.held_rows import JSON_OPTIONS, frame_of
from spark_utils.session import is_connect
from spark_utils.sinks.checkpoints import (
    added_partitions,
    batch_size,
    kafka_offsets,
    offset_lines,
    query_id_of,
    read_text,
)
from spark_utils.sinks.delta_tables import IdempotentWrite, Mark, merging_files
from spark_utils.sinks.locks import LOCK, Client, end_with
from spark_utils.streaming_utils.channel import STOPPED_ON_REQUEST, BatchCounts, Channel, collected_warnings
from spark_utils.streaming_utils.failures import was_interrupted

Step = Callable[[DataFrame], DataFrame]

ROWS_PER_FILE = 25_000
"""A batch is written as one file for so many events, and never as more files than the source has partitions."""

BATCHES_PER_MERGE = 16
"""Small files to merge are looked for after one batch of so many, as it costs 40 % of a small one (record 0004)."""

MAX_PARTITION_VALUES = 200
"""More distinct values than this in one batch, and the log warns that the partition column explodes."""

COLLECTED_ROWS = 10_000
"""So many rejected rows are collected on the driver from the first task of a batch, half from the second, a third …"""

COLLECTED_BYTES = 4096
"""A rejected row with more bytes of body and text is not collected: this bounds the driver's memory."""

ROWS_PER_TASK = 4_000
"""So many collected rows, or more, are explained by each of up to `MOST_TASKS` tasks; fewer than twice as many here."""

MOST_TASKS = 4

_WAIT_SECONDS = 10.0  # the observation arrives by Spark's listener bus, milliseconds after the write
_LOCK_SECONDS = 60.0  # a query that is being replaced on the same server may need some time to end
_SOURCE, _NTH, _PICKED = "_spark_utils_source_row", "_spark_utils_nth_rejected", "_spark_utils_picked_up"
_ROW_NUMBER_BITS = (1 << 33) - 1  # monotonically_increasing_id: the task in the upper bits, a counter in the lower 33
_log = logging.getLogger(__name__)


@dataclass
class BatchWriter:
    """Writes one micro-batch to both tables; holds plain values only, and takes the session from the batch.

    With Spark Connect it is pickled, and runs in a process of the server for as long as the query does.

    Attributes:
        parse: From the source frame to all its rows with a verdict.
        to_events: From these to the rows of ``events``.
        to_rejected: From these to the rows of ``rejected``.
        output: The folder of both tables.
        checkpoint: The query's checkpoint folder.
        source: The hash that stands for the source in the tables' marks.
        partition_by: The column that lays out the files of ``events``.
        merge_schema: Whether new columns are added to ``events``.
        replayed_batch: The batch that an earlier run began: some of its writes may have been made already.
        rejected: The newest batch that the table ``rejected`` holds; -1 for none.
        client: Who started the query, with Spark Connect.
    """

    parse: Step
    to_events: Step
    to_rejected: Step
    output: str
    checkpoint: str
    source: str = ""
    partition_by: str | None = None
    merge_schema: bool = False
    replayed_batch: int = -1
    rejected: int = -1
    client: Client | None = None
    _query_id: str | None = field(default=None, init=False)
    _last_end: tuple[int, str] = field(default=(-1, ""), init=False)

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write the batch: good rows first, then the rejected ones, each at most once."""
        spark = batch.sparkSession
        query_id = self._begin(spark)
        channel = Channel(spark, query_id)
        if channel.is_asked_to_stop():
            raise StreamFailedError(f"batch {batch_id} was {STOPPED_ON_REQUEST}")
        try:
            with collected_warnings(spark) as warnings:
                counts = self._write(batch, batch_id, query_id)
        except Exception as failure:
            if not channel.is_asked_to_stop() and not was_interrupted(failure):
                raise
            raise StreamFailedError(f"batch {batch_id} was {STOPPED_ON_REQUEST}") from None
        channel.record(replace(counts, warnings=warnings))

    def _write(self, batch: DataFrame, batch_id: int, query_id: str) -> BatchCounts:
        spark = batch.sparkSession
        begin, end = self._offsets(spark, batch_id)
        if added := added_partitions(begin, end):
            spans = (f"{place} ({f'events 0 to {at - 1}' if at else 'no events yet'})" for place, at in added.items())
            _log.warning(
                "the event hub has new partitions, which batch %d reads from their first event: %s",
                *(batch_id, ", ".join(spans)),
            )
        known = batch_size(begin, end)
        rows = batch.count() if known is None else known
        mark = Mark(query_id, batch_id, self.source, begin, end, self.rejected)
        events = IdempotentWrite(f"{self.output}/events", f"{query_id}/events", mark, self.merge_schema)
        rejects = IdempotentWrite(f"{self.output}/rejected", f"{query_id}/rejected", mark)
        has_turn = batch_id % BATCHES_PER_MERGE == BATCHES_PER_MERGE - 1
        with merging_files(spark, allowed=has_turn and rows <= ROWS_PER_FILE):
            write = self._write_in_two_passes if batch_id == self.replayed_batch else self._write_in_one_pass
            rejected = write(batch, events, rejects, rows)
        return BatchCounts(batch_id, rows, rejected)

    def _begin(self, spark: SparkSession) -> str:
        """Return the query's id, which Spark has put into the checkpoint before its first batch."""
        if self._query_id is None:
            query_id = query_id_of(read_text(spark, f"{self.checkpoint}/metadata"))
            assert query_id is not None  # noqa: S101 - or Spark would not have started the query
            if is_connect(spark):  # on classic Spark it was taken before the query started
                end_with(self.client, lambda: _stop(spark, query_id))
                LOCK.take(self.checkpoint, wait=_LOCK_SECONDS)
            Channel(spark, query_id).start()
            self._query_id = query_id
        return self._query_id

    def _offsets(self, spark: SparkSession, batch_id: int) -> tuple[str, str]:
        """Return where a batch begins and ends, from the checkpoint's log: it is written before the batch."""
        end = offset_lines(read_text(spark, f"{self.checkpoint}/offsets/{batch_id}"))
        last, begin = self._last_end
        if batch_id == 0:
            first = (read_text(spark, f"{self.checkpoint}/sources/0/0") or "").strip("\0\n").rpartition("\n")[2]
            begin = "" if kafka_offsets(first) is None else first
        elif last != batch_id - 1:
            begin = offset_lines(read_text(spark, f"{self.checkpoint}/offsets/{batch_id - 1}"))
        self._last_end = (batch_id, end)
        return begin, end

    def _write_in_one_pass(
        self, batch: DataFrame, events: IdempotentWrite, rejects: IdempotentWrite, rows: int
    ) -> int | None:
        """Write the good rows, and those rejected that were picked up on the way."""
        picked_up = RejectedRows(batch, self.parse, self.to_rejected)
        self._append_events(events, self.to_events(picked_up.attach()), rows)
        seen = picked_up.seen()
        if seen is not None and seen.rows != rows:  # not every row went by, so it is not known which were rejected
            seen = None
        if seen is not None and seen.rejected == 0:
            return 0
        if seen is not None and seen.collected is not None:
            rejects.append(seen.collected)
        else:  # or they were too many, or too large, to collect
            rejects.append(_few_files(self.to_rejected(self.parse(batch)), rows))
        self.rejected = rejects.mark.batch
        return None if seen is None else seen.rejected

    def _append_events(self, events: IdempotentWrite, df: DataFrame, rows: int) -> None:
        """Write the rows of ``events``, and warn when the partition column makes a folder for hardly any of them."""
        if self.partition_by is None:
            events.append(_few_files(df, rows))
            return
        observation = Observation()
        distinct = F.approx_count_distinct(quote(self.partition_by)).alias("values")
        events.append(_few_files(df.observe(observation, distinct), rows))
        if (values := (_arrived(observation) or {"values": 0})["values"]) > MAX_PARTITION_VALUES:
            _log.warning(
                "partition column %r has about %d values in batch %d, so as many files: choose a coarser one",
                self.partition_by,
                values,
                events.mark.batch,
            )

    def _write_in_two_passes(
        self, batch: DataFrame, events: IdempotentWrite, rejects: IdempotentWrite, rows: int
    ) -> None:
        """Write both tables independently: a write that was made already neither runs nor observes anything."""
        parsed = self.parse(batch)
        events.append(_few_files(self.to_events(parsed), rows))
        rejects.append(_few_files(self.to_rejected(parsed), rows))
        self.rejected = rejects.mark.batch


def _stop(spark: SparkSession, query_id: str) -> None:
    """Stop a query of the session, if it runs."""
    for query in spark.streams.active:
        if str(query.id) == query_id:
            query.stop()


def _few_files(df: DataFrame, rows: int) -> DataFrame:
    """Write small batches as few files, large ones as they come."""
    return df.coalesce(max(1, -(-rows // ROWS_PER_FILE)))


@dataclass(frozen=True)
class Observed:
    """What one pass saw.

    Attributes:
        rows: Rows parsed.
        rejected: Rejected rows among them.
        collected: The rows of the table `rejected`; None when there are none, or too many or too large to collect.
    """

    rows: int
    rejected: int
    collected: DataFrame | None


class RejectedRows:
    """The rejected rows of a batch, those whose ``event`` is null, picked up while the good ones are written.

    They are collected as they came from the source, and parsed once more by themselves: the JVM engine works out a
    reason only when somebody asks for it.

    Args:
        batch: The source rows.
        parse: From source rows to all of them with a verdict; columns that it does not know pass through.
        to_rejected: From these to the rows of the table `rejected`.
    """

    def __init__(self, batch: DataFrame, parse: Step, to_rejected: Step = rejected_rows) -> None:
        self._observation = Observation()
        self._batch, self._parse, self._to_rejected = batch, parse, to_rejected

    def attach(self) -> DataFrame:
        """Return the parsed batch that counts and collects when it is executed; call it once."""
        schema = self._batch.schema
        # In SQL throughout: a part of a `Column` is a call to the JVM, and there would be hundreds for each batch.
        source = f"struct({', '.join(map(quote, schema.names))}) AS {_SOURCE}"
        parsed = self._parse(self._batch.selectExpr("*", source))
        can_pick = _SOURCE in parsed.columns and _survives_json(schema)
        # The counter is evaluated in the branch of rejected rows only, so that it counts these, task by task.
        nth = f"CASE WHEN event IS NULL THEN monotonically_increasing_id() & {_ROW_NUMBER_BITS} END"
        fits = f"{_NTH} < {COLLECTED_ROWS} / (spark_partition_id() + 1) AND {self._size()} <= {COLLECTED_BYTES}"
        picked = (
            f"CASE WHEN event IS NULL AND {fits} THEN {_SOURCE} END" if can_pick else "CAST(NULL AS STRUCT<a: INT>)"
        )
        # Picked before it is observed: where nobody else asks for bodies, only those of rejected rows go on from here.
        marked = parsed.selectExpr("*", f"{nth} AS {_NTH}").selectExpr("*", f"{picked} AS {_PICKED}")
        return (
            marked.drop(_SOURCE, _NTH)
            .observe(
                self._observation,
                F.expr("count(1) AS rows"),
                F.expr("count_if(event IS NULL) AS rejected"),
                F.expr(f"count({_PICKED}) AS picked"),
                # One text, because nested values come back in other ways from each kind of session.
                F.to_json(F.expr(f"collect_list({_PICKED})"), JSON_OPTIONS).alias("texts"),
            )
            .drop(_PICKED)
        )

    def _size(self) -> str:
        """Return the bytes of a source row in its columns of bytes and text, the body among them, in SQL."""
        fields = self._batch.schema.fields
        names = [field.name for field in fields if isinstance(field.dataType, BinaryType | StringType)]
        return " + ".join(["0", *(f"coalesce(octet_length({_SOURCE}.{quote(name)}), 0)" for name in names)])

    def seen(self) -> Observed | None:
        """Return what the write saw, or None when it saw nothing or did not run; call it after the write."""
        values = _arrived(self._observation)
        if not values:
            return None
        rows, count = int(values["rows"]), int(values["rejected"])
        if count == 0 or values["picked"] != count:
            return Observed(rows, count, None)
        tasks = max(1, min(MOST_TASKS, count // ROWS_PER_TASK))
        source = frame_of(self._batch.sparkSession, json.loads(values["texts"]), self._batch.schema, tasks)
        return Observed(rows, count, self._to_rejected(self._parse(source)))


def _survives_json(data_type: DataType) -> bool:
    """Return whether a value of a type comes back from Spark's JSON as it was."""
    if isinstance(data_type, StructType):
        return all(_survives_json(field.dataType) for field in data_type.fields)
    if isinstance(data_type, ArrayType):
        return _survives_json(data_type.elementType)
    return isinstance(data_type, IntegralType | StringType | BinaryType | BooleanType | TimestampType)


def _arrived(observation: Observation) -> dict[str, Any] | None:
    """Return what was observed; None when the write was skipped, or optimized away.

    `Observation.get` would wait for ever then, so somebody else waits for it.
    """
    found: list[dict[str, Any]] = []

    def wait() -> None:
        with suppress(Exception):  # classic Spark cannot hand over that nothing was observed
            found.append(observation.get)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(_WAIT_SECONDS)
    return found[0] if found else None
