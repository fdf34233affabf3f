"""Bodies without a schema: the whole object as a Variant, with the same verdicts on what is not strict JSON.

A Variant keeps integers and decimals of up to 38 digits exactly; other numbers become the nearest double, and one that
no double can hold is ``overflow``.
"""

from __future__ import annotations

import math
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_utils.names import quote
from spark_utils.parsing.columns import WHY_TYPE
from spark_utils.parsing.json_text import NumberText, PathParts, excerpt, read_tree
from spark_utils.parsing.reasons import Limits, Reason, RejectedBodyError
from spark_utils.parsing.reference import rejection

_DOUBTFUL_TEXT = r"\\u[dD][89a-fA-F]|[eE][+]?[0-9]{3}|[0-9]{300}"  # a lone surrogate; a number beyond every double
_TOO_MUCH = "strict JSON, which Spark's parser of variants refuses: it may be too large"
_TEXT, _VERDICT = "_text of this body", "_verdict of this body"


def parse_variant(df: DataFrame, limits: Limits, body_column: str) -> DataFrame:
    """Add ``event`` (variant), ``reason``, ``path``, ``detail`` and ``_unknown`` (null: nothing is unknown)."""
    body, text = F.col(quote(body_column)), F.col(quote(_TEXT))
    staged = df.select("*", body.cast("string").alias(_TEXT))
    proven = F.coalesce(_proof(text, body, limits), F.lit(False))
    slow = F.udf(_judge(limits), WHY_TYPE, useArrow=False).asNondeterministic()
    verdict = slow(F.when(~proven, F.struct(body.alias("body")))).alias(_VERDICT)
    why = {name: F.col(quote(_VERDICT)).getField(name) for name in WHY_TYPE.names}
    event = F.when(why["reason"].isNull(), F.try_parse_json(text))
    refused = F.when(F.col("event").isNull(), F.lit(Reason.INTERNAL_ERROR.value))
    return (
        staged.select("*", verdict)
        .select(*map(quote, df.columns), event.alias("event"), *(column.alias(name) for name, column in why.items()))
        .withColumn("reason", F.coalesce("reason", refused))
        .withColumn("detail", F.coalesce("detail", F.when(F.col("event").isNull(), F.lit(_TOO_MUCH))))
        .withColumn("_unknown", F.lit(None).cast("string"))
    )


def _proof(text: Column, body: Column, limits: Limits) -> Column:
    in_list = F.try_parse_json(F.concat(F.lit("["), text, F.lit("]")))
    in_object = F.try_parse_json(F.concat(F.lit('{"x":'), text, F.lit("}")))
    openings = F.length(F.regexp_replace(text, r"[^\[{]", ""))
    return (
        (F.length(body) <= limits.max_body_bytes)
        & F.is_valid_utf8(text)
        & text.rlike(r"^[ \t\r\n]*\{")
        & (openings <= limits.max_depth)
        & ~text.rlike(_DOUBTFUL_TEXT)
        & in_list.isNotNull()
        & in_object.isNotNull()
        & F.try_parse_json(text).isNotNull()
    )


def _judge(limits: Limits) -> Any:
    def judge(doubtful: Any) -> tuple[str | None, str | None, str | None] | None:
        if doubtful is None:
            return None
        try:
            _check_numbers(read_tree(None if doubtful.body is None else bytes(doubtful.body), limits), ())
        except Exception as fault:
            verdict = rejection(fault)
            return verdict.reason.value, verdict.path, verdict.detail
        return None, None, None

    return judge


def _check_numbers(value: Any, path: PathParts) -> None:
    if isinstance(value, NumberText):
        if math.isinf(float(value)):
            raise RejectedBodyError(Reason.OVERFLOW, f"{excerpt(value)} does not fit double", path)
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_numbers(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _check_numbers(child, (*path, index))
