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

from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from spark_utils.configuration.settings import OutputOptions, SchemaChanges
from spark_utils.configuration.values import Trigger
from spark_utils.errors import ConfigurationError
from spark_utils.parsing import rejected_rows
from spark_utils.sinks import hadoop_files
from spark_utils.sinks.checkpoints import batch_size, guard_checkpoint
from spark_utils.sinks.delta_tables import IdempotentWrite, check_schema, create_table
from spark_utils.sinks.observed_batch import DistinctValues, RejectedRows
from spark_utils.streaming_utils import batch_counts, stopping
from spark_utils.streaming_utils.batch_counts import BatchCounts
from spark_utils.streaming_utils.root_cause import root_cause

Step = Callable[[DataFrame], DataFrame]

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
    events: Step,
    rejected: Step = rejected_rows,
    output: OutputOptions | None = None,
    output_path: str | None = None,
    checkpoint_path: str | None = None,
    trigger: Trigger | str | None = None,
    partition_by: str | None = None,
    schema_changes: SchemaChanges | None = None,
    accept_new_checkpoint: bool | None = None,
    identity: Mapping[str, str] | None = None,
    query_name: str | None = None,
) -> StreamingQuery:
    """Start the query that writes ``OUTPUT/events`` and ``OUTPUT/rejected``, each event exactly once.

    Both tables are created before the query starts, and compact their small files by themselves
    (``delta.autoOptimize.autoCompact``).

    Args:
        raw: The streaming source frame: ``body``, ``key``, ``partition``, ``offset``, ``enqueued_time``, ``headers``.
        parse: From the source frame to all its rows with a verdict, of which those whose ``event`` is null are rejected
            (:func:`spark_utils.parsing.parse`); further columns of the source pass through.
        events: From these to the rows of ``events``, by way of :func:`spark_utils.parsing.good_rows`; applied inside
            each micro-batch, as `parse` and `rejected` are.
        rejected: From the rows with a verdict to those of ``rejected``.
        output: All down to ``accept_new_checkpoint``, as a configuration has them (``config.output``); a keyword beside
            is stronger. Without either, the defaults of `OutputOptions`.
        output_path: The folder of both tables, on any Hadoop file system.
        checkpoint_path: The query's own checkpoint folder; by default ``OUTPUT/checkpoint``.
        trigger: ``available-now``, ``once``, or an interval such as ``5 seconds``.
        partition_by: A column of ``events`` to lay its files out by.
        schema_changes: Whether new columns of ``events`` are an error (``"refuse"``) or are added (``"merge"``).
            A changed type is an error either way.
        accept_new_checkpoint: Let a new checkpoint write to an output that another one has fed from this source.
        identity: What the checkpoint belongs to, such as ``{"source": …, "schema": …}``; see
            :func:`spark_utils.sinks.checkpoints.guard_checkpoint`. No secrets.
        query_name: Shown in the UI and in progress records.

    Raises:
        CheckpointMismatchError: The checkpoint was made with something else.
        ConfigurationError: An option is malformed, a path is missing, or ``partition_by`` is no column.
        SchemaError: ``events`` does not fit the existing table.
    """
    spark = raw.sparkSession
    options = (output or OutputOptions()).with_given(
        path=output_path,
        checkpoint_path=checkpoint_path,
        trigger=trigger,
        partition_by=partition_by,
        schema_changes=schema_changes,
        accept_new_checkpoint=accept_new_checkpoint,
    )
    place, checkpoint = (hadoop_files.qualified(spark, path) for path in _paths(options))
    empty = parse(spark.createDataFrame([], raw.schema))
    columns = events(empty).schema
    _check_partition_column(columns, options.partition_by)
    merge = options.schema_changes == "merge"
    wanted = {**(identity or {}), "partition_by": options.partition_by or ""}
    with _naming(f"{place} and {checkpoint}"):
        state = guard_checkpoint(
            spark,
            checkpoint,
            place,
            wanted,
            accept_changes=frozenset({"schema"} if merge else ()),
            accept_new_checkpoint=options.accept_new_checkpoint,
        )
    with _naming(place):
        create_table(spark, f"{place}/events", columns, _EVENTS_COMMENT, options.partition_by)
        create_table(spark, f"{place}/rejected", rejected(empty).schema, _REJECTED_COMMENT)
    check_schema(spark, f"{place}/events", columns, merge=merge)
    write_batch = BatchWriter(
        parse, events, rejected, place, checkpoint, options.partition_by, merge, state.replayed_batch
    )
    writer = raw.writeStream.foreachBatch(write_batch).option("checkpointLocation", checkpoint)
    if query_name:
        writer = writer.queryName(query_name)
    return writer.trigger(**options.trigger.options).start()


def _paths(options: OutputOptions) -> tuple[str, str]:
    if not options.path:
        raise ConfigurationError("the output has no path", origin="write_stream", remedy="Give output_path.")
    return options.path, options.checkpoint_path or f"{options.path.rstrip('/')}/checkpoint"


@dataclass
class BatchWriter:
    """Writes one micro-batch to both tables; holds plain values only, and takes the session from the batch.

    Attributes:
        parse: From the source frame to all its rows with a verdict.
        to_events: From these to the rows of ``events``.
        to_rejected: From these to the rows of ``rejected``.
        output: The folder of both tables, qualified.
        checkpoint: The query's checkpoint folder, qualified.
        partition_by: The column that lays out the files of ``events``.
        merge_schema: Whether new columns are added to ``events``.
        replayed_batch: The batch that an earlier run began: some of its writes may have been made already.
        has_begun: Whether this run has had a batch.
    """

    parse: Step
    to_events: Step
    to_rejected: Step
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
        picked_up = RejectedRows(batch, self.parse, self.to_rejected)
        self._append_events(events, self.to_events(picked_up.attach()), rows)
        seen = picked_up.seen()
        if seen is None or seen.rows != rows:  # not every row went by, so it is not known which were rejected
            rejects.append(self._few_files(self.to_rejected(self.parse(batch)), rows))
            return None
        if seen.collected is not None:
            rejects.append(seen.collected)
        elif seen.rejected:  # too many to collect
            rejects.append(self._few_files(self.to_rejected(self.parse(batch)), rows))
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
        events.append(self._few_files(self.to_events(parsed), rows))
        rejects.append(self._few_files(self.to_rejected(parsed), rows))

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
