"""Parsing through Arrow in Python workers: the bodies go out, verdicts come back, everything else stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import types as t

from spark_utils.parsing.columns import verdict_type
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import UnknownPolicy

if TYPE_CHECKING:
    import pyarrow as pa


def parse_with_arrow(
    df: DataFrame, schema: t.StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> DataFrame:
    """Add the verdict columns to a frame; see ``spark_utils.parsing.parse``."""
    added = verdict_type(schema, unknown)
    out = t.StructType([*df.schema.fields, *added.fields])
    return df.mapInArrow(_batches_function(schema, limits, unknown, body_column), out)


def _batches_function(
    schema: t.StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    schema_json = schema.json()

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        from spark_utils.parsing.arrow_reader import shared_reader

        reader = shared_reader(schema_json, limits, unknown)
        for batch in batches:
            verdicts = reader.verdicts(batch.column(body_column))
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *verdicts.flatten()], [*batch.schema.names, *verdicts.type.names]
            )

    return run
