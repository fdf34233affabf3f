"""The functions of `dlt` and `pyspark.pipelines`, which declare into the registry of the pipeline being read.

Names, keywords and their meaning are those of Databricks' Lakeflow pipelines (the `databricks-dlt` stub 0.3.0, the
documentation of 2026-11, and pyspark 4.3); an unknown keyword is a mistake with a suggestion.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql.types import StructType

from local_pipelines.cdc.declaration import CdcSpec, SnapshotSpec
from local_pipelines.declaring.model import Action, Dataset, Expectation, Flow, Kind, Sink
from local_pipelines.declaring.registry import (
    calling_place,
    check_handler,
    current,
    names_of,
    policy_problem,
    replacing,
    rules_of,
    text_of,
    texts_of,
    unfiltered,
    view_name,
)
from local_pipelines.errors import PipelineError
from local_pipelines.flows import reads
from spark_utils.names import suggestion

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]


def checked(function: F) -> F:
    """Note unknown, doubled and missing arguments as mistakes of the pipeline, and call with the others."""
    signature = inspect.signature(function)
    known = list(signature.parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for keyword in [keyword for keyword in kwargs if keyword not in known]:
            del kwargs[keyword]
            near = suggestion(keyword, known)
            current().problem(f"{function.__name__}: unknown keyword '{keyword}'{near}")
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            current().problem(f"{function.__name__}: {error}", undeclared=True)
            return _unchanged
        return function(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]


def _unchanged(function: F) -> F:
    return function


def _decorate(call: str, function: object, register: Callable[[Callable[..., Any]], None]) -> Any:
    """Serve ``@table`` and ``@table(…)``: register the function, and hand it back as it was."""

    def decorator(decorated: Any) -> Any:
        if not callable(decorated):
            current().problem(f"{call} decorates a function, not {decorated!r}", undeclared=True)
        else:
            register(decorated)
        return decorated

    if function is None:
        return decorator
    if not callable(function):
        wrong = f"{call}: the first positional argument is the query function, not {function!r}; use name="
        current().problem(wrong, undeclared=True)
        return _unchanged
    return decorator(function)


def _dataset(call: str, kind: Kind, name: object, options: Mapping[str, Any]) -> Dataset | None:
    """Return a dataset with the options that all kinds share, or nothing when its name is wrong."""
    registry = current()
    if not isinstance(name, str):
        registry.problem(f"{call}: the name must be a string, not {name!r}", undeclared=True)
        return None
    schema = options.get("schema")
    if schema is not None and not isinstance(schema, str | StructType):
        registry.problem(f"{call}: schema must be DDL text or a StructType, not {schema!r}")
        schema = None
    options = {**options, **{keyword: text_of(call, keyword, options.get(keyword)) for keyword in ("comment", "path")}}
    if options.get("format") not in (None, "delta"):
        registry.problem(f"{call}: tables are Delta tables, not '{options['format']}'")
    try:
        full = view_name(name) if kind is Kind.VIEW else registry.definitions.table_name(name)
    except PipelineError as error:
        registry.problem(f"{call}: {error}", undeclared=True)
        return None
    partitions = names_of(call, "partition_cols", options.get("partition_cols"))
    clusters = names_of(call, "cluster_by", options.get("cluster_by"))
    if partitions and clusters:
        registry.problem(f"{call}: partition_cols and cluster_by exclude each other")
    if options.get("row_filter"):
        unfiltered(name)
    return Dataset(
        name=full,
        said=name,
        kind=kind,
        place=calling_place(),
        comment=options.get("comment"),
        properties=texts_of(call, "table_properties", options.get("table_properties")),
        partition_columns=partitions,
        cluster_columns=clusters,
        schema=schema,
        path=options.get("path"),
        private=bool(options.get("temporary") or options.get("private")),
        spark_conf=texts_of(call, "spark_conf", options.get("spark_conf")),
    )


def _with_query(call: str, kind: Kind, query_function: object, name: object, options: Mapping[str, Any]) -> Any:
    def register(function: Callable[..., Any]) -> None:
        dataset = _dataset(call, kind, name if name is not None else function.__name__, options)
        if dataset is not None and current().add_dataset(dataset, function):
            flow = Flow(dataset.said, dataset.name, function, dataset.place, spark_conf=dataset.spark_conf)
            flow.replace = replacing(call, options)
            current().add_flow(flow)

    return _decorate(call, query_function, register)


@checked
def table(  # noqa: PLR0913, PLR0917  # the platform's signature
    query_function: Any = None,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: Mapping[str, str] | None = None,
    table_properties: Mapping[str, str] | None = None,
    partition_cols: Sequence[str] | None = None,
    path: str | None = None,
    schema: str | StructType | None = None,
    temporary: bool = False,
    cluster_by: Sequence[str] | None = None,
    row_filter: str | None = None,
    private: bool = False,
    cluster_by_auto: bool = False,
    format: str | None = None,
    replace_where: str | Column | None = None,
    replace_using: Sequence[str] | None = None,
    sequence_by: str | Column | None = None,
) -> Any:
    """Declare a table: a streaming table where the query is a stream or replaces rows, else a materialized view."""
    return _with_query("table", Kind.TABLE, query_function, name, locals())


@checked
def materialized_view(  # noqa: PLR0913, PLR0917  # the platform's signature
    query_function: Any = None,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: Mapping[str, str] | None = None,
    table_properties: Mapping[str, str] | None = None,
    partition_cols: Sequence[str] | None = None,
    path: str | None = None,
    schema: str | StructType | None = None,
    temporary: bool = False,
    cluster_by: Sequence[str] | None = None,
    row_filter: str | None = None,
    private: bool = False,
    cluster_by_auto: bool = False,
    format: str | None = None,
    refresh_policy: str | None = None,
) -> Any:
    """Declare a materialized view: a batch query whose result replaces the table at each update."""
    if problem := policy_problem(refresh_policy):
        current().problem(f"materialized_view: {problem}")
    return _with_query("materialized_view", Kind.MATERIALIZED_VIEW, query_function, name, locals())


@checked
def temporary_view(
    query_function: Any = None,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: Mapping[str, str] | None = None,
) -> Any:
    """Declare a view: never stored, inlined wherever it is read."""
    return _with_query("temporary_view", Kind.VIEW, query_function, name, locals())


@checked
def create_streaming_table(  # noqa: PLR0913, PLR0917  # the platform's signature
    name: str,
    comment: str | None = None,
    spark_conf: Mapping[str, str] | None = None,
    table_properties: Mapping[str, str] | None = None,
    partition_cols: Sequence[str] | None = None,
    path: str | None = None,
    schema: str | StructType | None = None,
    expect_all: Mapping[str, str | Column] | None = None,
    expect_all_or_drop: Mapping[str, str | Column] | None = None,
    expect_all_or_fail: Mapping[str, str | Column] | None = None,
    cluster_by: Sequence[str] | None = None,
    row_filter: str | None = None,
    private: bool = False,
    temporary: bool = False,
    cluster_by_auto: bool = False,
    format: str | None = None,
) -> None:
    """Declare a streaming table that flows write to."""
    dataset = _dataset("create_streaming_table", Kind.STREAMING_TABLE, name, locals())
    if dataset is not None:
        given = {Action.WARN: expect_all, Action.DROP: expect_all_or_drop, Action.FAIL: expect_all_or_fail}
        for action, rules in given.items():
            dataset.expectations += rules_of(rules, action) if rules is not None else []
        current().add_dataset(dataset)


def _flow(  # what flows differ in
    call: str, name: str | None, target: str, spark_conf: object, depends_on: object = None, **more: Any
) -> Any:
    def register(function: Callable[..., Any]) -> None:
        flow = Flow(name or function.__name__, target, function, calling_place(), **more)
        flow.spark_conf = texts_of(call, "spark_conf", spark_conf)
        flow.depends_on = names_of(call, "depends_on", depends_on)
        current().add_flow(flow)

    return _decorate(call, None, register)


@checked
def append_flow(
    name: Any = None,
    target: str | None = None,
    comment: str | None = None,  # noqa: ARG001
    spark_conf: Mapping[str, str] | None = None,
    once: bool = False,
    depends_on: str | Sequence[str] | None = None,
) -> Any:
    """Declare a flow that appends to a streaming table or sink; with `once` from a batch query, one time.

    It starts once the flows that `depends_on` names have ended well.
    """
    if callable(name) or target is None:
        current().problem("append_flow: the keyword 'target' is missing")
        return name if callable(name) else _unchanged
    return _flow("append_flow", name, target, spark_conf, depends_on, once=bool(once))


@checked
def update_flow(
    target: str,
    name: str | None = None,
    comment: str | None = None,  # noqa: ARG001
    spark_conf: Mapping[str, str] | None = None,
    depends_on: str | Sequence[str] | None = None,
) -> Any:
    """Declare a flow that gives a sink the rows that each micro-batch changed: aggregates without a watermark, too."""
    return _flow("update_flow", name, target, spark_conf, depends_on, output_mode="update")


@checked
def replace_flow(
    target: str,
    replace_using: Sequence[str],
    sequence_by: str | Column,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: Mapping[str, str] | None = None,
) -> Any:
    """Declare a flow of partial snapshots: its rows replace those of the same keys in a streaming table."""
    return _flow("replace_flow", name, target, spark_conf, replace=replacing("replace_flow", locals()))


@checked
def create_sink(name: str, format: str, options: Mapping[str, str] | None = None) -> None:
    """Declare a sink: Kafka, Delta (``path`` or ``tableName``) or a custom data source."""
    current().add_sink(Sink(name, calling_place(), format, texts_of("create_sink", "options", options)))


@checked
def foreach_batch_sink(name: Any = None) -> Any:
    """Declare a sink whose decorated ``handler(batch_df, batch_id)`` gets every micro-batch."""
    said = None if callable(name) else name

    def register(function: Callable[..., Any]) -> None:
        check_handler(function)
        current().add_sink(Sink(said or function.__name__, calling_place(), handler=function))

    return _decorate("foreach_batch_sink", name if callable(name) else None, register)


def _expectation(call: str, action: Action) -> Callable[..., Any]:
    def expect(name: Any, inv: Any) -> Any:
        if not isinstance(name, str) or not isinstance(inv, str | Column):
            current().problem(f"{call}: takes a name and a condition (SQL text or a Column), not {name!r}, {inv!r}")
            return _unchanged
        rule = Expectation(name, inv, action, calling_place())
        return _decorate(call, None, lambda function: current().add_rules(function, [rule]))

    expect.__name__ = call
    return checked(expect)


def _expectations(call: str, action: Action) -> Callable[..., Any]:
    def expect_all(expectations: Mapping[str, str | Column]) -> Any:
        rules = rules_of(expectations, action)
        return _decorate(call, None, lambda function: current().add_rules(function, rules))

    expect_all.__name__ = call
    return checked(expect_all)


expect = _expectation("expect", Action.WARN)
expect_or_drop = _expectation("expect_or_drop", Action.DROP)
expect_or_fail = _expectation("expect_or_fail", Action.FAIL)
expect_all = _expectations("expect_all", Action.WARN)
expect_all_or_drop = _expectations("expect_all_or_drop", Action.DROP)
expect_all_or_fail = _expectations("expect_all_or_fail", Action.FAIL)


@checked
def create_auto_cdc_flow(  # noqa: PLR0913, PLR0917  # the platform's signature
    target: str,
    source: str,
    keys: Sequence[str | Column],
    sequence_by: str | Column,
    where: str | Column | None = None,
    ignore_null_updates: bool = False,
    apply_as_deletes: str | Column | None = None,
    apply_as_truncates: str | Column | None = None,
    column_list: Sequence[str | Column] | None = None,
    except_column_list: Sequence[str | Column] | None = None,
    stored_as_scd_type: int | str = "1",
    track_history_column_list: Sequence[str | Column] | None = None,
    track_history_except_column_list: Sequence[str | Column] | None = None,
    flow_name: str | None = None,
    once: bool = False,
    ignore_null_updates_column_list: Sequence[str | Column] | None = None,
    ignore_null_updates_except_column_list: Sequence[str | Column] | None = None,
    columns_to_update: str | None = None,
    system_sequence_by: str | Column | None = None,
    name: str | None = None,
    spark_conf: Mapping[str, str] | None = None,
) -> None:
    """Declare that a source's rows are changes, by key and sequence, of a streaming table."""
    spec, problems = CdcSpec.read(locals())
    for problem in problems:
        current().problem(f"create_auto_cdc_flow: {problem}")
    if spec is not None:
        said = name or flow_name or target
        conf = texts_of("create_auto_cdc_flow", "spark_conf", spark_conf)
        query = functools.partial(reads.table, source, stream=not once)
        current().add_flow(Flow(said, target, query, calling_place(), bool(once), conf, spec))


@checked
def create_auto_cdc_from_snapshot_flow(
    target: str,
    source: Any,
    keys: Sequence[str | Column],
    stored_as_scd_type: int | str = "1",
    track_history_column_list: Sequence[str | Column] | None = None,
    track_history_except_column_list: Sequence[str | Column] | None = None,
    name: str | None = None,
    flow_name: str | None = None,
) -> None:
    """Declare that whole snapshots of a source, by name or by function, are the states of a streaming table."""
    spec, problems = SnapshotSpec.read(locals())
    for problem in problems:
        current().problem(f"create_auto_cdc_from_snapshot_flow: {problem}")
    if spec is not None:
        query = functools.partial(reads.table, source, stream=False) if isinstance(source, str) else source
        current().add_flow(Flow(name or flow_name or target, target, query, calling_place(), cdc=spec))


def read(name: str) -> DataFrame:
    """Read a dataset as a batch, as ``spark.read.table`` does."""
    return reads.table(name, stream=False)


def read_stream(name: str) -> DataFrame:
    """Read a dataset as a stream, as ``spark.readStream.table`` does."""
    return reads.table(name, stream=True)


@checked
def on_event_hook(function: Any = None, max_allowable_consecutive_failures: int | None = None) -> Any:
    """Hand each event of the log to a function, as a dictionary, until it has failed more often than this in a row."""
    hooks, allowed = current().definitions.hooks, max_allowable_consecutive_failures
    return _decorate("on_event_hook", function, lambda hook: hooks.update({hook: allowed}))
