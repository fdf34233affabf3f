"""The source of a job: an event hub, or files that are replayed, as one frame of the same columns.

One row per event: `body binary, key binary, partition int, offset bigint, enqueued_time timestamp,
headers array<struct<key: string, value: binary>>`. `(partition, offset)` is unique in a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spark_utils.errors import ConfigurationError
from spark_utils.sources.event_hubs import KafkaOptions, kafka_options
from spark_utils.sources.files import read_files
from spark_utils.sources.plan_redaction import without_unredacted_options

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_utils.configuration.settings import StreamingConfig

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


def read_stream(spark: SparkSession, config: StreamingConfig) -> DataFrame:
    """Return the source as a streaming frame.

    Raises:
        ConfigurationError: If the source is not described completely, or a secret is found nowhere.
    """
    if config.source == "files":
        return read_files(spark, _source_path(config), streaming=True)
    options = source_options(config)
    stream = spark.readStream.format("kafka").options(**options).load()
    return without_unredacted_options(stream).selectExpr(*SOURCE_COLUMNS)


def read_batch(spark: SparkSession, config: StreamingConfig) -> DataFrame:
    """Return what the source holds now as a batch frame, for cells and tests.

    A hub is read from the starting position (a batch cannot start at `latest`: then from the earliest) to its end.

    Raises:
        ConfigurationError: If the source is not described completely, or a secret is found nowhere.
    """
    if config.source == "files":
        return read_files(spark, _source_path(config), streaming=False)
    options = {name: value for name, value in source_options(config).items() if name not in _STREAM_ONLY}
    if options.get("startingOffsets") == "latest":
        options["startingOffsets"] = "earliest"
    return spark.read.format("kafka").options(**options).load().selectExpr(*SOURCE_COLUMNS)


def source_options(config: StreamingConfig) -> KafkaOptions:
    """Return the Kafka options of the configured hub.

    Raises:
        ConfigurationError: If no way to authenticate is given, or it is incomplete.
    """
    identity = config.event_hubs_identity
    if identity is None:
        raise ConfigurationError(
            "the source is an event hub, but nothing says which",
            remedy="Give --event-hubs-connection-string, a service principal or a service credential.",
        )
    return kafka_options(
        identity,
        hub=config.event_hubs_name,
        namespace=config.event_hubs_namespace,
        consumer_group=config.consumer_group,
        starting_position=config.starting_position,
        max_events_per_trigger=config.max_events_per_trigger,
    )


def _source_path(config: StreamingConfig) -> str:
    if not config.source_path:
        raise ConfigurationError("the source is files, but nothing says which", remedy="Give --source-path.")
    return config.source_path
