"""The shape of a parsed frame, shared by both engines."""

from __future__ import annotations

from pyspark.sql import types as t

from spark_utils.parsing.reference import UnknownPolicy

VERDICT_NAMES = ("event", "reason", "path", "detail", "_unknown", "_unknown_count")
WHY_TYPE = t.StructType().add("reason", "string").add("path", "string").add("detail", "string")


def verdict_type(schema: t.StructType | t.VariantType, unknown: UnknownPolicy) -> t.StructType:
    """Return the columns that parsing adds: ``event``, ``reason``, ``path``, ``detail`` and the unknown fields."""
    drift = t.StructField("_unknown_count", t.IntegerType()) if unknown == "count" else None
    return t.StructType(
        [
            t.StructField("event", nullable_type(schema)),
            *WHY_TYPE.fields,
            drift or t.StructField("_unknown", t.StringType()),
        ]
    )


def schema_depth(data_type: t.DataType) -> int:
    """Count the levels of objects and arrays that a body of this schema nests at least when every field is there."""
    if isinstance(data_type, t.StructType):
        return 1 + max((schema_depth(f.dataType) for f in data_type.fields), default=0)
    if isinstance(data_type, t.ArrayType):
        return 1 + schema_depth(data_type.elementType)
    return 1 + schema_depth(data_type.valueType) if isinstance(data_type, t.MapType) else 0


def nullable_type(data_type: t.DataType) -> t.DataType:
    """Return the type with everything in it nullable, as ``from_json`` returns it: rejected rows have no event."""
    return bare_type(data_type, nullable=True)


def bare_type(data_type: t.DataType, *, nullable: bool = False) -> t.DataType:
    """Return the type without metadata; with everything in it nullable, or as it was declared."""

    def inner(data_type: t.DataType) -> t.DataType:
        return bare_type(data_type, nullable=nullable)

    if isinstance(data_type, t.StructType):
        fields = data_type.fields
        return t.StructType([t.StructField(f.name, inner(f.dataType), nullable or f.nullable) for f in fields])
    if isinstance(data_type, t.ArrayType):
        return t.ArrayType(inner(data_type.elementType), nullable or data_type.containsNull)
    if isinstance(data_type, t.MapType):
        value = inner(data_type.valueType)
        return t.MapType(data_type.keyType, value, nullable or data_type.valueContainsNull)
    return data_type
