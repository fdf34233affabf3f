"""The source of a job: an event hub, or files that are replayed, as one frame of the same columns.

One row per event: `body binary, key binary, partition int, offset bigint, enqueued_time timestamp,
headers array<struct<key: string, value: binary>>`. `(partition, offset)` is unique in a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spark_utils.errors import ConfigurationError
from spark_utils.sources.event_hubs import KafkaOptions, kafka_options
from spark_utils.sources.files import read_files
from spark_utils.sources.plan_redaction import redact_plans, without_unredacted_options

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


def read_stream(spark: SparkSession, source: SourceOptions) -> DataFrame:
    """Return the source as a streaming frame.

    Raises:
        ConfigurationError: If the source is not described completely, or a secret is found nowhere.
    """
    if source.kind == "files":
        return read_files(spark, _files_path(source), streaming=True)
    options = source_options(source)
    redact_plans(spark)
    stream = spark.readStream.format("kafka").options(**options).load()
    return without_unredacted_options(stream).selectExpr(*SOURCE_COLUMNS)


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


def _files_path(source: SourceOptions) -> str:
    if not source.path:
        raise ConfigurationError("the source is files, but nothing says which", remedy="Give --source-path.")
    return source.path
