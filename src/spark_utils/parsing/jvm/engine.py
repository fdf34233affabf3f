"""Parsing in the JVM: a Java function reads good bodies (``java_reader``), the reference in Python explains the others.

What the function does not read is rejected, so ``event`` is null exactly there. Whoever wants good rows only, as
``good_rows`` does, needs no Python worker: the reason, its path and its detail are worked out when somebody asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.names import quote
from spark_utils.parsing.columns import WHY_TYPE
from spark_utils.parsing.jvm.java_reader import JavaReader
from spark_utils.parsing.reasons import Limits, Reason
from spark_utils.parsing.reference import Good, Rejected, UnknownPolicy, compile_classifier

if TYPE_CHECKING:
    import pyarrow as pa

Explain = Callable[[bytes | None], tuple[str, str | None, str]]

_READ, _WHY = (f"_{part} of this body" for part in ("reading", "rejection"))


def parse_on_jvm(
    df: DataFrame, schema: t.StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> DataFrame:
    """Add the verdict columns to a frame; see ``spark_utils.parsing.parse``."""
    body, read, why = quote(body_column), quote(_READ), quote(_WHY)
    staged = df.select("*", JavaReader(df.sparkSession, schema, limits, unknown).read(F.col(body)).alias(_READ))
    rejected = F.expr(f"CASE WHEN {read} IS NULL THEN named_struct('body', {body}) END")
    explained = staged.select("*", _explain_udf(schema, limits, unknown)(rejected).alias(_WHY))
    drift = "_unknown_count" if unknown == "count" else "_unknown"
    return explained.selectExpr(
        *map(quote, df.columns),
        f"{read}.event",
        *(f"{why}.{name}" for name in WHY_TYPE.names),
        f"{read}.unknown AS {drift}",
    )


def _explain_udf(schema: t.StructType, limits: Limits, unknown: UnknownPolicy) -> Any:
    """Make the function from body to (reason, path, detail), all of it null where there is nothing to explain.

    It is declared nondeterministic, or a filter on the reason would run it a second time.
    """
    if not hasattr(F, "arrow_udf") or find_spec("pyarrow") is None:  # Spark 4.0; a driver without pyarrow
        return F.udf(_explain_rows(schema, limits, unknown), WHY_TYPE, useArrow=False).asNondeterministic()
    import pyarrow as pa

    explain = _explain_batches(schema.json(), limits, unknown)
    explain.__annotations__ = {"batches": Iterator[pa.Array], "return": Iterator[pa.Array]}  # Spark reads the kind
    return F.arrow_udf(explain, WHY_TYPE).asNondeterministic()


def _explain_batches(
    schema_json: str, limits: Limits, unknown: UnknownPolicy
) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    def explain(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        import pyarrow as pa

        returned = pa.struct([(name, pa.string()) for name in WHY_TYPE.names])
        why = compile_explanation(t.StructType.fromJson(json.loads(schema_json)), limits, unknown)
        for batch in batches:
            if batch.null_count == len(batch):
                yield pa.nulls(len(batch), returned)
                continue
            rows = ((row and why(row["body"])) for row in batch.to_pylist())
            yield pa.array([verdict and dict(zip(WHY_TYPE.names, verdict, strict=True)) for verdict in rows], returned)

    return explain


def _explain_rows(schema: t.StructType, limits: Limits, unknown: UnknownPolicy) -> Callable[[Any], Any]:
    why: Explain | None = None

    def explain(rejected: Any) -> tuple[str, str | None, str] | None:
        nonlocal why
        if rejected is None:
            return None
        why = why or compile_explanation(schema, limits, unknown)
        return why(None if rejected.body is None else bytes(rejected.body))

    return explain


def compile_explanation(schema: t.StructType, limits: Limits, unknown: UnknownPolicy) -> Explain:
    """Prepare the verdict on bodies that the JVM did not read.

    Returns:
        A function from body to reason, path and detail. For a body that fits it is ``internal_error``: then the two
        readers disagree, which is a fault of this library, and the body is kept.
    """
    judge = compile_classifier(schema, limits=limits, unknown=unknown)

    def explain(body: bytes | None) -> tuple[str, str | None, str]:
        verdict = judge(body)
        if isinstance(verdict, Good):
            verdict = Rejected(Reason.INTERNAL_ERROR, None, "this body fits, but the JVM did not read it")
        return verdict.reason.value, verdict.path, verdict.detail

    return explain
