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
`enum`, `const` without `type`       the type of the values
a union with null, `nullable`        nullable (`nullable` is OpenAPI's)
`x-spark-type`                       that type, in DDL: what JSON Schema cannot say (``decimal(10,2)``)
`$ref` to ``#/$defs/…``, ``#anchor``  the type found there, and all that stands beside the `$ref`
`allOf`                              all of them together, and all that stands beside; inherited fields come first
`anyOf`, `oneOf`                     the one type that all alternatives have; NOT NULL is what all of them require
`description`                        the field's comment
===================================  ===============================================================================

What only narrows values (`minimum`, `pattern`, `minItems`…) changes no type and is not checked by a parse. A keyword
that would change the type in a way Spark cannot hold is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any
from urllib.parse import unquote

from pyspark.sql import types as t

from spark_utils.errors import SchemaError
from spark_utils.names import suggestion
from spark_utils.schemas.ddl import parse_type_ddl

_STRUCTURE = {"type", "properties", "required", "items", "additionalProperties", "format", "$ref", "x-spark-type"}
_STRUCTURE |= {"contentEncoding", "anyOf", "oneOf", "allOf", "$defs", "definitions", "nullable"}
_ANNOTATIONS = {"$schema", "$id", "$comment", "$anchor", "title", "description", "default", "examples", "deprecated"}
_ANNOTATIONS |= {"readOnly", "writeOnly", "contentMediaType", "example", "externalDocs", "xml", "discriminator"}
_NARROWING = {"enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_NARROWING |= {"minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems"}
_NARROWING |= {"minProperties", "maxProperties", "propertyNames"}
_REFUSED = {"not", "if", "then", "else", "patternProperties", "dependentSchemas", "dependentRequired", "prefixItems"}
_REFUSED |= {"contains", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$dynamicAnchor"}
_KNOWN = _STRUCTURE | _ANNOTATIONS | _NARROWING | _REFUSED
INTEGERS: dict[str, t.DataType] = {
    "int8": t.ByteType(),
    "int16": t.ShortType(),
    "int32": t.IntegerType(),
    "int64": t.LongType(),
}
NUMBERS: dict[str, t.DataType] = {"float": t.FloatType(), "double": t.DoubleType()}
STRINGS: dict[str, t.DataType] = {"date-time": t.TimestampType(), "date": t.DateType()}
_TYPE_NAMES = ("object", "array", "string", "integer", "number", "boolean", "null")
_NUMBER = {"integer", "number"}  # every integer is a number
_KIND_OF = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
_UNKNOWN: tuple[t.DataType, bool] = (t.NullType(), True)  # stands in after a problem, so that all others are found


def schema_from_json_schema(document: dict[str, Any], *, origin: str | None = None) -> t.StructType:
    """Read a JSON Schema of objects as a Spark schema; properties keep their order.

    Raises:
        SchemaError: Naming the JSON pointer of every part that cannot be a Spark type.
    """
    reader = _Reader(document)
    result, _ = reader.read(reader.parts_of(document, "#", ()))
    if not reader.problems and not isinstance(result, t.StructType):
        reader.problem("#", f"the root is {result.simpleString()}, expected an object with properties")
    if reader.problems or not isinstance(result, t.StructType):
        raise SchemaError(
            "; ".join(reader.problems),
            origin=origin,
            remedy='Where JSON Schema cannot say the Spark type, say it by "x-spark-type", such as "decimal(10,2)".',
        )
    return result


@dataclass(frozen=True)
class _Part:
    """One schema object that must hold for a value: its own, a referenced one, a member of `allOf`."""

    node: dict[str, Any]
    pointer: str
    inside: tuple[str, ...] = ()  # the references being followed


_BROKEN = _Part({}, "")  # a problem was told already


class _Reader:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.problems: dict[str, None] = {}  # in order, each once: what is referenced twice is read twice

    def problem(self, pointer: str, text: str) -> tuple[t.DataType, bool]:
        self.problems[f"{pointer}: {text}"] = None
        return _UNKNOWN

    def parts_of(self, node: Any, pointer: str, inside: tuple[str, ...]) -> list[_Part]:
        """Return everything that must hold for a value of this schema: what it inherits, then the node itself."""
        if not isinstance(node, dict):
            self.problem(pointer, f"expected a schema object, found {node!r:.40}")
            return [_BROKEN]
        if "x-spark-type" in node:
            return [_Part(node, pointer)]
        self._check_keywords(node, pointer)
        parts = self._referenced(node["$ref"], pointer, inside) if "$ref" in node else []
        for here, member in self._members(node, "allOf", pointer):
            parts += self.parts_of(member, here, inside)
        return [*parts, _Part(node, pointer, inside)]

    def read(self, parts: list[_Part]) -> tuple[t.DataType, bool]:
        """Return type and whether null is allowed."""
        if _BROKEN in parts:
            return _UNKNOWN
        if spark := next((part for part in parts if "x-spark-type" in part.node), None):
            return self._spark_type(spark)
        for place, part in enumerate(parts):
            for keyword in ("anyOf", "oneOf"):
                if keyword in part.node:
                    without = replace(part, node={k: v for k, v in part.node.items() if k != keyword})
                    return self._union(part, keyword, [*parts[:place], without, *parts[place + 1 :]])
        kinds = self._kinds(parts)
        kind = self._one_kind(kinds, parts)
        nullable = "null" in kinds or any(part.node.get("nullable") is True for part in parts)
        if kind is None:
            return _UNKNOWN
        structured = {"object": self._object, "array": self._array}.get(kind)
        return structured(parts) if structured else self._scalar(kind, parts), nullable

    def _kinds(self, parts: list[_Part]) -> set[str]:
        """Return the JSON types that all parts allow; all of them when none says anything."""
        allowed = {*_TYPE_NAMES}
        said = [part for part in parts if "type" in part.node] or parts
        for part in said:
            allowed &= self._kinds_of(part)
        return allowed

    def _kinds_of(self, part: _Part) -> set[str]:
        node = part.node
        if "type" in node:
            names = node["type"] if isinstance(node["type"], list) else [node["type"]]
            if unknown := [each for each in names if each not in _TYPE_NAMES]:
                self.problem(f"{part.pointer}/type", f"{unknown[0]!r} is not a JSON type")
                return {*_TYPE_NAMES}
            return {*names, *(_NUMBER if "number" in names else ())}
        if "properties" in node or isinstance(node.get("additionalProperties"), dict):
            return {"object"}
        if "items" in node:
            return {"array"}
        values = [node["const"]] if "const" in node else node.get("enum")
        if not isinstance(values, list) or not values:
            return {*_TYPE_NAMES}
        found = {_KIND_OF.get(type(each), "null") for each in values}
        return found | (_NUMBER if "number" in found else set())

    def _one_kind(self, kinds: set[str], parts: list[_Part]) -> str | None:
        """Return the JSON type besides null; None, with a problem, when there is not exactly one."""
        others = kinds - {"null"}
        if others == _NUMBER:
            return "number"
        if len(others) == 1:
            return others.pop()
        declared = [part for part in parts if "type" in part.node]
        if any(pointer.startswith(f"{part.pointer}/type: ") for pointer in self.problems for part in declared):
            return None
        if not declared:
            self.problem(parts[-1].pointer, "no `type`" if kinds == {*_TYPE_NAMES} else "its values have several types")
        else:
            said = " and ".join(repr(part.node["type"]) for part in declared)
            self.problem(f"{declared[-1].pointer}/type", f"{said} cannot be one Spark type")
        return None

    def _array(self, parts: list[_Part]) -> t.DataType:
        items = [each for part in parts if "items" in part.node for each in self._parts_at(part, "items")]
        if not items:
            return self.problem(parts[-1].pointer, "an array without `items` has no element type")[0]
        return t.ArrayType(*self.read(items))

    def _parts_at(self, part: _Part, *keys: str) -> list[_Part]:
        node: Any = part.node
        for key in keys:
            node = node[key]
        return self.parts_of(node, "/".join([part.pointer, *map(_token, keys)]), part.inside)

    def _scalar(self, kind: str, parts: list[_Part]) -> t.DataType:
        if kind == "boolean":
            return t.BooleanType()
        if kind == "string":
            if any(part.node.get("contentEncoding") == "base64" for part in parts):
                return t.BinaryType()
            return self._formatted(parts, STRINGS, t.StringType(), closed=False)
        if kind == "integer":
            return self._formatted(parts, INTEGERS, t.LongType())
        return self._formatted(parts, {**NUMBERS, **INTEGERS}, t.DoubleType())

    def _formatted(
        self, parts: list[_Part], formats: dict[str, t.DataType], default: t.DataType, *, closed: bool = True
    ) -> t.DataType:
        found: dict[str, t.DataType] = {}
        for part in parts:
            name = part.node.get("format")
            if isinstance(name, str) and name in formats:
                found[name] = formats[name]
            elif name is not None and closed:
                self.problem(f"{part.pointer}/format", f"unknown format {name!r}; expected one of {', '.join(formats)}")
        if len(found) > 1:
            self.problem(parts[-1].pointer, f"the formats {' and '.join(found)} contradict each other")
        return next(iter(found.values()), default)

    def _check_keywords(self, node: dict[str, Any], pointer: str) -> None:
        for keyword in node:
            if keyword in _REFUSED:
                self.problem(f"{pointer}/{_token(keyword)}", f"{keyword!r} cannot be expressed by a Spark type")
            elif keyword not in _KNOWN and not keyword.startswith("x-"):
                self.problem(f"{pointer}/{_token(keyword)}", f"unknown keyword{suggestion(keyword, _KNOWN)}")
        if not isinstance(node.get("nullable", False), bool):
            self.problem(f"{pointer}/nullable", "expected true or false")

    def _spark_type(self, part: _Part) -> tuple[t.DataType, bool]:
        declared = part.node.get("type")
        with_null = declared == "null" or (isinstance(declared, list) and "null" in declared)
        try:
            data_type = parse_type_ddl(str(part.node["x-spark-type"]))
        except SchemaError as error:
            return self.problem(f"{part.pointer}/x-spark-type", error.problem)
        return data_type, with_null or part.node.get("nullable") is True

    def _referenced(self, reference: Any, pointer: str, inside: tuple[str, ...]) -> list[_Part]:
        here = f"{pointer}/$ref"
        within = self._within(reference)
        if within is None:
            self.problem(here, f"{reference!r} is not within this document")
        elif within in inside:
            self.problem(here, f"{reference} contains itself, which no Spark type can")
        elif (target := self._target(within)) is None:
            self.problem(here, f"{reference} does not exist")
        else:
            return self.parts_of(target, within, (*inside, within))
        return [_BROKEN]

    def _within(self, reference: Any) -> str | None:
        """Return a reference into this document as a fragment, decoded: ``#/$defs/a b`` or ``#anchor``."""
        if not isinstance(reference, str):
            return None
        base, _, fragment = reference.partition("#")
        if base and base != str(self.document.get("$id", "")).rstrip("#"):
            return None
        return f"#{unquote(fragment)}"

    def _target(self, fragment: str) -> Any:
        if fragment != "#" and not fragment.startswith("#/"):
            anchored = (each for each in _objects(self.document) if each.get("$anchor") == fragment[1:])
            return next(anchored, None) or next((e for e in _objects(self.document) if e.get("$id") == fragment), None)
        target: Any = self.document
        for token in fragment.split("/")[1:]:
            part = token.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list):
                target = target[int(part)] if part.isdecimal() and int(part) < len(target) else None
            else:
                target = target.get(part) if isinstance(target, dict) else None
        return target

    def _members(self, node: dict[str, Any], keyword: str, pointer: str) -> Iterator[tuple[str, Any]]:
        """Yield the members of a list of schemas, with their pointers."""
        members = node.get(keyword, [])
        if keyword in node and (not isinstance(members, list) or not members):
            self.problem(f"{pointer}/{keyword}", "expected a list of schemas")
        elif isinstance(members, list):
            yield from ((f"{pointer}/{keyword}/{number}", member) for number, member in enumerate(members))

    def _union(self, part: _Part, keyword: str, beside: list[_Part]) -> tuple[t.DataType, bool]:
        """Read each alternative together with what stands beside them: all must come to one type."""
        alternatives = [
            [*beside, *self.parts_of(member, here, part.inside)]
            for here, member in self._members(part.node, keyword, part.pointer)
        ]
        kinds = [self._kinds(each) for each in alternatives]  # none: it contradicts what stands beside, so never holds
        left = [(each, kind) for each, kind in zip(alternatives, kinds, strict=True) if kind - {"null"}]
        if not left:
            return self.problem(f"{part.pointer}/{keyword}", "no alternative is left that has a type")
        alike = len({frozenset(kind - {"null"}) for _, kind in left}) == 1
        results: list[tuple[t.DataType, bool] | None] = [self.read(each) for each, _ in left] if alike else [None]
        merged = reduce(_either, results)
        if merged is None:
            return self.problem(f"{part.pointer}/{keyword}", f"{len(left)} alternatives cannot be one Spark type")
        return merged[0], merged[1] or {"null"} in kinds

    def _object(self, parts: list[_Part]) -> t.DataType:
        having = [part for part in parts if "properties" in part.node]
        additional = [part for part in parts if isinstance(part.node.get("additionalProperties"), dict)]
        if not having:
            if not additional:
                text = "an object needs `properties`, or a schema as `additionalProperties`"
                return self.problem(parts[-1].pointer, text)[0]
            values = [each for part in additional for each in self._parts_at(part, "additionalProperties")]
            return t.MapType(t.StringType(), *self.read(values))
        for part in additional:
            text = "a schema beside `properties` is neither struct nor map"
            self.problem(f"{part.pointer}/additionalProperties", text)
        properties: dict[str, list[_Part]] = {}
        for part in having:
            if not isinstance(part.node["properties"], dict):
                return self.problem(f"{part.pointer}/properties", "expected an object")[0]
            for name in part.node["properties"]:
                properties.setdefault(name, []).extend(self._parts_at(part, "properties", name))
        required = {name for part in parts for name in self._required(part, properties)}
        return t.StructType([self._field(name, each, name in required) for name, each in properties.items()])

    def _field(self, name: str, parts: list[_Part], required: bool) -> t.StructField:
        data_type, nullable = self.read(parts)
        comment = next((part.node["description"] for part in reversed(parts) if part.node.get("description")), None)
        return t.StructField(name, data_type, nullable or not required, {"comment": comment} if comment else None)

    def _required(self, part: _Part, properties: dict[str, list[_Part]]) -> list[str]:
        names = part.node.get("required", [])
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            self.problem(f"{part.pointer}/required", "expected a list of names")
            return []
        for name in names:
            if name not in properties:
                hint = suggestion(name, properties)
                self.problem(f"{part.pointer}/required", f"unknown property {name!r}{hint}")
        return names


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a document."""
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _objects(each)


def _either(
    one: tuple[t.DataType, bool] | None, other: tuple[t.DataType, bool] | None
) -> tuple[t.DataType, bool] | None:
    """Return the type of a value that has one type or the other: the same, null where either allows it; else None."""
    if one is None or other is None:
        return None
    (a, a_null), (b, b_null) = one, other
    nullable = a_null or b_null
    if isinstance(a, t.StructType) and isinstance(b, t.StructType) and a.names == b.names:
        pairs = [(x, _either((x.dataType, x.nullable), (y.dataType, y.nullable))) for x, y in zip(a, b, strict=True)]
        if any(both is None for _, both in pairs):
            return None
        return t.StructType([t.StructField(x.name, *both, x.metadata) for x, both in pairs if both]), nullable
    if isinstance(a, t.ArrayType) and isinstance(b, t.ArrayType):
        both = _either((a.elementType, a.containsNull), (b.elementType, b.containsNull))
        return both and (t.ArrayType(*both), nullable)
    if isinstance(a, t.MapType) and isinstance(b, t.MapType):
        both = _either((a.valueType, a.valueContainsNull), (b.valueType, b.valueContainsNull))
        return both and (t.MapType(a.keyType, *both), nullable)
    return (a, nullable) if a == b else None


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
