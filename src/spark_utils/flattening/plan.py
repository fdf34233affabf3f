"""The plan of a flattening: pure, frozen, serialisable data, made and read without Spark running."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pyspark.sql.types import DataType, StructField, StructType

from spark_utils.names import Path, format_path
from spark_utils.schemas.spark_json import type_from_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class FlattenColumn:
    """One column of the flat frame.

    Attributes:
        path: The parts of the field's path (relative to the flattened `column`, when one is named).
        name: The column's name in the flat frame.
        data_type: Its Spark type in the flat frame.
        nullable: Whether it may be null.
        policy: What was done: ``keep``, ``json``, ``presence`` (true where the struct at `path` is not null), or
            ``frame`` for a column of the frame that stands beside the flattened one.
        expression: Spark SQL that reads it from the frame of its level.
        level: How many explodes stand before it; 0 is the source frame.
        restore: The type to cast back to in `unflatten`, where nested names had to be made legal.
    """

    path: Path
    name: str
    data_type: DataType
    nullable: bool
    policy: str
    expression: str
    level: int = 0
    restore: DataType | None = None


@dataclass(frozen=True)
class Explode:
    """One array or map that gives one row per element; the n-th explode leads from level n to level n + 1.

    Attributes:
        path: The parts of the exploded field's path.
        expression: Spark SQL of the generator, read from its level's frame.
        aliases: The column, or for a map the two columns, that hold the element in the next level's frame.
    """

    path: Path
    expression: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class FlattenedStruct:
    """One struct that was taken apart: what `unflatten` needs to build it again.

    Attributes:
        path: The parts of its path; empty for the flattened `column` itself.
        nullable: Whether the struct itself may be null.
        presence: The name of its presence column, if the plan has one.
    """

    path: Path
    nullable: bool
    presence: str | None = None


@dataclass(frozen=True)
class FlattenPlan:
    """Which nested fields become which columns; apply it with `flatten`.

    Attributes:
        columns: The columns of the flat frame, in order.
        explodes: The explodes, outermost first; each lies inside the element of the one before.
        structs: The structs taken apart, parents before children.
        column: The struct column that is flattened into the frame, or None for the whole frame.
    """

    columns: tuple[FlattenColumn, ...]
    explodes: tuple[Explode, ...] = ()
    structs: tuple[FlattenedStruct, ...] = field(default=(), repr=False)
    column: str | None = None

    @cached_property
    def schema(self) -> StructType:
        """The schema of the flat frame."""
        return StructType([StructField(each.name, each.data_type, each.nullable) for each in self.columns])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return {
            "version": FORMAT_VERSION,
            "column": self.column,
            "columns": [_column_to_dict(each) for each in self.columns],
            "explodes": [
                {"path": list(each.path), "expression": each.expression, "aliases": list(each.aliases)}
                for each in self.explodes
            ],
            "structs": [
                {"path": list(each.path), "nullable": each.nullable, "presence": each.presence} for each in self.structs
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FlattenPlan:
        """Build the plan from what `to_dict` gave."""
        return cls(
            columns=tuple(_column_from_dict(each) for each in values["columns"]),
            explodes=tuple(
                Explode(tuple(each["path"]), each["expression"], tuple(each["aliases"])) for each in values["explodes"]
            ),
            structs=tuple(
                FlattenedStruct(tuple(each["path"]), each["nullable"], each["presence"]) for each in values["structs"]
            ),
            column=values["column"],
        )

    def to_json(self) -> str:
        """Return the plan as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FlattenPlan:
        """Build the plan from what `to_json` gave."""
        return cls.from_dict(json.loads(text))

    def __repr__(self) -> str:
        """Draw the plan as a table: path, column, type, policy."""
        exploded = {each.path: number for number, each in enumerate(self.explodes, 1)}
        head = f"FlattenPlan of {'the frame' if self.column is None else self.column}: {len(self.columns)} columns"
        lines = [f"explode {number}: {format_path(path)}" for path, number in exploded.items()]
        rows = [
            (format_path(each.path), each.name, each.data_type.simpleString(), each.policy) for each in self.columns
        ]
        return "\n".join([head, *lines, *_table([("path", "column", "type", "policy"), *rows])])


def _table(rows: Iterable[tuple[str, ...]], widest: int = 48) -> list[str]:
    cut = [[cell if len(cell) <= widest else cell[: widest - 1] + "…" for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*cut, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def _column_to_dict(each: FlattenColumn) -> dict[str, Any]:
    return {
        "path": list(each.path),
        "name": each.name,
        "type": each.data_type.jsonValue(),
        "nullable": each.nullable,
        "policy": each.policy,
        "expression": each.expression,
        "level": each.level,
        "restore": None if each.restore is None else each.restore.jsonValue(),
    }


def _column_from_dict(values: Mapping[str, Any]) -> FlattenColumn:
    return FlattenColumn(
        path=tuple(values["path"]),
        name=values["name"],
        data_type=type_from_json(values["type"]),
        nullable=values["nullable"],
        policy=values["policy"],
        expression=values["expression"],
        level=values["level"],
        restore=None if values["restore"] is None else type_from_json(values["restore"]),
    )
