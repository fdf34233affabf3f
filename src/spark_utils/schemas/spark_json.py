"""Spark's own JSON form of schemas and types."""

from __future__ import annotations

from typing import Any

from pyspark.sql.types import DataType, StructType

from spark_utils.errors import SchemaError


def is_spark_json(document: object) -> bool:
    """Return whether a JSON document is meant as Spark's form (and not as JSON Schema)."""
    return isinstance(document, dict) and document.get("type") == "struct"


def schema_from_spark_json(document: dict[str, Any], *, origin: str | None = None) -> StructType:
    """Read Spark's JSON form, as ``df.schema.json()`` writes it; an omitted `nullable` or `metadata` has its default.

    Raises:
        SchemaError: Naming the JSON pointers of everything that cannot be read.
    """
    problems: list[str] = []
    _check(document, "", problems)
    if problems:
        raise SchemaError("; ".join(problems), origin=origin, remedy="Write what df.schema.json() prints.")
    return StructType.fromJson(_complete(document))


def type_from_json(value: Any) -> DataType:
    """Read one type, as ``DataType.jsonValue()`` gives it."""
    field = {"name": "value", "type": value, "nullable": True, "metadata": {}}
    return StructType.fromJson({"type": "struct", "fields": [field]}).fields[0].dataType


def _complete(value: Any) -> Any:
    """Add the optional keys that pyspark insists on."""
    if not isinstance(value, dict):
        return value
    match value.get("type"):
        case "struct":
            fields = [
                {"nullable": True, "metadata": {}, **each, "type": _complete(each["type"])} for each in value["fields"]
            ]
            return {**value, "fields": fields}
        case "array":
            return {"containsNull": True, **value, "elementType": _complete(value["elementType"])}
        case "map":
            return {
                "valueContainsNull": True,
                **value,
                "keyType": _complete(value["keyType"]),
                "valueType": _complete(value["valueType"]),
            }
    return value


def _check(value: Any, pointer: str, problems: list[str]) -> None:
    """Add a problem, with its JSON pointer, for each part that is not of Spark's form."""
    if isinstance(value, str):
        try:
            type_from_json(value)
        except Exception:  # pyspark raises several kinds, none of them with the place
            problems.append(f"{pointer}: {value!r} is not a Spark type")
        return
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "struct" and isinstance(value.get("fields"), list):
        for number, each in enumerate(value["fields"]):
            _check_field(each, f"{pointer}/fields/{number}", problems)
    elif kind == "array":
        _check(value.get("elementType"), f"{pointer}/elementType", problems)
    elif kind == "map":
        _check(value.get("keyType"), f"{pointer}/keyType", problems)
        _check(value.get("valueType"), f"{pointer}/valueType", problems)
    else:  # user-defined types too: pyspark would import the module that the text names
        problems.append(f"{pointer or '/'}: expected a type, found {value!r:.60}")


def _check_field(each: Any, pointer: str, problems: list[str]) -> None:
    if not isinstance(each, dict) or not isinstance(each.get("name"), str):
        problems.append(f"{pointer}: expected a field with a name")
        return
    if not isinstance(each.get("nullable", True), bool):
        problems.append(f"{pointer}/nullable: expected true or false")
    if not isinstance(each.get("metadata", {}), dict):
        problems.append(f"{pointer}/metadata: expected an object")
    _check(each.get("type"), f"{pointer}/type", problems)
