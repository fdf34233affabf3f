"""How one flow runs: its query over real tables, its expectations, its write, its counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from pyspark.errors import AnalysisException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from local_pipelines.analysis.analyse import Analysis, FlowPlan
from local_pipelines.analysis.schemas import create_table, table_properties
from local_pipelines.cdc.declaration import CdcSpec, SnapshotSpec
from local_pipelines.declaring.model import Dataset, Definitions, Flow, Kind, Sink
from local_pipelines.errors import PipelineError
from local_pipelines.flows import reads
from local_pipelines.flows.expectations import Meter
from local_pipelines.flows.resolving import Resolver, delta
from local_pipelines.flows.results import MARK, Result
from local_pipelines.storage import FlowState, Storage, is_table, last_commit
from spark_utils.sinks.checkpoints import remove_drafts

NO_APPEND = "UNSUPPORTED_OPERATION"


class RealFrames(Resolver):
    """Hands out the tables as they are, and views inlined with their expectations."""

    def __init__(self, definitions: Definitions, spark: SparkSession, storage: Storage, meter: Meter) -> None:
        super().__init__(definitions, spark, storage)
        self._meter = meter
        self._views: dict[str, DataFrame] = {}

    def view(self, dataset: Dataset) -> DataFrame:
        """Return a view's frame; one per flow, so that its rows are counted once."""
        if dataset.said not in self._views:
            frame = self.definitions.flows[dataset.said].query()
            with reads.outside():
                self._views[dataset.said] = self._meter.enforce(frame, dataset) if dataset.expectations else frame
        return self._views[dataset.said]

    def stored(self, dataset: Dataset, *, stream: bool, reader: Any) -> DataFrame:
        """Return a table's frame."""
        path = self.storage.table(dataset)
        with reads.outside():
            if not is_table(path):
                raise PipelineError(f"'{dataset.said}' has no table yet", remedy="Refresh it in this update too.")
            return delta(self.spark, path, stream=stream, reader=reader)


class FlowRunner:
    """Runs flows of one update.

    Args:
        definitions: The pipeline.
        analysis: What it would do.
        spark: The session.
        storage: Where its tables lie.
        progress: Told each committed micro-batch or batch: flow, key of the batch, result.
    """

    def __init__(
        self,
        definitions: Definitions,
        analysis: Analysis,
        spark: SparkSession,
        storage: Storage,
        progress: Callable[[FlowPlan, str, Result], None],
    ) -> None:
        self.definitions = definitions
        self.analysis = analysis
        self.spark = spark
        self.storage = storage
        self.progress = progress
        self.stopping = threading.Event()
        self.marking = threading.Lock()  # held while the shared session marks the commits of one flow
        self._queries: list[StreamingQuery] = []
        self._of_target: dict[Any, threading.Lock] = {}
        self._asking = threading.Lock()
        self._looked_at: set[str] = set()  # flows whose table's log was read, which is long where nothing was written

    def stop(self) -> None:
        """Stop what runs; the update ends as cancelled."""
        self.stopping.set()
        for query in list(self._queries):
            query.stop()

    def run(self, plan: FlowPlan) -> None:
        """Run a flow to its end.

        Raises:
            Exception: What it fails with; nothing of the failed batch is written.
        """
        flow = plan.flow
        if isinstance(flow.target, str):
            self._to_sink(plan, self.definitions.sinks[flow.target])
            return
        dataset = self.definitions.datasets[flow.target]
        is_here = self.storage.table(dataset).startswith(("/", "file:"))
        if is_here and dataset.kind is Kind.STREAMING_TABLE and self.storage.has_flow(flow):
            self._refuse_strangers(flow, dataset)
        with self._asking:
            lock = self._of_target.setdefault(flow.target, threading.Lock())
        if isinstance(flow.cdc, CdcSpec | SnapshotSpec):
            from local_pipelines.cdc.flow import run_cdc
            from local_pipelines.cdc.snapshots import run_snapshots

            with lock:
                run_cdc(self, plan, dataset) if isinstance(flow.cdc, CdcSpec) else run_snapshots(self, plan, dataset)
        elif flow.replace is not None:
            from local_pipelines.cdc.replacing import run_replacing

            with lock:
                run_replacing(self, plan, dataset)
        elif dataset.kind is Kind.MATERIALIZED_VIEW:
            self._replace(plan, dataset)
        elif flow.once:
            self._append_once(plan, dataset)
        else:
            self.make_table(dataset)
            self._append(plan, dataset)

    def _refuse_strangers(self, flow: Flow, dataset: Dataset) -> None:
        """Refuse to go on where a flow's checkpoint and its tables do not belong together any more.

        A table that is gone would come back without what was read before, and Delta passes over a batch whose number
        it has.
        """
        state, path = self.storage.flow(flow), self.storage.table(dataset)
        tables = [path, self.storage.hidden(dataset)] if isinstance(flow.cdc, CdcSpec) else [path]
        gone = [table for table in tables if not is_table(table)]
        done, problem = state.last_batch, ""
        if gone and done >= 0:
            problem = f"{gone[0]} is gone, which flow '{flow.name}' has written to"
        elif not gone and flow.cdc is None and flow.replace is None and flow.name not in self._looked_at:
            self._looked_at.add(flow.name)
            held = last_commit(path, f"{MARK}:{state.uid}:")
            if held not in (None, done) and not (held == done + 1 and state.was_started(held)):
                problem = f"the checkpoint of flow '{flow.name}' ends at batch {done}, and {path} at its batch {held}"
        if problem:
            remedy = f"Bring back what belongs together, or run it with --full-refresh {dataset.said}."
            raise PipelineError(problem, remedy=remedy)

    def query(self, plan: FlowPlan, meter: Meter, *arguments: Any) -> DataFrame:
        """Return the frame of a flow's query over the tables as they are."""
        frames = RealFrames(self.definitions, self.spark, self.storage, meter)
        with reads.answered_by(frames):
            return plan.flow.query(*arguments)

    def make_table(self, dataset: Dataset) -> None:
        """Create a dataset's table if it is not there, with everything that it declares."""
        with self._asking:
            path = self.storage.table(dataset)
            if not is_table(path):
                plan = self.analysis.datasets[dataset.name]
                create_table(self.spark, dataset, path, plan.schema, plan.declared)

    def _replace(self, plan: FlowPlan, dataset: Dataset) -> None:
        meter = Meter(plan.flow.name, stream=False)
        frame = meter.enforce(self.query(plan, meter), dataset)
        state = self.storage.flow(plan.flow)
        path = self.storage.table(dataset)
        declared = self.analysis.datasets[dataset.name].declared
        if declared or dataset.comment or dataset.properties or dataset.cluster_columns:
            self.make_table(dataset)
        writer = frame.write.format("delta").mode("overwrite").option("userMetadata", f"{MARK}:{state.uid}")
        if (declared and declared.generated) or dataset.cluster_columns:
            writer = writer.option("mergeSchema", "true")  # a new schema would forget what columns are generated from
        else:
            writer = writer.option("overwriteSchema", "true").partitionBy(*dataset.partition_columns)
        for key, value in table_properties(dataset).items():
            writer = writer.option(key, value) if key.startswith("delta.") else writer
        writer.save(path)
        self.progress(plan, "", Result(meter.counts()))

    def _append_once(self, plan: FlowPlan, dataset: Dataset) -> None:
        state = self.storage.flow(plan.flow)
        if state.done_once:
            return
        self.make_table(dataset)
        meter = Meter(plan.flow.name, stream=False)
        query = self.query(plan, meter)
        frame = meter.enforce(query, dataset)
        mark = f"{MARK}:{state.uid}:once"
        if self.committed(self.storage.table(dataset), mark) is None:
            writer = frame.write.format("delta").mode("append").option("mergeSchema", "true")
            writer.option("userMetadata", mark).save(self.storage.table(dataset))
        else:
            frame.write.format("noop").mode("overwrite").save()  # a kill lost the counts, not the rows
        self.progress(plan, f"{state.uid}/once", Result(meter.counts()))
        state.set_done_once(query)

    def committed(self, path: str, mark: str) -> dict[str, str] | None:
        """Return the metrics of the commit with this user metadata, or nothing when there is none."""
        if not is_table(path):
            return None
        history = self.spark.sql(f"DESCRIBE HISTORY delta.`{path}`").where(F.col("userMetadata") == mark)
        rows = history.select("operationMetrics").head(1)
        return dict(rows[0][0] or {}) if rows else None

    def _append(self, plan: FlowPlan, dataset: Dataset) -> None:
        path = self.storage.table(dataset)

        def write(batch: DataFrame, mark: str, number: int, *, again: bool, complete: bool) -> None:
            if again and self.committed(path, mark) is not None:
                batch.write.format("noop").mode("overwrite").save()  # a kill lost the counts, not the rows
                return
            writer = batch.write.format("delta").mode("overwrite" if complete else "append")
            writer = writer.option("userMetadata", mark).option("mergeSchema", "true")
            writer.option("txnAppId", mark.split(":")[1]).option("txnVersion", number).save(path)

        self.stream(plan, dataset, write)

    def stream(self, plan: FlowPlan, dataset: Dataset, write: Callable[..., Result | None]) -> None:
        """Run a stream until it has read what is there, writing each micro-batch exactly once, with its counts.

        Args:
            plan: The flow.
            dataset: Its target.
            write: ``write(batch, mark, number, again=…, complete=…)``; may return counts of its own.
        """
        state = self._stream_state(plan)
        meter = Meter(plan.flow.name, stream=True)
        frame = self.query(plan, meter)
        frame = meter.enforce(frame, dataset, drop=plan.flow.cdc is None)
        again = set(self._open_batches(state))
        for mode in ("append", "complete"):
            batches = _Batches(self, plan, state, meter, write, again, complete=mode == "complete")
            try:
                self._drain(batches.start(frame, mode), batches.handler)
            except AnalysisException as error:
                if mode == "complete" or NO_APPEND not in str(error.getCondition()):
                    raise
            else:
                return

    def _stream_state(self, plan: FlowPlan) -> FlowState:
        state = self.storage.flow(plan.flow)
        remove_drafts(state.checkpoint)
        return state

    @staticmethod
    def _open_batches(state: FlowState) -> list[int]:
        offsets = (state.checkpoint / "offsets").glob("[0-9]*")
        return [int(file.name) for file in offsets if state.was_started(int(file.name))]

    def _drain(self, query: StreamingQuery, handler: _Handler | None = None) -> None:
        self._queries.append(query)
        try:
            if self.stopping.is_set():
                query.stop()
            query.awaitTermination()
        except StreamingQueryException as error:
            own = handler.error if handler else None
            raise own or error from None
        finally:
            self._queries.remove(query)

    def _to_sink(self, plan: FlowPlan, sink: Sink) -> None:
        state = self._stream_state(plan)
        meter = Meter(plan.flow.name, stream=True)
        target = Dataset(self.definitions.table_name("sink"), sink.name, Kind.STREAMING_TABLE, sink.place)
        frame = meter.enforce(self.query(plan, meter), target)
        writer = frame.writeStream.option("checkpointLocation", str(state.checkpoint)).trigger(availableNow=True)
        writer = writer.outputMode(plan.flow.output_mode)
        handler = None
        if sink.handler is not None:
            handler = _Handler(sink.handler)
            query = writer.foreachBatch(handler).start()
        else:
            options = {key: reads.unshaded(value) for key, value in sink.options.items()}
            if "tableName" in options:
                options["path"] = self.storage.published(self.definitions.table_name(options.pop("tableName")))
            query = writer.format(str(sink.format)).options(**options).start()
        self._drain(query, handler)
        for progress in query.recentProgress:
            metrics = {label: row.asDict() for label, row in progress.observedMetrics.items()}
            self.progress(plan, f"{state.uid}/{progress.batchId}", Result(meter.counts(metrics)))


class _Handler:
    """Calls what writes a micro-batch, and keeps what it fails with: Spark would tell it within a trace of its own."""

    def __init__(self, handler: Callable[[DataFrame, int], Any]) -> None:
        self.error: BaseException | None = None
        self._handler = handler

    def __call__(self, batch: DataFrame, number: int) -> None:
        try:
            self._handler(batch, number)
        except BaseException as error:
            self.error = error
            raise


class _Batches:
    """Writes the micro-batches of one stream."""

    def __init__(
        self,
        runner: FlowRunner,
        plan: FlowPlan,
        state: FlowState,
        meter: Meter,
        write: Callable[..., Result | None],
        again: set[int],
        *,
        complete: bool,
    ) -> None:
        self.handler = _Handler(self._commit)
        self._runner, self._plan, self._state, self._meter = runner, plan, state, meter
        self._write, self._again, self._complete = write, again, complete
        self._query: StreamingQuery | None = None
        self._started = threading.Event()

    def start(self, frame: DataFrame, mode: str) -> StreamingQuery:
        writer = frame.writeStream.outputMode(mode).trigger(availableNow=True)
        writer = writer.option("checkpointLocation", str(self._state.checkpoint)).foreachBatch(self.handler)
        self._query = writer.start()
        self._started.set()
        return self._query

    def _commit(self, batch: DataFrame, number: int) -> None:
        mark = f"{MARK}:{self._state.uid}:{number}"
        result = self._write(batch, mark, number, again=number in self._again, complete=self._complete) or Result()
        result.counts = {**self._meter.counts(self._metrics()), **result.counts}
        self._runner.progress(self._plan, f"{self._state.uid}/{number}", result)

    def _metrics(self) -> dict[str, dict[str, Any]]:
        """Return what the stream's plan has counted in this micro-batch; its progress would come too late."""
        self._started.wait()
        execution = self._query._jsq.streamingQuery().lastExecution()  # type: ignore[union-attr]
        found = {}
        iterator = execution.observedMetrics().iterator()
        while iterator.hasNext():
            pair = iterator.next()
            found[pair._1()] = json.loads(pair._2().json())
        return found
