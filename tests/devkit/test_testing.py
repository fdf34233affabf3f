"""The pytest plug-in, as our users have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from devkit.hub.recording import RecordedEvent
from devkit.testing import CRASH, END, Golden, StreamTester
from spark_utils import StreamFailedError, flatten_plan, load_schema

SCHEMA = "id BIGINT NOT NULL, place STRUCT<city: STRING>"


def loud(events: DataFrame) -> DataFrame:
    return events.withColumn("place_city", F.upper("place_city"))


def failing(events: DataFrame) -> DataFrame:
    return events.withColumn("half", F.expr("CAST(raise_error('no halves') AS INT)"))


@pytest.mark.slow
def test_a_stream_is_neither_lost_nor_doubled_by_its_end_and_a_crash(each_spark: SparkSession, tmp_path: Path) -> None:
    stream = StreamTester(each_spark, tmp_path)
    paris = {"id": 1, "place": {"city": "paris"}}
    keyed = RecordedEvent(b'{"id": 4}', b"key", (("h", b"v"),))
    stream.run([paris, "no JSON", END, b'{"id": 2}', '{"id": 2.5}', CRASH, keyed], schema=SCHEMA, transform=loud)
    assert stream.rows("events", "id", "place_city", "offset", "key") == [
        (1, "PARIS", 0, None),
        (2, None, 2, None),
        (4, None, 4, b"key"),
    ]
    assert stream.rows("rejected", "reason", "path", "offset") == [("not_json", None, 1), ("lossy_number", "id", 3)]
    sent = [each.stat().st_mtime_ns for each in sorted((tmp_path / "in").iterdir())]
    noted = [(tmp_path / "out/checkpoint/commits" / name).stat().st_mtime_ns for name in "012"]
    assert noted[0] < sent[1]
    assert sent[2] < noted[1], "the batch before the crash was not repeated"


def test_a_transformation_that_fails_is_the_error_of_the_test(stream: StreamTester) -> None:
    with pytest.raises(StreamFailedError, match="no halves"):
        stream.run([{"id": 1}], schema=SCHEMA, transform=failing)


def test_a_golden_file_is_written_when_asked_and_compared_ever_after(tmp_path: Path) -> None:
    plan = flatten_plan(load_schema(SCHEMA))
    golden = Golden(tmp_path / "golden", update=False)
    with pytest.raises(pytest.fail.Exception, match=r"there is no .*plan\.txt: write it by --update-golden"):
        golden("plan.txt", plan)
    Golden(golden.folder, update=True)("plan.txt", plan)
    golden("plan.txt", plan)
    with pytest.raises(pytest.fail.Exception, match=r"\+ .*zip"):
        golden("plan.txt", flatten_plan(load_schema("id BIGINT, place STRUCT<zip: STRING>")))
