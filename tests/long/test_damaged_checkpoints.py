"""Many ways of damaging a checkpoint: each event is in the tables once, or the run is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spark_utils.sinks.sink_kit import Bench
from tests.spark_utils.sinks.test_checkpoint_guard import assert_once_or_refused


@pytest.mark.parametrize("seed", range(100, 110))
def test_whatever_happens_to_files_of_a_checkpoint(spark: SparkSession, tmp_path: Path, seed: int) -> None:
    assert_once_or_refused(Bench(spark, tmp_path), random.Random(seed), damages=20)
