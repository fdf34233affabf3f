"""Writing a Spark schema as JSON Schema."""

from __future__ import annotations

from typing import Any

from pyspark.sql import types as t

from spark_utils.schemas.ddl import type_to_ddl
from spark_utils.schemas.json_schema import INTEGERS, NUMBERS, STRINGS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_FORMATTED = (("integer", INTEGERS), ("number", NUMBERS), ("string", STRINGS))
_WRITTEN: list[tuple[t.DataType, dict[str, Any]]] = [
    *((each, {"type": name, "format": text}) for name, formats in _FORMATTED for text, each in formats.items()),
    (t.BinaryType(), {"type": "string", "contentEncoding": "base64"}),
    (t.BooleanType(), {"type": "boolean"}),
    (t.StringType(), {"type": "string"}),
]


def schema_to_json_schema(schema: t.StructType) -> dict[str, Any]:
    """Write a Spark schema as JSON Schema that `schema_from_json_schema` reads as the same schema."""
    return {"$schema": DRAFT, **_struct_to_json_schema(schema)}


def _struct_to_json_schema(struct: t.StructType) -> dict[str, Any]:
    properties = {}
    for each in struct.fields:
        comment = (each.metadata or {}).get("comment")
        properties[each.name] = {**_type_to_json_schema(each.dataType), **({"description": comment} if comment else {})}
    required = [each.name for each in struct.fields if not each.nullable]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _type_to_json_schema(data_type: t.DataType) -> dict[str, Any]:
    if isinstance(data_type, t.StructType):
        return _struct_to_json_schema(data_type)
    if isinstance(data_type, t.ArrayType):
        return {"type": "array", "items": _or_null(data_type.elementType, data_type.containsNull)}
    if isinstance(data_type, t.MapType) and data_type.keyType == t.StringType():
        value = _or_null(data_type.valueType, data_type.valueContainsNull)
        return {"type": "object", "additionalProperties": value}
    written = next((schema for candidate, schema in _WRITTEN if data_type == candidate), None)
    return dict(written) if written else {"x-spark-type": type_to_ddl(data_type).lower()}


def _or_null(data_type: t.DataType, with_null: bool) -> dict[str, Any]:
    schema = _type_to_json_schema(data_type)
    if not with_null:
        return schema
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {**schema, "type": ["null"]}
