"""Parsing through Arrow in Python workers: only the bodies go out, the verdicts come back beside their rows.

Spark 4.1 brought Arrow UDFs on columns: a body is the only thing sent, and Spark drops what nobody selects. Spark 4.0
has `mapInArrow` only, through which every column has to travel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.names import quote
from spark_utils.parsing.columns import verdict_type
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import UnknownPolicy

if TYPE_CHECKING:
    import pyarrow as pa

_VERDICT = "_verdict of this body"


def parse_with_arrow(
    df: DataFrame, schema: t.StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> DataFrame:
    """Add the verdict columns to a frame; see ``spark_utils.parsing.parse``."""
    judge = _judge_function(schema.json(), limits, unknown)
    added = verdict_type(schema, unknown)
    if not hasattr(F, "arrow_udf"):
        out = t.StructType([*df.schema.fields, *added.fields])
        return df.mapInArrow(_whole_rows(judge, body_column), out)
    verdict = _verdict_udf(judge, added)(F.col(quote(body_column)))
    judged = df.select("*", verdict.alias(_VERDICT))
    return judged.selectExpr(*map(quote, df.columns), f"{quote(_VERDICT)}.*")


def _verdict_udf(judge: Callable[[Iterable[pa.Array]], Iterator[pa.Array]], added: t.StructType) -> Any:
    """Make the column function; declared nondeterministic, or a filter on the reason would parse a second time."""
    import pyarrow as pa

    def verdicts(bodies: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return judge(bodies)

    verdicts.__annotations__ = {"bodies": Iterator[pa.Array], "return": Iterator[pa.Array]}  # Spark reads the kind
    return F.arrow_udf(verdicts, added).asNondeterministic()  # type: ignore[attr-defined]  # Spark 4.1 and newer


def _judge_function(
    schema_json: str, limits: Limits, unknown: UnknownPolicy
) -> Callable[[Iterable[pa.Array]], Iterator[pa.Array]]:
    def judge(batches: Iterable[pa.Array]) -> Iterator[pa.Array]:
        from spark_utils.parsing.arrow.reader import shared_reader

        reader = shared_reader(schema_json, limits, unknown)
        for bodies in batches:
            yield reader.verdicts(bodies)

    return judge


def _whole_rows(
    judge: Callable[[Iterable[pa.Array]], Iterator[pa.Array]], body_column: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            (verdicts,) = judge([batch.column(body_column)])
            columns = [*batch.columns, *verdicts.flatten()]
            yield pa.RecordBatch.from_arrays(columns, [*batch.schema.names, *verdicts.type.names])

    return run
