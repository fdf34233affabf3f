"""Whether an event hub still has what comes after the last batch that the tables hold, and is still the same hub.

Retention may have taken events that were not read yet. A hub that was made anew counts from 0 again: while it has less
than the old one, Spark fails at its first batch; once it has more, Spark goes on at the old number and never reads what
comes before. So the last event that was taken up is looked at: it cannot be younger than the batch that wrote it.
Partitions that were added are left to Spark, which reads them from their first event; the batch that does so tells it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks.checkpoints import kafka_offsets
from spark_utils.sources.read_stream import source_options

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_utils.configuration.settings import SourceOptions
    from spark_utils.sinks.delta_tables import Mark

_CLOCKS_SECONDS = 5.0  # by which the clocks of hub and driver may differ
_EXISTING = re.compile(r"Assigned: \w*Set\((?P<partitions>.*?)\)")  # Spark, asked for others than these
_log = logging.getLogger(__name__)


def check_hub(spark: SparkSession, source: SourceOptions, mark: Mark) -> None:
    """Compare a hub with the last batch of the table `events`, by one small job that reads an event of each partition.

    Args:
        spark: A session of either kind.
        source: The hub; files are not looked at.
        mark: The last batch that the table `events` holds.

    Raises:
        CheckpointMismatchError: The hub was made anew, or no longer has events that were not read yet.
    """
    ends = kafka_offsets(mark.end) if source.kind == "hub" else None
    if not ends or mark.written is None:
        return
    topic = next(iter(ends))[0]
    positions = {partition: end for (_, partition), end in ends.items()}
    left_out = ("starting", "max", "subscribe")  # partitions are named instead: added ones do not matter here
    given = {name: text for name, text in source_options(source).items() if not name.startswith(left_out)}
    given["failOnDataLoss"] = "false"
    try:
        last = _events(spark, given, topic, {p: max(0, end - 1) for p, end in positions.items()}, positions).collect()
    except Exception as failure:
        if not (existing := _EXISTING.search(str(failure))):
            raise
        found = {int(name.rpartition("-")[2]) for name in filter(None, existing["partitions"].split(", "))}
        missing = (f"partition {p} (batch {mark.batch} ends at {positions[p]})" for p in sorted({*positions} - found))
        problem = f"the event hub was made anew: it no longer has {', '.join(missing)}"
        raise _refusal(problem, mark, dict.fromkeys(found, -2)) from None
    if anew := {row.partition: row for row in last if row.seconds > mark.written + _CLOCKS_SECONDS}:
        place, row = min(anew.items())
        raise _refusal(
            f"the event hub was made anew: event {row.offset} of partition {place} came at {row.at}, after an event of "
            f"that number was written; of the new hub {sum(positions[p] for p in anew)} events would never be read",
            mark,
            dict.fromkeys(positions, -2),
        )
    gone = {partition for partition, end in positions.items() if end} - {row.partition for row in last}
    _check_earliest(mark, positions, _earliest(spark, given, topic, gone))


def _check_earliest(mark: Mark, positions: Mapping[int, int], earliest: Mapping[int, int]) -> None:
    """Look at the partitions that lack the last event that was taken up."""
    lost = {partition: (positions[partition], at) for partition, at in earliest.items() if at > positions[partition]}
    if lost:
        ranges = ", ".join(f"{begin} to {end - 1} of partition {place}" for place, (begin, end) in sorted(lost.items()))
        raise _refusal(
            f"the event hub no longer has {sum(end - begin for begin, end in lost.values())} events that were not read "
            f"yet: {ranges}",
            mark,
            {partition: -2 if partition in lost else end for partition, end in positions.items()},
        )
    for partition, at in earliest.items():
        if at < positions[partition]:
            _log.warning(
                "event %d of partition %d was taken up, and the hub has only others, from %d on: was it made anew?",
                *(positions[partition] - 1, partition, at),
            )


def _refusal(problem: str, mark: Mark, positions: Mapping[int, int]) -> CheckpointMismatchError:
    text = json.dumps({str(partition): at for partition, at in sorted(positions.items())})
    return CheckpointMismatchError(
        problem,
        origin=f"the table events, batch {mark.batch}",
        remedy=f"To go on with what it has, move the checkpoint away and run once with --accept-new-checkpoint "
        f"--starting-position '{text}'.",
    )


def _earliest(spark: SparkSession, given: Mapping[str, str], topic: str, partitions: set[int]) -> dict[int, int]:
    """Return the first event of partitions; those without events are left out."""
    frames = [_events(spark, given, topic, {p: -2}, {p: -1}).limit(1) for p in sorted(partitions)]
    return {row.partition: row.offset for row in reduce(DataFrame.unionAll, frames).collect()} if frames else {}


def _events(
    spark: SparkSession, given: Mapping[str, str], topic: str, begin: Mapping[int, int], end: Mapping[int, int]
) -> DataFrame:
    """Return the events of some partitions between two positions of each."""
    span = {"startingOffsets": json.dumps({topic: begin}), "endingOffsets": json.dumps({topic: end})}
    span["assign"] = json.dumps({topic: sorted(begin)})
    events = spark.read.format("kafka").options(**given, **span).load()
    at = F.col("timestamp")
    return events.select("partition", "offset", at.cast("double").alias("seconds"), at.cast("string").alias("at"))
