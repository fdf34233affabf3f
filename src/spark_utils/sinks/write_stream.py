"""The sink of a streaming job: two Delta tables, ``events`` and ``rejected``, each event in one of them exactly once.

``foreachBatch`` alone is at-least-once: a batch whose commit was lost runs again. Each write therefore carries Delta's
idempotency mark (``txnAppId``, ``txnVersion``; https://docs.delta.io/latest/delta-streaming.html, "Idempotent table
writes in foreachBatch"): the query's own id with the table's role, and the batch's number. Delta skips a write whose
mark it already holds, so a replayed batch writes just what is missing. Why there is no cache and no second reading:
``docs/decisions/0004-two-tables-exactly-once.md``.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from spark_utils.configuration.settings import OutputOptions, SchemaChanges, SourceOptions
from spark_utils.configuration.values import Trigger
from spark_utils.errors import CheckpointMismatchError, ConfigurationError
from spark_utils.parsing import rejected_rows
from spark_utils.session import is_connect, is_here
from spark_utils.sinks.batch import BatchWriter, Step
from spark_utils.sinks.checkpoints import (
    Checkpoint,
    absolute,
    local_path,
    query_id_of,
    read_checkpoint,
    read_text,
    remove_drafts,
)
from spark_utils.sinks.delta_tables import check_layout, check_schema, create_table, read_table, set_properties
from spark_utils.sinks.guard import Guard
from spark_utils.sinks.hub_positions import check_hub
from spark_utils.sinks.locks import LOCK, Client
from spark_utils.streaming_utils.late_analysis import apply_step
from spark_utils.streaming_utils.users_code import send_users_modules

_EVENTS_COMMENT = "Events that were parsed and transformed; the others are in the table rejected beside this one"
_REJECTED_COMMENT = "Events that could not be parsed, each with its reason, raw body and position"
_FILES_LOOKED_AT = 10_000  # of those read before, when a run looks for changed ones
_log = logging.getLogger(__name__)


def write_stream(  # noqa: PLR0913 - keyword-only, all but four with a default
    raw: DataFrame,
    *,
    parse: Step,
    events: Step,
    rejected: Step = rejected_rows,
    source: SourceOptions | None = None,
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
    (``delta.autoOptimize.autoCompact``). By pyspark's public interface only, so on Spark Connect too: there the
    three steps are pickled and run on the server, with your own modules that they use; it must have the packages.

    Args:
        raw: The streaming source frame: ``body``, ``key``, ``partition``, ``offset``, ``enqueued_time``, ``headers``.
        parse: From the source frame to all its rows with a verdict, of which those whose ``event`` is null are rejected
            (:func:`spark_utils.parsing.parse`); further columns of the source pass through.
        events: From these to the rows of ``events``, by way of :func:`spark_utils.parsing.good_rows`; applied inside
            each micro-batch, as `parse` and `rejected` are.
        rejected: From the rows with a verdict to those of ``rejected``.
        source: Where `raw` comes from (``config.source``): part of what the checkpoint belongs to, and looked at
            before the start: an event hub that was made anew is refused.
        output: All down to ``accept_new_checkpoint``, as a configuration has them (``config.output``); a keyword beside
            is stronger. Without either, the defaults of `OutputOptions`.
        output_path: The folder of both tables: local, a volume, or a URL of any file system that Spark reaches.
        checkpoint_path: The query's own checkpoint folder; by default ``OUTPUT/checkpoint``.
        trigger: ``available-now``, ``once``, or an interval such as ``5 seconds``.
        partition_by: A column of ``events`` to lay its files out by.
        schema_changes: Whether new columns of ``events`` are an error (``"refuse"``) or are added (``"merge"``).
            A changed type is an error either way.
        accept_new_checkpoint: Let a new checkpoint write to an output that another one has fed from this source.
        identity: What else the checkpoint belongs to, such as ``{"schema": …}``; see
            :class:`spark_utils.sinks.guard.Guard`. No secrets.
        query_name: Shown in the UI and in progress records.

    Raises:
        CheckpointMismatchError: The checkpoint is damaged, is used by another query, was made with something else,
            has not come as far as the tables, or further; or the event hub was made anew.
        ConfigurationError: An option is malformed, a path is missing or cannot be written, or ``partition_by`` is not
            a column.
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
    place, folder = map(absolute, _paths(options))
    empty = parse(spark.createDataFrame([], raw.schema))
    columns, merge = apply_step(events, empty).schema, options.schema_changes == "merge"
    _check_partition_column(columns, options.partition_by)
    guard = Guard(
        {**_source_of(source), **(identity or {}), "partition_by": options.partition_by or ""},
        accept_changes=frozenset({"schema"} if merge else ()),
        accept_new_checkpoint=options.accept_new_checkpoint,
    )
    with _held(spark, folder) as (client, release):
        checkpoint = read_checkpoint(spark, folder)  # when nobody else changes it any more
        last_rejects = _prepare_tables(
            spark, place, columns, rejected(empty).schema, checkpoint, guard, source, merge=merge
        )
        write_batch = BatchWriter(
            *(parse, events, rejected),
            output=place,
            checkpoint=folder,
            source=guard.source,
            partition_by=options.partition_by,
            merge_schema=merge,
            replayed_batch=checkpoint.replayed_batch,
            rejected=last_rejects,
            client=client,
        )
        _warn_of_changed_files(checkpoint)
        send_users_modules(spark)
        writer = raw.writeStream.foreachBatch(write_batch).trigger(**options.trigger.options)
        query = (writer.queryName(query_name) if query_name else writer).start(checkpointLocation=folder)
    threading.Thread(target=_at_the_end, args=(query, release), daemon=True).start()
    return query


@contextmanager
def _held(spark: SparkSession, checkpoint: str) -> Iterator[tuple[Client | None, Callable[[], None]]]:
    """Hold the checkpoint, with Spark Connect as its client, and let go of it if the query does not start."""
    _refuse_running(spark, checkpoint)
    client = Client.of(spark.conf.get("spark.app.id", None) or "", checkpoint) if is_connect(spark) else None
    release = LOCK.take(checkpoint) if client is None else LOCK.take_as(client, checkpoint)
    try:
        if is_here(spark) and (folder := local_path(checkpoint)):
            remove_drafts(folder)
        yield client, release
    except BaseException:
        release()
        raise


def _prepare_tables(
    spark: SparkSession,
    place: str,
    columns: StructType,
    rejected_columns: StructType,
    checkpoint: Checkpoint,
    guard: Guard,
    source: SourceOptions | None,
    *,
    merge: bool,
) -> int:
    """Compare the tables with the checkpoint and the columns, make them, and return the last batch of `rejected`."""
    partition_by = guard.identity["partition_by"] or None
    found, rejects = (read_table(spark, f"{place}/{name}", checkpoint.query_id) for name in ("events", "rejected"))
    guard.check(checkpoint, found, rejects)
    if source and found and (mark := found.last_batch(checkpoint.query_id)):
        check_hub(spark, source, mark)
    if found is not None:
        check_layout(found, partition_by)
        check_schema(spark, found.path, columns, merge=merge)
    claim = guard.properties(checkpoint, found)
    path = f"{place}/events"
    create_table(spark, path, columns, _EVENTS_COMMENT, partition_by=partition_by, properties=claim)
    if found is not None and claim:
        set_properties(spark, path, claim)
    create_table(spark, f"{place}/rejected", rejected_columns, _REJECTED_COMMENT)
    last = rejects.last_batch(checkpoint.query_id) if rejects else None
    return last.batch if last else -1


def _source_of(source: SourceOptions | None) -> dict[str, str]:
    return {"source": source.identity} if source else {}


def _paths(options: OutputOptions) -> tuple[str, str]:
    if not options.path:
        raise ConfigurationError("the output has no path", origin="write_stream", remedy="Give output_path.")
    return options.path, options.checkpoint_path or f"{options.path.rstrip('/')}/checkpoint"


def _at_the_end(query: StreamingQuery, release: Callable[[], None]) -> None:
    """Let go of the checkpoint when its query has ended, in whatever way."""
    with suppress(Exception):  # whoever started the query is told; here only its end counts
        query.awaitTermination()
    release()


def _refuse_running(spark: SparkSession, checkpoint: str) -> None:
    """Refuse a checkpoint in use by this session."""
    active = {str(query.id): query for query in spark.streams.active}
    metadata = read_text(spark, f"{checkpoint}/metadata") if active else None
    if running := active.get(query_id_of(metadata) or ""):
        raise CheckpointMismatchError(
            f"the query {running.name or running.id} already runs with the checkpoint {checkpoint}",
            origin="the queries of this session",
            remedy="Stop it first, or give another checkpoint path and another output path.",
        )


def _check_partition_column(columns: StructType, partition_by: str | None) -> None:
    if partition_by and partition_by not in columns.names:
        raise ConfigurationError(
            f"{partition_by!r} is not a column of the transformed events ({', '.join(columns.names)})",
            origin="partition_by of write_stream",
            remedy="Name one of these columns.",
        )


def _warn_of_changed_files(checkpoint: Checkpoint) -> None:
    """Say which local files have changed since they were read: a file source reads each of them once."""
    logs = [text for name, text in sorted(checkpoint.files.items()) if name.startswith("sources/")]
    entries = [line for text in logs for line in text.splitlines() if line.startswith('{"path"')]
    changed = []
    for entry in map(json.loads, entries[-_FILES_LOOKED_AT:]):
        path = local_path(entry["path"])
        if path is not None and path.is_file() and int(path.stat().st_mtime * 1000) > entry["timestamp"]:
            changed.append(path.name)
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        _log.warning(
            "%s%s changed after being read; a file is read once, so put new events into new files",
            ", ".join(sorted(set(changed))[:3]),
            more,
        )
