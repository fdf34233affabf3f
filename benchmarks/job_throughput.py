"""The job, hub -> two Delta tables with verdicts, against a hand-written lax `from_json` -> one Delta table.

Both read the same events from a local hub in one `availableNow` run, from start of the query to its end, in turn; the
ratio of medians is printed (1.0: as fast as the hand-written one; more is faster), for clean bodies and for 1 % bad,
and as the limit that of the same hub copied raw into one table. Then the time of a batch of 1,000 events, of twenty in
a run, against the hand-written one's. The same job with the observers of `attach_progress` against itself: what it
costs to tell `devkit page` of each batch. With `SPARK_REMOTE` set (`devkit spark up`), all of it on Spark Connect.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from devkit.hub.broker import LocalHub
from devkit.hub.client import send
from devkit.hub.generator import Shares, generate
from spark_utils import (
    StreamingConfig,
    attach_progress,
    flatten,
    flatten_plan,
    get_session,
    good_rows,
    good_schema,
    load_schema,
    parse,
    parse_arguments,
    read_stream,
    write_stream,
)
from spark_utils.streaming_utils.progress import stop_listening

SCHEMA = Path(__file__).parents[1] / "configuration/schemas/telemetry.json"
DISTINCT = 50_000  # events are generated once and sent again and again: Python's generator is not what is measured


def raw_copy(spark: SparkSession, config: StreamingConfig, folder: Path) -> None:
    """Append the source's rows as they come to one table."""
    writer = read_stream(spark, config.source).writeStream.format("delta")
    writer = writer.option("checkpointLocation", str(folder / "checkpoint"))
    writer.trigger(availableNow=True).start(str(folder / "events")).awaitTermination()


def hand_written(spark: SparkSession, config: StreamingConfig, folder: Path) -> None:
    """Parse leniently, select the same columns, append to one table."""
    schema = load_schema(config.schema)
    raw = read_stream(spark, config.source)
    parsed = raw.withColumn("event", F.from_json(F.col("body").cast("string"), schema)).drop("body")
    flat = flatten(parsed, flatten_plan(parsed.schema, column="event"))
    writer = flat.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    writer.trigger(availableNow=True).start(str(folder / "events")).awaitTermination()


def ours(spark: SparkSession, config: StreamingConfig, folder: Path) -> None:
    """Parse strictly, flatten, write two tables, as `src/streaming_job.py` does."""
    schema = load_schema(config.schema)
    raw = read_stream(spark, config.source)
    plan = flatten_plan(good_schema(raw.schema, schema, options=config.parse), column="event", options=config.flatten)

    def to_events(parsed: DataFrame) -> DataFrame:
        return parsed.transform(good_rows).transform(flatten, plan)

    query = write_stream(
        raw,
        parse=partial(parse, schema=schema, options=config.parse),
        events=to_events,
        output=config.output,
        output_path=str(folder / "tables"),
        checkpoint_path=str(folder / "checkpoint"),
    )
    query.awaitTermination()


def observed(spark: SparkSession, config: StreamingConfig, folder: Path) -> None:
    """Do the same, reported as `src/streaming_job.py` reports it, `devkit page`'s journal included."""
    with Path(folder.parent, "progress.jsonl").open("a", encoding="utf-8") as reports:
        attach_progress(spark, config, stream=reports)
        ours(spark, config, folder)
        stop_listening()


def fill(hub: LocalHub, name: str, count: int, bad: float, events_per_batch: int | None = None) -> StreamingConfig:
    """Send the events and return the configuration that reads them."""
    hub.create_hub(name, partitions=4)
    distinct = list(generate(min(count, DISTINCT), shares=Shares(malformed=bad)))
    send(hub.connection_string(name), (distinct[number % len(distinct)] for number in range(count)))
    bound = ["--max-events-per-trigger", str(events_per_batch)] if events_per_batch else []
    return parse_arguments(
        ["--schema", str(SCHEMA), "--output-path", "unused", "--trigger", "available-now", *bound],
        environ={"STREAMING_EVENT_HUBS_CONNECTION_STRING": hub.connection_string(name)},
    )


WAYS = (raw_copy, hand_written, ours, observed)
BATCH, BATCHES = 1_000, 20


def measure(spark: SparkSession, config: StreamingConfig, base: Path, rounds: int) -> list[float]:
    """Return the median seconds of each way, taken in turn; the first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {way.__name__: [] for way in WAYS}
    for number in range(rounds + 1):
        for way in WAYS:
            folder = base / f"{way.__name__}-{number}"
            started = time.perf_counter()
            way(spark, config, folder)
            if number:
                seconds[way.__name__].append(time.perf_counter() - started)
            shutil.rmtree(folder)
    return [statistics.median(found) for found in seconds.values()]


def report(spark: SparkSession, hub: LocalHub, base: Path, bad: float, arguments: argparse.Namespace) -> None:
    """Measure and print both figures of one share of bad bodies."""
    config = fill(hub, f"many-{bad:g}".replace(".", "-"), arguments.events, bad)
    limit, floor, own, told = measure(spark, config, base, arguments.rounds)
    goal = 1.0 if bad else 1.25
    print(
        f"job throughput, {arguments.events:,} events, {bad:.0%} bad: {floor / own:.2f} of the floor "
        f"({arguments.events / own:,.0f} against {arguments.events / floor:,.0f} events/s; goal {goal});"
        f" {limit / own:.2f} of a raw copy (goal 0.6); observed: {own / told:.2f} of that",
        flush=True,
    )
    config = fill(hub, f"few-{bad:g}".replace(".", "-"), BATCH * BATCHES, bad, BATCH)
    _, floor, own, _ = (total / BATCHES for total in measure(spark, config, base, arguments.rounds))
    print(
        f"a batch of {BATCH:,} events, {bad:.0%} bad: {own / floor:.2f} of the floor's time "
        f"({own:.2f} s against {floor:.2f} s; goal 1.3)",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    spark = get_session("job-throughput")
    base = Path(tempfile.mkdtemp(prefix="job-throughput-"))
    try:
        with LocalHub(base / "hub") as hub:
            for bad in (0.0, 0.01):
                report(spark, hub, base, bad, arguments)
    finally:
        spark.stop()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
