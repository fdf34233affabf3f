"""What an update changes in its process and session, and takes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from local_pipelines.errors import PipelineError
from spark_utils.streaming_utils.termination import signals_to


def ended_by_signal(cancelled: threading.Event) -> AbstractContextManager[None]:
    """Let Ctrl-C or SIGTERM cancel the update: pyspark's answer to Ctrl-C ends Spark's jobs, and flows fail by that.

    A second one interrupts at once.
    """

    def cancel(*_: object) -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt
        cancelled.set()

    return signals_to(cancel)


@contextmanager
def settings(spark: SparkSession, given: Mapping[str, str]) -> Iterator[None]:
    """Let the session have settings inside this block; what the code in it sets is taken back with them."""
    before = spark.conf.getAll
    try:
        for key, value in given.items():
            if (key, value) == ("spark.sql.shuffle.partitions", "auto"):
                continue  # Databricks' word for what adaptive execution does here
            try:
                spark.conf.set(key, value)
            except PySparkException as error:
                raise PipelineError(f"'{key}' cannot be set for an update: {error}") from None
        yield
    finally:
        after = spark.conf.getAll
        for key in {key for key, _ in before.items() ^ after.items()}:
            spark.conf.set(key, before[key]) if key in before else spark.conf.unset(key)
