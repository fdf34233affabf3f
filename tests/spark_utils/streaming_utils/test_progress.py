"""What a running stream tells: a live line on a terminal, JSON lines anywhere else."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.streaming.listener import QueryIdleEvent, QueryStartedEvent, QueryTerminatedEvent

from spark_utils.configuration.settings import OutputOptions, SourceOptions, StreamingConfig
from spark_utils.streaming_utils.progress import BatchProgress, ProgressListener, attach_progress
from spark_utils.streaming_utils.termination import await_termination
from tests.patience import PATIENCE
from tests.spark_utils.sinks.sink_kit import Bench, expect_observations

KEYS = {
    "time",
    "query",
    "batch",
    "events",
    "events_per_second",
    "rejected",
    "total_events",
    "total_rejected",
    "lag",
    "batch_seconds",
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(spark: SparkSession, folder: Path, stream: io.StringIO) -> None:
    """Run three batches, and wait for Spark's listener bus to have told all of them."""
    bench = Bench(spark, folder)
    bench.send("1", "x", "y")
    bench.send("2")
    bench.send("z")
    run_again(bench, stream)


def run_again(bench: Bench, stream: io.StringIO) -> None:
    config = StreamingConfig(source=SourceOptions(kind="files", path="here"), output=OutputOptions(path="there"))
    listener = attach_progress(bench.spark, config, stream=stream)
    bench.run(query_name="numbers")
    listener.wait_until_idle(PATIENCE)


@pytest.mark.slow
def test_anything_but_a_terminal_gets_a_json_line_with_stable_keys_for_each_batch(
    each_spark: SparkSession, tmp_path: Path
) -> None:
    expect_observations(each_spark)
    run(each_spark, tmp_path, stream := io.StringIO())
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(record.keys() == KEYS for record in records)
    assert [(each["batch"], each["events"], each["rejected"]) for each in records] == [(0, 3, 2), (1, 1, 0), (2, 1, 1)]
    assert (records[-1]["query"], records[-1]["total_events"], records[-1]["total_rejected"]) == ("numbers", 5, 3)
    assert all(record["batch_seconds"] > 0 and record["events_per_second"] > 0 for record in records)


def test_a_terminal_is_told_from_where_to_where_one_line_that_is_renewed_and_the_end(
    each_spark: SparkSession, tmp_path: Path
) -> None:
    expect_observations(each_spark)
    run(each_spark, tmp_path, stream := Terminal())
    start, *shown, last = stream.getvalue().split("\r\x1b[2K")
    assert start == "files here → there\n"
    assert len(shown) == 2
    assert last.startswith("batch 2  5 events")
    assert "3 rejected" in last
    assert last.endswith(" s\nstopped after batch 2: 2 good, 3 rejected\n")


def test_a_terminal_is_told_what_an_observer_says_of_a_start(spark: SparkSession) -> None:
    said = iter(["Spark UI: http://localhost:4040", None])
    listener = ProgressListener(spark, stream := Terminal(), "here → there", [lambda *_: next(said)] * 2)
    event = {"id": str(uuid4()), "runId": str(uuid4()), "name": "numbers", "timestamp": "2026-01-01T00:00:00Z"}
    listener.onQueryStarted(QueryStartedEvent.fromJson({**event, "jobTags": []}))  # Spark 4.0 knows no tags
    assert stream.getvalue() == "here → there\nSpark UI: http://localhost:4040\n"


def test_a_terminal_is_told_that_nothing_new_comes(spark: SparkSession) -> None:
    listener = ProgressListener(spark, stream := Terminal())
    listener.onQueryIdle(QueryIdleEvent(uuid4(), uuid4(), "2026-01-01T00:00:00Z"))
    assert stream.getvalue() == "\r\x1b[2Kidle: no new events"


def test_the_end_claims_no_rejected_events_that_were_not_counted() -> None:
    record = BatchProgress("t", "q", 7, 1000, 500.0, None, 4_001, 84, None, 2.0)
    assert record.as_end() == "stopped after batch 7: 3,917 good, 84 rejected"
    assert record.as_end(counted=False) == "stopped after batch 7: 4,001 events, at least 84 rejected"


def test_the_listener_is_gone_when_its_query_has_ended(spark: SparkSession, tmp_path: Path) -> None:
    before = len(spark._jsparkSession.streams().listListeners())
    run(spark, tmp_path, io.StringIO())
    assert len(spark._jsparkSession.streams().listListeners()) == before


def test_an_earlier_query_whose_end_is_told_late_does_not_end_the_listening(
    each_spark: SparkSession, tmp_path: Path
) -> None:
    bench = Bench(each_spark, tmp_path)
    bench.send("1")
    listener = attach_progress(each_spark, stream=(stream := io.StringIO()))
    listener.onQueryTerminated(QueryTerminatedEvent(uuid4(), uuid4(), None, None))
    await_termination(bench.start())
    assert json.loads(stream.getvalue())["events"] == 1


def test_the_line_shows_the_lag_where_the_source_tells_it() -> None:
    record = BatchProgress("t", "q", 7, 1000, 500.0, 2, 123_456, 3, 1_500, 2.0)
    assert record.as_line() == "batch 7  123,456 events  500/s  3 rejected  lag 1,500  last batch 2.0 s"
    assert "lag" not in replace(record, lag=0).as_line(), "events may have come since the batch began"


@pytest.mark.parametrize(
    ("stream", "told"), [(io.StringIO(), '"note": "0 new events"'), (Terminal(), "0 new events\n")]
)
def test_a_run_with_nothing_to_do_says_so_and_names_the_files_that_changed(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: io.StringIO, told: str
) -> None:
    bench = Bench(spark, tmp_path)
    bench.send("1", "x")
    bench.run()
    (file,) = (tmp_path / "source").iterdir()
    file.write_text(file.read_text() + '{"body": "2", "offset": 2, "enqueued_time": "2026-01-01T00:00:00Z"}\n')
    run_again(bench, stream)
    assert told in stream.getvalue()
    assert f"{file.name} changed after being read" in caplog.text
