"""AUTO CDC flows at work: events into the hidden table, then the target's rows of the touched keys, one commit each.

Both steps give the same when they are replayed, so a kill between them, or between them and Spark's own commit, heals
with the next update.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from local_pipelines.cdc.declaration import CdcSpec
from local_pipelines.cdc.events import (
    OPERATION,
    RANK,
    SEQUENCE,
    SYSTEM,
    TRUNCATE,
    cols,
    events_of,
    newest_of,
    shown,
)
from local_pipelines.cdc.rebuild import rows_of
from local_pipelines.cdc.target import START, SYSTEM_START, data_columns, differs, quoted
from local_pipelines.declaring.model import Dataset
from local_pipelines.errors import PipelineError
from local_pipelines.flows.expectations import Meter
from local_pipelines.flows.results import MARK, Result
from local_pipelines.storage import is_table, load

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import FlowPlan
    from local_pipelines.flows.runner import FlowRunner

METADATA = "spark.databricks.delta.commitInfo.userMetadata"
GONE = "__gone"
BATCHES = 32  # so many are appended before the events that came twice or are outdated are dropped
CHANGING = ("WRITE", "DELETE", "UPDATE", "MERGE", "TRUNCATE", "STREAMING UPDATE", "RESTORE")


def run_cdc(runner: FlowRunner, plan: FlowPlan, dataset: Dataset) -> None:
    """Run an AUTO CDC flow: a stream, or with `once` a batch."""
    target = runner.storage.table(dataset)
    refuse_foreign_changes(runner.spark, target, dataset)
    runner.make_table(dataset)

    def write(batch: DataFrame, mark: str, number: int, *, again: bool, complete: bool) -> Result:  # noqa: ARG001
        return apply_batch(runner, plan, dataset, batch, mark, again=again)

    if not plan.flow.once:
        runner.stream(plan, dataset, write)
        return
    state = runner.storage.flow(plan.flow)
    if state.done_once:
        return
    meter = Meter(plan.flow.name, stream=False)
    query = runner.query(plan, meter)
    frame = meter.enforce(query, dataset, drop=False).persist()
    try:
        frame.write.format("noop").mode("overwrite").save()  # counts the rows
        result = write(frame, f"{MARK}:{state.uid}:once", 0, again=True, complete=False)
    finally:
        frame.unpersist()
    result.counts = meter.counts()
    runner.progress(plan, f"{state.uid}/once", result)
    state.set_done_once(query)


def refuse_foreign_changes(spark: SparkSession, target: str, dataset: Dataset) -> None:
    """Refuse to go on where another program has changed a target, whose rows are rebuilt from the events alone.

    Raises:
        PipelineError: It has.
    """
    if not is_table(target):
        return
    history = spark.sql(f"DESCRIBE HISTORY delta.`{target}`").where(F.col("operation").isin(*CHANGING))
    foreign = history.where(~F.coalesce(F.col("userMetadata"), F.lit("")).startswith(MARK)).orderBy("version")
    found = foreign.select("version", "operation").head(1)
    if found:
        raise PipelineError(
            f"'{dataset.said}' was changed by a {found[0][1]} (version {found[0][0]}) that is not the pipeline's",
            remedy=f"Its rows are rebuilt from the events alone: run it with --full-refresh {dataset.said}.",
        )


def apply_batch(
    runner: FlowRunner, plan: FlowPlan, dataset: Dataset, batch: DataFrame, mark: str, *, again: bool
) -> Result:
    """Apply the changes of one batch to a target, and return how many rows changed."""
    target, hidden = runner.storage.table(dataset), runner.storage.hidden(dataset)
    spec: CdcSpec = plan.flow.cdc
    session = batch.sparkSession
    events = events_of(spec, batch, dataset).persist()
    try:
        if not again or runner.committed(target, mark) is None:
            with marked(runner, session, mark):
                _keep_events(session, spec, events, hidden)
                data = data_columns(spec, batch.columns)
                rows = target_changes(session, spec, events, hidden, target, data)
                merge(session, target, rows, _row_identity(spec))
        else:
            events.write.format("noop").mode("overwrite").save()  # so that the rows are counted
    finally:
        events.unpersist()
    return changes(runner, target, mark)


@contextmanager
def marked(runner: FlowRunner, session: SparkSession, mark: str) -> Iterator[None]:
    """Let the commits of this block carry a mark; the session of a stream's batch is its own, the other is shared."""
    with runner.marking if session is runner.spark else nullcontext():
        session.conf.set(METADATA, mark)
        try:
            yield
        finally:
            session.conf.unset(METADATA)


def changes(runner: FlowRunner, target: str, mark: str) -> Result:
    """Return what a commit of ours changed, by the metrics that stand in it."""
    metrics = runner.committed(target, mark) or {}
    upserted = int(metrics.get("numTargetRowsInserted", 0)) + int(metrics.get("numTargetRowsUpdated", 0))
    return Result(upserted=upserted, deleted=int(metrics.get("numTargetRowsDeleted", 0)))


def _row_identity(spec: CdcSpec) -> list[str]:
    return [*spec.keys, *{"1": [], "2": [START]}.get(spec.scd, [START, SYSTEM_START])]


def equal(names: list[str], *, null_safe: bool = False) -> Column:
    """Return the condition that rows `t` and `s` agree in these columns.

    Keys and sequences are never null, and a join by plain equality costs less; only a truncation has no key.
    """
    pairs = [(name, F.col(f"t.{quoted(name)}"), F.col(f"s.{quoted(name)}")) for name in names]
    unsure = {*names} if null_safe else {SYSTEM, SYSTEM_START}
    return reduce(Column.__and__, [a.eqNullSafe(b) if name in unsure else a == b for name, a, b in pairs])


def _keep_events(session: SparkSession, spec: CdcSpec, events: DataFrame, hidden: str) -> None:
    """Append a batch's events, which costs less than a merge; now and then drop what came twice or is outdated."""
    events.write.format("delta").mode("append").option("mergeSchema", "true").save(hidden)
    version = max(int(commit.stem) for commit in Path(hidden, "_delta_log").glob("[0-9]*.json"))
    if version % BATCHES == BATCHES - 1:
        newest_of(spec, load(session, hidden)).write.format("delta").mode("overwrite").save(hidden)


def target_changes(
    session: SparkSession, spec: CdcSpec, events: DataFrame, hidden: str, target: str, data: list[str]
) -> DataFrame:
    """Return the rows that the touched keys have now, and those to remove, marked in the column `__gone`."""
    keys = list(spec.keys)
    all_events = load(session, hidden)
    if spec.scd == "1" and not spec.partial and spec.truncates is None:
        return _last_changes(spec, events, all_events, data)
    touched = events.where(F.col(OPERATION) != TRUNCATE).select(*cols(keys)).distinct()
    lasting = all_events.where(F.col(OPERATION) != TRUNCATE)
    if spec.truncates is not None:
        cut = events.where(F.col(OPERATION) == TRUNCATE).agg(F.max(SEQUENCE).alias("__cut"))
        older = lasting.join(F.broadcast(cut), F.col(SEQUENCE) < F.col("__cut"), "left_semi").select(*cols(keys))
        touched = touched.union(older).distinct()
        ever = all_events.where(F.col(OPERATION) == TRUNCATE).agg(F.max(SEQUENCE).alias("__cut"))
        lasting = lasting.join(F.broadcast(ever), F.col(SEQUENCE) < F.col("__cut"), "left_anti")
    rows = rows_of(spec, newest_of(spec, lasting.join(touched, keys, "left_semi")), data)
    if spec.scd == "1":  # one row for a key or none: no need to look at the target
        states = touched.join(rows.withColumn(GONE, F.lit(False)), keys, "left")
        return states.select(*cols(data), F.col(GONE).isNull().alias(GONE))
    held = load(session, target).join(touched, keys, "left_semi")
    missing = [name for name in held.columns if name not in rows.columns]
    added = [name for name in rows.columns if name not in held.columns]
    types = {column.name: column.dataType for column in [*held.schema, *rows.schema]}
    rows = rows.select("*", *[F.lit(None).cast(types[name]).alias(name) for name in missing])
    held = held.select("*", *[F.lit(None).cast(types[name]).alias(name) for name in added])
    condition = equal(_row_identity(spec))
    gone = held.alias("t").join(rows.alias("s"), condition, "left_anti").withColumn(GONE, F.lit(True))
    return rows.withColumn(GONE, F.lit(False)).unionByName(gone)


def _last_changes(spec: CdcSpec, events: DataFrame, all_events: DataFrame, data: list[str]) -> DataFrame:
    """Return what the newest events of their keys make of the target; of a key with a newer event the row is right.

    No event of another batch but its sequence and rank is read, and nothing of the hidden table is shuffled.
    """
    order = F.struct(SEQUENCE, RANK)
    given = events.select(*cols(spec.keys), order.alias("__given_order"))
    held = all_events.select(*cols(spec.keys), order.alias("__order"))
    beaten = held.join(given, list(spec.keys)).where("__order > __given_order").select(*cols(spec.keys))
    return events.join(beaten, list(spec.keys), "left_anti").select(*cols(data), (~shown()).alias(GONE))


def merge(session: SparkSession, target: str, rows: DataFrame, by: list[str]) -> None:
    """Put rows into a target in one commit, and remove those that are marked."""
    columns = [name for name in rows.columns if name != GONE]
    types = {column.name: column.dataType for column in rows.schema}
    held = set(load(session, target).columns)
    rest = [name for name in columns if name not in by and name in held]
    changed = [differs(F.col(f"t.{quoted(name)}"), F.col(f"s.{quoted(name)}"), types[name]) for name in rest]
    changed += [F.col(f"s.{quoted(name)}").isNotNull() for name in columns if name not in held]
    values = {quoted(name): F.col(f"s.{quoted(name)}") for name in columns}
    table = DeltaTable.forPath(session, target).alias("t").merge(rows.alias("s"), equal(by)).withSchemaEvolution()
    table = table.whenMatchedDelete(F.col(f"s.{GONE}"))
    if changed:
        table = table.whenMatchedUpdate(reduce(Column.__or__, changed), set=dict(values))
    table.whenNotMatchedInsert(~F.col(f"s.{GONE}"), values=dict(values)).execute()
