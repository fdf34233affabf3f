"""What the batches of a query and the process that started it tell each other.

The batches run in that process on classic Spark, and in a process of the server with Spark Connect, where no variable
comes back: but they have the same session, so a setting of the session is read on the other side. A session that does
not take such settings (serverless) leaves counts unknown, and a stop is not announced to the batches.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_utils.session import is_connect

STOPPED_ON_REQUEST = "stopped on request before it was written"
_KEPT_BATCHES = 100  # progress events arrive by a queue, so the sink may be some batches ahead
_here: dict[str, str] = {}
_lock = Lock()


@dataclass(frozen=True)
class BatchCounts:
    """What became of one micro-batch.

    Attributes:
        batch_id: The batch's number.
        rows: Events read.
        rejected: Events rejected; None when the batch was written in a way that does not count them.
        warnings: What was warned of meanwhile, where only the log of a Spark Connect server has it.
    """

    batch_id: int
    rows: int
    rejected: int | None
    warnings: Sequence[str] = ()


@contextmanager
def collected_warnings(spark: SparkSession) -> Iterator[Sequence[str]]:
    """Collect what this library warns of inside a batch, if that runs on a Spark Connect server."""
    texts: list[str] = []
    handler = logging.StreamHandler()  # to the server's log too

    def keep(record: logging.LogRecord) -> bool:
        texts.append(record.getMessage())
        return True

    handler.addFilter(keep)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("spark_utils")
    if is_connect(spark):
        logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)


class Channel:
    """The notes of one query.

    Args:
        spark: A session of it: the one that started it, or the one of a batch.
        query_id: Its id.
    """

    def __init__(self, spark: SparkSession, query_id: str) -> None:
        self._spark = spark
        self._name = f"spark_utils.query.{query_id}"

    def start(self) -> None:
        """Forget an earlier run."""
        self._write("counts", "{}")
        self._write("stop", "")

    def record(self, counts: BatchCounts) -> None:
        """Remember a batch, which has been written."""
        known = self._counts()
        known["events"] = known.get("events", 0) + counts.rows
        known[str(counts.batch_id)] = [counts.rows, counts.rejected, counts.warnings]
        known.pop(str(counts.batch_id - _KEPT_BATCHES), None)
        self._write("counts", json.dumps(known))

    def counts_of(self, batch_id: int) -> BatchCounts | None:
        """Return what is known of a batch, if it was written lately."""
        found = self._counts().get(str(batch_id))
        return None if found is None else BatchCounts(batch_id, *found)

    def events_read(self) -> int:
        """Return how many events the query has written, good and rejected, in this run."""
        return int(self._counts().get("events", 0))

    def ask_to_stop(self) -> None:
        """Let the query begin no more writes: Spark starts the next batch right after the last one."""
        self._write("stop", "asked")

    def is_asked_to_stop(self) -> bool:
        """Return whether no more writes are to begin."""
        return self._read("stop") == "asked"

    def _counts(self) -> dict[str, Any]:
        return dict(json.loads(self._read("counts") or "{}"))

    def _write(self, topic: str, text: str) -> None:
        if is_connect(self._spark):
            with suppress(PySparkException):
                self._spark.conf.set(f"{self._name}.{topic}", text)
            return
        with _lock:
            _here[f"{self._name}.{topic}"] = text

    def _read(self, topic: str) -> str | None:
        if is_connect(self._spark):
            with suppress(PySparkException):
                return self._spark.conf.get(f"{self._name}.{topic}", None)
            return None
        with _lock:
            return _here.get(f"{self._name}.{topic}")
