"""The same definitions on Spark's own engine, where it can run them: equal tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from devkit.spark import catalog
from devkit.spark.connect_server import ConnectServer
from local_pipelines.testing import PipelineTester

PYTHON = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.active()

@dp.table(partition_cols=["k"], table_properties={"quality": "bronze"})
def bronze():
    return spark.readStream.table("raw")

@dp.temporary_view
def positive():
    return spark.readStream.table("bronze").where("v > 0")

@dp.table
def silver():
    return spark.readStream.table("positive").selectExpr("id", "k", "v * 2 AS v")

dp.create_streaming_table("both")
for name in ("bronze", "silver"):
    @dp.append_flow(target="both", name=f"from_{name}")
    def flow(name=name):
        return spark.readStream.table(name).selectExpr("id", f"'{name}' AS source")

@dp.materialized_view(comment="by key")
def gold():
    return spark.read.table("silver").groupBy("k").agg(F.sum("v").alias("total"))
"""
SQL = """
CREATE STREAMING TABLE copied AS SELECT id, v FROM STREAM(raw) WHERE v IS NOT NULL;
CREATE TEMPORARY VIEW small AS SELECT * FROM copied WHERE v < 5;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, max(v) AS largest FROM small;
"""
TABLES = ("bronze", "silver", "both", "gold", "copied", "counted")
BATCHES = ([(1, "a", 5), (2, "a", None), (3, "b", -1)], [(4, "b", 2), (5, None, 9)])


def test_both_engines_give_equal_tables(
    pipeline: PipelineTester, connect_server: ConnectServer, connect_session: SparkSession
) -> None:
    pytest.importorskip("pyspark.pipelines.cli", reason="Spark 4.0 has no pipelines", exc_type=ImportError)
    sources = [pipeline.file("own/flows.py", PYTHON), pipeline.file("own/tables.sql", SQL)]
    storage = (pipeline.folder / "own-storage").as_uri()
    spec = pipeline.file(
        "own/spark-pipeline.yml",
        f"{{name: own, catalog: main, database: own, storage: '{storage}', libraries: [glob: {{include: tables.sql}}, "
        "glob: {include: flows.py}]}",
    )
    ours = pipeline.file("ours.yml", "{catalog: main, schema: own, libraries: [glob: {include: own}]}")
    connect_session.sql("CREATE SCHEMA main.own")
    command = [sys.executable, "-m", "pyspark.pipelines.cli", "run", "--spec", str(spec)]
    assert len(sources) == 2
    for rows in BATCHES:
        connect_session.createDataFrame(rows, "id int, k string, v int").write.mode("append").saveAsTable(
            "main.own.raw"
        )
        ran = subprocess.run(
            command, check=False, env=os.environ | connect_server.start().variables, capture_output=True, text=True
        )
        assert "Run is COMPLETED" in ran.stdout + ran.stderr, ran.stdout[-2000:] + ran.stderr[-4000:]
        pipeline.given("own.raw", rows, "id int, k string, v int")
        result = pipeline.run(ours)
        assert result.state == "COMPLETED", result.errors
        for table in TABLES:
            assert sorted_rows(pipeline, catalog.root() / "main/own" / table) == sorted_rows(
                pipeline, Path(pipeline.path(f"own.{table}"))
            ), table


def sorted_rows(pipeline: PipelineTester, path: Path) -> list[str]:
    frame = pipeline.spark.read.format("delta").load(str(path))
    return sorted(str(sorted(row.asDict().items())) for row in frame.collect())
