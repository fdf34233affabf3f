"""One update of a pipeline: read, analyse, reset, run, report."""

from __future__ import annotations

import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from local_pipelines.analysis.analyse import Analysis, FlowPlan, analyse
from local_pipelines.analysis.selection import Selection, override_conditions
from local_pipelines.declaring import modules, sources
from local_pipelines.declaring.model import Definitions, Kind, TableName
from local_pipelines.declaring.platform_settings import interval_of
from local_pipelines.declaring.python_source import importing_from, reason_of
from local_pipelines.errors import DefinitionError, PipelineError, UpdateRefusedError, redacted, redactor
from local_pipelines.flows import reads
from local_pipelines.flows.expectations import Counts
from local_pipelines.flows.results import Result, UpdateResult
from local_pipelines.flows.runner import FlowRunner
from local_pipelines.log.event_log import EventLog
from local_pipelines.process import ended_by_signal, settings
from local_pipelines.storage import Storage
from spark_utils.redaction import MASK, looks_secret_name
from spark_utils.session import is_connect
from spark_utils.streaming_utils.failures import silence_query_context_log

PARALLEL = 4
PAUSE, BATCH_PAUSE = 1.0, 60.0  # seconds between two passes of a continuous update, of streams and of batches
# Delta notes a table's files beside each commit, so that the next reader needs no job to find them.
SETTINGS = {"spark.databricks.delta.allFilesInCrc.enabled": "true"}


def run_update(  # noqa: PLR0913  # the options of an update, each with a default
    source: str | Path | Sequence[str | Path] | sources.PipelineSource,
    spark: SparkSession,
    storage: str | Path,
    *,
    tables: str | Path | None = None,
    parameters: Mapping[str, str] | None = None,
    full_refresh: bool | Sequence[str] = False,
    refresh: Sequence[str] = (),
    replace_where: Mapping[str, str] | None = None,
    validate_only: bool = False,
    continuous: bool = False,
    update_id: str | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
    cancelled: threading.Event | None = None,
    secrets: Collection[str] = (),
) -> UpdateResult:
    """Run one update of a pipeline on a classic Spark session with Delta.

    Args:
        source: Files, folders or a pipeline's YAML.
        spark: The session; its settings are as before afterwards.
        storage: Folder of tables, checkpoints and log.
        tables: Folder of published tables, ``CATALOG/SCHEMA/NAME``; in the storage by default.
        parameters: Of the pipeline, over those of its YAML.
        full_refresh: Clear and recompute everything, or the datasets of these names.
        refresh: Update these datasets alone.
        replace_where: Conditions by flow, in the place of those that are declared, for this update alone.
        validate_only: Find every mistake, write nothing.
        continuous: Go on with what is new until `cancelled` is set, Ctrl-C comes, or a flow fails.
        update_id: Of the update; a new one by default.
        listener: Gets each event of the log as it happens.
        cancelled: Once set, the update ends as ``CANCELED``; so it does by Ctrl-C.
        secrets: What messages and log must not show, beside parameters whose name says that they are secret.

    Raises:
        DefinitionError: The pipeline is wrong as written; every mistake is named, and nothing was written.
        UpdateRefusedError: Another update runs on this storage, or the session is of Spark Connect.
    """
    if is_connect(spark):
        raise UpdateRefusedError(
            "an update needs a classic Spark session, and this one is of Spark Connect",
            remedy="Give a classic one; `devkit pipeline` starts it where SPARK_REMOTE is not set.",
        )
    found = source if isinstance(source, sources.PipelineSource) else sources.find(_as_list(source))
    given, cancelled = {**found.configuration, **(parameters or {})}, cancelled or threading.Event()
    place = Storage(Path(storage).absolute(), Path(tables).absolute() if tables else None)
    result = UpdateResult(update_id or str(uuid.uuid4()))
    hide = redactor(given, secrets)
    silence_query_context_log()
    with ExitStack() as stack:
        stack.enter_context(redacted(hide))
        stack.enter_context(modules.importable())
        stack.enter_context(importing_from(found.folders))
        stack.enter_context(settings(spark, SETTINGS | given))
        stack.enter_context(reads.patched())
        definitions = sources.read(found, spark, given, place)
        if not validate_only:
            stack.enter_context(place.exclusively())
            place.finish_resets()
        override_conditions(definitions, replace_where or {})
        selection = Selection.read(definitions, full_refresh, refresh)
        analysis = analyse(definitions, spark, place, found.files, selection.reset)
        selection.check(analysis, place)
        result.analysis, result.definitions = analysis, definitions
        if validate_only:
            return result
        stack.enter_context(ended_by_signal(cancelled))
        update = _Update(definitions, analysis, selection, spark, place, result, listener, cancelled, hide)
        update.run(continuous=continuous)
    return result


def _as_list(source: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [source] if isinstance(source, str | Path) else list(source)


class _Update:
    """Runs what was analysed, in order, side by side where flows do not need each other."""

    def __init__(
        self,
        definitions: Definitions,
        analysis: Analysis,
        selection: Selection,
        spark: SparkSession,
        storage: Storage,
        result: UpdateResult,
        listener: Callable[[dict[str, Any]], None] | None,
        cancelled: threading.Event,
        hide: Callable[[str], str],
    ) -> None:
        self._definitions, self._analysis, self._selection = definitions, analysis, selection
        self._spark, self._storage, self._result = spark, storage, result
        self._cancelled = cancelled
        hooks = {**definitions.hooks, **({listener: 0} if listener else {})}
        origin = {
            "cloud": "local",
            "pipeline_name": definitions.name,
            "pipeline_type": "WORKSPACE",
            "update_id": result.update_id,
            "catalog_name": definitions.catalog,
            "schema_name": definitions.schema,
        }
        self._hide = hide
        self._log = EventLog(storage, origin, hooks, hide)
        self._adding = threading.Lock()
        self._again = False
        self._moved: set[str] = set()  # datasets that were written to in this pass of a continuous update
        self._runner = FlowRunner(definitions, analysis, spark, storage, self._progress)

    def run(self, *, continuous: bool) -> None:
        self._log.write("create_update", f"Update {self._result.update_id[:6]} started", {"cause": "USER_ACTION"})
        self._state("INITIALIZING")
        self._describe()
        for message in self._selection.kept:
            self._log.write("user_action", message, level="WARN")
        if self._selection.reset:
            self._state("RESETTING")
            for name in self._selection.reset:
                self._storage.reset(self._definitions.datasets[name])
        self._state("SETTING_UP_TABLES")
        self._state("RUNNING")
        self._run_flows(self._analysis.writing())
        if continuous:
            self._go_on()
        if self._cancelled.is_set():
            self._result.state = "CANCELED"
        elif "FAILED" in self._result.flows.values():
            self._result.state = "FAILED"
            self._result.error = "; ".join(f"{name}: {reason}" for name, reason in self._result.errors.items())
        self._state(self._result.state, self._result.error)
        self._log.to_table(self._spark)

    def _state(self, state: str, error: str | None = None) -> None:
        level = "ERROR" if state == "FAILED" else "INFO"
        message = f"Update {self._result.update_id[:6]} is {state}"
        self._log.write("update_progress", message, {"state": state}, level=level, error=error)

    def _describe(self) -> None:
        for plan in self._analysis.datasets.values():
            dataset = plan.dataset
            details = {
                "dataset_type": dataset.kind.upper().replace(" ", "_"),
                "schema": plan.schema.jsonValue()["fields"],
            }
            self._log.write("dataset_definition", f"Dataset {dataset.said} defined", details, dataset_name=dataset.said)
        for flow in self._analysis.writing():
            details = {
                "input_datasets": [dataset.said for dataset, _ in flow.inputs],
                "output_dataset": self._output(flow),
                "flow_type": _flow_type(flow, self._definitions),
                "schema": flow.frame.schema.jsonValue()["fields"],
            }
            self._log.write("flow_definition", f"Flow {flow.flow.name} defined", details, **self._names(flow))
        for sink in self._definitions.sinks.values():
            options = {k: MASK if looks_secret_name(k) else self._hide(v) for k, v in sink.options.items()}
            details = {"format": sink.format or "foreachBatch", "options": options}
            self._log.write("sink_definition", f"Sink {sink.name} defined", details, dataset_name=sink.name)
        for message in sorted(self._definitions.deprecations):
            self._log.write("deprecation", message, level="WARN")
        self._log.write("graph_created", "Graph created")

    def _output(self, plan: FlowPlan) -> str:
        target = plan.flow.target
        return target if isinstance(target, str) else self._definitions.datasets[target].said

    def _names(self, plan: FlowPlan) -> dict[str, str]:
        return {"flow_name": plan.flow.name, "dataset_name": self._output(plan)}

    def _go_on(self) -> None:
        """Run what has something to do again and again; the log says what they wrote, not that they looked.

        A flow with an interval runs as often as that says. Others run at each pass where they are streams, and else
        when what they read was written to, or after a while.
        """
        flows = [plan for plan in self._analysis.writing() if self._selection.includes(plan.flow.target)]
        paced = {plan.flow.name: interval_of(plan.flow, self._definitions) for plan in flows}
        last, self._again = dict.fromkeys(paced, time.monotonic()), True
        while "FAILED" not in self._result.flows.values():
            time.sleep(PAUSE)  # no `wait`: the event's lock would be held when Ctrl-C sets it in this thread
            if self._cancelled.is_set():
                return
            self._moved.clear()
            now = time.monotonic()
            waits = {p.flow.name: paced[p.flow.name] or (0 if p.streaming else BATCH_PAUSE) for p in flows}
            due = {name for name, before in last.items() if now - before >= waits[name]}
            streams = [plan for plan in flows if plan.streaming and plan.flow.name in due]
            self._run_flows(streams)
            batches = []
            for plan in flows:
                name, read = plan.flow.name, self._analysis.tables_read(plan.flow.name)
                is_behind = not paced[name] and any(dataset.said in self._moved for dataset, _ in read)
                if not plan.streaming and (name in due or is_behind):
                    batches.append(plan)
                    self._moved.add(self._output(plan))  # for the batches that read it
            self._run_flows(batches)
            last.update(dict.fromkeys((plan.flow.name for plan in [*streams, *batches]), now))

    def _run_flows(self, plans: Sequence[FlowPlan]) -> None:
        waiting = {plan.flow.name: plan for plan in plans}
        for name, plan in list(waiting.items()):
            if not self._selection.includes(plan.flow.target):
                self._status(plan, "EXCLUDED")
                del waiting[name]
            else:
                self._status(plan, "QUEUED")
        running: dict[Future[None], FlowPlan] = {}
        with ThreadPoolExecutor(PARALLEL) as pool:
            while waiting or running:
                self._start_and_wait(pool, waiting, running)

    def _start_and_wait(
        self, pool: ThreadPoolExecutor, waiting: dict[str, FlowPlan], running: dict[Future[None], FlowPlan]
    ) -> None:
        if self._cancelled.is_set():
            self._runner.stop()
            for plan in waiting.values():
                self._status(plan, "STOPPED")
            waiting.clear()
        self._start_ready(pool, waiting, running)
        if running:
            done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                future.result()

    def _start_ready(
        self, pool: ThreadPoolExecutor, waiting: dict[str, FlowPlan], running: dict[Future[None], FlowPlan]
    ) -> None:
        for name, plan in list(waiting.items()):
            if self._failed_inputs(plan):
                del waiting[name]
                self._status(plan, "SKIPPED")
            elif self._is_ready(plan, waiting, running):
                del waiting[name]
                running[pool.submit(self._run_flow, plan)] = plan

    def _is_ready(
        self, plan: FlowPlan, waiting: Mapping[str, FlowPlan], running: Mapping[Future[None], FlowPlan]
    ) -> bool:
        if running and any(each.flow.sparks_settings for each in [plan, *running.values()]):
            return False  # Spark's settings are the whole session's
        unfinished = [other.flow for other in [*waiting.values(), *running.values()]]
        targets, names = {flow.target for flow in unfinished}, {flow.name for flow in unfinished}
        reads = (dataset.name for dataset, _ in self._analysis.tables_read(plan.flow.name))
        return targets.isdisjoint(reads) and names.isdisjoint(plan.flow.depends_on)

    def _failed_inputs(self, plan: FlowPlan) -> bool:
        inputs = {dataset.name for dataset, _ in self._analysis.tables_read(plan.flow.name)}
        failed = [name for name, status in self._result.flows.items() if status in ("FAILED", "SKIPPED", "STOPPED")]
        return any(name in plan.flow.depends_on or self._definitions.flows[name].target in inputs for name in failed)

    def _run_flow(self, plan: FlowPlan) -> None:
        jvm = self._spark._jvm
        jvm.org.apache.spark.sql.SparkSession.setActiveSession(self._spark._jsparkSession)  # type: ignore[union-attr]
        self._status(plan, "STARTING")
        self._status(plan, "RUNNING")
        try:
            own = plan.flow.sparks_settings
            with settings(self._spark, own) if own else nullcontext():
                self._runner.run(plan)
        except Exception as error:
            reason = self._hide(reason_of(error))
            self._result.errors[plan.flow.name] = reason
            self._status(plan, "STOPPED" if self._cancelled.is_set() else "FAILED", reason)
        else:
            self._status(plan, "STOPPED" if self._cancelled.is_set() else "COMPLETED")

    def _status(self, plan: FlowPlan, status: str, error: str | None = None) -> None:
        if status in ("COMPLETED", "FAILED", "SKIPPED", "EXCLUDED", "STOPPED"):
            self._result.flows[plan.flow.name] = status
        if self._again and status not in ("FAILED", "SKIPPED", "STOPPED"):
            return
        level = "ERROR" if status == "FAILED" else "WARN" if status == "SKIPPED" else "INFO"
        message = f"Flow '{plan.flow.name}' is {status}"
        self._log.write("flow_progress", message, {"status": status}, level=level, error=error, **self._names(plan))

    def _progress(self, plan: FlowPlan, key: str, result: Result) -> None:
        output = self._output(plan)
        target = result.counts.get(output, Counts())
        metrics: dict[str, Any] = {}
        if result.upserted is not None:
            metrics = {"num_upserted_rows": result.upserted, "num_deleted_rows": result.deleted}
        elif result.counts:
            metrics = {"num_output_rows": target.written}
        expectations = [
            {"name": rule, "dataset": name, "passed_records": passed, "failed_records": counts.total - passed}
            for name, counts in result.counts.items()
            for rule, passed in counts.passed.items()
        ]
        dropped = sum(counts.dropped for counts in result.counts.values())
        details = {
            "status": "RUNNING",
            "metrics": metrics,
            "data_quality": {"dropped_records": dropped, "expectations": expectations},
        }
        with self._adding:
            self._moved.add(output)
            for name, counts in result.counts.items():
                self._result.counts.setdefault(name, Counts()).add(dataclasses.replace(counts))
            if result.upserted is not None:
                self._result.counts.setdefault(output, Counts())
                self._result.upserted[output] = self._result.upserted.get(output, 0) + result.upserted
                self._result.deleted[output] = self._result.deleted.get(output, 0) + (result.deleted or 0)
        said = f"Flow '{plan.flow.name}' wrote {metrics.get('num_output_rows', result.upserted or 0)} rows"
        self._log.write("flow_progress", said, details, level="METRICS", key=key or None, **self._names(plan))


def _flow_type(plan: FlowPlan, definitions: Definitions) -> str:
    if plan.flow.cdc is not None:
        return "CHANGE" if type(plan.flow.cdc).__name__ == "CdcSpec" else "SNAPSHOT_CHANGE"
    target = plan.flow.target
    if isinstance(target, TableName) and definitions.datasets[target].kind is Kind.MATERIALIZED_VIEW:
        return "COMPLETE"
    return "APPEND"


__all__ = ["DefinitionError", "PipelineError", "UpdateResult", "run_update"]
