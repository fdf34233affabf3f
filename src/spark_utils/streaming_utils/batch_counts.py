"""How many events of a batch were rejected: told by the sink, read by progress and termination in the same process.

Spark's own progress record cannot tell: the sink parses inside ``foreachBatch``, out of the streaming plan's sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True)
class BatchCounts:
    """What became of one micro-batch.

    Attributes:
        batch_id: The batch's number.
        rows: Events read.
        rejected: Events rejected; None when the batch was written in a way that does not count them.
    """

    batch_id: int
    rows: int
    rejected: int | None


_KEPT_BATCHES = 100  # progress events arrive by a queue, so the sink may be some batches ahead
_batches: dict[str, dict[int, BatchCounts]] = {}
_events: dict[str, int] = {}
_lock = Lock()


def record(query_id: str, counts: BatchCounts) -> None:
    """Remember a batch of a query, which has been written."""
    with _lock:
        batches = _batches.setdefault(query_id, {})
        batches[counts.batch_id] = counts
        batches.pop(counts.batch_id - _KEPT_BATCHES, None)
        _events[query_id] = _events.get(query_id, 0) + counts.rows


def start(query_id: str) -> None:
    """Forget an earlier run of the query in this process."""
    with _lock:
        _batches.pop(query_id, None)
        _events.pop(query_id, None)


def counts_of(query_id: str, batch_id: int) -> BatchCounts | None:
    """Return what is known of a query's batch, if the sink wrote it lately in this process."""
    with _lock:
        return _batches.get(query_id, {}).get(batch_id)


def events_read(query_id: str) -> int:
    """Return how many events the query has written, good and rejected, since it started in this process."""
    with _lock:
        return _events.get(query_id, 0)
