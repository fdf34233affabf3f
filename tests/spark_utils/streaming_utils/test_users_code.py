"""Functions of the user's modules run on a Spark Connect server as they are here, whatever it has by that name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_utils import preview_stream
from tests.spark_utils.sinks.sink_kit import Bench

MODULE = """
from pyspark.sql import functions as F

@F.udf("bigint")
def larger(number):
    return number + 100

def transform(events):
    return events.select(larger("event.number").alias("number"), "partition", "offset")
"""


def test_a_module_of_the_user_goes_to_the_workers_as_it_is(
    each_spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "transformation.py").write_text(MODULE)  # there is another one, which the server can import
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "transformation", None)
    del sys.modules["transformation"]
    transform = importlib.import_module("transformation").transform
    bench = Bench(each_spark, tmp_path)
    bench.send("1", "x")

    bench.run(transform=transform)
    one = each_spark.sql("SELECT named_struct('number', 1) AS event, 0 AS partition, 0 AS offset")

    assert [row.number for row in preview_stream(transform(one)).rows] == [101]
    assert [row.number for row in bench.table("events").collect()] == [101]
