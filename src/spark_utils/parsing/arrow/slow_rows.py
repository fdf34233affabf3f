"""Rows judged one by one by the reference, as Arrow columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyspark.sql import types as t

from spark_utils.parsing.reference import Good, Rejected, UnknownPolicy

if TYPE_CHECKING:
    import pyarrow as pa

Judge = Callable[[bytes | None], Good | Rejected]


def arrow_type(data_type: t.DataType) -> pa.DataType:
    """Return the Arrow type of an event's column; timestamps are microseconds in UTC."""
    import pyarrow as pa

    if isinstance(data_type, t.StructType):
        return pa.struct([pa.field(f.name, arrow_type(f.dataType)) for f in data_type.fields])
    if isinstance(data_type, t.ArrayType):
        return pa.list_(arrow_type(data_type.elementType))
    if isinstance(data_type, t.MapType):
        return pa.map_(pa.string(), arrow_type(data_type.valueType))
    if isinstance(data_type, t.DecimalType):
        return pa.decimal128(data_type.precision, data_type.scale)
    if isinstance(data_type, t.StringType):  # of any collation
        return pa.string()
    return {
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "timestamp_ntz": pa.timestamp("us"),
        "binary": pa.binary(),
    }[data_type.simpleString()]


def verdicts_array(
    bodies: Sequence[bytes | None], judge: Judge, schema: t.StructType, unknown: UnknownPolicy
) -> pa.StructArray:
    """Judge bodies one by one; the fields are those of ``verdict_type``."""
    import pyarrow as pa

    verdicts = [judge(body) for body in bodies]
    good = [verdict if isinstance(verdict, Good) else None for verdict in verdicts]
    bad = [verdict if isinstance(verdict, Rejected) else None for verdict in verdicts]
    drift: pa.Array
    if unknown == "count":
        drift = pa.array([v and v.unknown_count for v in good], pa.int32())
    else:
        drift = pa.array([v and v.unknown for v in good], pa.string())
    return pa.StructArray.from_arrays(
        [
            pa.array([v and v.values for v in good], arrow_type(schema)),
            pa.array([v and v.reason.value for v in bad], pa.string()),
            pa.array([v and v.path for v in bad], pa.string()),
            pa.array([v and v.detail for v in bad], pa.string()),
            drift,
        ],
        ["event", "reason", "path", "detail", "_unknown_count" if unknown == "count" else "_unknown"],
    )
