"""What exactly once means: the pair (partition, offset) over both tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Positions:
    """Where the rows of a job's two tables came from."""

    events: Counter[tuple[int, int]]
    rejected: Counter[tuple[int, int]]

    @property
    def consumed(self) -> int:
        """Rows of both tables."""
        return self.events.total() + self.rejected.total()


def positions(spark: SparkSession, output: str) -> Positions:
    """Read the positions of all rows under an output path."""
    return Positions(_read(spark, f"{output}/events"), _read(spark, f"{output}/rejected"))


def _read(spark: SparkSession, table: str) -> Counter[tuple[int, int]]:
    rows = spark.read.format("delta").load(table).select("partition", "offset").collect()
    return Counter((row.partition, row.offset) for row in rows)


def assert_exactly_once(found: Positions, sent: int | None = None) -> None:
    """Fail unless each position is in one table, once, with no gap from 0; and all that was sent is there.

    Needs no knowledge of what the events are.
    """
    together = found.events + found.rejected
    twice = sorted(position for position, times in together.items() if times > 1)
    assert not twice, f"{len(twice)} positions are there more than once, such as {twice[:5]}"
    for partition in sorted({partition for partition, _ in together}):
        offsets = {offset for at, offset in together if at == partition}
        missing = sorted(set(range(max(offsets) + 1)) - offsets)
        assert not missing, f"partition {partition} lacks {len(missing)} offsets, such as {missing[:5]}"
    assert sent is None or found.consumed == sent, f"{sent} events were sent, {found.consumed} are in the tables"
