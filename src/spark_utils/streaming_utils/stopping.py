"""Hold a stream between two batches while it is being stopped, so that no write begins that would be cut off.

Spark starts the next micro-batch right after the last. A stop that arrives a moment later would cancel it halfway:
safe, for the next start repeats it, but wasted. So the sink asks here before it writes.
"""

from __future__ import annotations

from threading import Lock

from pyspark.sql import SparkSession

_HOLD_MILLISECONDS = 30_000

_asked: set[str] = set()
_held: set[str] = set()
_lock = Lock()


def ask(query_id: str) -> None:
    """Let the query begin no more writes."""
    with _lock:
        _asked.add(query_id)


def is_held(query_id: str) -> bool:
    """Tell whether the query waits, before the writes of a batch, to be stopped."""
    with _lock:
        return query_id in _held


def forget(query_id: str) -> None:
    """Let a later run of the query write again."""
    with _lock:
        _asked.discard(query_id)
        _held.discard(query_id)


def hold_if_asked(spark: SparkSession, query_id: str) -> None:
    """Wait for ``query.stop()`` on the query's own JVM thread, where Spark's interruption is an orderly end.

    Called at the start of a batch. Should nobody stop the query after all, the batch is written in the end.
    """
    with _lock:
        if query_id not in _asked:
            return
        _held.add(query_id)
    spark._jvm.java.lang.Thread.sleep(_HOLD_MILLISECONDS)  # type: ignore[union-attr]  # there is a JVM: it called
    forget(query_id)
