"""Parsing by Spark expressions: a body is proven good on the JVM, or judged by the reference in a Python function.

The proof of a body: it is one JSON object without duplicate keys or trailing text (two wraps parse as Variant), the
shape of that Variant fits the schema (no unknown field, no other type, no fraction in an integer), and what `from_json`
read is within the ranges. Everything else is merely doubtful. Needs no pyarrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.parsing.columns import nullable_type, quoted, schema_depth, verdict_type
from spark_utils.parsing.leaves import BASE64_PATTERN, DATE_PATTERN, INTEGER_BITS
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import Good, UnknownPolicy, compile_classifier

LONGEST_SHAPE = 20_000  # characters; Java's regular expressions recurse, so a longer one is left to the reference
_MOST_DECIMALS = 18  # a decimal with more is left to the reference: its digits might not fit beside 19 of a long

_TEXT, _READ, _VERDICT = (f"_{part} of this body" for part in ("text", "read", "verdict"))
_KEY = r"(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`]|``)*`)"
_FIRST_OR_NEXT = r"(?:(?<=OBJECT<)|, )"
_YEAR = r"(?!0000|0001|9999)"  # an offset can move the first and the last year out of range
_LOCAL = _YEAR + DATE_PATTERN + r"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-7]):[0-5][0-9])"
_END = r"\z"  # a dollar would let a last newline pass
_DOUBTFUL_TEXT = r"\\u[dD][89a-fA-F]|-0[ \t\r\n,}\]]"  # a lone surrogate; a zero whose sign `from_json` drops
_TEXT_TYPES = (t.TimestampType, t.TimestampNTZType, t.DateType, t.BinaryType)


def parse_on_jvm(
    df: DataFrame, schema: t.StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> DataFrame:
    """Add the verdict columns to a frame; see ``spark_utils.parsing.parse``."""
    added = verdict_type(schema, unknown)
    body = F.col(quoted(body_column))
    read = F.from_json(F.col(quoted(_TEXT)), _reading_type(schema))  # type: ignore[arg-type]  # a struct in, a struct out
    staged = df.select("*", body.cast("string").alias(_TEXT)).select("*", read.alias(_READ))
    proven = F.coalesce(_proof(schema, limits, body), F.lit(False))
    # A null struct says "proven", so the proof stands in one place and Spark cannot run it for each column that asks.
    slow = _reference_udf(schema, limits, unknown, added)(F.when(~proven, F.struct(body.alias("body"))))
    judged = staged.select("*", slow.alias(_VERDICT))
    return judged.select(*map(quoted, df.columns), *_columns(schema, added))


def _columns(schema: t.StructType, added: t.StructType) -> list[Column]:
    slow = F.col(quoted(_VERDICT))
    event = F.when(slow.isNull(), _value(F.col(quoted(_READ)), schema)).otherwise(slow.getField("event"))
    drift = slow.getField(added.fields[4].name)
    if isinstance(added.fields[4].dataType, t.IntegerType):
        drift = F.when(slow.isNull(), 0).otherwise(drift)
    texts = [slow.getField(name).alias(name) for name in ("reason", "path", "detail")]
    return [event.cast(added.fields[0].dataType).alias("event"), *texts, drift.alias(added.fields[4].name)]


def _reference_udf(schema: t.StructType, limits: Limits, unknown: UnknownPolicy, added: t.StructType) -> Any:
    """Make the slow path; declared nondeterministic, or a filter on the reason would run it a second time."""
    judge = None

    def verdict(doubtful: Any) -> tuple[Any, ...] | None:
        nonlocal judge
        if doubtful is None:
            return None
        judge = judge or compile_classifier(schema, limits=limits, unknown=unknown)
        found = judge(None if doubtful.body is None else bytes(doubtful.body))
        if isinstance(found, Good):
            return found.values, None, None, None, found.unknown_count if unknown == "count" else found.unknown
        return None, found.reason.value, found.path, found.detail, None

    return F.udf(verdict, added, useArrow=False).asNondeterministic()


def _proof(schema: t.StructType, limits: Limits, body: Column) -> Column:
    text, read = F.col(quoted(_TEXT)), F.col(quoted(_READ))
    if schema_depth(schema) > limits.max_depth:
        return F.lit(False)
    shape = F.schema_of_variant(F.try_parse_json(F.concat(F.lit("["), text, F.lit("]"))))
    other = F.try_parse_json(F.concat(F.lit('{"x":'), text, F.lit("}")))
    return (
        (F.length(body) <= limits.max_body_bytes)
        & F.is_valid_utf8(text)
        & ~text.rlike(_DOUBTFUL_TEXT)
        & other.isNotNull()
        & F.when(F.length(shape) <= LONGEST_SHAPE, shape.rlike(f"^ARRAY<{_shape(schema)}>{_END}"))
        & _in_range(read, schema)
    )


def _reading_type(data_type: t.DataType) -> t.DataType:
    """Return the type `from_json` reads: wide numbers, and text where its own leniency would hide something."""
    if isinstance(data_type, t.StructType):
        return t.StructType([t.StructField(f.name, _reading_type(f.dataType)) for f in data_type.fields])
    if isinstance(data_type, t.ArrayType):
        return t.ArrayType(_reading_type(data_type.elementType))
    if isinstance(data_type, t.MapType):
        return t.MapType(t.StringType(), _reading_type(data_type.valueType))
    if isinstance(data_type, t.DecimalType):
        return t.DecimalType(38, data_type.scale)
    if isinstance(data_type, _TEXT_TYPES):
        return t.StringType()
    return t.LongType() if type(data_type) in INTEGER_BITS else data_type


def _shape(data_type: t.DataType) -> str:
    """Return the pattern of the Variant shapes that the type accepts, null included."""
    if isinstance(data_type, t.StructType):
        fields = sorted(data_type.fields, key=lambda f: f.name.encode("utf-16-be"))  # Java's order of strings
        inner = "".join(f"(?:{_FIRST_OR_NEXT}{_name(f.name)}: {_shape(f.dataType)})?" for f in fields)
        shape = f"OBJECT<{inner}>"
    elif isinstance(data_type, t.ArrayType):
        shape = f"ARRAY<{_shape(data_type.elementType)}>"
    elif isinstance(data_type, t.MapType):
        shape = f"OBJECT<(?:{_FIRST_OR_NEXT}{_KEY}: {_shape(data_type.valueType)})*>"
    elif isinstance(data_type, t.DecimalType):
        scales = "|".join(map(str, range(min(data_type.scale, _MOST_DECIMALS) + 1)))
        shape = f"BIGINT|DECIMAL\\(1?[0-9],(?:{scales})\\)" if data_type.scale <= _MOST_DECIMALS else "VOID"
    elif isinstance(data_type, (t.DoubleType, t.FloatType)):
        shape = r"BIGINT|DOUBLE|DECIMAL\([0-9]+,[0-9]+\)"
    elif isinstance(data_type, t.BooleanType):
        shape = "BOOLEAN"
    else:
        shape = "BIGINT" if type(data_type) in INTEGER_BITS else "STRING"
    return f"(?:{shape}|VOID)"


def _name(name: str) -> str:
    return f"(?:{re.escape(name)}|{re.escape(quoted(name))})"


def _in_range(value: Column, data_type: t.DataType) -> Column:
    """Say whether a value that was read is within its type, and every required value is there."""
    if isinstance(data_type, t.StructType):
        checks = [
            (F.lit(True) if f.nullable else value.getField(f.name).isNotNull())
            & _in_range(value.getField(f.name), f.dataType)
            for f in data_type.fields
        ]
        return value.isNull() | _all(checks)
    if isinstance(data_type, t.ArrayType):
        return value.isNull() | F.forall(value, _item_check(data_type.elementType, data_type.containsNull))
    if isinstance(data_type, t.MapType):
        check = _item_check(data_type.valueType, data_type.valueContainsNull)
        return value.isNull() | F.forall(F.map_values(value), check)
    check_leaf = _leaf_check(data_type)
    return F.lit(True) if check_leaf is None else F.coalesce(value.isNull() | check_leaf(value), F.lit(False))


def _item_check(data_type: t.DataType, may_be_null: bool) -> Callable[[Column], Column]:
    return lambda item: (F.lit(True) if may_be_null else item.isNotNull()) & _in_range(item, data_type)


def _all(checks: list[Column]) -> Column:
    whole = F.lit(True)
    for check in checks:
        whole = whole & check
    return whole


def _leaf_check(data_type: t.DataType) -> Callable[[Column], Column] | None:
    bits = INTEGER_BITS.get(type(data_type))
    if bits is not None:
        limit = 1 << (bits - 1)
        return lambda value: value.between(-limit, limit - 1)
    if isinstance(data_type, t.DecimalType):
        beyond = F.lit("1" + "0" * (data_type.precision - data_type.scale)).cast("decimal(38,0)")
        if data_type.precision - data_type.scale >= 38:
            return None
        return lambda value: F.abs(value) < beyond
    if isinstance(data_type, (t.DoubleType, t.FloatType)):
        return lambda value: F.abs(value) < F.lit(float("inf"))
    patterns: dict[type[t.DataType], str] = {
        t.TimestampType: f"^{_LOCAL}{_OFFSET}?{_END}",
        t.TimestampNTZType: f"^{_LOCAL}{_END}",
        t.DateType: f"^{_YEAR}{DATE_PATTERN}{_END}",
        t.BinaryType: f"^{BASE64_PATTERN}{_END}",
    }
    pattern = patterns.get(type(data_type))
    if pattern is None:
        return None
    return lambda value: value.rlike(pattern) & _value(value, data_type).isNotNull()


def _value(value: Column, data_type: t.DataType) -> Column:
    """Turn what was read into the declared type; never fails, whatever was read."""
    if _reading_type(data_type) == nullable_type(data_type):
        return value
    if isinstance(data_type, t.StructType):
        fields = [_value(value.getField(f.name), f.dataType).alias(f.name) for f in data_type.fields]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(data_type, t.ArrayType):
        return F.transform(value, lambda item: _value(item, data_type.elementType))
    if isinstance(data_type, t.MapType):
        return F.transform_values(value, lambda _, item: _value(item, data_type.valueType))
    if isinstance(data_type, t.TimestampType):
        moment = F.when(value.rlike(_OFFSET + _END), value).otherwise(F.concat(value, F.lit("Z")))
        return moment.try_cast("timestamp")
    return F.unbase64(value) if isinstance(data_type, t.BinaryType) else value.try_cast(data_type)
