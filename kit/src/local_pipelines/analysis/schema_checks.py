"""What of a dataset's columns, expectations and stored table contradicts its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import NullType, StructType

from local_pipelines.analysis.schemas import Declared, empty_frame
from local_pipelines.declaring.model import Dataset, Kind
from local_pipelines.declaring.python_source import reason_of
from local_pipelines.errors import Problem
from spark_utils.names import suggestion

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import FlowPlan


def schema_problems(
    dataset: Dataset,
    declared: Declared | None,
    flows: list[tuple[FlowPlan, StructType]],
    stored: StructType | None,
) -> list[Problem]:
    """Return what is wrong with the columns that flows give a dataset.

    Args:
        dataset: The dataset.
        declared: Its declared schema.
        flows: Its flows, each with the schema that it gives.
        stored: The schema of its table from earlier updates.
    """
    problems: list[Problem] = []
    for plan, schema in flows:
        place = plan.flow.place
        names = [name.lower() for name in schema.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            problems.append(Problem(f"'{plan.flow.name}' gives a column twice: {', '.join(twice)}", place))
        untyped = [column.name for column in schema if isinstance(column.dataType, NullType)]
        if untyped:
            problems.append(Problem(f"'{plan.flow.name}': {', '.join(untyped)} has no type; cast it", place))
        if declared is not None:
            problems += _against_declared(dataset, plan, schema, declared)
        if stored is not None:
            problems += _against_stored(dataset, plan, schema, stored)
    columns = declared.struct.names if declared else [name for _, schema in flows for name in schema.names]
    for keyword, wanted in (("partition_cols", dataset.partition_columns), ("cluster_by", dataset.cluster_columns)):
        for name in wanted:
            if flows and name.split(".")[0].lower() not in {column.lower() for column in columns}:
                near = suggestion(name, columns)
                problems.append(Problem(f"{keyword} of '{dataset.said}': unknown column '{name}'{near}", dataset.place))
    return problems


def _against_declared(dataset: Dataset, plan: FlowPlan, schema: StructType, declared: Declared) -> list[Problem]:
    by_name = {column.name.lower(): column for column in declared.struct}
    problems = []
    for column in schema:
        expected = by_name.get(column.name.lower())
        if expected is None:
            near = suggestion(column.name, declared.struct.names)
            message = (
                f"'{plan.flow.name}' gives column '{column.name}', which the schema of '{dataset.said}' lacks{near}"
            )
            problems.append(Problem(message, plan.flow.place))
        elif column.dataType.simpleString() != expected.dataType.simpleString():
            problems.append(
                Problem(
                    f"'{plan.flow.name}' gives '{column.name}' as {column.dataType.simpleString()}, but the schema of "
                    f"'{dataset.said}' says {expected.dataType.simpleString()}; cast it",
                    plan.flow.place,
                )
            )
    given = {name.lower() for name in schema.names}
    missing = [
        column.name
        for column in declared.struct
        if column.name.lower() not in given | declared.generated and not column.nullable
    ]
    if missing:
        message = f"'{plan.flow.name}' does not give {', '.join(missing)}, which '{dataset.said}' declares NOT NULL"
        problems.append(Problem(message, plan.flow.place))
    return problems


def _against_stored(dataset: Dataset, plan: FlowPlan, schema: StructType, stored: StructType) -> list[Problem]:
    by_name = {column.name.lower(): column.dataType for column in stored}
    return [
        Problem(
            f"'{plan.flow.name}' gives '{column.name}' as {column.dataType.simpleString()}, but '{dataset.said}' holds "
            f"{by_name[column.name.lower()].simpleString()}; this needs a full refresh (--full-refresh {dataset.said})",
            plan.flow.place,
        )
        for column in schema
        if column.name.lower() in by_name
        and column.dataType.simpleString() != by_name[column.name.lower()].simpleString()
    ]


def rule_problems(dataset: Dataset, schema: StructType, spark: SparkSession) -> list[Problem]:
    """Return which expectations of a dataset cannot be evaluated on its rows."""
    if not dataset.expectations:
        return []
    frame = empty_frame(spark, schema)
    patterns = spark._jvm.org.apache.spark.sql.catalyst.trees.TreePattern  # type: ignore[union-attr]
    problems = []
    for rule in dataset.expectations:
        try:
            condition = F.expr(rule.condition) if isinstance(rule.condition, str) else rule.condition
            judged = frame.select(condition.alias("rule"))
            kind = judged.schema["rule"].dataType.simpleString()
            wrong = "" if kind in ("boolean", "void") else f"the condition is {kind}, not boolean"
            if judged._jdf.queryExecution().analyzed().containsPattern(patterns.PYTHON_UDF()):
                wrong = "a condition cannot call a Python function; write it in SQL, or as a column of the query"
            if isinstance(rule.condition, str) and "SELECT" in rule.condition.upper().replace("(", " ").split():
                wrong = "a condition cannot hold a subquery"
        except Exception as error:
            wrong = reason_of(error)
        if wrong:
            where = rule.place or dataset.place
            problems.append(Problem(f"expectation '{rule.name}' of '{dataset.said}': {wrong}", where))
    return problems


__all__ = ["Kind", "rule_problems", "schema_problems"]
