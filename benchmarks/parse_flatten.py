"""Parse with verdicts and flatten, against a hand-written lax `from_json` and `select` of the same leaves.

Both write to the noop sink from the same Parquet file of telemetry bodies, in turn, medians compared. Ours goes the way
of `write_stream`: good rows are flattened and written, rejected ones picked up in the same pass, then written with
their reasons. Wall clock and, because machines are shared, processor time of the JVM and of Spark's Python workers
(from /proc). With `--parts` the steps of the Arrow engine are measured singly, in shares of lax `from_json`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, IntegerType, StringType, StructField, StructType

from devkit.hub.generator import Shares, generate
from spark_utils.configuration.settings import Engine
from spark_utils.flattening import flatten, flatten_plan
from spark_utils.parsing import Limits, good_rows, parse
from spark_utils.parsing.columns import nullable_type
from spark_utils.schemas import load_schema
from spark_utils.session import get_session
from spark_utils.sinks.batch import RejectedRows

SCHEMA = load_schema(Path(__file__).parents[1] / "configuration/schemas/telemetry.json")
EVENT = StructType([StructField("event", nullable_type(SCHEMA))])
PLAN = flatten_plan(EVENT, column="event")
KINDS = {
    "clean": Shares(),
    "1 % bad": Shares(malformed=0.004, lossy=0.003, duplicate_keys=0.003),
    "1 % drifting": Shares(drifting=0.01),
    "all drifting": Shares(drifting=1.0),
}
WARM_UP_ROUNDS = 3  # a stream runs for days: what counts is code that the JVM has compiled
Way = Callable[[DataFrame], None]


def write(df: DataFrame) -> None:
    df.write.format("noop").mode("overwrite").save()


def lax(df: DataFrame) -> None:
    read = F.from_json(F.col("body").cast("string"), nullable_type(SCHEMA))  # type: ignore[arg-type]  # a struct
    write(flatten(df.select(read.alias("event")), PLAN))


def ours(engine: Engine) -> Way:
    def way(df: DataFrame) -> None:
        rejected = RejectedRows(df, partial(parse, schema=SCHEMA, engine=engine))
        write(flatten(good_rows(rejected.attach()).select("event"), PLAN))
        seen = rejected.seen()
        assert seen is not None, "nothing was seen"
        assert seen.rejected == 0 or seen.collected is not None, "too many to pick up"
        if seen.collected is not None:
            write(seen.collected)

    return way


def scan(df: DataFrame) -> None:
    write(df.select(F.length("body")))


def to_python(df: DataFrame) -> None:
    write(df.select(arrow_column(lambda bodies: pa.nulls(len(bodies), pa.int32()), IntegerType())))


def and_read(df: DataFrame) -> None:
    write(df.select(arrow_column(lambda bodies: reader().verdicts(bodies).field("path"), StringType())))


def and_back(df: DataFrame) -> None:
    """Pass bodies and events, but read only the first batch of each task, and send its events again and again."""
    read: list[pa.StructArray] = []

    def events(bodies: pa.Array) -> pa.StructArray:
        if not read or len(read[0]) < len(bodies):
            read[:] = [reader().verdicts(bodies).field("event")]
        return read[0][: len(bodies)]

    column = arrow_column(events, EVENT["event"].dataType)
    write(flatten(df.select(column.alias("event")), PLAN))


def reader() -> Any:
    from spark_utils.parsing.arrow.reader import shared_reader

    return shared_reader(SCHEMA.json(), Limits(), "keep")


def arrow_column(each: Callable[[pa.Array], pa.Array], returned: DataType) -> Column:
    def run(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        yield from map(each, batches)

    run.__annotations__ = {"batches": Iterator[pa.Array], "return": Iterator[pa.Array]}  # Spark reads the kind
    return F.arrow_udf(run, returned).asNondeterministic()("body")  # type: ignore[attr-defined, no-any-return]  # Spark 4.1 and newer


PARTS: dict[str, Way] = {
    "reading Parquet": scan,
    "and bodies to Python": to_python,
    "and Arrow's reader": and_read,
    "without the reader, events back": and_back,
    "all of it": ours("arrow"),
}


def write_bodies(path: Path, count: int, shares: Shares) -> str:
    """Write `count` bodies in four row groups, one task each."""
    bodies = pa.array([event.body for event in generate(count, shares=shares)], pa.binary())
    pq.write_table(pa.table({"body": bodies}), path, row_group_size=-(-count // 4))
    return str(path)


def processor_seconds() -> float:
    """Sum the time of this process's descendants: the JVM and Spark's Python workers, ended ones included."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        parents[int(stat.parent.name)] = int(fields[1])
        used[int(stat.parent.name)] = sum(map(int, fields[11:15])) / ticks
    mine, wave = 0.0, {os.getpid()}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        mine += sum(used[pid] for pid in wave)
    return mine


def measure(df: DataFrame, ways: dict[str, Way], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median wall and processor seconds of each way; the first rounds warm up and do not count."""
    walls: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARM_UP_ROUNDS + rounds):
        for name, way in ways.items():
            before, start = processor_seconds(), time.perf_counter()
            way(df)
            walls[name].append(time.perf_counter() - start)
            busy[name].append(processor_seconds() - before)
    counted = slice(WARM_UP_ROUNDS, None)
    return {name: (statistics.median(walls[name][counted]), statistics.median(busy[name][counted])) for name in ways}


def report(spark: SparkSession, folder: Path, arguments: argparse.Namespace) -> None:
    ways: dict[str, Way] = {"lax": lax, **{engine: ours(engine) for engine in arguments.engines}}
    for kind in arguments.kinds or KINDS:
        path = write_bodies(folder / f"{kind.replace(' ', '')}.parquet", arguments.events, KINDS[kind])
        figures = measure(spark.read.parquet(path), ways, arguments.rounds)
        wall, busy = figures.pop("lax")
        for name, (own_wall, own_busy) in figures.items():
            events = arguments.events / own_wall
            print(
                f"{kind:13s} {name:5s} {wall / own_wall:.2f} times as fast as lax from_json"
                f" (processor time {busy / own_busy:.2f}; {events:,.0f} events/s)"
            )


def report_parts(spark: SparkSession, folder: Path, arguments: argparse.Namespace) -> None:
    path = write_bodies(folder / "clean.parquet", arguments.events, KINDS["clean"])
    figures = measure(spark.read.parquet(path), {"lax": lax, **PARTS}, arguments.rounds)
    _, floor = figures.pop("lax")
    for name, (_, busy) in figures.items():
        share, each = busy / floor, busy / arguments.events * 1e6
        print(f"{name:32s} {share:.2f} of the processor time of lax from_json ({each:.1f} microseconds an event)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="*", choices=("jvm", "arrow"), default=["jvm", "arrow"])
    parser.add_argument("--parts", action="store_true", help="measure the steps of the Arrow engine instead")
    parser.add_argument("kinds", nargs="*", help="some of: " + ", ".join(KINDS).replace("%", "%%"))
    spark = get_session("parse_flatten", config={"spark.sql.files.maxPartitionBytes": "32m"})
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (report_parts if arguments.parts else report)(spark, Path(folder), arguments)
    spark.stop()


if __name__ == "__main__":
    main()
