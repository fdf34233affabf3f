"""Replace flows at work: a micro-batch replaces the rows of its keys, unless the target has later ones of them.

With a condition, a batch replaces the rows that it is true for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from local_pipelines.cdc.declaration import column_text
from local_pipelines.cdc.events import SEQUENCE, cols
from local_pipelines.cdc.flow import changes, equal, marked
from local_pipelines.cdc.target import expression, quoted
from local_pipelines.declaring.model import Dataset, ReplaceSpec
from local_pipelines.flows.expectations import Meter
from local_pipelines.flows.results import MARK, Result
from local_pipelines.storage import load

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import FlowPlan
    from local_pipelines.flows.runner import FlowRunner

TARGET, NEW = "__target", "__new"
OLD = "__old"  # marks the row of a key that removes what the target has of it


def run_replacing(runner: FlowRunner, plan: FlowPlan, dataset: Dataset) -> None:
    """Run a replace flow: of each key the rows of the highest sequence stay, in one commit for a micro-batch."""
    target = runner.storage.table(dataset)
    spec: ReplaceSpec = plan.flow.replace  # type: ignore[assignment]
    runner.make_table(dataset)
    if spec.where is not None:
        _replace_where(runner, plan, dataset, spec.where)
        return

    def write(batch: DataFrame, mark: str, number: int, *, again: bool, complete: bool) -> Result:  # noqa: ARG001
        if again and runner.committed(target, mark) is not None:
            batch.write.format("noop").mode("overwrite").save()  # so that the rows are counted
        else:
            with marked(runner, batch.sparkSession, mark):
                _replace(spec, batch.persist(), target)
            batch.unpersist()
        return changes(runner, target, mark)

    runner.stream(plan, dataset, write)


def _qualifier(condition: str | Column, query: DataFrame) -> str:
    """Return the name by which a condition calls a query's rows, such as ``f`` of ``f.day``: the target goes by it."""
    text = (condition if isinstance(condition, str) else column_text(condition)).replace("`", "")
    attributes = query._jdf.queryExecution().analyzed().output().iterator()
    names = set()
    while attributes.hasNext():
        names.update({attributes.next().qualifier().mkString(".").rpartition(".")[2]} - {""})
    said = [name for name in names if re.search(rf"\b{re.escape(name)}\.", text, re.IGNORECASE)]
    return said[0] if len(said) == 1 else TARGET


def _replace_where(runner: FlowRunner, plan: FlowPlan, dataset: Dataset, where: str | Column) -> None:
    meter, condition = Meter(plan.flow.name, stream=False), expression(where)
    query = runner.query(plan, meter)
    frame = meter.enforce(query.where(condition), dataset).persist()
    try:
        frame.write.format("noop").mode("overwrite").save()  # counts the rows
        with marked(runner, runner.spark, f"{MARK}:{runner.storage.flow(plan.flow).uid}"):
            table = DeltaTable.forPath(runner.spark, runner.storage.table(dataset))
            table = table.alias(_qualifier(where, query))
            merge = table.merge(frame.alias(NEW), F.lit(False)).withSchemaEvolution()
            merge.whenNotMatchedInsertAll().whenNotMatchedBySourceDelete(condition).execute()
    finally:
        frame.unpersist()
    runner.progress(plan, "", Result(meter.counts()))


def _replace(spec: ReplaceSpec, batch: DataFrame, target: str) -> None:
    keys = list(spec.keys)
    by_key = Window.partitionBy(*cols(keys))
    order = expression(spec.sequence_by)  # type: ignore[arg-type]  # is given with keys
    rows = batch.withColumn(SEQUENCE, order)
    rows = rows.withColumn("__newest", F.max(SEQUENCE).over(by_key)).where(F.col(SEQUENCE) == F.col("__newest"))
    rows = rows.drop("__newest")
    held = load(batch.sparkSession, target).withColumn(SEQUENCE, order)
    later = equal(keys, null_safe=True) & (F.col(f"s.{SEQUENCE}") > F.col(f"t.{SEQUENCE}"))
    rows = rows.alias("t").join(held.alias("s"), later, "left_anti").withColumn(OLD, F.lit(False))
    old = rows.dropDuplicates(keys).withColumn(OLD, F.lit(True))
    values = {quoted(name): F.col(f"s.{quoted(name)}") for name in batch.columns}
    table = DeltaTable.forPath(batch.sparkSession, target).alias("t")
    merge = table.merge(
        old.unionByName(rows).alias("s"), equal(keys, null_safe=True) & F.col(f"s.{OLD}")
    ).withSchemaEvolution()
    merge.whenMatchedDelete().whenNotMatchedInsert(~F.col(f"s.{OLD}"), values=dict(values)).execute()
