"""A bounded stream and a small stand-in for parsing, so that the sink is tested on its own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from spark_utils.parsing import good_rows
from spark_utils.session import is_connect
from spark_utils.sinks.write_stream import write_stream

FIRST_SECOND = 1_767_225_600
HEADERS = "array<struct<key:string,value:binary>>"


def parse(df: DataFrame) -> DataFrame:
    """A number is good, anything else is rejected."""
    number = F.expr("try_cast(CAST(body AS STRING) AS BIGINT)")
    return df.select(
        "*",
        F.when(number.isNotNull(), F.struct(number.alias("number"))).alias("event"),
        F.when(number.isNull(), F.lit("not_a_number")).alias("reason"),
        F.lit(None).cast("string").alias("path"),
        F.lit(None).cast("string").alias("detail"),
        F.lit(None).cast("string").alias("_unknown"),
    )


def transform(events: DataFrame) -> DataFrame:
    return events.select("event.number", "partition", "offset")


def to_events(parsed: DataFrame) -> DataFrame:
    return transform(good_rows(parsed))


@dataclass
class Bench:
    """A source folder, whose files are read one a batch, and an output folder."""

    spark: SparkSession
    folder: Path
    sent: int = 0

    @property
    def output(self) -> str:
        return str(self.folder / "output")

    @property
    def checkpoint(self) -> str:
        return str(self.folder / "checkpoint")

    def send(self, *bodies: str) -> None:
        """Add one file, hence one batch, of bodies; offsets count on."""
        rows = [
            {"body": body, "offset": self.sent + place, "enqueued_time": "2026-01-01T00:00:00.123456Z"}
            for place, body in enumerate(bodies)
        ]
        folder = self.folder / "source"
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{self.sent:09}"
        draft.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        os.utime(draft, (FIRST_SECOND + self.sent,) * 2)  # files are read in the order of these times
        draft.rename(folder / f"{self.sent:09}.json")
        self.sent += len(bodies)

    def raw(self) -> DataFrame:
        lines = "body STRING, offset BIGINT, enqueued_time TIMESTAMP"
        files = self.spark.readStream.schema(lines).option("maxFilesPerTrigger", 1).json(str(self.folder / "source"))
        return files.select(
            F.col("body").cast("binary").alias("body"),
            F.lit(None).cast("binary").alias("key"),
            F.lit(0).alias("partition"),
            "offset",
            "enqueued_time",
            F.lit(None).cast(HEADERS).alias("headers"),
        )

    def run(self, **options: Any) -> None:
        """Run the sink on what was sent so far, to its end."""
        query = self.start(**options)
        try:
            query.awaitTermination()
        finally:
            query.stop()

    def start(self, **options: Any) -> StreamingQuery:
        """Start the sink on what was sent so far."""
        step = options.pop("transform", transform)
        given: dict[str, Any] = {
            "parse": parse,
            "events": lambda parsed: step(good_rows(parsed)),
            "output_path": self.output,
            "checkpoint_path": self.checkpoint,
        }
        return write_stream(self.raw(), **(given | options))

    def table(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(f"{self.output}/{name}")

    def offsets(self, name: str) -> list[int]:
        return sorted(row.offset for row in self.table(name).select("offset").collect())

    def forget_commit(self, batch_id: int) -> None:
        """Leave the checkpoint as a kill leaves it: the batch's offsets logged, its commit not."""
        for path in Path(self.checkpoint, "commits").glob(f"*{batch_id}*"):
            path.unlink()

    def forget_write(self, name: str) -> None:
        """Leave a table as a kill leaves it that comes before the last write's commit (classic Spark only)."""
        last = max(Path(self.output, name, "_delta_log").glob("*.json"))
        last.unlink()
        last.with_name(f".{last.name}.crc").unlink(missing_ok=True)
        last.with_suffix(".crc").unlink(missing_ok=True)
        forget_tables(self.spark)

    def versions(self, name: str) -> int:
        """Count the commits of a table."""
        return len(list(Path(self.output, name, "_delta_log").glob("*.json")))


def forget_tables(spark: SparkSession) -> None:
    """Let Delta forget what it knows of tables, as after a kill (classic Spark only): their files have changed."""
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


def expect_observations(spark: SparkSession) -> None:
    """Fail as expected where a batch cannot see what its own write observed: it then reads its rejected rows again."""
    if is_connect(spark) and pyspark.__version__.startswith("4.0."):
        pytest.xfail("Spark Connect of Spark 4.0 hands no observation over inside foreachBatch")
