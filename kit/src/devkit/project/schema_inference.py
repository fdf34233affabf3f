"""Infer a schema from sample events: what all samples agree on is taken, what they contradict is reported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import types as t

from spark_utils.errors import SchemaError
from spark_utils.names import Path, fold, format_path
from spark_utils.schemas.ddl import parse_type_ddl
from spark_utils.timestamps import has_offset, read_date, read_timestamp

_BIGINT = 2**63
_EXACT_IN_DOUBLE = 2**53
_MAXIMUM_DIGITS = 38
_SHOWN = 40
_SIMPLE: dict[frozenset[str], t.DataType] = {
    frozenset({"boolean"}): t.BooleanType(),
    frozenset({"integer"}): t.LongType(),
    frozenset({"large integer"}): t.DecimalType(_MAXIMUM_DIGITS, 0),
    frozenset({"integer", "large integer"}): t.DecimalType(_MAXIMUM_DIGITS, 0),
    frozenset({"number"}): t.DoubleType(),
    frozenset({"integer", "number"}): t.DoubleType(),
    frozenset({"timestamp"}): t.TimestampType(),
    frozenset({"date"}): t.DateType(),
}
_TEXTS = {"string", "timestamp", "date"}


@dataclass(frozen=True)
class Conflict:
    """A place where the samples do not say one type.

    Attributes:
        path: The field's path; below an array its element's fields directly, ``element`` for an array of arrays.
            Empty for a sample as a whole.
        problem: What was seen there: each kind with its count, first line and an example.
    """

    path: str
    problem: str

    def __str__(self) -> str:
        """Write path and problem on one line."""
        return f"{self.path or 'the sample'}: {self.problem}"


@dataclass(frozen=True)
class InferredSchema:
    """What the samples say.

    Attributes:
        schema: The fields without a conflict, in the order of their first appearance. A field is NOT NULL when every
            sample (or every struct around it) has it and it is never null.
        conflicts: Every place without one type; its field is left out of `schema`.
        samples: How many samples were read.
    """

    schema: t.StructType
    conflicts: tuple[Conflict, ...]
    samples: int

    def require(self) -> t.StructType:
        """Return the schema, if there are no conflicts.

        Raises:
            SchemaError: Naming every conflict.
        """
        if self.conflicts:
            raise SchemaError(
                f"the samples do not agree: {'; '.join(map(str, self.conflicts))}",
                remedy="Declare the type of each as PATH=TYPE, or correct the samples.",
            )
        return self.schema


@dataclass
class _Kind:
    count: int
    line: int
    example: str

    def describe(self, name: str) -> str:
        return f"{name} {self.count} times (first in line {self.line}: {self.example})"


@dataclass
class _Seen:
    """Everything seen at one path."""

    kinds: dict[str, _Kind] = field(default_factory=dict)
    fields: dict[str, _Seen] = field(default_factory=dict)
    element: _Seen | None = None
    count: int = 0
    inexact: int | None = None  # the line of an integer that a double cannot hold

    def add(self, value: Any, line: int) -> None:
        self.count += 1
        kind = _kind_of(value)
        if kind in self.kinds:
            self.kinds[kind].count += 1
        else:
            text = json.dumps(value, ensure_ascii=False, default=str)
            self.kinds[kind] = _Kind(1, line, text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
        if isinstance(value, dict):
            for name, each in value.items():
                self.fields.setdefault(name, _Seen()).add(each, line)
        elif isinstance(value, list):
            self.element = self.element or _Seen()
            for each in value:
                self.element.add(each, line)
        elif kind == "integer" and abs(value) > _EXACT_IN_DOUBLE and self.inexact is None:
            self.inexact = line


def infer_schema(samples: Iterable[bytes | str], *, declared: Mapping[str, str] | None = None) -> InferredSchema:
    """Infer the schema of JSON events.

    Whole numbers are bigint (decimal(38,0) when larger), numbers double, text string; text that is RFC 3339 with a
    zone everywhere is timestamp, ISO dates everywhere are date. Nothing else is widened: two kinds of value at one
    path are a conflict, and so is a path where only nulls, empty arrays or empty objects were seen.

    Args:
        samples: One event each, as JSON text or UTF-8 bytes; blank ones are skipped but counted as lines.
        declared: Path to DDL type, for what samples cannot say: ``{"tags": "map<string,string>"}``.

    Returns:
        The schema and the conflicts.

    Raises:
        SchemaError: A declaration cannot be read, or names a path that no sample has.
    """
    types = {path: parse_type_ddl(text, origin=f"the declaration of {path}") for path, text in (declared or {}).items()}
    root, unreadable, count = _Seen(), [], 0
    for line, sample in enumerate(samples, 1):
        if not sample.strip():
            continue
        count += 1
        try:
            value = _load(sample)
        except ValueError as error:
            unreadable.append(Conflict("", f"line {line} cannot be read: {error}"))
            continue
        root.add(value, line)
    builder = _Builder(types)
    schema = builder.root(root)
    unused = [path for path in types if path not in builder.used]
    if unused:
        raise SchemaError(
            f"no sample has {', '.join(map(repr, unused))}", origin="the declarations", remedy="Correct the path."
        )
    return InferredSchema(schema, (*unreadable, *builder.conflicts), count)


class _Builder:
    def __init__(self, types: Mapping[str, t.DataType]) -> None:
        self.types = types
        self.used: set[str] = set()
        self.conflicts: list[Conflict] = []

    def root(self, seen: _Seen) -> t.StructType:
        for kind, each in seen.kinds.items():
            if kind != "object":
                self.conflicts.append(Conflict("", f"expected an object, found {each.describe(kind)}"))
        if not seen.kinds:
            self.conflicts.append(Conflict("", "there are no samples"))
        return self._struct((), seen, seen.kinds["object"].count if "object" in seen.kinds else 0)

    def _struct(self, path: Path, seen: _Seen, objects: int) -> t.StructType:
        fields: list[t.StructField] = []
        names: dict[str, str] = {}
        for name, each in seen.fields.items():
            here = (*path, name)
            if other := names.get(fold(name)):
                text = f"differs from {format_path((*path, other))} only in case"
                self.conflicts.append(Conflict(format_path(here), text))
                continue
            names[fold(name)] = name
            data_type = self._type(here, each)
            if data_type is not None:
                fields.append(t.StructField(name, data_type, each.count < objects or "null" in each.kinds))
        return t.StructType(fields)

    def _type(self, path: Path, seen: _Seen, *, inside_array: bool = False) -> t.DataType | None:
        written = format_path(path)
        if written in self.types and not inside_array:
            self.used.add(written)
            return self.types[written]
        kinds = frozenset(seen.kinds) - {"null"}
        if kinds == {"object"} and seen.fields:
            return self._struct(path, seen, seen.kinds["object"].count)
        if kinds == {"array"} and seen.element is not None and seen.element.count:
            nested = "array" in seen.element.kinds
            element = self._type((*path, "element") if nested else path, seen.element, inside_array=not nested)
            return None if element is None else t.ArrayType(element)
        mixed_text = "string" in kinds or len(kinds) > 1  # dates alone, or timestamps alone, have their own type
        data_type = t.StringType() if kinds <= _TEXTS and kinds and mixed_text else _SIMPLE.get(kinds)
        if isinstance(data_type, t.DoubleType) and seen.inexact:
            self._conflict(path, seen, f", and the integer of line {seen.inexact} does not fit a double")
            return None
        if data_type is None:
            self._conflict(path, seen)
        return data_type

    def _conflict(self, path: Path, seen: _Seen, more: str = "") -> None:
        kinds = [each.describe(kind) for kind, each in seen.kinds.items()]
        only = {"object": "only empty objects: ", "array": "only empty arrays: ", "null": "only nulls: "}
        others = [kind for kind in seen.kinds if kind != "null"] or ["null"]
        prefix = only.get(others[0], "") if len(others) == 1 else ""
        self.conflicts.append(Conflict(format_path(path), prefix + ", ".join(kinds) + more))


def _kind_of(value: Any) -> str:  # noqa: PLR0911  # one return per kind of JSON value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        if -_BIGINT <= value < _BIGINT:
            return "integer"
        return "large integer" if abs(value) < 10**_MAXIMUM_DIGITS else "integer of over 38 digits"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return _kind_of_text(value)
    return "object" if isinstance(value, dict) else "array"


def _kind_of_text(text: str) -> str:
    if has_offset(text) and read_timestamp(text) is not None:  # without one, a date or a local time may be meant
        return "timestamp"
    return "date" if read_date(text) is not None else "string"


def _load(sample: bytes | str) -> Any:
    text = sample.decode("utf-8") if isinstance(sample, bytes) else sample
    return json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
