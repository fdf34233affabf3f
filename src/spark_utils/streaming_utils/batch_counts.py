"""How many events of a batch were rejected: told by the sink, read by the progress listener of the same process.

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


_latest: dict[str, BatchCounts] = {}
_lock = Lock()


def record(query_id: str, counts: BatchCounts) -> None:
    """Remember the latest batch of a query."""
    with _lock:
        _latest[query_id] = counts


def counts_of(query_id: str, batch_id: int) -> BatchCounts | None:
    """Return what is known of a query's batch, if it is the latest that the sink wrote."""
    with _lock:
        counts = _latest.get(query_id)
    return counts if counts is not None and counts.batch_id == batch_id else None
