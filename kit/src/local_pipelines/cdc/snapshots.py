"""Snapshot flows at work: each whole state of a source is compared with the target, in one commit."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from local_pipelines.analysis.schemas import create_table, nullable
from local_pipelines.cdc.declaration import SnapshotSpec
from local_pipelines.cdc.events import cols
from local_pipelines.cdc.flow import changes, marked, merge, refuse_foreign_changes
from local_pipelines.cdc.target import END, START, data_columns, differs, quoted, tracked_columns
from local_pipelines.declaring.model import Dataset, Flow
from local_pipelines.errors import PipelineError
from local_pipelines.flows import reads
from local_pipelines.flows.expectations import Meter
from local_pipelines.flows.resolving import OutsideOfQueries
from local_pipelines.flows.results import MARK
from local_pipelines.storage import FlowState, is_table, write_whole

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import FlowPlan
    from local_pipelines.flows.runner import FlowRunner

KINDS = {"int": int, "str": str, "datetime": datetime.fromisoformat, "date": date.fromisoformat, "float": float}


def last_version(state: FlowState) -> Any:
    """Return the version that was applied last, of the type that it was given in, or nothing."""
    file = state.folder / "snapshot.json"
    if not file.exists():
        return None
    said = json.loads(file.read_text(encoding="utf-8"))
    return KINDS[said["type"]](said["value"])  # type: ignore[operator]


def _remember(state: FlowState, version: Any) -> None:
    value = version.isoformat() if isinstance(version, date) else version
    write_whole(state.folder / "snapshot.json", json.dumps({"type": type(version).__name__, "value": value}))


def run_snapshots(runner: FlowRunner, plan: FlowPlan, dataset: Dataset) -> None:
    """Apply the snapshot of a source by name, or every new one that a function gives."""
    spec: SnapshotSpec = plan.flow.cdc
    refuse_foreign_changes(runner.spark, runner.storage.table(dataset), dataset)
    state = runner.storage.flow(plan.flow)
    meter = Meter(plan.flow.name, stream=False)
    if spec.next_snapshot is None:
        _run_by_name(runner, plan, dataset, state, runner.query(plan, meter))
        return
    while not runner.stopping.is_set():
        before = last_version(state)
        if spec.shape is not None:
            given: Any = runner.query(plan, meter, before)
        else:
            with reads.answered_by(OutsideOfQueries(runner.definitions, runner.spark, runner.storage)):
                given = spec.next_snapshot(before)
        if given is None:
            return
        frame, version = checked_snapshot(plan.flow, given)
        if before is not None and version <= before:
            return  # one at or below the last is skipped, and asking again would give it again
        _apply(runner, plan, dataset, state, frame, version)


def _run_by_name(runner: FlowRunner, plan: FlowPlan, dataset: Dataset, state: FlowState, frame: DataFrame) -> None:
    """Apply the source as it is now.

    Its versions are numbers of ours, so a number whose commit a kill left unremembered says nothing of the source's
    present state: that commit is counted, and the source is compared once more.
    """
    before = last_version(state)
    version = 0 if before is None else before + 1
    mark = f"{MARK}:{state.uid}:{version}"
    resumed = runner.committed(runner.storage.table(dataset), mark) is not None
    _apply(runner, plan, dataset, state, frame, version)
    if resumed:
        _apply(runner, plan, dataset, state, frame, version + 1, silent=True)


def checked_snapshot(flow: Flow, given: Any) -> tuple[DataFrame, Any]:
    """Return what a function of snapshots gives.

    Raises:
        PipelineError: It is no frame with its version.
    """
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], DataFrame):
        raise PipelineError(f"the function of '{flow.name}' must give (DataFrame, version) or None, not {_kind(given)}")
    if type(given[1]).__name__ not in KINDS:
        raise PipelineError(f"the version of a snapshot must be a number, text, date or time, not {given[1]!r}")
    return given


def _kind(given: Any) -> str:
    """Return what something is, without its rows."""
    parts = ", ".join(map(_kind, given)) if isinstance(given, tuple) else ""
    return f"({parts})" if parts else type(given).__name__


def _apply(
    runner: FlowRunner,
    plan: FlowPlan,
    dataset: Dataset,
    state: FlowState,
    frame: DataFrame,
    version: Any,
    *,
    silent: bool = False,
) -> None:
    """Make a snapshot the target's state; with `silent`, what changes nothing is not logged."""
    spec: SnapshotSpec = plan.flow.cdc
    target = runner.storage.table(dataset)
    data = data_columns(spec, frame.columns)
    frame = frame.select(*cols(data))
    _refuse_doubled_keys(spec, plan, frame)
    order = F.lit(version).cast("long") if isinstance(version, int) else F.lit(version)
    if not is_table(target):
        history = [order.alias(START), order.alias(END)] if spec.scd == "2" else []
        create_table(runner.spark, dataset, target, nullable(frame.select("*", *history).schema), None)
    mark = f"{MARK}:{state.uid}:{version}"
    if runner.committed(target, mark) is None:
        with marked(runner, runner.spark, mark):
            if spec.scd == "1":
                _replace(runner, spec, frame, target)
            else:
                merge(runner.spark, target, _history(runner, spec, frame, target, order), [*spec.keys, START])
    result = changes(runner, target, mark)
    if not silent or result.upserted or result.deleted:
        runner.progress(plan, f"{state.uid}/{version}", result)
    _remember(state, version)


def _refuse_doubled_keys(spec: SnapshotSpec, plan: FlowPlan, frame: DataFrame) -> None:
    keys = list(spec.keys)
    nothing = F.lit(False)
    for key in keys:
        nothing = nothing | F.col(quoted(key)).isNull()
    wrong = frame.groupBy(*cols(keys)).count().where((F.col("count") > 1) | nothing).head(1)
    if wrong:
        said = ", ".join(f"{key}={wrong[0][key]}" for key in keys)
        raise PipelineError(f"the snapshot of '{plan.flow.name}' has a null key or a key twice: {said}")


def _replace(runner: FlowRunner, spec: SnapshotSpec, frame: DataFrame, target: str) -> None:
    same: Column = F.lit(True)
    for key in spec.keys:
        same = same & (F.col(f"t.{quoted(key)}") == F.col(f"s.{quoted(key)}"))
    changed = _changed(frame, "t", "s", [name for name in frame.columns if name not in spec.keys])
    table = DeltaTable.forPath(runner.spark, target).alias("t").merge(frame.alias("s"), same).withSchemaEvolution()
    table.whenMatchedUpdateAll(changed).whenNotMatchedInsertAll().whenNotMatchedBySourceDelete().execute()


def _changed(frame: DataFrame, left: str, right: str, names: list[str]) -> Column:
    types = {column.name: column.dataType for column in frame.schema}
    found = F.lit(False)
    for name in names:
        found = found | differs(F.col(f"{left}.{quoted(name)}"), F.col(f"{right}.{quoted(name)}"), types[name])
    return found


def _history(runner: FlowRunner, spec: SnapshotSpec, frame: DataFrame, target: str, order: Column) -> DataFrame:
    """Return the rows to put into a type 2 target: closed versions, changed ones, new ones."""
    held = runner.spark.read.format("delta").load(target)
    current = held.where(F.col(END).isNull())
    data = frame.columns
    tracked = [name for name in tracked_columns(spec, data) if name in held.columns]
    untracked = [name for name in data if name in held.columns and name not in tracked]
    keys = list(spec.keys)
    joined = F.lit(True)
    for key in keys:
        joined = joined & (F.col(f"t.{quoted(key)}") == F.col(f"s.{quoted(key)}"))
    both = current.alias("t").join(frame.alias("s"), joined, "full")
    first = quoted(keys[0])
    is_old, is_new = F.col(f"t.{first}").isNotNull(), F.col(f"s.{first}").isNotNull()
    changed = _changed(frame, "t", "s", tracked)
    old_columns = [
        F.col(f"t.{quoted(name)}") if name in held.columns else F.lit(None).cast(kind.dataType).alias(name)
        for name, kind in zip(data, frame.schema, strict=True)
    ]
    new_columns = [F.col(f"s.{quoted(name)}") for name in data]
    gone = F.lit(False).alias("__gone")
    at = order.cast(held.schema[START].dataType)
    closed = both.where(is_old & (~is_new | changed)).select(*old_columns, F.col(f"t.{START}"), at.alias(END), gone)
    never = F.lit(None).cast(held.schema[END].dataType).alias(END)
    opened = both.where(is_new & (~is_old | changed)).select(*new_columns, at.alias(START), never, gone)
    kept = is_old & is_new & ~changed & _changed(frame, "t", "s", untracked)
    amended = both.where(kept).select(*new_columns, F.col(f"t.{START}"), never, gone)
    return closed.unionByName(opened).unionByName(amended)
