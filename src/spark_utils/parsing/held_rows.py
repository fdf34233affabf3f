"""Small frames whose rows this process holds too: their bodies are judged here, without Python workers of Spark.

A Spark job that starts Python takes some tenths of a second however few its rows are, a verdict some 25 microseconds.
"""

from __future__ import annotations

import json
from base64 import b64decode
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StructType

from spark_utils.names import quote
from spark_utils.parsing.columns import WHY_TYPE, verdict_type
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import Rejected, UnknownPolicy, compile_classifier

JSON_OPTIONS = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}  # by default only milliseconds
Rows = list[dict[str, Any]]
_held: WeakKeyDictionary[DataFrame, Rows] = WeakKeyDictionary()  # a frame made of one of these is another one


def frame_of(spark: SparkSession, rows: Rows, schema: StructType, tasks: int = 1) -> DataFrame:
    """Return rows, as Spark's JSON has them, as a frame.

    Args:
        spark: The session.
        rows: Some rows; nulls may be absent.
        schema: Their columns.
        tasks: How many tasks read them. One: `parse` judges them in this process if it gets this very frame.
    """
    count = len(rows)
    parts = [json.dumps(rows[count * task // tasks : count * (task + 1) // tasks]) for task in range(tasks)]
    if find_spec("pyarrow") is None:
        texts = spark.createDataFrame([(part,) for part in parts], "texts string")
    else:
        import pyarrow as pa

        texts = spark.createDataFrame(pa.table({"texts": parts}))  # from a list, classic Spark runs Python: 0.3 s
    df = texts.select(F.inline(F.from_json("texts", ArrayType(schema), {**JSON_OPTIONS, "mode": "FAILFAST"})))
    if tasks == 1:
        _held[df] = rows
    return df


def rejected_here(
    df: DataFrame, schema: StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> DataFrame | None:
    """Return what `parse` returns of a frame whose rows are held, or None where one is not, or one of them is good."""
    rows = _held.get(df)
    if rows is None:
        return None
    judge = compile_classifier(schema, limits=limits, unknown=unknown)
    explained: Rows = []
    for row in rows:
        body = row.get(body_column)
        verdict = judge(None if body is None else b64decode(body))
        if not isinstance(verdict, Rejected):
            return None
        explained.append({**row, "reason": verdict.reason, "path": verdict.path, "detail": verdict.detail})
    found = frame_of(df.sparkSession, explained, StructType([*df.schema.fields, *WHY_TYPE.fields]))
    added = [
        F.lit(None).cast(field.dataType).alias(field.name) if field.name not in WHY_TYPE.names else F.col(field.name)
        for field in verdict_type(schema, unknown).fields
    ]
    return found.select(*map(quote, df.columns), *added)
