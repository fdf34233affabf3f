"""From a source's rows to the events of a key: one per key and sequence, the same whatever arrives twice or late."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from local_pipelines.cdc.declaration import CdcSpec
from local_pipelines.cdc.target import comparable, data_columns, expression, quoted
from local_pipelines.declaring.model import Dataset
from local_pipelines.flows.expectations import kept

SEQUENCE, OPERATION, RANK = "__sequence", "__operation", "__rank"
GIVEN, SYSTEM, HIDDEN = "__given", "__system", "__hidden"
UPSERT, DELETE, TRUNCATE = 0, 1, 2


def cols(names: list[str] | tuple[str, ...]) -> list[Column]:
    """Return columns of these names, dots included."""
    return [F.col(quoted(name)) for name in names]


def shown() -> Column:
    """Return whether an event makes a row of the target: it is no delete, and no expectation dropped it."""
    return (F.col(OPERATION) != DELETE) & ~F.col(HIDDEN)


def identity(spec: CdcSpec) -> list[str]:
    """Return what tells one event from another in the hidden table."""
    if spec.scd == "1" and not spec.partial:
        return list(spec.keys)  # of an older event nothing is ever wanted again
    return [*spec.keys, SEQUENCE, *([SYSTEM] if spec.scd == "bitemporal" else [])]


def events_of(spec: CdcSpec, source: DataFrame, dataset: Dataset) -> DataFrame:
    """Return the events of a batch: data columns, then sequence, operation, rank and what else the flow needs.

    Of equal key and sequence one stays: an upsert before a delete in type 1, a delete before an upsert in type 2 (as
    Spark has it), and else the one whose content has the greater hash, so that no order of arrival matters.

    A null sequence or key, or a row for which `where` is not true, fails the batch.
    """
    data = data_columns(spec, source.columns)
    deletes = F.lit(False) if spec.deletes is None else F.coalesce(expression(spec.deletes), F.lit(False))
    truncates = F.lit(False) if spec.truncates is None else F.coalesce(expression(spec.truncates), F.lit(False))
    operation = F.when(truncates, TRUNCATE).when(deletes, DELETE).otherwise(UPSERT)
    sequence = expression(spec.sequence_by)
    keys = {key.lower() for key in spec.keys}
    values = [  # a truncation is of no key
        F.when(~truncates, F.col(quoted(name))).alias(name) if name.lower() in keys else F.col(quoted(name))
        for name in data
    ]
    columns = [*values, _checked(spec, sequence, truncates).alias(SEQUENCE), operation.alias(OPERATION)]
    columns.append((~kept(dataset)).alias(HIDDEN))
    if spec.columns_to_update:
        columns.append(F.col(quoted(spec.columns_to_update)).alias(GIVEN))
    if spec.system_sequence_by is not None:
        columns.append(expression(spec.system_sequence_by).alias(SYSTEM))
    first = UPSERT if spec.scd == "1" else DELETE
    events = source.select(*columns)
    content = [comparable(F.col(quoted(c.name)), c.dataType) for c in events.schema if c.name != OPERATION]
    rank = F.struct((F.col(OPERATION) == first).alias("priority"), F.xxhash64(*content).alias("content"))
    return newest_of(spec, events.withColumn(RANK, rank))


def newest_of(spec: CdcSpec, events: DataFrame) -> DataFrame:
    """Return of the events with the same identity the one with the highest sequence and rank."""
    newest = F.max_by(F.struct(*cols(events.columns)), F.struct(SEQUENCE, RANK))
    return events.groupBy(*cols(identity(spec))).agg(newest.alias("e")).select("e.*")


def _checked(spec: CdcSpec, sequence: Column, truncates: Column) -> Column:
    checked = F.when(
        sequence.isNull(), F.raise_error(F.lit("AUTO CDC: sequence_by is null; every row of the source needs one"))
    )
    for key in spec.keys:
        message = f"AUTO CDC: the key '{key}' is null; every row of the source needs it"
        checked = checked.when(F.col(quoted(key)).isNull() & ~truncates, F.raise_error(F.lit(message)))
    if spec.where is not None:
        holds = F.coalesce(expression(spec.where), F.lit(False))
        checked = checked.when(~holds, F.raise_error(F.lit("AUTO CDC: a row of the source contradicts `where`")))
    return checked.otherwise(sequence)
