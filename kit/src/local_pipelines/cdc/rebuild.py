"""From the events of keys to the rows of a target: one plan of window functions, the same when it is replayed."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from local_pipelines.cdc.declaration import CdcSpec
from local_pipelines.cdc.events import DELETE, GIVEN, HIDDEN, OPERATION, SEQUENCE, SYSTEM, cols, shown
from local_pipelines.cdc.target import END, START, SYSTEM_END, SYSTEM_START, differs, quoted, tracked_columns

LIFE, CHANGES, KNOWN, AGAIN = "__life", "__changes", "__known", "__again"


def rows_of(spec: CdcSpec, events: DataFrame, data: list[str]) -> DataFrame:
    """Return the target's rows of the keys whose events are given.

    Args:
        spec: The flow.
        events: All events of these keys, without truncations and what they removed.
        data: The data columns.
    """
    if spec.scd == "1":
        return _last_states(spec, events, data)
    if spec.scd == "2":
        return _versions(spec, events, data, list(spec.keys), [])
    return _bitemporal(spec, events, data)


def _last_states(spec: CdcSpec, events: DataFrame, data: list[str]) -> DataFrame:
    folded = _folded(spec, events, data, list(spec.keys)) if spec.partial else events
    if spec.partial:
        newest = Window.partitionBy(*cols(spec.keys)).orderBy(F.col(SEQUENCE).desc())
        folded = folded.withColumn("__n", F.row_number().over(newest)).where("__n = 1")
    return folded.where(shown()).select(*cols(data))


def _folded(spec: CdcSpec, events: DataFrame, data: list[str], partition: list[str]) -> DataFrame:
    """Let what an event leaves out keep the value of the events before it, back to the last delete."""
    by_key = Window.partitionBy(*cols(partition)).orderBy(SEQUENCE)
    before = by_key.rowsBetween(Window.unboundedPreceding, -1)  # a delete ends a life; its own values begin none
    deleted = F.sum((F.col(OPERATION) == DELETE).cast("int")).over(before)
    lives = events.withColumn(LIFE, F.coalesce(deleted, F.lit(0)))
    so_far = Window.partitionBy(*cols(partition), F.col(LIFE)).orderBy(SEQUENCE)
    so_far = so_far.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    keys = {key.lower() for key in spec.keys}
    types = {column.name: column.dataType for column in events.schema}
    changed = []
    for name in data:
        if name.lower() in keys or not _keeps(spec, name):
            changed.append(F.col(quoted(name)))
        elif spec.columns_to_update:
            listed = F.col(GIVEN).isNull() | F.array_contains(F.col(GIVEN), name)
            value = F.last(F.when(listed, F.struct(F.col(quoted(name)).alias("v"))), ignorenulls=True)
            changed.append(value.over(so_far).getField("v").alias(name))
        else:
            changed.append(_last_not_null(F.col(quoted(name)), types[name], so_far).alias(name))
    rest = [name for name in lives.columns if name not in data]
    return lives.select(*changed, *cols(rest))


def _keeps(spec: CdcSpec, name: str) -> bool:
    if spec.columns_to_update:
        return True
    only, beside = spec.ignore_null_columns, spec.ignore_null_except
    if only is not None:
        return name.lower() in {column.lower() for column in only}
    return beside is None or name.lower() not in {column.lower() for column in beside}


def _last_not_null(column: Column, kind: DataType, window: object) -> Column:
    if isinstance(kind, StructType):
        fields = [
            _last_not_null(column.getField(field.name), field.dataType, window).alias(field.name) for field in kind
        ]
        there = F.last(F.when(column.isNotNull(), True), ignorenulls=True).over(window)  # type: ignore[arg-type]
        return F.when(there, F.struct(*fields))
    return F.last(column, ignorenulls=True).over(window)  # type: ignore[arg-type]


def _versions(spec: CdcSpec, events: DataFrame, data: list[str], partition: list[str], more: list[str]) -> DataFrame:
    """Return the runs of equal events: start of the first, values of the last, end where the next event begins."""
    folded = _folded(spec, events, data, partition) if spec.partial else events
    by_key = Window.partitionBy(*cols(partition)).orderBy(SEQUENCE)
    types = {column.name: column.dataType for column in events.schema}
    operation = F.lag(OPERATION).over(by_key)
    changes = operation.isNull() | (operation == DELETE) | (F.col(OPERATION) == DELETE)
    hidden = F.lag(HIDDEN).over(by_key)
    changes = changes | ~hidden.eqNullSafe(F.col(HIDDEN))
    for name in tracked_columns(spec, data):
        column = F.col(quoted(name))
        changes = changes | differs(column, F.lag(column).over(by_key), types[name])
    marked = folded.select("*", changes.alias(CHANGES))
    run_start = F.last(F.when(F.col(CHANGES), F.struct(SEQUENCE)), ignorenulls=True).over(by_key).getField(SEQUENCE)
    last_of_run = F.coalesce(F.lead(CHANGES).over(by_key), F.lit(True))
    runs = marked.select(
        *cols(data),
        *cols(more),
        F.col(OPERATION),
        F.col(HIDDEN),
        run_start.alias(START),
        F.lead(SEQUENCE).over(by_key).alias(END),
        last_of_run.alias("__last"),
    )
    return runs.where(shown() & F.col("__last")).select(*cols(data), *cols(more), F.col(START), F.col(END))


def _bitemporal(spec: CdcSpec, events: DataFrame, data: list[str]) -> DataFrame:
    """Return the versions as they were known at each system time, those that stayed the same as one row."""
    keys = list(spec.keys)
    same_keys = [F.col(f"e.{quoted(key)}") == F.col(f"k.{quoted(key)}") for key in keys]
    times = Window.partitionBy(*cols(keys)).orderBy(KNOWN)
    known = events.select(*cols(keys), F.col(SYSTEM).alias(KNOWN)).distinct()
    known = known.select("*", F.row_number().over(times).alias("__number"), F.lead(KNOWN).over(times).alias("__next"))
    condition = F.col(f"e.{SYSTEM}") <= F.col(f"k.{KNOWN}")
    for same in same_keys:
        condition = condition & same
    seen = events.alias("e").join(known.alias("k"), condition).select("e.*", *[f"k.{c}" for c in TIMES])
    newest = Window.partitionBy(*cols(keys), F.col(KNOWN), F.col(SEQUENCE)).orderBy(F.col(SYSTEM).desc())
    seen = seen.withColumn(AGAIN, F.row_number().over(newest)).where(F.col(AGAIN) == 1).drop(AGAIN)
    versions = _versions(spec, seen, data, [*keys, KNOWN], list(TIMES))
    content = F.to_json(F.struct(*cols(data), F.col(END)))
    alike = [*cols(keys), F.col(START), F.col("__content")]
    in_order = Window.partitionBy(*alike).orderBy("__number")
    numbered = versions.withColumn("__content", content)
    numbered = numbered.withColumn("__island", F.col("__number") - F.row_number().over(in_order))
    last_first = Window.partitionBy(*alike, F.col("__island")).orderBy(F.col("__number").desc())
    whole = Window.partitionBy(*alike, F.col("__island"))
    result = numbered.select(
        *cols(data),
        F.col(START),
        F.col(END),
        F.min(KNOWN).over(whole).alias(SYSTEM_START),
        F.col("__next").alias(SYSTEM_END),
        F.row_number().over(last_first).alias(AGAIN),
    )
    return result.where(F.col(AGAIN) == 1).drop(AGAIN)


TIMES = (KNOWN, "__number", "__next")
