"""Files replayed as a source: recorded events (`*.recorded.jsonl`), and files in which each line is a body.

Recorded events carry their own key, position, time and headers; one JSON object per line:
`{"body" or "body_base64", "key" or "key_base64", "partition", "offset", "enqueued_time", "headers"}`.

In any other file each line is a body. Each file is a partition of its own, numbered by a hash of its name, and the
offset is the line's number from 0; so positions do not depend on which other files there are, or on the batch in
which a file is read. A line is taken byte for byte, invalid UTF-8 and carriage returns included.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from spark_utils.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RECORDED_SUFFIX: Final = ".recorded.jsonl"
_BYTES = "body string, body_base64 string, key string, key_base64 string"
_RECORD = (
    f"{_BYTES}, partition int, offset bigint, enqueued_time timestamp, "
    "headers array<struct<key: string, value: string, value_base64: string>>, _corrupt_record string"
)


def read_files(spark: SparkSession, path: str, *, streaming: bool) -> DataFrame:
    """Return files as the source frame; see `spark_utils.sources.read_stream` for its columns.

    Spark's own text source reads them, so a stream takes new files as they come, each once. A file of plain lines is
    read whole by one task: keep such files below some hundred megabytes, or record events.

    Args:
        spark: The session.
        path: A folder, a file or a glob pattern, local or remote.
        streaming: Whether the frame is a stream.

    Raises:
        ConfigurationError: If a local path does not exist.
    """
    _require_local(path)
    name = path.rstrip("/").rpartition("/")[2]
    one_file = Path(name).suffix != "" and not _is_pattern(path) and not Path(path).is_dir()
    if one_file:
        # Spark's streaming file source takes folders and patterns only; this pattern matches the one file.
        path = f"{path[:-1]}[{path[-1]}]"
    if name.endswith(RECORDED_SUFFIX):
        return _recorded(spark, path, streaming)
    lines = _lines(spark, path, streaming, partition="0" if one_file else None)
    return lines if one_file else lines.unionByName(_recorded(spark, path, streaming))


def _recorded(spark: SparkSession, path: str, streaming: bool) -> DataFrame:
    reader = spark.readStream if streaming else spark.read
    text = reader.format("text").options(lineSep="\n", pathGlobFilter=f"*{RECORDED_SUFFIX}").load(path)
    record = text.where("length(trim(value)) > 0").selectExpr(
        f"from_json(value, '{_RECORD}', map('columnNameOfCorruptRecord', '_corrupt_record')) AS record",
        "_metadata.file_name AS file",
        "_metadata.file_modification_time AS written",
    )
    return record.selectExpr(
        _either("record.body", "body"),
        _either("record.key", "key"),
        _required("partition"),
        _required("offset"),
        "coalesce(record.enqueued_time, written) AS enqueued_time",
        # Like the Kafka source: null, not an empty array, for an event without headers.
        "CASE WHEN size(record.headers) > 0 THEN transform(record.headers, h -> named_struct('key', h.key, 'value', "
        "coalesce(cast(h.value AS binary), unbase64(h.value_base64)))) END AS headers",
    )


def _either(field: str, name: str) -> str:
    return f"coalesce(cast({field} AS binary), unbase64({field}_base64)) AS {name}"


def _required(field: str) -> str:
    """A line that is not a recorded event ends the query: it must not become an event without a body."""
    problem = f"concat('a line of ', file, ' is not a recorded event: {field} is missing, or the line is malformed')"
    return f"coalesce(if(record._corrupt_record IS NULL, record.{field}, NULL), raise_error({problem})) AS {field}"


def _lines(spark: SparkSession, path: str, streaming: bool, partition: str | None) -> DataFrame:
    reader = spark.readStream if streaming else spark.read
    number = partition or "cast(crc32(encode(_metadata.file_name, 'UTF-8')) % 2147483647 AS int)"
    # ISO-8859-1 maps every byte to one character and back: splitting that text keeps bytes that are not UTF-8.
    whole = (
        reader.format("text")
        .option("wholetext", "true")
        .load(path)
        .where(f"NOT endswith(_metadata.file_name, '{RECORDED_SUFFIX}')")
        .selectExpr(
            "decode(cast(value AS binary), 'ISO-8859-1') AS content",
            f"{number} AS partition",
            "_metadata.file_modification_time AS enqueued_time",
        )
    )
    unterminated = r"if(endswith(content, '\n'), substr(content, 1, length(content) - 1), content)"
    lines = whole.selectExpr("*", rf"posexplode(split({unterminated}, '\n', -1)) AS (number, line)")
    return lines.selectExpr(
        "encode(line, 'ISO-8859-1') AS body",
        "cast(null AS binary) AS key",
        "partition",
        "cast(number AS bigint) AS offset",
        "enqueued_time",
        "cast(null AS array<struct<key: string, value: binary>>) AS headers",
    )


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[{")


def _require_local(path: str) -> None:
    """A misspelt local path is told at once; a remote one is told by Spark."""
    if _is_pattern(path) or not path.startswith("/") or path.startswith("/Volumes/") or Path(path).exists():
        return
    raise ConfigurationError(
        f"{path!r} does not exist", origin="--source-path", remedy="Name a folder, a file or a pattern."
    )
