"""``devkit warm``: run a small stream once, so that the start-up archive is there before the first job.

The stream takes the ways of the sample job (``foreachBatch``, parsing, a rejected event and its Python worker, Delta,
the classes of the Kafka source), because the archive holds just those classes that were loaded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from devkit import cache
from devkit.spark import local_session, start_archive
from spark_utils.errors import RuntimeSetupError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


# Long-running jobs generate code, so the classes that do so belong into the archive, though this run starts fast.
GENERATED_CODE = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb."""
    parser.set_defaults(run=_warm)


def _warm(_arguments: argparse.Namespace) -> int:
    archive = local_session.prepare().archive()
    if not start_archive.is_on():
        print(f"instant start is switched off by {start_archive.SWITCH_VARIABLE}")
    elif archive.is_whole():
        print(f"instant start is ready: {archive.path}")
    else:
        started = time.monotonic()
        environment = {**os.environ, start_archive.SWITCH_VARIABLE: start_archive.WRITE}
        with cache.exclusive(archive.path.with_suffix(".lock")):
            done = subprocess.run([sys.executable, "-m", "devkit.spark.warm_up"], env=environment, check=False)
        if done.returncode or not archive.is_whole():
            raise RuntimeSetupError(
                "the start-up archive was not written",
                origin=str(archive.path),
                remedy="Sessions start all the same, only slower; `devkit warm` tries again.",
            )
        print(f"instant start is ready after {time.monotonic() - started:.0f} s: {archive.path}")
    return 0


def run_small_stream_in(spark: SparkSession) -> None:
    """Let a running Spark load the classes of a small stream into Delta, so that its first user does not wait."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source = f"{folder}/in"
        spark.range(1).write.format("delta").save(source)
        query = spark.readStream.format("delta").load(source).writeStream.format("delta").trigger(availableNow=True)
        query.option("checkpointLocation", f"{folder}/checkpoint").start(f"{folder}/out").awaitTermination()
        spark.read.format("delta").load(f"{folder}/out").collect()


def run_small_stream(folder: Path) -> SparkSession:
    """Stream a good and a bad body into a Delta table, read it, and return the session."""
    from pyspark.sql import functions as F  # pyspark takes half a second to import, for one verb of many
    from pyspark.sql import types as t

    from spark_utils.parsing import good_rows, parse
    from spark_utils.session import get_session
    from spark_utils.sinks.batch import RejectedRows

    spark = get_session("warm-up", fast_start=True, config=GENERATED_CODE)
    (folder / "in").mkdir()
    (folder / "in" / "events.json").write_text('{"body": "{\\"a\\": 1}"}\n{"body": "{"}\n', encoding="utf-8")

    def write(batch: DataFrame, version: int) -> None:
        bodies = batch.select(F.col("body").cast("binary").alias("body"))
        rejected = RejectedRows(bodies, partial(parse, schema=t.StructType().add("a", "integer")))
        writer = good_rows(rejected.attach()).selectExpr("event.a").write.format("delta").mode("append")
        writer.option("txnAppId", "warm-up").option("txnVersion", version).save(str(folder / "out"))
        seen = rejected.seen()
        if seen and seen.collected:
            seen.collected.count()

    spark.readStream.format("kafka").option("kafka.bootstrap.servers", "127.0.0.1:9").option("subscribe", "none").load()
    source = spark.readStream.schema("body string").json(str(folder / "in"))
    query = source.writeStream.foreachBatch(write).trigger(availableNow=True)
    query.option("checkpointLocation", str(folder / "checkpoint")).start().awaitTermination()
    spark.read.format("delta").load(str(folder / "out")).count()
    return spark


if __name__ == "__main__":
    from pyspark import SparkContext

    prepared = local_session.prepare()
    with tempfile.TemporaryDirectory() as temporary:
        run_small_stream(Path(temporary)).stop()  # else its threads here complain about the JVM's end
    prepared.archive().keep(SparkContext._gateway.proc)  # type: ignore[union-attr]  # pyspark's own process
