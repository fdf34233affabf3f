"""The columns of an AUTO CDC flow's target, and what of the flow contradicts its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    LongType,
    MapType,
    NullType,
    StructField,
    StructType,
    VariantType,
)

from local_pipelines.cdc.declaration import CdcSpec, SnapshotSpec
from local_pipelines.declaring.model import ReplaceSpec
from local_pipelines.declaring.python_source import reason_of
from spark_utils.names import suggestion

START, END = "__START_AT", "__END_AT"
SYSTEM_START, SYSTEM_END = "__SYSTEM_START_AT", "__SYSTEM_END_AT"
OF_HISTORY = (START, END, SYSTEM_START, SYSTEM_END)


def expression(given: str | Column) -> Column:
    """Return SQL text or a column as a column."""
    return F.expr(given) if isinstance(given, str) else given


def quoted(name: str) -> str:
    """Return a column's name for Spark, dots included."""
    return f"`{name.replace('`', '``')}`"


def comparable(column: Column, kind: DataType) -> Column:
    """Return what stands for a value in a comparison or hash: JSON for maps and variants."""
    return F.to_json(F.struct(column.alias("v"))) if _is_unordered(kind) else column


def differs(left: Column, right: Column, kind: DataType) -> Column:
    """Return whether two values differ, null being a value."""
    return ~comparable(left, kind).eqNullSafe(comparable(right, kind))


def _is_unordered(kind: DataType) -> bool:
    if isinstance(kind, StructType):
        return any(_is_unordered(field.dataType) for field in kind)
    element = getattr(kind, "elementType", None)
    return isinstance(kind, MapType | VariantType) or (element is not None and _is_unordered(element))


def data_columns(spec: CdcSpec | SnapshotSpec, source: Iterable[str]) -> list[str]:
    """Return which columns of the source are kept, in its order; keys always are."""
    keys = {key.lower() for key in spec.keys}
    if isinstance(spec, SnapshotSpec):
        return [name for name in source if name not in OF_HISTORY]
    kept = {name.lower() for name in spec.columns} | keys if spec.columns is not None else None
    dropped = {name.lower() for name in spec.except_columns or ()} - keys
    control = {spec.columns_to_update.lower()} if spec.columns_to_update else set()
    return [name for name in source if (kept is None or name.lower() in kept) and name.lower() not in dropped | control]


def tracked_columns(spec: CdcSpec | SnapshotSpec, columns: Iterable[str]) -> list[str]:
    """Return the columns whose change opens a new version."""
    keys = {key.lower() for key in spec.keys}
    only = {name.lower() for name in spec.tracked} if spec.tracked is not None else None
    beside = {name.lower() for name in spec.untracked or ()}
    return [name for name in columns if name.lower() not in keys | beside and (only is None or name.lower() in only)]


def check_source(spec: CdcSpec | SnapshotSpec, frame: DataFrame) -> list[str]:
    """Return what of a flow contradicts the columns of its source."""
    problems: list[str] = []
    known = {name.lower() for name in frame.columns}
    if not known and isinstance(spec, SnapshotSpec):
        return []  # a function that has no snapshot yet
    lists: Mapping[str, tuple[str, ...] | None] = {"keys": spec.keys, "track_history_column_list": spec.tracked}
    lists = {**lists, "track_history_except_column_list": spec.untracked}
    if isinstance(spec, CdcSpec):
        lists = {
            **lists,
            "column_list": spec.columns,
            "except_column_list": spec.except_columns,
            "ignore_null_updates_column_list": spec.ignore_null_columns,
            "ignore_null_updates_except_column_list": spec.ignore_null_except,
            "columns_to_update": (spec.columns_to_update,) if spec.columns_to_update else None,
        }
        problems += _check_expressions(spec, frame)
    for keyword, names in lists.items():
        for name in names or ():
            if name.lower() not in known:
                problems.append(f"{keyword}: unknown column '{name}'{suggestion(name, frame.columns)}")
    return problems


def _check_expressions(spec: CdcSpec, frame: DataFrame) -> list[str]:
    problems = []
    given = {"sequence_by": spec.sequence_by, "where": spec.where, "apply_as_deletes": spec.deletes}
    given |= {"apply_as_truncates": spec.truncates, "system_sequence_by": spec.system_sequence_by}
    for keyword, value in given.items():
        if value is None:
            continue
        try:
            kind = type_of(frame, value)
        except Exception as error:
            problems.append(f"{keyword}: {reason_of(error)}")
            continue
        if "sequence" not in keyword and not isinstance(kind, BooleanType | NullType):
            problems.append(f"{keyword} must be a condition, not {kind.simpleString()}")
        elif "sequence" in keyword and _is_unordered(kind):
            problems.append(f"{keyword} must have an order, and {kind.simpleString()} has none")
    return problems


def replace_problems(spec: ReplaceSpec, frame: DataFrame) -> list[str]:
    """Return what of a replace flow contradicts the columns of its query."""
    known = {name.lower() for name in frame.columns}
    unknown = [name for name in spec.keys if name.lower() not in known]
    problems = [f"replace_using: unknown column '{name}'{suggestion(name, frame.columns)}" for name in unknown]
    for keyword, given in (("sequence_by", spec.sequence_by), ("replace_where", spec.where)):
        try:
            type_of(frame, "true" if given is None else given)
        except Exception as error:
            problems.append(f"{keyword}: {reason_of(error)}")
    return problems


def type_of(frame: DataFrame, given: str | Column) -> DataType:
    """Return the type of an expression over a frame."""
    return frame.select(expression(given).alias("c")).schema["c"].dataType


def target_schema(spec: CdcSpec | SnapshotSpec, frame: DataFrame) -> StructType:
    """Return the columns of a target: the source's that are kept, and those of its history."""
    columns = [column for column in frame.schema if column.name in set(data_columns(spec, frame.columns))]
    fields = [StructField(column.name, column.dataType, True) for column in columns]
    if spec.scd == "1":
        return StructType(fields)
    try:
        order = LongType() if isinstance(spec, SnapshotSpec) else type_of(frame, spec.sequence_by)
        fields += [StructField(START, order, True), StructField(END, order, True)]
        if isinstance(spec, CdcSpec) and spec.system_sequence_by is not None:
            known = type_of(frame, spec.system_sequence_by)
            fields += [StructField(SYSTEM_START, known, True), StructField(SYSTEM_END, known, True)]
    except Exception:  # `check_source` says what is wrong with it
        return StructType(fields)
    return StructType(fields)
