"""What a pipeline would do, found out without writing anything: every query runs once over empty frames.

Gives edges, order, schemas, batch or stream, and every mistake of all files at once with file and line. Code that
looks at ``df.columns`` works, as on Databricks.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from local_pipelines.analysis.schema_checks import rule_problems, schema_problems
from local_pipelines.analysis.schemas import Declared, declared_of, empty_frame, merged, nullable
from local_pipelines.analysis.stream_checks import sink_problems, stream_problem
from local_pipelines.cdc.declaration import CdcSpec, SnapshotSpec
from local_pipelines.cdc.snapshots import checked_snapshot
from local_pipelines.cdc.target import check_source, replace_problems, target_schema
from local_pipelines.declaring.model import Dataset, Definitions, Flow, Kind, Sink, TableName
from local_pipelines.declaring.python_source import place_of, reason_of
from local_pipelines.errors import DefinitionError, Place, Problem, UnknownTableError
from local_pipelines.flows import reads
from local_pipelines.flows.resolving import OutsideOfQueries, Resolver
from local_pipelines.storage import Storage, schema_of

DEEP = 10_000  # of Python's stack: each dataset that another one reads is analysed within the other's query


class BlockedError(Exception):
    """A dataset cannot be analysed because of a mistake that is noted already."""


@dataclass
class FlowPlan:
    """What is known of a flow.

    Attributes:
        flow: The flow.
        frame: Of its query, over empty frames.
        inputs: Datasets that the query reads, with whether as a stream.
    """

    flow: Flow
    frame: DataFrame
    inputs: list[tuple[Dataset, bool]]

    @property
    def streaming(self) -> bool:
        """Whether the query is a stream."""
        return self.frame.isStreaming


@dataclass
class DatasetPlan:
    """What is known of a dataset.

    Attributes:
        dataset: The dataset, its kind resolved.
        schema: Of its table, or of a view's query.
        declared: The declared schema.
    """

    dataset: Dataset
    schema: StructType
    declared: Declared | None = None


@dataclass
class Analysis:
    """What a pipeline would do.

    Attributes:
        flows: By name, in an order in which they can run; flows of views are among them.
        datasets: By name.
    """

    flows: dict[str, FlowPlan] = field(default_factory=dict)
    datasets: dict[TableName, DatasetPlan] = field(default_factory=dict)

    def tables_read(self, flow: str) -> list[tuple[Dataset, bool]]:
        """Return the tables that a flow reads, through views too, with whether as a stream."""
        found: list[tuple[Dataset, bool]] = []
        for dataset, stream in self.flows[flow].inputs:
            if dataset.kind is Kind.VIEW:
                found += self.tables_read(dataset.said)
            else:
                found.append((dataset, stream))
        return list({(dataset.name, stream): (dataset, stream) for dataset, stream in found}.values())

    def is_stream(self, flow: str) -> bool:
        """Whether a flow is a stream."""
        return self.flows[flow].streaming

    def writing(self) -> list[FlowPlan]:
        """Return the flows that write, in order."""
        views = {name for name, plan in self.datasets.items() if plan.dataset.kind is Kind.VIEW}
        return [plan for plan in self.flows.values() if plan.flow.target not in views]


def analyse(
    definitions: Definitions,
    spark: SparkSession,
    storage: Storage,
    files: Sequence[Path],
    full_refresh: frozenset[TableName] = frozenset(),
) -> Analysis:
    """Analyse a pipeline; nothing is written.

    Args:
        definitions: The pipeline.
        spark: A classic session with Delta; `local_pipelines.flows.reads.patched` must be on.
        storage: Where tables are that it reads.
        files: Its sources, to find the line of a mistake.
        full_refresh: Datasets that will be cleared, so that their stored schema does not count.

    Raises:
        DefinitionError: With every mistake.
    """
    with tempfile.TemporaryDirectory() as empty, _deep_stack():
        analyser = _Analyser(definitions, spark, storage, files, full_refresh, empty)
        return analyser.run()


@contextmanager
def _deep_stack() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _Analyser:
    def __init__(
        self,
        definitions: Definitions,
        spark: SparkSession,
        storage: Storage,
        files: Sequence[Path],
        full_refresh: frozenset[TableName],
        empty: str,
    ) -> None:
        self.definitions = definitions
        self.spark = spark
        self.storage = storage
        self.empty = Path(empty).as_uri()  # a path alone may be another file system's, as on the local workspace
        self._files = files
        self._full_refresh = full_refresh
        self._problems = list(definitions.problems)
        self._found = Analysis()
        self._failed: set[str] = set()
        self._stack: list[Dataset] = []

    def run(self) -> Analysis:
        for dataset in self.definitions.datasets.values():
            try:
                self.dataset(dataset)
            except BlockedError:
                continue
        for sink in self.definitions.sinks.values():
            self._sink(sink)
        self._note_circles_of_waiting()
        if self._problems:
            raise DefinitionError(self._problems)
        return self._found

    def _sink(self, sink: Sink) -> None:
        plans = [self.flow(flow) for flow in self.definitions.flows.values() if flow.target == sink.name]
        complete = [plan for plan in plans if plan is not None]
        self._problems += sink_problems(sink, complete, self.spark)
        for plan in complete:
            flow = plan.flow
            if not plan.streaming:
                self.note(f"flow '{flow.name}' writes to a sink and must be a stream", flow.place)
            elif problem := stream_problem(plan, self.spark, (flow.output_mode,)):
                self.note(f"flow '{flow.name}': {problem}", flow.place)

    def _note_circles_of_waiting(self) -> None:
        """Note flows that would wait for each other for ever by `depends_on`."""
        plans = self._found.writing()
        waits = {plan.flow.name: {*plan.flow.depends_on} for plan in plans}
        for plan in plans if any(waits.values()) and not self._problems else ():
            read = {dataset.name for dataset, _ in self._found.tables_read(plan.flow.name)}
            waits[plan.flow.name] |= {each.flow.name for each in plans if each.flow.target in read}
        try:
            TopologicalSorter(waits).prepare()
        except CycleError as error:
            circle = error.args[1]
            self.note(f"flows wait for each other: {' -> '.join(circle)}", self.definitions.flows[circle[0]].place)

    def note(self, message: str, place: Place | None) -> None:
        self._problems.append(Problem(message, place))

    def dataset(self, dataset: Dataset) -> DatasetPlan:
        """Return a dataset's plan, analysing the flows into it first.

        Raises:
            BlockedError: It cannot be analysed.
        """
        if dataset.name in self._found.datasets:
            return self._found.datasets[dataset.name]
        if dataset.said in self._failed:
            raise BlockedError
        if dataset in self._stack:
            cycle = [*self._stack[self._stack.index(dataset) :], dataset]
            self._failed.update(each.said for each in cycle)
            circle = " -> ".join(each.said for each in cycle)
            self.note(f"datasets read each other in a circle: {circle}", dataset.place)
            raise BlockedError
        self._stack.append(dataset)
        try:
            plan = self._analysed(dataset)
        finally:
            self._stack.pop()
        if plan is None or dataset.said in self._failed:
            self._failed.add(dataset.said)
            raise BlockedError
        self._found.datasets[dataset.name] = plan
        return plan

    def _analysed(self, dataset: Dataset) -> DatasetPlan | None:
        flows = [flow for flow in self.definitions.flows.values() if flow.target == dataset.name]
        plans = [self.flow(flow) for flow in flows]
        complete = [plan for plan in plans if plan is not None]
        if not flows:
            return None  # they are what a mistake kept from being declared
        try:
            declared = declared_of(dataset, self.spark)
        except Exception as error:
            self.note(str(error), dataset.place)
            return None
        if len(complete) < len(plans) and declared is None:
            return None
        before = len(self._problems)
        self._check_kind(dataset, complete)
        schemas = [self._schema_of(plan) for plan in complete]
        schema = declared.struct if declared else merged(schemas)
        if dataset.kind is not Kind.VIEW:
            stored = None
            if dataset.kind is Kind.STREAMING_TABLE and dataset.name not in self._full_refresh:
                stored = schema_of(self.spark, self.storage.table(dataset))
            problems = schema_problems(dataset, declared, list(zip(complete, schemas, strict=True)), stored)
            self._problems += problems
            schema = merged([schema if declared else nullable(schema), *([stored] if stored else [])])
        if len(self._problems) == before:
            self._problems += rule_problems(dataset, schema, self.spark)
        return DatasetPlan(dataset, schema, declared)

    def _schema_of(self, plan: FlowPlan) -> StructType:
        spec = plan.flow.cdc
        if plan.flow.replace is not None:
            for message in replace_problems(plan.flow.replace, plan.frame):
                self.note(f"flow '{plan.flow.name}': {message}", plan.flow.place)
        if spec is None:
            return plan.frame.schema
        if isinstance(spec, SnapshotSpec) and plan.flow.target not in self._full_refresh:
            stored = schema_of(self.spark, self.storage.table(self.definitions.datasets[plan.flow.target]))  # type: ignore[index]
            if stored is not None:
                return stored  # what type a snapshot's version has is not known before
        for message in check_source(spec, plan.frame):
            self.note(f"flow '{plan.flow.name}': {message}", plan.flow.place)
        return target_schema(spec, plan.frame)

    def _check_kind(self, dataset: Dataset, plans: list[FlowPlan]) -> None:
        if dataset.kind is Kind.TABLE:
            stream = any(plan.streaming or plan.flow.replace for plan in plans)
            dataset.kind = Kind.STREAMING_TABLE if stream else Kind.MATERIALIZED_VIEW
        for plan in plans:
            flow = plan.flow
            by_condition = flow.replace is not None and flow.replace.where is not None
            by_batch = flow.once or by_condition or isinstance(flow.cdc, SnapshotSpec)
            if dataset.kind is Kind.MATERIALIZED_VIEW and plan.streaming:
                self.note(f"'{dataset.said}' is a materialized view, but its query is a stream", flow.place)
            elif dataset.kind is Kind.STREAMING_TABLE and plan.streaming and by_batch:
                self.note(f"flow '{flow.name}' takes a batch query: use spark.read", flow.place)
            elif plan.streaming and dataset.kind is not Kind.VIEW:
                if problem := stream_problem(plan, self.spark, ("append", "complete")):
                    self.note(f"flow '{flow.name}': {problem}", flow.place)
            elif dataset.kind is Kind.STREAMING_TABLE and not plan.streaming and not by_batch:
                remedy = "its source must be a stream" if flow.cdc else _as_stream(flow)
                self.note(f"flow '{flow.name}' writes to a streaming table, but is no stream: {remedy}", flow.place)

    def flow(self, flow: Flow) -> FlowPlan | None:
        """Run a flow's query over empty frames; a failure is noted."""
        if flow.name in self._found.flows:
            return self._found.flows[flow.name]
        answers = _EmptyFrames(self)
        try:
            with reads.answered_by(answers):
                if isinstance(flow.cdc, SnapshotSpec) and flow.cdc.next_snapshot is not None:
                    frame = self._first_snapshot(flow)
                else:
                    frame = flow.query()
            if not isinstance(frame, DataFrame):
                forgotten = "; is a `return` missing?" if frame is None else ""
                self.note(
                    f"the query of '{flow.name}' gives {type(frame).__name__}, not a DataFrame{forgotten}", flow.place
                )
                return None
        except BlockedError:
            return None
        except Exception as error:
            if not (isinstance(error, UnknownTableError) and self.definitions.incomplete):
                self.note(f"'{flow.name}': {reason_of(error)}", place_of(error, self._files) or flow.place)
            return None
        plan = FlowPlan(flow, frame, answers.inputs)
        self._found.flows[flow.name] = plan
        return plan

    def _first_snapshot(self, flow: Flow) -> Any:
        if flow.cdc.shape is not None:
            return flow.cdc.shape()
        with reads.outside():
            stored = None if flow.target in self._full_refresh else self._stored_target(flow)
            if stored is not None:
                return empty_frame(self.spark, stored)
        with reads.answered_by(OutsideOfQueries(self.definitions, self.spark, self.storage)):
            given = flow.query(None)  # type: ignore[call-arg]
        with reads.outside():
            return empty_frame(self.spark, StructType()) if given is None else checked_snapshot(flow, given)[0]

    def _stored_target(self, flow: Flow) -> StructType | None:
        dataset = self.definitions.datasets[flow.target]  # type: ignore[index]
        stored = schema_of(self.spark, self.storage.table(dataset))
        hidden = {"__START_AT", "__END_AT"}
        return stored and StructType([column for column in stored if column.name not in hidden])


def _as_stream(flow: Flow) -> str:
    """Return how a flow's query becomes a stream, in the language that it is written in."""
    in_sql = flow.place is not None and flow.place.file.endswith(".sql")
    return "read STREAM(name), or INSERT INTO ONCE" if in_sql else "use spark.readStream, or once=True"


class _EmptyFrames(Resolver):
    """Hands out empty frames of the schemas that the analysis finds, and notes what is read."""

    def __init__(self, analyser: _Analyser) -> None:
        super().__init__(analyser.definitions, analyser.spark, analyser.storage)
        self._analyser = analyser
        self.inputs: list[tuple[Dataset, bool]] = []

    def view(self, dataset: Dataset) -> DataFrame:
        with reads.outside():
            self._analyser.dataset(dataset)
        plan = self._analyser.flow(self.definitions.flows[dataset.said])
        assert plan is not None  # noqa: S101  # else the dataset would have been blocked
        self.inputs.append((dataset, plan.streaming))
        return plan.frame

    def stored(self, dataset: Dataset, *, stream: bool, reader: Any) -> DataFrame:
        with reads.outside():
            schema = self._analyser.dataset(dataset).schema
            self.inputs.append((dataset, stream))
            options = reads.settings_of(reader)["options"] if reader is not None else {}
            if "true" in (options.get("readchangefeed"), options.get("readchangedata")):
                schema = StructType([*schema, *CHANGE_FEED])
                dataset.properties = {"delta.enableChangeDataFeed": "true", **dataset.properties}
            if not stream:
                return empty_frame(self.spark, nullable(schema))
            return self.spark.readStream.schema(nullable(schema)).parquet(self._analyser.empty)


CHANGE_FEED = (
    StructField("_change_type", StringType()),
    StructField("_commit_version", LongType()),
    StructField("_commit_timestamp", TimestampType()),
)
__all__ = ["Analysis", "CdcSpec", "DatasetPlan", "FlowPlan", "analyse"]
