"""The four figures of the pipelines' engine, each against a floor that is measured in the same run.

* the second update of three flows, when few rows are new: seconds, and against Spark's own engine (`pyspark.pipelines`)
* 100,000 changes by AUTO CDC onto 1,000,000 keys, against a MERGE written by hand that gives the same table
* a streaming table with expectations, against the same query without
* the analysis of 100 datasets: seconds, and against Spark's analysis of the same queries alone

Every figure comes with the load of the machine (running processes, average of a minute) while it was measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from devkit.spark import catalog
from devkit.spark.connect_server import ConnectServer
from local_pipelines import UpdateResult, run_update
from spark_utils.session import get_session

THREE = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.active()

@dp.table
def bronze():
    return spark.readStream.table("main.default.raw")

@dp.table
def silver():
    return spark.readStream.table("bronze").where("v >= 0").selectExpr("id", "k", "v * 2 AS v")

@dp.materialized_view
def gold():
    return spark.read.table("silver").groupBy("k").agg(F.sum("v").alias("total"))
"""
SPARKS_OWN = """
import sys, time
from pathlib import Path
from pyspark.pipelines.cli import run
from pyspark.sql import SparkSession

for _ in range(int(sys.argv[2])):
    spark = SparkSession.builder.getOrCreate()
    spark.range(10).selectExpr("id", "id % 3 AS k", "id AS v").write.mode("append").saveAsTable("main.default.raw")
    spark.stop()
    started = time.perf_counter()
    run(Path(sys.argv[1]), [], False, [], False)
    print("seconds", time.perf_counter() - started, flush=True)
"""
CDC = """
import dlt

dlt.create_streaming_table("target")
dlt.create_auto_cdc_flow("target", "main.default.raw", ["id"], "seq", apply_as_deletes="op = 'D'",
                         except_column_list=["op"], stored_as_scd_type={scd})
"""
RULES = """
import dlt

@dlt.table
{rules}
def checked():
    return spark.readStream.table("main.default.raw")
"""
EXPECTATIONS = '@dlt.expect("known", "id IS NOT NULL")\n@dlt.expect("short", "length(name) < 40")\n'
EXPECTATIONS += '@dlt.expect_or_drop("positive", "v >= 0")\n@dlt.expect_or_fail("sane", "v < 1e12")'


class Bench:
    """A session, a folder, and what is printed."""

    def __init__(self, spark: SparkSession, folder: Path, rounds: int) -> None:
        self.spark, self.folder, self.rounds = spark, folder, rounds

    def pipeline(self, name: str, code: str) -> Callable[..., UpdateResult]:
        """Return what runs updates of a pipeline on a storage of its own."""
        file = self.folder / f"{name}.py"
        file.write_text(code)

        def update(**options: Any) -> UpdateResult:
            result = run_update(file, self.spark, self.folder / name, **options)
            assert result.state == "COMPLETED", result.error
            return result

        return update

    def give(self, name: str, query: str) -> None:
        """Append the rows of a query to the table `main.default.raw` of a pipeline's storage."""
        self.spark.sql(query).write.format("delta").mode("append").save(self.table(name, "raw"))

    def table(self, name: str, table: str) -> str:
        """Return where a table of a pipeline lies."""
        return str(self.folder / name / "tables/main/default" / table)


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def say(figure: str) -> None:
    print(f"{figure}  [load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores]", flush=True)


def second_update(bench: Bench) -> None:
    """Run three flows again and again with ten new rows each, here and by Spark's own engine on a warm server."""
    update = bench.pipeline("three", THREE)
    own = []
    for _ in range(bench.rounds + 2):
        bench.give("three", "SELECT id, id % 3 AS k, id AS v FROM range(10)")
        own.append(seconds_of(update))
    ours = statistics.median(own[2:])  # the first creates the tables, the second warms up
    theirs = statistics.median(_sparks_own(bench)[2:])
    say(
        f"second update of three flows: {ours:.1f} s (goal 3 s), {ours / theirs:.2f} of Spark's own engine's "
        f"{theirs:.1f} s (goal 0.5)"
    )


def _sparks_own(bench: Bench) -> list[float]:
    folder = bench.folder / "own"
    folder.mkdir()
    (folder / "three.py").write_text(THREE)
    storage, spec = (folder / "storage").as_uri(), folder / "spark-pipeline.yml"
    spec.write_text(
        f"{{name: three, catalog: main, database: default, storage: '{storage}', "
        "libraries: [glob: {include: three.py}]}"
    )
    os.environ[catalog.ROOT_VARIABLE] = str(folder / "tables")
    with ConnectServer(folder / "server") as server:
        command = [sys.executable, "-c", SPARKS_OWN, str(spec), str(bench.rounds + 2)]
        ran = subprocess.run(
            command, check=False, env=os.environ | server.start().variables, capture_output=True, text=True
        )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    return [float(line.split()[1]) for line in ran.stdout.splitlines() if line.startswith("seconds")]


def by_hand_1(batch: str, target: str) -> str:
    """Return a MERGE that keeps the newest row of each key."""
    return f"""MERGE INTO delta.`{target}` t USING (SELECT e.* FROM (
        SELECT max_by(struct(*), seq) AS e FROM {batch} GROUP BY id)) s ON t.id = s.id
      WHEN MATCHED AND s.seq > t.seq AND s.op = 'D' THEN DELETE
      WHEN MATCHED AND s.seq > t.seq THEN UPDATE SET name = s.name, v = s.v, seq = s.seq
      WHEN NOT MATCHED AND s.op <> 'D' THEN INSERT (id, name, v, seq) VALUES (s.id, s.name, s.v, s.seq)"""


def by_hand_2(batch: str, target: str) -> str:
    """Return a MERGE that ends the current row of each key and adds its new ones; of events in order alone."""
    return f"""MERGE INTO delta.`{target}` t USING (
        WITH runs AS (SELECT *, lead(seq) OVER (PARTITION BY id ORDER BY seq) AS until,
                             row_number() OVER (PARTITION BY id ORDER BY seq) AS n FROM {batch})
        SELECT id AS key, * FROM runs WHERE n = 1 UNION ALL SELECT NULL AS key, * FROM runs) s
        ON t.id = s.key AND t.__END_AT IS NULL
      WHEN MATCHED THEN UPDATE SET __END_AT = s.seq
      WHEN NOT MATCHED AND s.key IS NULL AND s.op <> 'D' THEN INSERT (id, name, v, seq, __START_AT, __END_AT)
        VALUES (s.id, s.name, s.v, s.seq, s.seq, s.until)"""


def cdc(bench: Bench, scd: int, goal: float, keys: int, changes: int) -> None:
    """Apply the same batches by AUTO CDC and by hand; the tables must be equal."""
    name, by_hand = f"cdc{scd}", (by_hand_1, by_hand_2)[scd - 1]
    update, spark = bench.pipeline(name, CDC.format(scd=scd)), bench.spark
    history = ", __START_AT LONG, __END_AT LONG" if scd == 2 else ""
    target, ours, floor = str(bench.folder / f"hand{scd}"), [], []
    spark.sql(f"CREATE TABLE delta.`{target}` (id LONG, name STRING, v DOUBLE, seq LONG{history}) USING delta")
    for number in range(bench.rounds + 2):
        first = number == 0
        key = "id" if first else f"pmod(xxhash64(id, {number}), {keys + keys // 100})"
        op = "'U'" if first else "CASE WHEN id % 10 = 0 THEN 'D' ELSE 'U' END"
        rows = f"SELECT {key} AS id, concat('name-', id, '-{number}') AS name, id / 7e0 AS v, {op} AS op, "
        rows += f"{number * 10 * keys} + id AS seq FROM range({keys if first else changes})"
        bench.give(name, rows)
        batch = str(bench.folder / f"batch{scd}-{number}")
        spark.sql(rows).write.format("delta").save(batch)
        floor.append(seconds_of(partial(spark.sql, by_hand(f"delta.`{batch}`", target))))
        ours.append(seconds_of(update))
    left, right = (spark.read.format("delta").load(path) for path in (target, bench.table(name, "target")))
    assert left.exceptAll(right).isEmpty()
    assert right.exceptAll(left).isEmpty()
    own, hand = statistics.median(ours[2:]), statistics.median(floor[2:])  # all keys first, then a warm-up
    say(
        f"AUTO CDC type {scd}, {changes:,} changes onto {keys:,} keys: {own / hand:.2f} of a MERGE by hand "
        f"({own:.1f} s, {hand:.1f} s; goal {goal})"
    )


def expectations(bench: Bench, rows: int) -> None:
    """Compute a table anew in turn with expectations and without."""
    seconds: dict[str, list[float]] = {}
    for name, rules in (("without", ""), ("with", EXPECTATIONS)):
        bench.give(name, f"SELECT id, concat('name-', id) AS name, id % 1000 - 10 AS v FROM range({rows})")
        bench.pipeline(name, RULES.format(rules=rules))()
    for _ in range(bench.rounds):
        for name, rules in (("without", ""), ("with", EXPECTATIONS)):
            update = bench.pipeline(name, RULES.format(rules=rules))
            seconds.setdefault(name, []).append(seconds_of(partial(update, full_refresh=True)))
    ratio = statistics.median(seconds["with"]) / statistics.median(seconds["without"])
    say(f"four expectations on {rows:,} rows: {ratio:.2f} of the query without (goal 1.1)")


def analysis(bench: Bench, count: int) -> None:
    """Validate a hundred datasets; each reads the one before, or the tenth before that."""
    code, queries = ["import dlt", '@dlt.table\ndef t0():\n    return spark.read.table("main.default.raw")'], []
    for number in range(1, count):
        read = number - 1 if number % 3 else max(0, number - 10)
        text = f"SELECT *, v + {number} AS v{number} FROM {{}}t{read} WHERE k IS NOT NULL"
        code.append(
            f'@dlt.table\n@dlt.expect("r", "v > 0")\ndef t{number}():\n    return spark.sql("{text.format("")}")'
        )
        queries.append((number, text.format("bench_")))
    bench.give("analysis", "SELECT id, id % 3 AS k, id AS v FROM range(10)")
    update = bench.pipeline("analysis", "\n\n".join(code))

    def alone() -> None:
        bench.spark.read.format("delta").load(bench.table("analysis", "raw")).createOrReplaceTempView("bench_t0")
        for number, text in queries:
            schema = bench.spark.sql(text).schema
            bench.spark.createDataFrame([], schema).createOrReplaceTempView(f"bench_t{number}")

    ours, floor = [], []
    for _ in range(bench.rounds + 1):
        floor.append(seconds_of(alone))
        ours.append(seconds_of(lambda: update(validate_only=True)))
    own, bare = statistics.median(ours[1:]), statistics.median(floor[1:])
    say(f"analysis of {count} datasets: {own:.1f} s (goal 5 s), {own / bare:.2f} of Spark's analysis alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=["analysis", "expectations", "cdc1", "cdc2", "update"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pipelines-", ignore_cleanup_errors=True) as temporary:
        os.environ[catalog.ROOT_VARIABLE] = str(Path(temporary) / "catalog")
        spark = get_session("benchmark", config={"spark.ui.enabled": "false"})
        bench = Bench(spark, Path(temporary), given.rounds)
        figures: dict[str, Callable[[], None]] = {
            "analysis": lambda: analysis(bench, 100),
            "expectations": lambda: expectations(bench, 2 * given.keys),
            "cdc1": lambda: cdc(bench, 1, 2.0, given.keys, given.changes),
            "cdc2": lambda: cdc(bench, 2, 3.0, given.keys, given.changes),
            "update": lambda: second_update(bench),
        }
        for name, figure in figures.items():
            if given.only is None or name in given.only:
                figure()
        spark.stop()


if __name__ == "__main__":
    main()
