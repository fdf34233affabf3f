"""Twenty kills of an update, each after another of its steps; `test_kills.py` has the first."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from tests.long.pipeline_kills import kill_and_resume


def test_twenty_killed_updates_go_on_exactly_where_they_were(spark: SparkSession, tmp_path: Path) -> None:
    kill_and_resume(spark, tmp_path, range(1, 21))
