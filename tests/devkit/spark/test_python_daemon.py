"""The Python workers of a local session: Spark's own archives are read once, those of the user before every task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from devkit.spark.python_daemon import is_of_spark


def archives_read(spark: SparkSession) -> dict[tuple[int, str], set[int]]:
    """Run 16 tasks; per worker and archive, the listings that the worker held: one read again is another object."""

    def listings(numbers: Iterator[int]) -> Iterator[tuple[int, str, int]]:
        import os
        import zipimport

        list(numbers)
        for archive, files in zipimport._zip_directory_cache.items():  # type: ignore[attr-defined]
            yield os.getpid(), archive, id(files)

    held: dict[tuple[int, str], set[int]] = {}
    for _ in range(4):
        for pid, archive, listing in spark.sparkContext.parallelize(range(4), 4).mapPartitions(listings).collect():
            held.setdefault((pid, archive), set()).add(listing)
    return held


def test_workers_read_the_archives_of_spark_once(spark: SparkSession) -> None:
    core = [len(listings) for (_, archive), listings in archives_read(spark).items() if "spark-core" in archive]
    assert core
    assert set(core) == {1}


def test_an_archive_of_the_user_is_not_of_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    assert is_of_spark(str(tmp_path / "spark/jars/spark-core.jar"))
    assert not is_of_spark(str(tmp_path / "spark-of-mine/code.zip"))
    monkeypatch.delenv("SPARK_HOME")
    assert not is_of_spark(str(tmp_path / "spark/jars/spark-core.jar"))
