"""The pytest plug-in for pipelines: add ``pytest_plugins = ["spark_utils.testing", "local_pipelines.testing"]``.

::

    def test_bad_rows_are_dropped(pipeline):
        pipeline.given("orders", [(1, 5), (2, -1)], "id int, amount int")
        result = pipeline.run("src/orders.py")
        assert pipeline.rows("clean_orders") == [(1, 5)]
        assert result.counts["clean_orders"].dropped == 1

Tests written as data, in files ``NAME.test.yml``, are collected too: see `local_pipelines.data_tests`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from local_pipelines import data_tests
from local_pipelines.declaring.model import Definitions
from local_pipelines.declaring.sources import PipelineSource
from local_pipelines.log.event_log import read_events
from local_pipelines.run import UpdateResult, run_update
from local_pipelines.storage import Storage


class PipelineTester:
    """Tables given to a pipeline, its updates, and what came of them, in a folder of the test's own.

    Args:
        spark: The session.
        folder: The folder.
    """

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        self.storage = folder / "storage"

    def path(self, name: str) -> str:
        """Return where a table lies: ``name``, ``schema.name`` or ``catalog.schema.name``."""
        return Storage(self.storage).published(Definitions().table_name(name))

    def given(self, name: str, rows: Iterable[Any], schema: str) -> None:
        """Append rows to a table that the pipeline reads."""
        frame = self.spark.createDataFrame(list(rows), schema).coalesce(1)
        frame.write.format("delta").mode("append").save(self.path(name))

    def file(self, name: str, text: str) -> Path:
        """Write a file beside the storage, and return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *sources: str | Path | PipelineSource, **options: Any) -> UpdateResult:
        """Run an update; options are those of `local_pipelines.run_update`."""
        source: Any = sources[0] if isinstance(sources[0], PipelineSource) else list(sources)
        return run_update(source, self.spark, self.storage, **options)

    def rows(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return a table's rows, sorted, nulls first."""
        frame = self.spark.read.format("delta").load(self.path(name)).select(*(columns or ("*",)))
        return sorted(map(tuple, frame.collect()), key=lambda row: [(value is not None, value) for value in row])

    def log(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """Return the events of the log, oldest first."""
        events = read_events(self.storage / "event_log.jsonl")
        return [event for event in events if event_type in (None, event["event_type"])]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the tests that are written as data."""
    if not file_path.name.endswith(data_tests.ENDINGS):
        return None
    collector: pytest.Collector = data_tests.DataTests.from_parent(parent, path=file_path)
    return collector


@pytest.fixture
def pipeline(spark: SparkSession, tmp_path: Path) -> PipelineTester:
    """Run pipelines on a storage of the test's own."""
    return PipelineTester(spark, tmp_path)
