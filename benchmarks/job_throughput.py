"""The job, hub -> two Delta tables with verdicts, against a hand-written lax `from_json` -> one Delta table.

Both read the same events from a local hub in one `availableNow` run, from start of the query to its end, in turn; the
ratio of medians is printed (1.0: as fast as the hand-written one; more is faster), for clean bodies and for 1 % bad.
The same job with the observers of `attach_progress` against itself: what it costs to tell `devkit page` of each batch.
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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--events", type=int, default=500_000)
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    spark = get_session("job-throughput")
    base = Path(tempfile.mkdtemp(prefix="job-throughput-"))
    try:
        with LocalHub(base / "hub") as hub:
            for bad in (0.0, 0.01):
                config = fill(hub, f"telemetry-{bad:g}".replace(".", "-"), arguments.events, bad)
                seconds: dict[str, list[float]] = {"hand_written": [], "ours": [], "observed": []}
                for number in range(arguments.rounds + 1):  # the first round warms up and is not counted
                    for way in (hand_written, ours, observed):
                        folder = base / f"{way.__name__}-{bad:g}-{number}"
                        started = time.perf_counter()
                        way(spark, config, folder)
                        if number:
                            seconds[way.__name__].append(time.perf_counter() - started)
                        shutil.rmtree(folder)
                floor, own, told = map(statistics.median, seconds.values())
                print(
                    f"job throughput, {arguments.events:,} events, {bad:.0%} bad: {floor / own:.2f} of the floor "
                    f"({arguments.events / own:,.0f} against {arguments.events / floor:,.0f} events/s; goal 0.9); "
                    f"observed: {own / told:.2f} of that",
                    flush=True,
                )
    finally:
        spark.stop()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
