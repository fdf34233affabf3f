"""`preview_stream` on real streams: bounded, and nothing is left behind."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_utils.errors import ConfigurationError, StreamFailedError
from spark_utils.streaming_utils.streaming_preview import Keeper, preview_stream, watch_stream
from tests.spark_utils.sinks.sink_kit import expect_observations

SCHEMA = "device string, n long, at timestamp, reason string, enqueued_time timestamp"
PATIENT = 60.0  # seconds; never reached where there are rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "events"
    path.mkdir()
    return path


@pytest.fixture
def spark(each_spark: SparkSession, tmp_path: Path) -> Iterator[SparkSession]:
    """Every test here runs on both kinds of session, and also shows that no query, view or checkpoint is left."""

    def views() -> set[str]:
        tables = (
            each_spark.sql("SHOW TABLES").collect()
            + each_spark.sql("SHOW TABLES IN spark_catalog.global_temp").collect()
        )
        return {row.tableName for row in tables}

    before = views()
    yield each_spark
    assert each_spark.streams.active == []
    assert views() == before
    assert checkpoints_of(tmp_path) == []


def checkpoints_of(source: Path) -> list[Path]:
    """The checkpoints in Spark's temporary folders, as it names them, that speak of a source."""
    found = []
    for log in Path(tempfile.gettempdir()).glob("temporary-*/sources/*/*"):
        with suppress(OSError):  # somebody else's, which is being removed
            if str(source) in log.read_text(encoding="utf-8", errors="replace"):
                found.append(log)
    return found


def write_events(folder: Path, count: int, name: str = "a") -> None:
    lines = (
        {
            "device": f"d{i % 3}",
            "n": i,
            "at": f"2026-01-01T00:{i % 60:02}:00Z",
            "reason": "not_json" if i % 4 == 0 else None,
            "enqueued_time": "2026-01-01T00:00:00Z",
        }
        for i in range(count)
    )
    (folder / f"{name}.json").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def stream(spark: SparkSession, folder: Path) -> DataFrame:
    return spark.readStream.schema(SCHEMA).json(str(folder))


def test_a_preview_has_the_first_rows_and_knows_that_there_are_more(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 100)
    preview = preview_stream(stream(spark, folder).select("n", "device"), rows=5, timeout=PATIENT)

    assert [row.n for row in preview.rows] == [0, 1, 2, 3, 4]
    assert preview.more
    assert "5 rows, there are more" in str(preview)


def test_a_preview_comes_back_before_its_timeout_when_the_source_has_fewer_rows(
    spark: SparkSession, folder: Path
) -> None:
    write_events(folder, 3)
    preview = preview_stream(stream(spark, folder), rows=20, timeout=PATIENT)

    assert len(preview) == 3
    assert not preview.more
    assert preview.seconds < PATIENT / 2


@pytest.mark.parametrize("each_spark", ["classic"], indirect=True)  # Spark Connect takes from every task
def test_a_preview_reads_no_more_than_it_needs(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    for part in range(6):
        write_events(folder, 10, f"part{part}")
    one_file_a_task = 128 * 1024 * 1024
    seen = tmp_path / "seen"  # a file for each task, wherever it runs
    seen.mkdir()

    def count(batches: Any) -> Iterator[Any]:
        import uuid

        for batch in batches:
            (seen / f"{uuid.uuid4()}-{batch.num_rows}").touch()
            yield batch

    spark.conf.set("spark.sql.files.openCostInBytes", one_file_a_task)
    try:
        preview = preview_stream(stream(spark, folder).mapInArrow(count, SCHEMA), rows=4, timeout=PATIENT)
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")

    assert len(preview) == 4
    assert sum(int(path.name.rsplit("-", 1)[1]) for path in seen.iterdir()) < 60


def test_an_empty_stream_says_no_data_yet_and_names_its_source(spark: SparkSession, folder: Path) -> None:
    preview = preview_stream(stream(spark, folder), timeout=0.8)

    assert str(preview).startswith("no data yet")
    assert len(preview) == 0
    assert "no data yet" in preview._repr_html_()


def test_a_micro_batch_that_outlasts_the_timeout_is_named_as_such(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    write_events(folder, 3)
    done = tmp_path / "done"

    def hold(batches: Any) -> Iterator[Any]:
        import time

        while not done.exists():
            time.sleep(0.01)
        yield from batches

    try:
        preview = preview_stream(stream(spark, folder).mapInArrow(hold, SCHEMA), timeout=3.0)
    finally:
        done.touch()

    assert "a micro-batch was still running" in str(preview)


def test_a_frame_that_filters_everything_says_how_many_events_were_read(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 10)
    preview = preview_stream(stream(spark, folder).where("length(device) + n < 0"), timeout=PATIENT)

    assert "no rows: 10 events were read" in str(preview)


def test_a_filter_that_the_source_applies_itself_does_not_make_a_preview_wait(
    spark: SparkSession, folder: Path
) -> None:
    write_events(folder, 10)
    preview = preview_stream(stream(spark, folder).where("n < 0"), timeout=PATIENT)

    assert "no rows: the source was read" in str(preview)
    assert preview.seconds < PATIENT / 2


def test_a_batch_frame_previews_too(spark: SparkSession) -> None:
    preview = preview_stream(spark.range(50).toDF("n"), rows=3)

    assert [row.n for row in preview.rows] == [0, 1, 2]
    assert preview.more
    assert preview.sources == ()


def test_an_aggregation_shows_its_whole_result(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 9)
    preview = preview_stream(stream(spark, folder).groupBy("device").count(), timeout=PATIENT)

    assert {row.device: row["count"] for row in preview.rows} == {"d0": 3, "d1": 3, "d2": 3}


@pytest.mark.parametrize("told", ["java.lang.InterruptedException", "another"])
def test_javas_trace_of_an_interrupted_batch_does_not_get_back_to_spark(spark: SparkSession, told: str) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError(told)

    batch = spark.range(1).select(F.udf(fail, useArrow=False)("id"))
    with nullcontext() if "Interrupted" in told else pytest.raises(Exception, match=told):
        Keeper("never_made", 1)(batch, 0)


def test_a_preview_of_an_aggregation_that_ends_inside_a_batch_is_unfinished_not_failed(
    spark: SparkSession, folder: Path
) -> None:
    def hold(key: Any) -> Any:
        import time

        time.sleep(0.5)
        return key

    write_events(folder, 40)
    slow = F.udf(hold, useArrow=False)("device")
    preview = preview_stream(stream(spark, folder).groupBy(slow).count(), timeout=4)

    assert "a micro-batch was still running" in str(preview)


def test_windows_are_shown_before_the_watermark_has_passed_them(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 9)
    windows = stream(spark, folder).withWatermark("at", "1 hour").groupBy(F.window("at", "1 hour")).count()
    preview = preview_stream(windows, timeout=PATIENT)

    assert [row["count"] for row in preview.rows] == [9]


def test_deduplication_with_a_watermark_previews_without_losing_its_state(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 9)
    once = stream(spark, folder).withWatermark("at", "1 hour").dropDuplicates(["device"])

    assert len(preview_stream(once, rows=2, timeout=PATIENT)) == 2


def test_timestamps_are_shown_in_the_time_zone_of_the_session(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 1)

    assert "2026-01-01 00:00:00" in str(preview_stream(stream(spark, folder).select("at"), timeout=PATIENT))


def test_a_failing_query_is_one_readable_line_without_secrets(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 3)
    secret = F.concat(F.lit("no access with AccountKey=c4n4ry; to "), "device")
    with pytest.raises(StreamFailedError) as raised:
        preview_stream(stream(spark, folder).select(F.raise_error(secret).alias("x")), timeout=PATIENT)

    assert "no access with AccountKey=***" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "c4n4ry" not in str(raised.value)


@pytest.mark.slow
def test_a_frame_that_spark_refuses_as_a_stream_is_a_readable_failure(spark: SparkSession, folder: Path) -> None:
    with pytest.raises(StreamFailedError, match=r"(?i)sort"):
        preview_stream(stream(spark, folder).orderBy("n"), timeout=PATIENT)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"timeout": 0}])
def test_a_preview_of_nothing_is_refused(spark: SparkSession, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="rows >= 1 and timeout > 0"):
        preview_stream(spark.range(1), **wrong)


def test_display_gets_a_bounded_batch_frame(spark: SparkSession, folder: Path) -> None:
    write_events(folder, 30)
    shown: list[Any] = []
    preview = preview_stream(stream(spark, folder), rows=2, timeout=PATIENT, display=shown.append)

    assert [frame.isStreaming for frame in shown] == [False]
    assert [row.n for row in shown[0].collect()] == [0, 1]
    assert "<table" not in preview._repr_html_()


def test_watching_counts_events_and_rejects_and_shows_the_lag(spark: SparkSession, folder: Path) -> None:
    expect_observations(spark)
    write_events(folder, 8)
    previews = watch_stream(stream(spark, folder), timeout=PATIENT, interval=0.1)
    # Spark reports a batch once it has ended, a moment after its rows were kept.
    seen = next(preview for preview in previews if preview.rows and preview.live.events)
    previews.close()  # type: ignore[attr-defined]  # a generator

    assert (seen.live.events, seen.live.rejected) == (8, 2)
    assert seen.live.lag_seconds > 0
    assert "2 rejected" in str(seen)


def test_a_live_preview_ends_at_its_timeout(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preview = preview_stream(stream(spark, folder), live=True, timeout=1.0)

    assert preview.live is not None
    assert "0 events" in capsys.readouterr().out


def test_ctrl_c_leaves_a_live_preview_quietly_with_the_last_rows(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(folder, 8)

    def interrupt_when_shown(text: str) -> None:
        if "8 events" in text:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys.stdout, "write", interrupt_when_shown)
    preview = preview_stream(stream(spark, folder), live=True, timeout=PATIENT)

    assert preview.live.events == len(preview) == 8


def test_a_batch_frame_cannot_be_watched(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match="only a streaming frame"):
        watch_stream(spark.range(1))
