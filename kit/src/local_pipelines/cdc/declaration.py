"""What `create_auto_cdc_flow` and its twin for snapshots declare, checked as far as no source is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame

from local_pipelines.declaring.model import split_name

SCD_TYPES = {"1": "1", "2": "2", "bitemporal": "bitemporal"}


def scd_type(value: object, problems: list[str]) -> str:
    """Return ``1``, ``2`` or ``bitemporal``."""
    found = SCD_TYPES.get(str(value).lower())
    if found is None or isinstance(value, bool):
        problems.append(f"stored_as_scd_type must be 1, 2 or 'bitemporal', not {value!r}")
    return found or "1"


def column_names(keyword: str, value: object, problems: list[str]) -> tuple[str, ...] | None:
    """Return the names of a list of names and unqualified ``col()``."""
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        problems.append(f"{keyword} must be a list of columns, not {value!r}")
        return None
    names: list[str] = []
    for item in value:
        text = item if isinstance(item, str) else column_text(item) if isinstance(item, Column) else None
        if text is None:
            problems.append(f"{keyword} takes names and col(…), not {item!r}")
            continue
        parts = split_name(text)
        if len(parts) != 1:
            problems.append(f"{keyword} takes unqualified columns, not '{text}'")
        if parts[-1].lower() in map(str.lower, names):
            problems.append(f"{keyword} names '{parts[-1]}' twice")
        names.append(parts[-1])
    return tuple(names)


def column_text(column: Column) -> str:
    """Return what pyspark shows of a column, such as ``a`` for ``col("a")``."""
    return str(column).removeprefix("Column<'").removesuffix("'>")


def _excluding(problems: list[str], given: Mapping[str, Any], *names: str) -> None:
    set_together = [name for name in names if given.get(name) is not None and given[name] is not False]
    if len(set_together) > 1:
        problems.append(f"{' and '.join(set_together)} exclude each other")


def _wrong_types(given: Mapping[str, Any]) -> list[str]:
    """Return which arguments of an AUTO CDC flow are of no type that they can have."""
    expressions = ("sequence_by", "where", "apply_as_deletes", "apply_as_truncates", "system_sequence_by")
    kinds: dict[str, tuple[Any, str]] = {
        "source": (str, "a dataset's name"),
        "columns_to_update": (str | None, "a column's name"),
        **dict.fromkeys(expressions, (str | Column | None, "SQL text or a Column")),
    }
    wrong = [(name, said) for name, (kind, said) in kinds.items() if not isinstance(given[name], kind)]
    return [f"{name} must be {said}, not {given[name]!r}" for name, said in wrong]


def _contradictions(given: Mapping[str, Any], scd: str) -> list[str]:
    """Return which arguments of an AUTO CDC flow contradict each other."""
    problems: list[str] = []
    history = ("track_history_column_list", "track_history_except_column_list")
    _excluding(problems, given, "column_list", "except_column_list")
    _excluding(problems, given, *history)
    _excluding(problems, given, "ignore_null_updates_column_list", "ignore_null_updates_except_column_list")
    _excluding(problems, given, "ignore_null_updates", "columns_to_update")
    problems += [f"{name} needs stored_as_scd_type=2" for name in history if given[name] is not None and scd == "1"]
    if given["apply_as_truncates"] is not None and scd != "1":
        problems.append("apply_as_truncates needs stored_as_scd_type=1")
    if (given["system_sequence_by"] is not None) != (scd == "bitemporal"):
        problems.append("system_sequence_by and stored_as_scd_type='bitemporal' need each other")
    if scd == "bitemporal" and given["columns_to_update"] is not None:
        problems.append("columns_to_update and stored_as_scd_type='bitemporal' exclude each other")
    return problems


@dataclass(frozen=True)
class CdcSpec:
    """How the rows of a source change a target.

    Attributes:
        keys: Columns that identify a row of the target.
        sequence_by: Orders the events of a key.
        scd: ``1``, ``2`` or ``bitemporal``.
        where: Must be true for every row of the source.
        deletes: A row for which it is true deletes its key.
        truncates: A row for which it is true empties the target.
        columns: Kept columns, if not all.
        except_columns: Columns that are not kept.
        tracked: Columns whose change opens a new version, if not all.
        untracked: Columns whose change does not.
        ignore_nulls: Whether nulls keep the stored value.
        ignore_null_columns: In these columns alone.
        ignore_null_except: In all but these columns.
        columns_to_update: Column with the names of the columns that an event sets.
        system_sequence_by: Orders what was known when (bitemporal).
    """

    keys: tuple[str, ...]
    sequence_by: str | Column
    scd: str
    where: str | Column | None = None
    deletes: str | Column | None = None
    truncates: str | Column | None = None
    columns: tuple[str, ...] | None = None
    except_columns: tuple[str, ...] | None = None
    tracked: tuple[str, ...] | None = None
    untracked: tuple[str, ...] | None = None
    ignore_nulls: bool = False
    ignore_null_columns: tuple[str, ...] | None = None
    ignore_null_except: tuple[str, ...] | None = None
    columns_to_update: str | None = None
    system_sequence_by: str | Column | None = None

    @property
    def partial(self) -> bool:
        """Whether an event may leave columns as they were."""
        return self.ignore_nulls or self.columns_to_update is not None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> tuple[CdcSpec | None, list[str]]:
        """Return the specification of a call's arguments and what is wrong with them."""
        problems: list[str] = []
        keys = column_names("keys", given["keys"], problems) or ()
        if not keys and not problems:
            problems.append("keys must name at least one column")
        if given["sequence_by"] is None:
            problems.append("sequence_by is missing: it orders the events of a key")
        scd = scd_type(given["stored_as_scd_type"], problems)
        history = ("track_history_column_list", "track_history_except_column_list")
        problems += [*_contradictions(given, scd), *_wrong_types(given)]
        only = column_names("ignore_null_updates_column_list", given["ignore_null_updates_column_list"], problems)
        beside = column_names(
            "ignore_null_updates_except_column_list", given["ignore_null_updates_except_column_list"], problems
        )
        lists = {
            name: column_names(name, given[name], problems) for name in ("column_list", "except_column_list", *history)
        }
        if problems:
            return None, problems
        return cls(
            keys=keys,
            sequence_by=given["sequence_by"],
            scd=scd,
            where=given["where"],
            deletes=given["apply_as_deletes"],
            truncates=given["apply_as_truncates"],
            columns=lists["column_list"],
            except_columns=lists["except_column_list"],
            tracked=lists["track_history_column_list"],
            untracked=lists["track_history_except_column_list"],
            ignore_nulls=bool(given["ignore_null_updates"]) or only is not None or beside is not None,
            ignore_null_columns=only,
            ignore_null_except=beside,
            columns_to_update=given["columns_to_update"],
            system_sequence_by=given["system_sequence_by"],
        ), []


@dataclass(frozen=True)
class SnapshotSpec:
    """How snapshots of a source become a target.

    Attributes:
        keys: Columns that identify a row.
        scd: ``1`` or ``2``.
        next_snapshot: ``function(latest_version or None) -> (frame, version) or None``; none for a source by name.
        tracked: See `CdcSpec`.
        untracked: See `CdcSpec`.
        shape: Gives an empty snapshot of a `next_snapshot` that is made of queries, which read as a flow's query does.
    """

    keys: tuple[str, ...]
    scd: str
    next_snapshot: Callable[[Any], Any] | None
    tracked: tuple[str, ...] | None = None
    untracked: tuple[str, ...] | None = None
    shape: Callable[[], DataFrame] | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> tuple[SnapshotSpec | None, list[str]]:
        """Return the specification of a call's arguments and what is wrong with them."""
        problems: list[str] = []
        keys = column_names("keys", given["keys"], problems) or ()
        if not keys and not problems:
            problems.append("keys must name at least one column")
        scd = scd_type(given["stored_as_scd_type"], problems)
        if scd == "bitemporal":
            problems.append("snapshots are stored as SCD type 1 or 2")
        _excluding(problems, given, "track_history_column_list", "track_history_except_column_list")
        history = ("track_history_column_list", "track_history_except_column_list")
        problems += [f"{name} needs stored_as_scd_type=2" for name in history if given[name] is not None and scd == "1"]
        tracked, untracked = (column_names(name, given[name], problems) for name in history)
        source = given["source"]
        if not isinstance(source, str) and not callable(source):
            problems.append(f"source must be a dataset's name or a function, not {source!r}")
        if problems:
            return None, problems
        return cls(keys, scd, source if callable(source) else None, tracked, untracked, given.get("shape")), []
