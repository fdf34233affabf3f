"""The sink of a streaming job: two Delta tables, ``events`` and ``rejected``, each event in one of them exactly once.

``foreachBatch`` alone is at-least-once: a batch whose commit was lost runs again. Each write therefore carries Delta's
idempotency mark (``txnAppId``, ``txnVersion``; https://docs.delta.io/latest/delta-streaming.html, "Idempotent table
writes in foreachBatch"): the query's own id with the table's role, and the batch's number. Delta skips a write whose
mark it already holds, so a replayed batch writes just what is missing. Why there is no cache and no second reading:
``docs/decisions/0004-two-tables-exactly-once.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from spark_utils.errors import ConfigurationError
from spark_utils.parsing import good_rows, rejected_rows
from spark_utils.sinks import hadoop_files
from spark_utils.sinks.checkpoints import batch_size, guard_checkpoint
from spark_utils.sinks.delta_tables import IdempotentWrite, check_schema, create_table
from spark_utils.sinks.observed_batch import DistinctValues, RejectedRows
from spark_utils.streaming_utils import batch_counts, stopping
from spark_utils.streaming_utils.batch_counts import BatchCounts
from spark_utils.streaming_utils.root_cause import root_cause

Step = Callable[[DataFrame], DataFrame]
SchemaChanges = Literal["refuse", "merge"]

ROWS_PER_FILE = 25_000
"""A batch is written as one file for so many events, and never as more files than the source has partitions."""

MAX_PARTITION_VALUES = 200
"""More distinct values than this in one batch, and the log warns that the partition column explodes."""

_QUERY_ID = "sql.streaming.queryId"  # the local property that Spark sets on a query's thread (StreamExecution)
_EVENTS_COMMENT = "Events that were parsed and transformed; the others are in the table rejected beside this one"
_REJECTED_COMMENT = "Events that could not be parsed, each with its reason, raw body and position"
_AUTO_COMPACT = "spark.databricks.delta.autoCompact.enabled"
_log = logging.getLogger(__name__)


def write_stream(  # noqa: PLR0913 - keyword-only, all but four with a default
    raw: DataFrame,
    *,
    parse: Step,
    transform: Step,
    output_path: str,
    checkpoint_path: str,
    trigger: Mapping[str, Any] | None = None,
    query_name: str | None = None,
    partition_by: str | None = None,
    identity: Mapping[str, str] | None = None,
    schema_changes: SchemaChanges = "refuse",
    accept_new_checkpoint: bool = False,
) -> StreamingQuery:
    """Start the query that writes ``OUTPUT/events`` and ``OUTPUT/rejected``, each event exactly once.

    Both tables are created before the query starts, and compact their small files by themselves
    (``delta.autoOptimize.autoCompact``).

    Args:
        raw: The streaming source frame: ``body``, ``key``, ``partition``, ``offset``, ``enqueued_time``, ``headers``.
        parse: From the source frame to all its rows with a verdict (:func:`spark_utils.parsing.parse`).
        transform: From the good rows to the rows of ``events``; applied inside each micro-batch.
        output_path: The folder of both tables, on any Hadoop file system.
        checkpoint_path: The query's own checkpoint folder.
        trigger: The arguments of ``DataStreamWriter.trigger``, such as ``{"availableNow": True}``.
        query_name: Shown in the UI and in progress records.
        partition_by: A column of ``events`` to lay its files out by.
        identity: What the checkpoint belongs to, such as ``{"source": …, "schema": …}``; see
            :func:`spark_utils.sinks.checkpoints.guard_checkpoint`. No secrets.
        schema_changes: Whether new columns of ``transform`` are an error (``"refuse"``) or are added (``"merge"``).
            A changed type is an error either way.
        accept_new_checkpoint: Let a new checkpoint write to an output that another one has fed from this source.

    Raises:
        CheckpointMismatchError: The checkpoint was made with something else.
        ConfigurationError: A query with this checkpoint runs already, or ``partition_by`` is no column.
        SchemaError: ``transform`` does not fit the existing table.
    """
    spark = raw.sparkSession
    output, checkpoint = (hadoop_files.qualified(spark, path) for path in (output_path, checkpoint_path))
    empty = spark.createDataFrame([], raw.schema)
    columns = transform(good_rows(parse(empty))).schema
    _check_partition_column(columns, partition_by)
    accept = frozenset({"schema"}) if schema_changes == "merge" else frozenset[str]()
    wanted = {**(identity or {}), "partition_by": partition_by or ""}
    with _naming(f"{output} and {checkpoint}"):
        state = guard_checkpoint(
            spark, checkpoint, output, wanted, accept_changes=accept, accept_new_checkpoint=accept_new_checkpoint
        )
    rejected_columns = rejected_rows(parse(empty)).schema
    with _naming(output):
        create_table(spark, f"{output}/events", columns, _EVENTS_COMMENT, partition_by)
        create_table(spark, f"{output}/rejected", rejected_columns, _REJECTED_COMMENT)
    check_schema(spark, f"{output}/events", columns, merge=schema_changes == "merge")
    write_batch = BatchWriter(
        parse, transform, output, checkpoint, partition_by, schema_changes == "merge", state.replayed_batch
    )
    writer = raw.writeStream.foreachBatch(write_batch).option("checkpointLocation", checkpoint)
    if query_name:
        writer = writer.queryName(query_name)
    return writer.trigger(**dict(trigger or {"processingTime": "0 seconds"})).start()


@dataclass
class BatchWriter:
    """Writes one micro-batch to both tables; holds plain values only, and takes the session from the batch.

    Attributes:
        parse: From the source frame to all its rows with a verdict.
        transform: From the good rows to the rows of ``events``.
        output: The folder of both tables, qualified.
        checkpoint: The query's checkpoint folder, qualified.
        partition_by: The column that lays out the files of ``events``.
        merge_schema: Whether new columns are added to ``events``.
        replayed_batch: The batch that an earlier run began: some of its writes may have been made already.
        has_begun: Whether this run has had a batch.
    """

    parse: Step
    transform: Step
    output: str
    checkpoint: str
    partition_by: str | None = None
    merge_schema: bool = False
    replayed_batch: int | None = None
    has_begun: bool = False

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write the batch: good rows first, then the rejected ones, each at most once."""
        spark = batch.sparkSession
        query_id = str(spark.sparkContext.getLocalProperty(_QUERY_ID))
        if not self.has_begun:
            batch_counts.start(query_id)
            self.has_begun = True
        stopping.hold_if_asked(spark, query_id)
        known = batch_size(spark, self.checkpoint, batch_id)
        rows = batch.count() if known is None else known
        if rows == 0:
            return
        _compact_after(spark, is_small=rows <= ROWS_PER_FILE)
        events = IdempotentWrite(f"{self.output}/events", f"{query_id}/events", batch_id, self.merge_schema)
        rejects = IdempotentWrite(f"{self.output}/rejected", f"{query_id}/rejected", batch_id)
        rejected = None
        if batch_id == self.replayed_batch:
            self._write_in_two_passes(batch, events, rejects, rows)
        else:
            rejected = self._write_in_one_pass(batch, events, rejects, rows)
        batch_counts.record(query_id, BatchCounts(batch_id, rows, rejected))

    def _write_in_one_pass(
        self, batch: DataFrame, events: IdempotentWrite, rejects: IdempotentWrite, rows: int
    ) -> int | None:
        """Write the good rows, and those rejected that were picked up on the way."""
        parsed = self.parse(batch)
        picked_up = RejectedRows(parsed)
        self._append_events(events, self.transform(good_rows(picked_up.attach())), rows)
        seen = picked_up.seen()
        if seen is None or seen.rows != rows:  # not every row went by, so it is not known which were rejected
            rejects.append(self._few_files(rejected_rows(parsed), rows))
            return None
        if seen.collected is not None:
            rejects.append(seen.collected)
        elif seen.rejected:  # too many to collect
            rejects.append(self._few_files(rejected_rows(parsed), rows))
        return seen.rejected

    def _append_events(self, events: IdempotentWrite, df: DataFrame, rows: int) -> None:
        """Write the rows of ``events``, and warn when the partition column makes a folder for hardly any of them."""
        if self.partition_by is None:
            events.append(self._few_files(df, rows))
            return
        spread = DistinctValues(self.partition_by)
        events.append(self._few_files(spread.attach(df), rows))
        if (values := spread.count()) > MAX_PARTITION_VALUES:
            _log.warning(
                "partition column %r has about %d values in batch %d, so as many files: choose a coarser one",
                self.partition_by,
                values,
                events.version,
            )

    def _write_in_two_passes(
        self, batch: DataFrame, events: IdempotentWrite, rejects: IdempotentWrite, rows: int
    ) -> None:
        """Write both tables independently: a write that was made already neither runs nor observes anything."""
        parsed = self.parse(batch)
        events.append(self._few_files(self.transform(good_rows(parsed)), rows))
        rejects.append(self._few_files(rejected_rows(parsed), rows))

    @staticmethod
    def _few_files(df: DataFrame, rows: int) -> DataFrame:
        """Write small batches as few files, large ones as they come."""
        return df.coalesce(-(-rows // ROWS_PER_FILE))


def _compact_after(spark: SparkSession, *, is_small: bool) -> None:
    """Let Delta merge small files after a small batch only.

    It merges after a table's first commit in a JVM as soon as there are two files, so that a large first batch would be
    written twice. The setting wins over the table's property; the session is the query's own, a copy.
    """
    if is_small:
        spark.conf.unset(_AUTO_COMPACT)
    else:
        spark.conf.set(_AUTO_COMPACT, "false")


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Turn a storage's refusal into one sentence that names the place."""
    try:
        yield
    except (Py4JError, PySparkException, OSError) as refusal:
        raise ConfigurationError(
            f"{place} cannot be used: {root_cause(refusal)}",
            origin="the output path and checkpoint path",
            remedy="Give paths that exist or can be made, with the right to write there and room left.",
        ) from refusal


def _check_partition_column(columns: StructType, partition_by: str | None) -> None:
    if partition_by and partition_by not in columns.names:
        raise ConfigurationError(
            f"{partition_by!r} is no column of the transformed events ({', '.join(columns.names)})",
            origin="partition_by of write_stream",
            remedy="Name one of these columns.",
        )
