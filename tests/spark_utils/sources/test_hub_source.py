"""The hub as a source: the right columns from the right place, and a wrong key refused without showing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from devkit.testing import EventHub
from spark_utils.configuration.arguments import parse_arguments
from spark_utils.configuration.secrets import Secret, secrets_folder
from spark_utils.configuration.settings import SourceOptions
from spark_utils.configuration.values import StartingPosition
from spark_utils.sources.event_hubs import parse_connection_string
from spark_utils.sources.read_stream import read_batch, read_stream

BODIES = [b'{"a": 1}', b"\xff\x00", b"", None]


def config_of(hub: EventHub, **values: Any) -> SourceOptions:
    return SourceOptions(event_hubs_connection_string=Secret(hub.connection_string), **values)


def write_stream(frame: DataFrame, folder: Path) -> list[Row]:
    query = (
        frame.writeStream.format("parquet")
        .option("path", str(folder / "out"))
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    rows = frame.sparkSession.read.schema(frame.schema).parquet(str(folder / "out"))
    return rows.orderBy("partition", "offset").collect()


def as_tuples(rows: list[Row]) -> list[tuple[object, ...]]:
    return [
        (
            None if row.body is None else bytes(row.body),
            None if row.key is None else bytes(row.key),
            row.partition,
            row.offset,
            [(header.key, bytes(header.value)) for header in row.headers] if row.headers else None,
        )
        for row in rows
    ]


def test_stream_and_batch_read_what_was_sent_with_its_place(
    spark: SparkSession, event_hub: EventHub, tmp_path: Path
) -> None:
    event_hub.send(BODIES, partition=0, key=b"k", headers=[("kind", b"clean")])
    event_hub.send([b"other"], partition=1)
    expected = [(body, b"k", 0, number, [("kind", b"clean")]) for number, body in enumerate(BODIES)]
    expected.append((b"other", None, 1, 0, None))
    config = config_of(event_hub)
    streamed = write_stream(read_stream(spark, config), tmp_path)
    assert as_tuples(streamed) == expected
    assert as_tuples(read_batch(spark, config).orderBy("partition", "offset").collect()) == expected
    sent = [event.enqueued_time.timestamp() for event in event_hub.receive()]
    assert [row.enqueued_time.timestamp() for row in streamed] == sent


def test_a_starting_position_by_offset_is_kept(spark: SparkSession, event_hub: EventHub) -> None:
    event_hub.send([b"0", b"1", b"2"], partition=0)
    config = config_of(event_hub, starting_position=StartingPosition.parse('{"0": 2, "1": -2}'))
    assert [bytes(row.body) for row in read_batch(spark, config).collect()] == [b"2"]


def test_a_starting_time_after_the_last_event_starts_at_the_end(
    spark: SparkSession, event_hub: EventHub, tmp_path: Path
) -> None:
    event_hub.send([b"old"], partition=0)
    config = config_of(event_hub, starting_position=StartingPosition.parse("2200-01-01T00:00:00Z"))
    assert write_stream(read_stream(spark, config), tmp_path) == []


def test_the_reference_of_the_local_hub_is_enough(
    spark: SparkSession, event_hub: EventHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_DEVKIT_HOME", str(tmp_path))
    file = secrets_folder() / "local-hub" / "connection-string"
    file.parent.mkdir(parents=True)
    file.write_text(event_hub.connection_string, encoding="utf-8")
    event_hub.send([b"x"], partition=0)
    argv = ["--event-hubs-connection-string", "{{secrets/local-hub/connection-string}}", "--schema", "a INT"]
    config = parse_arguments([*argv, "--output-path", "out"], environ={}, working_directory=tmp_path)
    assert [bytes(row.body) for row in read_batch(spark, config.source).collect()] == [b"x"]


@pytest.mark.parametrize("read", [read_batch, read_stream], ids=["batch", "stream"])
def test_a_wrong_key_is_refused_by_name_and_shown_nowhere(
    each_spark: SparkSession, event_hub: EventHub, tmp_path: Path, read: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    key = parse_connection_string(event_hub.connection_string).parts[0].reveal()
    wrong = Secret(event_hub.connection_string.replace(key, "canary" + key))
    frame = read(each_spark, SourceOptions(event_hubs_connection_string=wrong))
    with pytest.raises((PySparkException, Py4JJavaError)) as caught:
        write_stream(frame, tmp_path) if frame.isStreaming else frame.collect()
    shown = str(caught.value) + repr(caught.value) + "".join(capfd.readouterr())
    assert "Authentication failed" in shown
    assert "canary" not in shown
    assert key not in shown


def test_neither_plan_nor_checkpoint_holds_the_key(spark: SparkSession, event_hub: EventHub, tmp_path: Path) -> None:
    event_hub.send([b"x"], partition=0)
    config = config_of(event_hub)
    key = parse_connection_string(event_hub.connection_string).parts[0].reveal()
    frame = read_batch(spark, config)
    plan = frame._jdf.queryExecution().toString() + frame._jdf.queryExecution().stringWithStats()
    assert "kafka" in plan.lower()
    assert key not in plan
    write_stream(read_stream(spark, config), tmp_path)
    files = [file for file in (tmp_path / "checkpoint").rglob("*") if file.is_file()]
    assert len(files) > 3
    assert not [file for file in files if key.encode() in file.read_bytes()]
