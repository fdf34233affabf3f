"""The verdict on one body in plain Python: the contract that both engines are held equal to, row for row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql import types as t

from spark_utils.errors import SchemaError
from spark_utils.parsing.json_text import (
    PathParts,
    excerpt,
    json_text,
    path_length,
    path_text,
    read_tree,
)
from spark_utils.parsing.reasons import Limits, Reason, RejectedBodyError
from spark_utils.parsing.scalars import Convert, mismatch, scalar_converter

UnknownPolicy = Literal["keep", "count", "reject"]
Unknowns = list[tuple[PathParts, Any]]
Walk = Callable[[Any, PathParts, Unknowns], Any]


@dataclass(frozen=True, slots=True)
class Good:
    """A body that fits the schema.

    Attributes:
        values: The fields in schema order; structs and maps are dicts, timestamps are aware datetimes in UTC.
        unknown: JSON text of an object from path to value, or None when every field is known.
        unknown_count: How many fields the schema does not know.
    """

    values: dict[str, Any]
    unknown: str | None = None
    unknown_count: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A body that does not fit: the reason, the path (None: the whole body) and a short explanation."""

    reason: Reason
    path: str | None
    detail: str


def classify(
    body: bytes | None, schema: t.StructType, *, limits: Limits | None = None, unknown: UnknownPolicy = "keep"
) -> Good | Rejected:
    """Judge one body; see ``compile_classifier``, which is quicker for many."""
    return compile_classifier(schema, limits=limits, unknown=unknown)(body)


COPIES_OF_KEYS = 4  # as often as a body's own size, the paths of its unknown fields may be long


def compile_classifier(
    schema: t.StructType, *, limits: Limits | None = None, unknown: UnknownPolicy = "keep"
) -> Callable[[bytes | None], Good | Rejected]:
    """Prepare the strict reader of one schema.

    Args:
        schema: The declared fields. ``nullable = false`` means required: present and not null.
        limits: The largest size and depth.
        unknown: Whether undeclared fields are kept and counted, or rejected.

    Returns:
        A function that gives a verdict whatever the bytes; it raises for lack of memory only.

    Raises:
        SchemaError: the schema holds a type that JSON bodies cannot be read into.
    """
    walk = _struct_walk(schema, ())
    bounds = limits or Limits()
    text_of = _unknown_writer(bounds, unknown)

    def judge(body: bytes | None) -> Good | Rejected:
        found: Unknowns = []
        try:
            values = walk(read_tree(body, bounds), (), found)
            return Good(values, text_of(found), len(found))
        except Exception as fault:
            return rejection(fault)

    return judge


def rejection(fault: Exception) -> Rejected:
    """Turn what reading a body raised into its verdict, a fault of the library too: the next try would meet it again.

    Raises:
        MemoryError: another try may have room.
    """
    if isinstance(fault, MemoryError):
        raise fault
    if isinstance(fault, RejectedBodyError):
        return Rejected(fault.reason, None if fault.path is None else path_text(fault.path), fault.detail)
    return Rejected(Reason.INTERNAL_ERROR, None, f"{type(fault).__name__}: {excerpt(str(fault))}")


def _unknown_writer(limits: Limits, unknown: UnknownPolicy) -> Callable[[Unknowns], str | None]:
    """Prepare the writing of unknown fields as the JSON object that the column ``_unknown`` holds.

    Returns:
        A function from (path, value) pairs to the text, or to None for no field and where they are only counted. It
        raises ``RejectedBodyError`` where they are to be rejected, and when the paths are far longer than the body:
        a long key of a map stands in the path of each unknown field below it.
    """
    most = COPIES_OF_KEYS * limits.max_body_bytes

    def write(found: Unknowns) -> str | None:
        if not found or unknown == "count":
            return None
        if unknown == "reject":
            raise RejectedBodyError(Reason.UNKNOWN_FIELD, "not in the schema", found[0][0])
        if len(found) > COPIES_OF_KEYS and sum(path_length(path) for path, _ in found) > most:
            problem = f"{len(found)} unknown fields, whose paths have more than {most} characters"
            raise RejectedBodyError(Reason.TOO_LARGE, problem)
        return json_text({path_text(path, longest=None): value for path, value in found})

    return write


def _walk_of(data_type: t.DataType, path: PathParts) -> Walk:
    if isinstance(data_type, t.StructType):
        return _struct_walk(data_type, path)
    if isinstance(data_type, t.ArrayType):
        return _array_walk(data_type, path)
    if isinstance(data_type, t.MapType):
        return _map_walk(data_type, path)
    convert = scalar_converter(data_type)
    if convert is None:
        raise SchemaError(
            f"{path_text(path)} has type {data_type.simpleString()}, which no JSON value is read into",
            origin="the schema given to parse",
            remedy="Use a JSON type, a timestamp, a date, a decimal, binary, or VariantType as the whole schema.",
        )
    return _scalar_walk(convert)


def _scalar_walk(convert: Convert) -> Walk:
    def walk(value: Any, path: PathParts, found: Unknowns) -> Any:  # noqa: ARG001 - one signature for all walks
        return convert(value, path)

    return walk


def _struct_walk(schema: t.StructType, at: PathParts) -> Walk:
    fields = [(f.name, f.nullable, _walk_of(f.dataType, (*at, f.name))) for f in schema.fields]
    known = frozenset(schema.fieldNames())
    if len(known) < len(fields):
        raise SchemaError(
            f"{path_text(at) or 'the schema'} has a field twice",
            origin="the schema given to parse",
            remedy="Give each field once.",
        )

    def walk(value: Any, path: PathParts, found: Unknowns) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(value, "an object", path)
        values: dict[str, Any] = {}
        for name, nullable, inner in fields:
            child = value.get(name)
            if child is not None:
                values[name] = inner(child, (*path, name), found)
            elif nullable:
                values[name] = None
            else:
                raise _absent(name in value, (*path, name))
        if len(value) > len(values) or not known.issuperset(value):
            found.extend(((*path, key), child) for key, child in value.items() if key not in known)
        return values

    return walk


def _absent(is_null: bool, path: PathParts) -> RejectedBodyError:
    if is_null:
        return RejectedBodyError(Reason.NULL_FIELD, "null where a value is required", path)
    return RejectedBodyError(Reason.MISSING_FIELD, "a required field is absent", path)


def _array_walk(data_type: t.ArrayType, at: PathParts) -> Walk:
    inner = _walk_of(data_type.elementType, (*at, 0))
    may_be_null = data_type.containsNull

    def walk(value: Any, path: PathParts, found: Unknowns) -> list[Any]:
        if not isinstance(value, list):
            raise mismatch(value, "an array", path)
        values: list[Any] = []
        for index, child in enumerate(value):
            if child is not None:
                values.append(inner(child, (*path, index), found))
            elif may_be_null:
                values.append(None)
            else:
                raise _absent(True, (*path, index))
        return values

    return walk


def _map_walk(data_type: t.MapType, at: PathParts) -> Walk:
    if not isinstance(data_type.keyType, t.StringType):
        raise SchemaError(
            f"{path_text(at)} is a map with keys of type {data_type.keyType.simpleString()}",
            origin="the schema given to parse",
            remedy="Keys of a JSON object are strings: declare map<string, ...>.",
        )
    inner = _walk_of(data_type.valueType, (*at, "*"))
    may_be_null = data_type.valueContainsNull

    def walk(value: Any, path: PathParts, found: Unknowns) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise mismatch(value, "an object", path)
        values: dict[str, Any] = {}
        for key, child in value.items():
            if child is not None:
                values[key] = inner(child, (*path, key), found)
            elif may_be_null:
                values[key] = None
            else:
                raise _absent(True, (*path, key))
        return values

    return walk
