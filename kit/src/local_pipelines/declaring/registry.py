"""Where declarations go while a pipeline's files are read: into the registry of the pipeline that reads them."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import pyspark

from local_pipelines.declaring.model import (
    Action,
    Dataset,
    Definitions,
    Expectation,
    Flow,
    Kind,
    ReplaceSpec,
    Sink,
    TableName,
)
from local_pipelines.declaring.platform_settings import setting_problems
from local_pipelines.errors import PipelineError, Place, Problem
from spark_utils.names import suggestion

T = TypeVar("T")
POLICIES = ("AUTO", "INCREMENTAL", "INCREMENTAL STRICT", "FULL")
EXPECTATIONS = "__pipeline_expectations__"  # attribute of a query function: decorators stand above and below `table`
NOT_THE_USERS = (str(Path(__file__).parent.parent), str(Path(pyspark.__file__).parent), "<frozen")


class Registry:
    """Collects what the sources of one pipeline declare, and every mistake in it.

    Attributes:
        definitions: What was declared, and what is wrong with it.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._functions: list[tuple[Dataset, Callable[..., Any]]] = []
        self._with_rules: dict[int, tuple[Callable[..., Any], Place | None]] = {}

    def problem(self, message: str, place: Place | None = None, *, undeclared: bool = False) -> None:
        """Note a mistake at a place, by default where the user's code is; something may be `undeclared` by it."""
        self.definitions.problems.append(Problem(message, place or calling_place()))
        self.definitions.incomplete |= undeclared

    def add_dataset(self, dataset: Dataset, function: Callable[..., Any] | None = None) -> bool:
        """Add a dataset, and return whether its name was free.

        Expectations of its query function are taken over once all is read.
        """
        before = self.definitions.find(dataset.said)
        same = before is not None and str(before.name).lower() == str(dataset.name).lower()
        if before is not None and (same or Kind.VIEW in (before.kind, dataset.kind)):
            self.problem(f"dataset '{dataset.said}' is declared twice, first at {before.place}", dataset.place)
            return False
        self.definitions.datasets[dataset.name] = dataset
        if function is not None:
            self._functions.append((dataset, function))
        return True

    def add_flow(self, flow: Flow) -> None:
        """Add a flow."""
        before = self.definitions.flows.get(flow.name)
        if before is not None:
            self.problem(f"flow '{flow.name}' is declared twice, first at {before.place}", flow.place)
            return
        self.definitions.flows[flow.name] = flow

    def add_sink(self, sink: Sink) -> None:
        """Add a sink."""
        if not isinstance(sink.name, str) or not (sink.handler or isinstance(sink.format, str)):
            wrong = f"create_sink: name and format must be strings, not {sink.name!r}, {sink.format!r}"
            self.problem(wrong, sink.place, undeclared=True)
            return
        before = self.definitions.sinks.get(sink.name)
        if before is not None:
            self.problem(f"sink '{sink.name}' is declared twice, first at {before.place}", sink.place)
            return
        self.definitions.sinks[sink.name] = sink

    def add_rules(self, function: Callable[..., Any], rules: list[Expectation]) -> None:
        """Attach expectations to a query function."""
        known: list[Expectation] = getattr(function, EXPECTATIONS, [])
        setattr(function, EXPECTATIONS, [*rules, *known])
        self._with_rules[id(function)] = (function, calling_place())

    def finish(self) -> Definitions:
        """Return what was declared, once every source is read, with all mistakes of the declarations."""
        for dataset, function in self._functions:
            dataset.expectations = [*dataset.expectations, *getattr(function, EXPECTATIONS, [])]
            self._with_rules.pop(id(function), None)
        for function, place in self._with_rules.values():
            self.problem(f"'{function.__name__}' has expectations but is no table or view", place)
        for dataset in self.definitions.datasets.values():
            self._check_rules(dataset)
        self._check_targets()
        self._check_dependencies()
        problems = self.definitions.problems
        problems += setting_problems(self.definitions)
        if not self.definitions.datasets and not self.definitions.sinks and not problems:
            problems.append(Problem("the sources declare no dataset: decorate a function with @dp.table"))
        return self.definitions

    def _check_rules(self, dataset: Dataset) -> None:
        seen: set[str] = set()
        for rule in dataset.expectations:
            if rule.name in seen:
                self.problem(f"expectation '{rule.name}' occurs twice in '{dataset.said}'", rule.place or dataset.place)
            seen.add(rule.name)

    def _check_targets(self) -> None:
        known = [dataset.said for dataset in self.definitions.datasets.values()]
        flows = self.definitions.flows
        for flow in flows.values():
            if isinstance(flow.target, str):
                self._resolve_target(flow, flow.target, known)
        targets = {flow.target for flow in flows.values()}
        self._check_sinks()
        for dataset in self.definitions.datasets.values():
            kinds = {
                type(flow.cdc).__name__: flow for flow in flows.values() if flow.target == dataset.name and flow.cdc
            }
            others = [flow for flow in flows.values() if flow.target == dataset.name and not flow.cdc]
            if kinds and others:  # https://docs.databricks.com/ldp/flows
                message = f"'{dataset.said}' is the target of AUTO CDC flows, which exclude flow '{others[0].name}'"
                self.problem(message, others[0].place)
            if len(kinds) > 1:
                message = f"'{dataset.said}' is the target of changes and of snapshots, which exclude each other"
                self.problem(message, kinds["SnapshotSpec"].place)
            self._check_sole([flow for flow in flows.values() if flow.target == dataset.name], dataset)
            if dataset.name not in targets and not self.definitions.problems:
                self.problem(f"no flow writes to '{dataset.said}'", dataset.place)

    def _check_sole(self, flows: list[Flow], dataset: Dataset) -> None:
        """Note that a flow with a condition shares its target: https://docs.databricks.com/ldp/flows-replace-where."""
        first = next((flow for flow in flows if flow.replace is not None and flow.replace.where is not None), None)
        others = [flow for flow in flows if flow is not first]
        if first is not None and others:
            message = f"flow '{first.name}' with replace_where must be the only one into '{dataset.said}'"
            self.problem(f"{message}, not beside '{others[0].name}'", others[0].place)

    def _check_sinks(self) -> None:
        for sink in self.definitions.sinks.values():
            for name, what in ((sink.name, "has the name of"), (sink.options.get("tableName"), "writes to")):
                dataset = self.definitions.find(name) if name else None
                if dataset is not None:
                    self.problem(
                        f"sink '{sink.name}' {what} the {dataset.kind} declared at {dataset.place}", sink.place
                    )

    def _check_dependencies(self) -> None:
        flows = self.definitions.flows
        for flow in flows.values():
            for name in flow.depends_on:
                if name not in flows:
                    message = f"depends_on of flow '{flow.name}': there is no flow '{name}'"
                    self.problem(f"{message}{suggestion(name, flows)}", flow.place)

    def _resolve_target(self, flow: Flow, target: str, known: list[str]) -> None:
        sink = self.definitions.sinks.get(target)
        if sink is not None and (flow.cdc or flow.replace):
            what = "an AUTO CDC flow" if flow.cdc else "a replace flow"
            self.problem(f"{what} cannot write to '{target}', a sink: it takes a streaming table", flow.place)
        if flow.output_mode == "update" and (sink is None or sink.format == "delta"):
            what = f"the Delta sink '{target}'" if sink else f"'{target}'"
            self.problem(f"update_flow '{flow.name}' cannot write to {what}: it takes a sink, not of Delta", flow.place)
            return
        if sink is not None:
            return
        dataset = self.definitions.find(target)
        if dataset is None:
            near = suggestion(target, [*known, *self.definitions.sinks])
            self.problem(f"flow '{flow.name}' writes to '{target}', which is not declared{near}", flow.place)
        elif dataset.kind is not Kind.STREAMING_TABLE and flow.name != dataset.said and dataset.kind is not Kind.TABLE:
            self.problem(f"flow '{flow.name}' cannot write to '{target}', a {dataset.kind}", flow.place)
        else:
            flow.target = dataset.name
            flow.spark_conf = {**dataset.spark_conf, **flow.spark_conf}


_registry: ContextVar[Registry | None] = ContextVar("registry", default=None)
_place: ContextVar[Place | None] = ContextVar("place", default=None)


def current() -> Registry:
    """Return the registry of the pipeline whose files are being read.

    Raises:
        PipelineError: None is: a pipeline's file was run as a plain program.
    """
    registry = _registry.get()
    if registry is None:
        raise PipelineError(
            "datasets can be declared only while a pipeline is read",
            origin=str(calling_place()),
            remedy="Run the file by `devkit pipeline run FILE`.",
        )
    return registry


@contextmanager
def holding(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Let a variable have a value inside this block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def collecting(registry: Registry) -> AbstractContextManager[None]:
    """Let declarations made inside this block go to a registry."""
    return holding(_registry, registry)


def declared_at(place: Place) -> AbstractContextManager[None]:
    """Let what this block declares stand at a place that is no code."""
    return holding(_place, place)


def calling_place() -> Place | None:
    """Return where the user's code is that called us."""
    if _place.get() is not None:
        return _place.get()
    frame = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(NOT_THE_USERS) and "contextlib" not in frame.f_code.co_filename:
            return Place(frame.f_code.co_filename, frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def rules_of(rules: object, action: Action) -> list[Expectation]:
    """Return the expectations of a dictionary ``{name: condition}``, noting what cannot be one."""
    from pyspark.sql import Column

    registry, place = current(), calling_place()
    if not isinstance(rules, dict):
        registry.problem(f"expectations must be a dictionary of name to condition, not {type(rules).__name__}")
        return []
    found = []
    for name, condition in rules.items():
        if isinstance(condition, str | Column) and isinstance(name, str):
            found.append(Expectation(name, condition, action, place))
        else:
            registry.problem(f"the condition of expectation {name!r} must be SQL text or a Column, not {condition!r}")
    return found


def names_of(call: str, keyword: str, value: object) -> tuple[str, ...]:
    """Return the names of a keyword that takes one or a list, noting what is none."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    current().problem(f"{call}: {keyword} must be a name or a list of names, not {value!r}")
    return ()


def text_of(call: str, keyword: str, value: object) -> str | None:
    """Return the text of a keyword, noting what is none."""
    if value is None or isinstance(value, str):
        return value
    current().problem(f"{call}: {keyword} must be a string, not {value!r}")
    return None


def replacing(call: str, options: Mapping[str, Any]) -> ReplaceSpec | None:
    """Return how a flow replaces rows, noting keywords that exclude or miss each other, or nothing when it does not."""
    using, order, where = (options.get(name) for name in ("replace_using", "sequence_by", "replace_where"))
    keys = names_of(call, "replace_using", using)
    by_keys = using is not None or order is not None
    if where is not None and by_keys:
        current().problem(f"{call}: replace_where excludes replace_using and sequence_by")
    elif by_keys and (not keys or len(set(keys)) < len(keys) or order is None):
        current().problem(f"{call}: replace_using must name columns, each once, and sequence_by their order")
    return ReplaceSpec(keys, order, where) if by_keys or where is not None else None


def policy_problem(policy: object) -> str | None:
    """Return what is wrong with a refresh policy; here a materialized view is always computed as a whole.

    Source: https://docs.databricks.com/ldp/developer/ldp-sql-ref-create-materialized-view-refresh-policy
    """
    if policy is None or str(policy).replace("_", " ").upper() in POLICIES:
        return None
    return f"the refresh policy must be one of {', '.join(POLICIES)}, not {policy!r}"


def check_handler(function: Callable[..., Any]) -> None:
    """Note that a sink's handler cannot be called with a micro-batch and its number."""
    try:
        inspect.signature(function).bind("batch_df", "batch_id")
    except TypeError:
        current().problem("foreach_batch_sink: the handler takes two arguments, the batch's frame and number")


def texts_of(call: str, keyword: str, value: object) -> dict[str, str]:
    """Return the texts of a keyword that takes a dictionary, noting what is none."""
    if value is None:
        return {}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: str(item).lower() if isinstance(item, bool) else str(item) for key, item in value.items()}
    current().problem(f"{call}: {keyword} must be a dictionary of strings, not {value!r}")
    return {}


def unfiltered(said: str) -> None:
    """Warn that a dataset shows every row here."""
    warnings.warn(f"'{said}': a row filter needs Unity Catalog and is not enforced here", stacklevel=5)


def view_name(said: str) -> TableName:
    """Return the name of a view."""
    return TableName("", "", said)
