"""Replace flows at work: a micro-batch replaces the rows of its keys, unless the target has later ones of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from local_pipelines.cdc.events import SEQUENCE, cols
from local_pipelines.cdc.flow import changes, equal, marked
from local_pipelines.cdc.target import expression, quoted
from local_pipelines.declaring.model import Dataset, ReplaceSpec
from local_pipelines.flows.results import Result
from local_pipelines.storage import load

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import FlowPlan
    from local_pipelines.flows.runner import FlowRunner

OLD = "__old"  # marks the row of a key that removes what the target has of it


def run_replacing(runner: FlowRunner, plan: FlowPlan, dataset: Dataset) -> None:
    """Run a replace flow: of each key the rows of the highest sequence stay, in one commit for a micro-batch."""
    target = runner.storage.table(dataset)
    spec: ReplaceSpec = plan.flow.replace  # type: ignore[assignment]
    runner.make_table(dataset)

    def write(batch: DataFrame, mark: str, number: int, *, again: bool, complete: bool) -> Result:  # noqa: ARG001
        if again and runner.committed(target, mark) is not None:
            batch.write.format("noop").mode("overwrite").save()  # so that the rows are counted
        else:
            with marked(runner, batch.sparkSession, mark):
                _replace(spec, batch.persist(), target)
            batch.unpersist()
        return changes(runner, target, mark)

    runner.stream(plan, dataset, write)


def _replace(spec: ReplaceSpec, batch: DataFrame, target: str) -> None:
    keys = list(spec.keys)
    by_key = Window.partitionBy(*cols(keys))
    rows = batch.withColumn(SEQUENCE, expression(spec.sequence_by))
    rows = rows.withColumn("__newest", F.max(SEQUENCE).over(by_key)).where(F.col(SEQUENCE) == F.col("__newest"))
    rows = rows.drop("__newest")
    held = load(batch.sparkSession, target).withColumn(SEQUENCE, expression(spec.sequence_by))
    later = equal(keys, null_safe=True) & (F.col(f"s.{SEQUENCE}") > F.col(f"t.{SEQUENCE}"))
    rows = rows.alias("t").join(held.alias("s"), later, "left_anti").withColumn(OLD, F.lit(False))
    old = rows.dropDuplicates(keys).withColumn(OLD, F.lit(True))
    values = {quoted(name): F.col(f"s.{quoted(name)}") for name in batch.columns}
    table = DeltaTable.forPath(batch.sparkSession, target).alias("t")
    merge = table.merge(
        old.unionByName(rows).alias("s"), equal(keys, null_safe=True) & F.col(f"s.{OLD}")
    ).withSchemaEvolution()
    merge.whenMatchedDelete().whenNotMatchedInsert(~F.col(f"s.{OLD}"), values=dict(values)).execute()
