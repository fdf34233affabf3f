"""Rows judged one by one by the reference, as Arrow columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import types as t

from spark_utils.parsing.reference import Good, Rejected, UnknownPolicy

if TYPE_CHECKING:
    import pyarrow as pa

Judge = Callable[[bytes | None], Good | Rejected]
ToArrow = Callable[[Any], Any]


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


def events_array(values: Sequence[dict[str, Any] | None], schema: t.StructType) -> pa.StructArray:
    """Build the column ``event`` from the reference's values, None where the body was rejected."""
    import pyarrow as pa

    convert = _for_arrow(schema)
    rows = values if convert is None else [None if v is None else convert(v) for v in values]
    return pa.array(rows, arrow_type(schema))


def _for_arrow(data_type: t.DataType) -> ToArrow | None:
    """Return the function that turns maps into pairs, or None where there is nothing to turn."""
    if isinstance(data_type, t.StructType):
        inner = {f.name: found for f in data_type.fields if (found := _for_arrow(f.dataType))}
        return _struct_for_arrow(inner) if inner else None
    if isinstance(data_type, t.ArrayType):
        element = _for_arrow(data_type.elementType)
        return None if element is None else _or_null(lambda items: [_or_null(element)(i) for i in items])
    if isinstance(data_type, t.MapType):
        value = _or_null(_for_arrow(data_type.valueType) or (lambda item: item))
        return _or_null(lambda pairs: [(key, value(item)) for key, item in pairs.items()])
    return None


def _struct_for_arrow(inner: dict[str, ToArrow]) -> ToArrow:
    return _or_null(lambda v: {**v, **{name: turn(v[name]) for name, turn in inner.items()}})


def _or_null(convert: ToArrow) -> ToArrow:
    return lambda value: None if value is None else convert(value)


def verdicts_array(
    bodies: Sequence[bytes | None], judge: Judge, schema: t.StructType, unknown: UnknownPolicy
) -> pa.StructArray:
    """Judge bodies one by one; the fields are those of ``verdict_type``."""
    import pyarrow as pa

    verdicts = [judge(body) for body in bodies]
    drift: pa.Array
    if unknown == "count":
        drift = pa.array([v.unknown_count if isinstance(v, Good) else None for v in verdicts], pa.int32())
    else:
        drift = pa.array([v.unknown if isinstance(v, Good) else None for v in verdicts], pa.string())
    return pa.StructArray.from_arrays(
        [
            events_array([v.values if isinstance(v, Good) else None for v in verdicts], schema),
            pa.array([v.reason.value if isinstance(v, Rejected) else None for v in verdicts], pa.string()),
            pa.array([v.path if isinstance(v, Rejected) else None for v in verdicts], pa.string()),
            pa.array([v.detail if isinstance(v, Rejected) else None for v in verdicts], pa.string()),
            drift,
        ],
        ["event", "reason", "path", "detail", "_unknown_count" if unknown == "count" else "_unknown"],
    )
