"""The sink: two tables, each event in one of them exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.spark.sink_kit import Bench

pytestmark = pytest.mark.filterwarnings(  # py4j leaves the socket of each callback thread to the garbage collector
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def bench(spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(spark, tmp_path)


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


def test_a_second_run_continues_where_the_first_stopped(bench: Bench) -> None:
    bench.send("1", "x")
    bench.run()
    bench.send("2", "y")
    bench.run()
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0, 2], [1, 3])


def test_a_batch_whose_commit_was_lost_is_neither_lost_nor_doubled(bench: Bench) -> None:
    bench.send("1", "x")
    bench.send("2", "y")
    bench.run()
    bench.forget_commit(1)
    bench.send("3", "z")
    bench.run()
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0, 2, 4], [1, 3, 5])
