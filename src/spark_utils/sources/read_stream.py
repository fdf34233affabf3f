"""The source of a job: an event hub, or files that are replayed, as one frame of the same columns.

One row per event: `body binary, key binary, partition int, offset bigint, enqueued_time timestamp,
headers array<struct<key: string, value: binary>>`. `(partition, offset)` is unique in a source.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from spark_utils.errors import ConfigurationError
from spark_utils.sources.event_hubs import KafkaOptions, kafka_options
from spark_utils.sources.files import read_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_utils.configuration.settings import SourceOptions

SOURCE_COLUMNS: Final = (
    "value AS body",
    "key",
    "partition",
    "offset",
    "timestamp AS enqueued_time",
    "headers",
)
# Options that only a stream understands; a batch reads from the earliest or given position to the latest.
_STREAM_ONLY: Final = ("maxOffsetsPerTrigger",)
_PLAN_REDACTION: Final = "spark.sql.redaction.string.regex"
_LOGIN: Final = "(?<=LoginModule required ).+"  # all that a JAAS line says after the name of its class


def read_stream(spark: SparkSession, source: SourceOptions) -> DataFrame:
    """Return the source as a streaming frame.

    Raises:
        ConfigurationError: If the source is not described completely, or a secret is found nowhere.
    """
    if source.kind == "files":
        return read_files(spark, _files_path(source), streaming=True)
    options = source_options(source)
    _redact_plans(spark)
    return spark.readStream.format("kafka").options(**options).load().selectExpr(*SOURCE_COLUMNS)


def read_batch(spark: SparkSession, source: SourceOptions) -> DataFrame:
    """Return what the source holds now as a batch frame, for cells and tests.

    A hub is read from the starting position (a batch cannot start at `latest`: then from the earliest) to its end.

    Raises:
        ConfigurationError: If the source is not described completely, or a secret is found nowhere.
    """
    if source.kind == "files":
        return read_files(spark, _files_path(source), streaming=False)
    options = {name: value for name, value in source_options(source).items() if name not in _STREAM_ONLY}
    if options.get("startingOffsets") == "latest":
        options["startingOffsets"] = "earliest"
    _redact_plans(spark)
    return spark.read.format("kafka").options(**options).load().selectExpr(*SOURCE_COLUMNS)


def source_options(source: SourceOptions) -> KafkaOptions:
    """Return the Kafka options of the configured hub.

    Raises:
        ConfigurationError: If no way to authenticate is given, or it is incomplete.
    """
    identity = source.authentication
    if identity is None:
        raise ConfigurationError(
            "the source is an event hub, but nothing says which",
            remedy="Give --event-hubs-connection-string, a service principal or a service credential.",
        )
    return kafka_options(
        identity,
        hub=source.event_hubs_name,
        namespace=source.event_hubs_namespace,
        consumer_group=source.consumer_group,
        starting_position=source.starting_position,
        max_events_per_trigger=source.max_events_per_trigger,
    )


def _redact_plans(spark: SparkSession) -> None:
    """Let the session redact the credentials of a hub where it shows a plan or, on Spark Connect, a statement."""
    with suppress(Exception):  # a session that takes no settings, as inside a pipeline's function, redacts by its own
        before = spark.conf.get(_PLAN_REDACTION)  # or, if that is not set, `spark.redaction.string.regex`
        if _LOGIN not in (before or ""):
            spark.conf.set(_PLAN_REDACTION, f"{before}|{_LOGIN}" if before else _LOGIN)


def _files_path(source: SourceOptions) -> str:
    if not source.path:
        raise ConfigurationError("the source is files, but nothing says which", remedy="Give --source-path.")
    return source.path
