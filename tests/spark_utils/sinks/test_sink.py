"""The sink: two tables, each event in one of them exactly once."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_utils import parsing
from spark_utils.errors import ConfigurationError, SchemaError
from spark_utils.parsing import good_rows
from spark_utils.sinks.batch import (
    BATCHES_PER_MERGE,
    COLLECTED_BYTES,
    COLLECTED_ROWS,
    MAX_PARTITION_VALUES,
    ROWS_PER_FILE,
)
from spark_utils.sinks.write_stream import write_stream
from spark_utils.streaming_utils.progress import attach_progress
from tests.patience import PATIENCE
from tests.spark_utils.sinks import sink_kit
from tests.spark_utils.sinks.sink_kit import Bench, expect_observations


@pytest.fixture
def bench(each_spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(each_spark, tmp_path)


def test_good_rows_go_to_events_and_the_others_to_rejected_with_body_and_position(bench: Bench) -> None:
    bench.send("1", "x", "3")
    bench.send("y")
    bench.send("5", "6")
    bench.run()
    assert bench.offsets("events") == [0, 2, 4, 5]
    rejected = bench.table("rejected").orderBy("offset").collect()
    assert [(bytes(row.body), row.reason, row.offset) for row in rejected] == [
        (b"x", "not_a_number", 1),
        (b"y", "not_a_number", 3),
    ]
    micros = bench.table("rejected").select(F.unix_micros("enqueued_time") % 1_000_000).first()
    assert micros is not None
    assert micros[0] == 123456


@pytest.mark.slow
def test_a_batch_killed_between_its_two_writes_gets_the_missing_one(spark: SparkSession, tmp_path: Path) -> None:
    bench = Bench(spark, tmp_path)
    bench.send("1", "x")
    bench.send("2", "y")
    bench.run()
    bench.forget_commit(1)
    bench.forget_write("rejected")
    bench.run()
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0, 2], [1, 3])


def test_a_transformation_that_ends_the_pass_early_loses_no_rejected_row(bench: Bench) -> None:
    bench.send(*(str(number) for number in range(3000)), "x")
    bench.run(transform=lambda events: sink_kit.transform(events).limit(1))
    assert (len(bench.offsets("events")), bench.offsets("rejected")) == (1, [3000])


def test_a_transformation_that_keeps_nothing_loses_no_rejected_row(bench: Bench) -> None:
    bench.send("1", "x")
    bench.run(transform=lambda events: sink_kit.transform(events).where("false"))
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([], [1])


def test_a_body_too_large_to_pick_up_on_the_way_is_rejected_all_the_same(bench: Bench) -> None:
    bench.send("1", "x" * (COLLECTED_BYTES + 1), "y")
    bench.run()
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0], [1, 2])


@pytest.mark.slow
def test_more_rejected_rows_than_are_picked_up_are_rejected_all_the_same(bench: Bench) -> None:
    bench.send(*["x"] * (COLLECTED_ROWS + 1))
    bench.run()
    assert (bench.offsets("events"), len(bench.offsets("rejected"))) == ([], COLLECTED_ROWS + 1)


def test_a_batch_without_rejected_rows_adds_no_commit_to_rejected(bench: Bench) -> None:
    expect_observations(bench.spark)
    bench.send("1")
    bench.send("2")
    bench.run()
    assert bench.versions("rejected") == 1  # its creation
    assert bench.versions("events") == 3


@pytest.mark.slow
def test_a_small_batch_is_one_file_and_many_small_files_are_merged(bench: Bench) -> None:
    bench.spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "4")
    try:
        for number in range(BATCHES_PER_MERGE):
            bench.send(str(number), str(number))
        bench.run()
    finally:
        bench.spark.conf.unset("spark.databricks.delta.autoCompact.minNumFiles")
    assert len(bench.table("events").inputFiles()) == 1
    assert bench.versions("events") == 1 + BATCHES_PER_MERGE + 1  # its creation, the batches, and one merge
    assert bench.offsets("events") == list(range(2 * BATCHES_PER_MERGE))


def test_a_large_batch_is_not_written_a_second_time_to_merge_its_files(bench: Bench) -> None:
    bench.send(*(str(number) for number in range(2 * ROWS_PER_FILE)))
    bench.run(transform=lambda events: sink_kit.transform(events).repartition(4))
    assert bench.versions("events") == 2  # its creation and the batch
    assert len(bench.table("events").inputFiles()) == 2


def test_a_partition_column_with_many_values_is_named_in_a_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    expect_observations(bench.spark)
    listener = attach_progress(bench.spark, stream=io.StringIO())
    bench.send(*(str(number) for number in range(MAX_PARTITION_VALUES + 50)))
    bench.run(partition_by="number")
    listener.wait_until_idle(PATIENCE)
    assert "'number'" in caplog.text
    assert len(bench.offsets("events")) == MAX_PARTITION_VALUES + 50


def test_a_partition_column_that_is_none_is_an_error_that_lists_the_columns(bench: Bench) -> None:
    bench.send("1")
    with pytest.raises(ConfigurationError, match="number, partition, offset"):
        bench.run(partition_by="nmber")


@pytest.mark.slow
def test_a_new_column_is_refused_before_anything_is_written_or_added_when_asked(bench: Bench) -> None:
    def wider(events: DataFrame) -> DataFrame:
        return sink_kit.transform(events).withColumn("double", F.col("number") * 2)

    bench.send("1")
    bench.run()
    bench.send("2")
    with pytest.raises(SchemaError, match="'double' is absent in the table and bigint in the stream"):
        bench.run(transform=wider)
    bench.run(transform=wider, schema_changes="merge")
    assert [tuple(row) for row in bench.table("events").select("number", "double").orderBy("number").collect()] == [
        (1, None),
        (2, 4),
    ]


def test_a_changed_type_is_refused_even_when_new_columns_are_not(bench: Bench) -> None:
    bench.send("1")
    bench.run()
    with pytest.raises(SchemaError, match="'number' is bigint in the table and string in the stream"):
        bench.run(
            transform=lambda events: sink_kit.transform(events).withColumn("number", F.lit("1")),
            schema_changes="merge",
        )


def test_an_output_that_cannot_be_written_is_named_before_the_query_starts(bench: Bench) -> None:
    bench.send("1")
    (bench.folder / "output").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match=r"cannot write to .*output"):
        bench.run()
    (bench.folder / "output").unlink()
    bench.run()
    assert bench.offsets("events") == [0]


def test_the_column_of_bodies_may_have_any_name(bench: Bench) -> None:
    bench.send('{"number": 1}', '{"number": "x"}')
    raw = bench.raw().withColumnRenamed("body", "payload")
    to_parsed = partial(parsing.parse, schema="number INT", body_column="payload")
    query = write_stream(
        raw, parse=to_parsed, events=good_rows, output_path=bench.output, checkpoint_path=bench.checkpoint
    )
    query.awaitTermination()
    assert bench.table("events").columns == [
        "event",
        "_unknown",
        "key",
        "partition",
        "offset",
        "enqueued_time",
        "headers",
    ]
    assert [row.event.number for row in bench.table("events").collect()] == [1]
    (rejected,) = bench.table("rejected").collect()
    assert (rejected.reason, rejected.path, bytes(rejected.payload)) == ("type_mismatch", "number", b'{"number": "x"}')
