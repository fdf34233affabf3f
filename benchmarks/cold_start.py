"""Cold start: the first committed Delta micro-batch of `get_session` against that of a plain `getOrCreate()` script.

Both run the same stream with the same jars, each time in new processes, alternating, and the medians are compared.
The plain script has Delta's settings and nothing else: no archive, no flags, Spark's own defaults.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devkit.spark import local_session

PROMISE, GOAL = 0.45, 0.33

STREAM = """
import sys
{session}
folder = sys.argv[1]
source = spark.readStream.schema("id long, body string").json(folder + "/in")
stream = source.writeStream.format("delta").option("checkpointLocation", folder + "/checkpoint")
stream.trigger(availableNow=True).start(folder + "/out").awaitTermination()
print("committed", flush=True)
"""
PLAIN = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
"""
OURS = """
from spark_utils.session import get_session
spark = get_session("cold-start", fast_start={fast})
"""


def first_batch_seconds(program: str, environment: dict[str, str]) -> float:
    """Return the seconds from the start of Python to the first commit."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        (Path(folder) / "in").mkdir()
        (Path(folder) / "in" / "events.json").write_text('{"id": 1, "body": "x"}\n' * 100)
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", program, folder],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "committed\n", "the stream failed"
            seconds = time.perf_counter() - started
            process.wait()
    return seconds


def plain_environment(folder: Path) -> dict[str, str]:
    """Configure Delta and the jars as its documentation says, and nothing else."""
    prepared = local_session.prepare()
    wanted = {"spark.sql.extensions", "spark.sql.catalog.spark_catalog"}
    content = {
        "spark.driver.extraClassPath": prepared.class_path,
        **{setting.key: setting.value for setting in prepared.profile.settings if setting.key in wanted},
    }
    lines = "\n".join(f"{key} {value}" for key, value in content.items())
    (folder / "spark-defaults.conf").write_text(lines)
    return {**os.environ, "SPARK_CONF_DIR": str(folder), "PYSPARK_PYTHON": sys.executable}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    subprocess.run([sys.executable, "-m", "devkit.cli", "warm"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            "plain": (STREAM.format(session=PLAIN), plain_environment(Path(folder))),
            "cells and tests": (STREAM.format(session=OURS.format(fast=True)), dict(os.environ)),
            "jobs": (STREAM.format(session=OURS.format(fast=False)), dict(os.environ)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, (program, environment) in contenders.items():
                seconds[name].append(first_batch_seconds(program, environment))
    floor = statistics.median(seconds["plain"])
    print(f"plain getOrCreate(), first Delta micro-batch: {floor:.1f} s = 1.0 (median of {rounds})")
    for name in ("cells and tests", "jobs"):
        ratio = statistics.median(seconds[name]) / floor
        print(f"get_session, {name}: {ratio:.2f} (promise {PROMISE}, goal {GOAL})")


if __name__ == "__main__":
    main()
