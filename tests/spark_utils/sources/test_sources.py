"""Replayed files: the hub's columns and types, every byte, positions that are unique and stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import StructType

from devkit.hub.generator import Shares, generate
from devkit.hub.recording import read_events, write_events
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import SourceOptions
from spark_utils.configuration.show_config import show_config
from spark_utils.errors import ConfigurationError
from spark_utils.sources.read_stream import SOURCE_COLUMNS, read_batch, read_stream, source_options

HOSTILE = [b'{"a": 1}', b"\xff\xfe\x00", b"", b'{"b": 2}\r', "ü\u2028".encode(), b"last"]


def batch(spark: SparkSession, path: Path | str) -> DataFrame:
    return read_batch(spark, SourceOptions(kind="files", path=str(path)))


def stream_rows(spark: SparkSession, path: Path, checkpoint: Path) -> list[Row]:
    """Run the stream over all there is, and return what it wrote in all its runs."""
    written = checkpoint / "written"
    frame = read_stream(spark, SourceOptions(kind="files", path=str(path)))
    query = (
        frame.writeStream.format("parquet")
        .option("path", str(written))
        .option("checkpointLocation", str(checkpoint / "offsets"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return sorted(
        spark.read.schema(frame.schema).parquet(str(written)).collect(), key=lambda row: (row.partition, row.offset)
    )


def columns_and_types(schema: StructType) -> list[tuple[str, str]]:
    return [(field.name, field.dataType.simpleString()) for field in schema]


def test_files_and_hub_give_the_same_columns_and_types(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"x\n")
    connection = (
        "Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=h;UseDevelopmentEmulator=true"
    )
    options = source_options(SourceOptions(event_hubs_connection_string=Secret(connection)))
    hub = spark.readStream.format("kafka").options(**options).load().selectExpr(*SOURCE_COLUMNS)
    expected = [
        ("body", "binary"),
        ("key", "binary"),
        ("partition", "int"),
        ("offset", "bigint"),
        ("enqueued_time", "timestamp"),
        ("headers", "array<struct<key:string,value:binary>>"),
    ]
    assert columns_and_types(hub.schema) == expected
    for path in (tmp_path, tmp_path / "a.ndjson", tmp_path / "*.ndjson"):
        assert columns_and_types(batch(spark, path).schema) == expected


def test_each_line_is_a_body_byte_for_byte(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(HOSTILE))
    rows = batch(spark, tmp_path / "a.ndjson").orderBy("offset").collect()
    assert [bytes(row.body) for row in rows] == HOSTILE
    assert [(row.partition, row.offset) for row in rows] == [(0, number) for number in range(len(HOSTILE))]
    assert {(row.key, row.headers) for row in rows} == {(None, None)}


def test_a_line_feed_at_the_end_is_no_further_body_and_an_empty_file_has_none(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"x\n\n")
    (tmp_path / "b.ndjson").write_bytes(b"")
    assert [bytes(row.body) for row in batch(spark, tmp_path).orderBy("offset").collect()] == [b"x", b""]


def test_recorded_events_come_back_as_they_were_recorded(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "a.recorded.jsonl"
    write_events(generate(300, seed=5, shares=Shares(malformed=0.3)), file, partitions=3)
    rows = batch(spark, file).orderBy("partition", "offset").selectExpr("*", "unix_millis(enqueued_time) AS millis")
    found = [
        (
            None if row.body is None else bytes(row.body),
            None if row.key is None else bytes(row.key),
            tuple((header.key, None if header.value is None else bytes(header.value)) for header in row.headers or ()),
            row.partition,
            row.offset,
            row.millis,
        )
        for row in rows.collect()
    ]
    events = sorted(read_events(file), key=lambda event: (event.partition, event.offset))
    assert found == [
        (
            event.body,
            event.key,
            event.headers,
            event.partition,
            event.offset,
            round(event.enqueued_time.timestamp() * 1000),
        )
        for event in events
    ]


def test_a_folder_of_both_kinds_gives_both_with_unique_positions(spark: SparkSession, tmp_path: Path) -> None:
    write_events(generate(50, seed=1), tmp_path / "a.recorded.jsonl", partitions=2)
    for name in ("b.ndjson", "c.txt"):
        (tmp_path / name).write_bytes(b"x\ny\nz\n")
    rows = batch(spark, tmp_path).select("partition", "offset").collect()
    assert len(rows) == 56
    assert len(set(rows)) == 56
    for place in {row.partition for row in rows}:
        offsets = sorted(row.offset for row in rows if row.partition == place)
        assert offsets == list(range(len(offsets)))


def test_a_stream_takes_each_file_once_and_positions_do_not_depend_on_the_batch(
    spark: SparkSession, tmp_path: Path
) -> None:
    events = tmp_path / "in"
    events.mkdir()
    (events / "b.ndjson").write_bytes(b"1\n2\n")
    assert [bytes(row.body) for row in stream_rows(spark, events, tmp_path)] == [b"1", b"2"]
    (events / "a.ndjson").write_bytes(b"3\n")
    rows = stream_rows(spark, events, tmp_path)
    assert sorted(bytes(row.body) for row in rows) == [b"1", b"2", b"3"]
    assert rows == sorted(batch(spark, events).collect(), key=lambda row: (row.partition, row.offset))


def test_one_file_can_be_streamed(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"1\n2")
    rows = stream_rows(spark, tmp_path / "orders.ndjson", tmp_path)
    assert [(bytes(row.body), row.partition, row.offset) for row in rows] == [(b"1", 0, 0), (b"2", 0, 1)]


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("not a record", "partition"),
        (json.dumps({"body": "x", "offset": 0}), "partition"),
        (json.dumps({"body": "x", "partition": 0}), "offset"),
        (json.dumps({"body": "x", "partition": 0, "offset": 0, "headers": "none"}), "partition"),
        ('{"body": "x", "partition": 0, "offset": 0', "partition"),
    ],
)
def test_a_line_that_is_no_recorded_event_fails_and_is_never_dropped(
    spark: SparkSession, tmp_path: Path, line: str, lacking: str
) -> None:
    (tmp_path / "a.recorded.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(PySparkException, match=f"a.recorded.jsonl is not a recorded event: {lacking} is missing"):
        batch(spark, tmp_path / "a.recorded.jsonl").collect()


def test_a_path_that_does_not_exist_is_named(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.ndjson' does not exist \(from --source-path\)"):
        batch(spark, tmp_path / "gone.ndjson")


def test_show_config_is_sorted_and_masks_a_credential(spark: SparkSession) -> None:
    spark.conf.set("spark.test.sas.token", "canary")
    try:
        rows = show_config(spark).rows
    finally:
        spark.conf.unset("spark.test.sas.token")
    assert ("spark.test.sas.token", "***") in rows
    assert [name for name, _ in rows] == sorted(name for name, _ in rows)
