"""What of a stream Spark cannot run, and what of a sink's format and options contradicts the rows that flow into it.

Columns and options of Kafka's sink: https://spark.apache.org/docs/latest/streaming/structured-streaming-kafka-integration.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql.types import BinaryType, StringType, StructType

from local_pipelines.declaring.model import Sink
from local_pipelines.declaring.python_source import reason_of
from local_pipelines.errors import Problem
from spark_utils.names import suggestion

if TYPE_CHECKING:
    from local_pipelines.analysis.analyse import FlowPlan

CHECKED = "spark.sql.streaming.unsupportedOperationCheck"
SERVERS = "kafka.bootstrap.servers"
OPTIONS = {
    "kafka": ("topic", SERVERS, "includeHeaders", "databricks.serviceCredential"),
    "delta": ("path", "tableName", "mergeSchema", "overwriteSchema", "txnAppId", "txnVersion", "userMetadata"),
}
TEXTS = (StringType, BinaryType)  # what Kafka takes as key and value


def stream_problem(plan: FlowPlan, spark: SparkSession, modes: tuple[str, ...]) -> str | None:
    """Return why Spark can run a stream in none of these output modes: a sort, or a union with a batch."""
    own = any(key.startswith("spark.sql.streaming.") for key in plan.flow.sparks_settings)
    if own or str(spark.conf.get(CHECKED, "true")).lower() == "false":
        return None  # what the flow's own settings allow shows when it runs
    jvm = spark._jvm.org.apache.spark.sql.catalyst  # type: ignore[union-attr]
    analyzed = plan.frame._jdf.queryExecution().analyzed()
    problem = None
    for mode in modes:
        try:
            jvm.analysis.UnsupportedOperationChecker.checkForStreaming(
                analyzed, getattr(jvm.streaming.InternalOutputModes, f"{mode.capitalize()}$").__getattr__("MODULE$")
            )
        except AnalysisException as error:
            problem = problem or reason_of(error)
        else:
            return None
    return problem


def sink_problems(sink: Sink, flows: list[FlowPlan], spark: SparkSession) -> Iterator[Problem]:
    """Return what is wrong with a sink's format and options, and with what its flows give it."""
    if sink.format is None:
        return
    known = OPTIONS.get(sink.format, ())
    given = {key.lower() for key in sink.options}
    misspelt = [
        f"unknown option '{key}'{near}"
        for key in sink.options
        if key.lower() not in {name.lower() for name in known} and (near := suggestion(key, known))
    ]
    for message in misspelt or _missing(sink, given) or _format_problem(sink.format, spark):
        yield Problem(f"sink '{sink.name}': {message}", sink.place)
    for plan in flows if sink.format == "kafka" and not misspelt else ():
        for message in _kafka_problems(plan.frame.schema, sink.options):
            yield Problem(f"flow '{plan.flow.name}' into the Kafka sink '{sink.name}': {message}", plan.flow.place)


def _missing(sink: Sink, given: set[str]) -> list[str]:
    if sink.format == "delta" and len({"path", "tableName"} & set(sink.options)) != 1:  # read by these very names
        return ["a Delta sink needs either the option path or tableName"]
    return [f"a Kafka sink needs the option {SERVERS}"] if sink.format == "kafka" and SERVERS not in given else []


def _format_problem(name: str, spark: SparkSession) -> list[str]:
    """Return that no data source has this name; those that the code has registered count."""
    found = spark._jvm.org.apache.spark.sql.execution.datasources.DataSource  # type: ignore[union-attr]
    try:
        found.lookupDataSource(name, spark._jsparkSession.sessionState().conf())
    except Exception:  # Spark raises it as an error of Java's or of its own
        return [f"unknown format '{name}'{suggestion(name, OPTIONS)}; it must be kafka, delta or a data source"]
    return []


def _kafka_problems(schema: StructType, options: Mapping[str, str]) -> Iterator[str]:
    columns = {column.name.lower(): column.dataType for column in schema}
    if "value" not in columns:
        yield f"the column value is missing{suggestion('value', columns)}; Kafka takes value, and key, topic, headers"
    if "topic" not in columns and "topic" not in {key.lower() for key in options}:
        yield "neither the option topic nor a column topic says where rows go"
    for name in ("key", "value"):
        if name in columns and not isinstance(columns[name], TEXTS):
            kind = columns[name].simpleString()
            yield f"the column {name} is {kind}, and Kafka takes string or binary; use to_json(struct(…)) or a cast"
