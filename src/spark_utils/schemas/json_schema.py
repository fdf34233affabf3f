"""JSON Schema (draft 2020-12), as far as it says which Spark type a value has.

===================================  ===============================================================================
in JSON Schema                       in Spark
===================================  ===============================================================================
object with `properties`             struct; a `required` property whose type has no null is NOT NULL
object with `additionalProperties`   map from string to the type of that schema
array with `items`                   array
string                               string; `format` date-time: timestamp, date: date; base64 `contentEncoding`: binary
integer                              bigint; `format` int8, int16, int32, int64: tinyint, smallint, int, bigint
number                               double; `format` float, double
boolean                              boolean
a union with null                    nullable
`x-spark-type`                       that type, in DDL: what JSON Schema cannot say (``decimal(10,2)``, ``variant``)
`$ref` to ``#/$defs/…``              the type found there
`description`                        the field's comment
===================================  ===============================================================================

What only narrows values (`minimum`, `pattern`, `enum`…) changes no type and is not checked by a parse. A keyword that
would change the type in a way Spark cannot hold is an error.
"""

from __future__ import annotations

import difflib
from typing import Any

from pyspark.sql import types as t

from spark_utils.errors import SchemaError
from spark_utils.schemas.ddl import parse_type_ddl, type_to_ddl

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_STRUCTURE = {"type", "properties", "required", "items", "additionalProperties", "format", "$ref", "x-spark-type"}
_STRUCTURE |= {"contentEncoding", "anyOf", "oneOf", "allOf", "$defs", "definitions"}
_ANNOTATIONS = {"$schema", "$id", "$comment", "$anchor", "title", "description", "default", "examples", "deprecated"}
_ANNOTATIONS |= {"readOnly", "writeOnly", "contentMediaType"}
_NARROWING = {"enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_NARROWING |= {"minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems"}
_NARROWING |= {"minProperties", "maxProperties", "propertyNames"}
_REFUSED = {"not", "if", "then", "else", "patternProperties", "dependentSchemas", "dependentRequired", "prefixItems"}
_REFUSED |= {"contains", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$dynamicAnchor"}
_KNOWN = _STRUCTURE | _ANNOTATIONS | _NARROWING | _REFUSED
_INTEGERS: dict[str, t.DataType] = {
    "int8": t.ByteType(),
    "int16": t.ShortType(),
    "int32": t.IntegerType(),
    "int64": t.LongType(),
}
_NUMBERS: dict[str, t.DataType] = {"float": t.FloatType(), "double": t.DoubleType()}
_STRINGS: dict[str, t.DataType] = {"date-time": t.TimestampType(), "date": t.DateType()}
_FORMATTED = (("integer", _INTEGERS), ("number", _NUMBERS), ("string", _STRINGS))
_WRITTEN: list[tuple[t.DataType, dict[str, Any]]] = [
    *((each, {"type": name, "format": text}) for name, formats in _FORMATTED for text, each in formats.items()),
    (t.BinaryType(), {"type": "string", "contentEncoding": "base64"}),
    (t.BooleanType(), {"type": "boolean"}),
    (t.StringType(), {"type": "string"}),
]
_UNKNOWN: tuple[t.DataType, bool] = (t.NullType(), True)  # stands in after a problem, so that all others are found


def schema_from_json_schema(document: dict[str, Any], *, origin: str | None = None) -> t.StructType:
    """Read a JSON Schema of objects as a Spark schema; properties keep their order.

    Raises:
        SchemaError: Naming the JSON pointer of every part that cannot be a Spark type.
    """
    reader = _Reader(document)
    result, _ = reader.read(document, "#", ())
    if not reader.problems and not isinstance(result, t.StructType):
        reader.problems.append(f"#: the root is {result.simpleString()}, expected an object with properties")
    if reader.problems or not isinstance(result, t.StructType):
        raise SchemaError(
            "; ".join(reader.problems),
            origin=origin,
            remedy='Say the Spark type by "x-spark-type", for instance "variant", where JSON Schema cannot.',
        )
    return result


class _Reader:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.problems: list[str] = []

    def _problem(self, pointer: str, text: str) -> tuple[t.DataType, bool]:
        self.problems.append(f"{pointer}: {text}")
        return _UNKNOWN

    def read(self, node: Any, pointer: str, inside: tuple[str, ...]) -> tuple[t.DataType, bool]:
        """Return type and whether null is allowed; `inside` are the references being followed."""
        if not isinstance(node, dict):
            return self._problem(pointer, f"expected a schema object, found {node!r:.40}")
        if "x-spark-type" in node:
            return self._spark_type(node, pointer)
        self._check_keywords(node, pointer)
        if "$ref" in node:
            return self._reference(node["$ref"], pointer, inside)
        if keyword := next((each for each in ("anyOf", "oneOf", "allOf") if each in node), None):
            return self._union(keyword, node[keyword], pointer, inside)
        return self._typed(node, pointer, inside)

    def _typed(self, node: dict[str, Any], pointer: str, inside: tuple[str, ...]) -> tuple[t.DataType, bool]:
        name, nullable = self._type_name(node, pointer)
        match name:
            case "object":
                return self._object(node, pointer, inside), nullable
            case "array":
                return self._array(node, pointer, inside), nullable
            case _:
                return self._scalar(name, node, pointer), nullable

    def _array(self, node: dict[str, Any], pointer: str, inside: tuple[str, ...]) -> t.DataType:
        if "items" not in node:
            return self._problem(pointer, "an array without `items` has no element type")[0]
        element, with_null = self.read(node["items"], f"{pointer}/items", inside)
        return t.ArrayType(element, with_null)

    def _scalar(self, name: str, node: dict[str, Any], pointer: str) -> t.DataType:
        match name:
            case "string" if node.get("contentEncoding") == "base64":
                return t.BinaryType()
            case "string":
                return _STRINGS.get(str(node.get("format")), t.StringType())
            case "integer":
                return self._formatted(node, pointer, _INTEGERS, t.LongType())
            case "number":
                return self._formatted(node, pointer, {**_NUMBERS, **_INTEGERS}, t.DoubleType())
            case "boolean":
                return t.BooleanType()
        return t.NullType()

    def _check_keywords(self, node: dict[str, Any], pointer: str) -> None:
        for keyword in node:
            if keyword in _REFUSED:
                self._problem(f"{pointer}/{_token(keyword)}", f"{keyword!r} cannot be told by a Spark type")
            elif keyword not in _KNOWN and not keyword.startswith("x-"):
                near = difflib.get_close_matches(keyword, _KNOWN, 1)
                hint = f", did you mean {near[0]!r}?" if near else ""
                self._problem(f"{pointer}/{_token(keyword)}", f"unknown keyword{hint}")

    def _spark_type(self, node: dict[str, Any], pointer: str) -> tuple[t.DataType, bool]:
        declared = node.get("type")
        nullable = "type" in node and (declared == "null" or (isinstance(declared, list) and "null" in declared))
        try:
            return parse_type_ddl(str(node["x-spark-type"])), nullable
        except SchemaError as error:
            return self._problem(f"{pointer}/x-spark-type", error.problem)

    def _reference(self, reference: Any, pointer: str, inside: tuple[str, ...]) -> tuple[t.DataType, bool]:
        here = f"{pointer}/$ref"
        if not isinstance(reference, str) or not reference.startswith("#"):
            return self._problem(here, f"{reference!r} is not within this document")
        if reference in inside:
            return self._problem(here, f"{reference} contains itself, which no Spark type can")
        target: Any = self.document
        for token in reference[1:].split("/")[1:]:
            part = token.replace("~1", "/").replace("~0", "~")
            target = target.get(part) if isinstance(target, dict) else None
        if target is None:
            return self._problem(here, f"there is no {reference}")
        before = len(self.problems)
        result = self.read(target, reference, (*inside, reference))
        self.problems[before:] = [each for each in self.problems[before:] if each not in self.problems[:before]]
        return result

    def _union(self, keyword: str, members: Any, pointer: str, inside: tuple[str, ...]) -> tuple[t.DataType, bool]:
        here = f"{pointer}/{keyword}"
        if not isinstance(members, list) or not members:
            return self._problem(here, "expected a list of schemas")
        null = [each for each in members if isinstance(each, dict) and each.get("type") == "null"]
        others = [(number, each) for number, each in enumerate(members) if each not in null]
        if len(others) != 1 or (keyword == "allOf" and null):
            return self._problem(here, f"{len(others)} alternatives cannot be one Spark type")
        number, each = others[0]
        data_type, nullable = self.read(each, f"{here}/{number}", inside)
        return data_type, nullable or bool(null)

    def _type_name(self, node: dict[str, Any], pointer: str) -> tuple[str, bool]:
        declared = node.get("type")
        if declared is None:
            found = "properties" in node, "items" in node
            if any(found):
                return ("object" if found[0] else "array"), False
            self._problem(pointer, "no `type`")
            return "", True
        names = declared if isinstance(declared, list) else [declared]
        unknown = [each for each in names if each not in _TYPE_NAMES]
        if unknown:
            self._problem(f"{pointer}/type", f"{unknown[0]!r} is no JSON type")
            return "", True
        others = [each for each in names if each != "null"]
        if set(others) == {"integer", "number"}:
            others = ["number"]
        if len(others) != 1:
            self._problem(f"{pointer}/type", f"{declared!r} cannot be one Spark type")
            return "", True
        return others[0], "null" in names

    def _object(self, node: dict[str, Any], pointer: str, inside: tuple[str, ...]) -> t.DataType:
        properties, additional = node.get("properties"), node.get("additionalProperties")
        if properties is None:
            if not isinstance(additional, dict):
                return self._problem(pointer, "an object needs `properties`, or a schema as `additionalProperties`")[0]
            value, with_null = self.read(additional, f"{pointer}/additionalProperties", inside)
            return t.MapType(t.StringType(), value, with_null)
        if isinstance(additional, dict):
            self._problem(f"{pointer}/additionalProperties", "a schema beside `properties` is neither struct nor map")
        if not isinstance(properties, dict):
            return self._problem(f"{pointer}/properties", "expected an object")[0]
        required = self._required(node, pointer, properties)
        fields = []
        for name, each in properties.items():
            data_type, nullable = self.read(each, f"{pointer}/properties/{_token(name)}", inside)
            comment = each.get("description") if isinstance(each, dict) else None
            metadata = {"comment": comment} if comment else None
            fields.append(t.StructField(name, data_type, nullable or name not in required, metadata))
        return t.StructType(fields)

    def _required(self, node: dict[str, Any], pointer: str, properties: dict[str, Any]) -> set[str]:
        names = node.get("required", [])
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            self._problem(f"{pointer}/required", "expected a list of names")
            return set()
        for name in names:
            if name not in properties:
                near = difflib.get_close_matches(name, properties, 1)
                hint = f", did you mean {near[0]!r}?" if near else ""
                self._problem(f"{pointer}/required", f"{name!r} is no property{hint}")
        return set(names)

    def _formatted(
        self, node: dict[str, Any], pointer: str, formats: dict[str, t.DataType], default: t.DataType
    ) -> t.DataType:
        name = node.get("format")
        if name is None:
            return default
        if not isinstance(name, str) or name not in formats:
            return self._problem(f"{pointer}/format", f"{name!r} is none of {', '.join(formats)}")[0]
        return formats[name]


_TYPE_NAMES = ("object", "array", "string", "integer", "number", "boolean", "null")


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


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
