"""From wanted names to final ones: legal for Delta, and no two alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_utils.flattening.plan import FlattenColumn
from spark_utils.names import Path, fold, format_path, legal_name


@dataclass(slots=True)
class Draft:
    """A column whose name is only wanted; a `fixed` one (renamed, or the frame's own) has the first claim."""

    path: Path
    name: str
    data_type: DataType
    nullable: bool
    policy: str
    expression: str
    level: int
    restore: DataType | None
    fixed: bool

    def column(self, name: str) -> FlattenColumn:
        """Return the column under its final name."""
        return FlattenColumn(
            self.path,
            name,
            self.data_type,
            self.nullable,
            self.policy,
            self.expression,
            self.level,
            self.restore,
        )


def name_columns(drafts: list[Draft], separator: str, problems: list[str], *, number: bool) -> list[FlattenColumn]:
    """Give each draft its name; a collision is added to the problems, or numbered away."""
    owners: dict[str, Draft] = {}
    late: list[tuple[Draft, Draft]] = []
    for draft in (*(each for each in drafts if each.fixed), *(each for each in drafts if not each.fixed)):
        owner = owners.setdefault(fold(draft.name), draft)
        if owner is not draft:
            late.append((draft, owner))
    final: dict[int, str] = {}
    for draft, owner in late:
        if number and not draft.fixed:
            final[id(draft)] = _numbered(draft, separator, owners)
        else:
            problems.append(f"{_describe(owner)} and {_describe(draft)} would both be the column {draft.name!r}")
    return [each.column(final.get(id(each), each.name)) for each in drafts]


def _numbered(draft: Draft, separator: str, owners: dict[str, Draft]) -> str:
    count = 2
    while fold(name := f"{draft.name}{separator}{count}") in owners:
        count += 1
    owners[fold(name)] = draft
    return name


def _describe(draft: Draft) -> str:
    path = format_path(draft.path)
    return {"frame": f"the frame's column {path}", "presence": f"the presence of {path}"}.get(draft.policy, path)


def legal_type(data_type: DataType, separator: str) -> DataType:
    """Return the type with the names inside it made legal and distinct; the very same object if they are.

    Where it changes anything, arrays and maps inside may hold nulls: Spark SQL has no way to write otherwise.
    """
    if not _needs_change(data_type):
        return data_type
    return _legal(data_type, separator)


def _needs_change(data_type: DataType) -> bool:
    if isinstance(data_type, ArrayType):
        return _needs_change(data_type.elementType)
    if isinstance(data_type, MapType):
        return _needs_change(data_type.keyType) or _needs_change(data_type.valueType)
    if not isinstance(data_type, StructType):
        return False
    names = {fold(name) for name in data_type.names if legal_name(name) == name}
    return len(names) < len(data_type.names) or any(_needs_change(each.dataType) for each in data_type.fields)


def _legal(data_type: DataType, separator: str) -> DataType:
    if isinstance(data_type, ArrayType):
        return ArrayType(_legal(data_type.elementType, separator))
    if isinstance(data_type, MapType):
        return MapType(_legal(data_type.keyType, separator), _legal(data_type.valueType, separator))
    if not isinstance(data_type, StructType):
        return data_type
    names = distinct_names((legal_name(name) for name in data_type.names), separator)
    return StructType(
        [
            StructField(name, _legal(each.dataType, separator), each.nullable)
            for name, each in zip(names, data_type.fields, strict=True)
        ]
    )


def distinct_names(names: Iterable[str], separator: str) -> list[str]:
    """Return the names with each that meets an earlier one numbered from 2."""
    wanted = list(names)
    claimed = {fold(name) for name in wanted}
    seen: set[str] = set()
    final = []
    for name in wanted:
        result, count = name, 2
        if fold(name) in seen:
            while fold(result := f"{name}{separator}{count}") in claimed:
                count += 1
        seen.add(fold(result))
        claimed.add(fold(result))
        final.append(result)
    return final
