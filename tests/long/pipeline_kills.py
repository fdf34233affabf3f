"""`kill -9` of an update's whole process group at a step of its work, which it shows by a file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from local_pipelines.testing import PipelineTester
from tests.long.kills import kill_group
from tests.patience import PATIENCE

ORDERS = """
import dlt
from pyspark import pipelines as dp

@dlt.table
@dlt.expect_or_drop("positive", "v > 0")
def bronze():
    return spark.readStream.option("maxFilesPerTrigger", 1).table("events")

@dlt.table
@dlt.expect("small", "v < 5")
def silver():
    return dlt.read_stream("bronze")

dlt.create_streaming_table("both")
@dlt.append_flow(target="both")
def new():
    return dlt.read_stream("silver").select("id", "v")
@dlt.append_flow(target="both", once=True)
def old():
    return spark.sql("select id, -v as v from events where v > 6")

dlt.create_streaming_table("latest", expect_all_or_drop={"known": "id > 0"})
dlt.create_auto_cdc_flow("latest", "bronze", ["id"], "v", stored_as_scd_type=2)

@dp.materialized_view
def gold():
    return spark.sql("select id, count(*) n from both group by id")
"""
FILES = ([(1, 1), (2, -1)], [(1, 2), (2, 8)], [(1, 3), (0, 4)], [(2, 7), (3, 9)])
TABLES = ("bronze", "silver", "both", "latest", "gold")
COMMITS = [*(("bronze", version) for version in range(1, 5)), ("silver", 1), ("both", 1), ("both", 2), ("latest", 1)]


def prepare(pipeline: PipelineTester) -> Path:
    """Give the rows, one file after the other, and return the pipeline's file."""
    for rows in FILES:
        pipeline.given("events", rows, "id int, v int")
    return pipeline.file("orders.py", ORDERS)


def steps(storage: Path) -> int:
    """Return how many steps of an update stand on the disk: commits, offsets, events of the log."""
    tables = [
        *storage.glob("tables/*/*/[!e]*/_delta_log/[0-9]*.json"),
        *storage.glob("cdc/*/*/*/_delta_log/[0-9]*.json"),
    ]
    progress = [path for kind in ("offsets", "commits") for path in storage.glob(f"flows/**/{kind}/[0-9]*")]
    log = storage / "event_log.jsonl"
    return len(tables) + len(progress) + (log.read_bytes().count(b"\n") if log.exists() else 0)


def has_come(storage: Path, after: int) -> bool:
    """Return whether so many steps stand on the disk."""
    return steps(storage) >= after


def kill_once(pipeline: PipelineTester, source: Path, reached: Callable[[], bool]) -> None:
    """Start an update in a process of its own, and kill it as soon as it has come so far."""
    command = [sys.executable, "-m", "devkit.cli", "pipeline", "run", str(source), "--storage", str(pipeline.storage)]
    output = pipeline.folder / "killed.log"
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + PATIENCE
    try:
        while not reached():
            assert process.poll() is None, f"the update ended before its kill:\n{output.read_text()[-3000:]}"
            assert time.monotonic() < until, f"the update did not come so far:\n{output.read_text()[-3000:]}"
            time.sleep(0.001)
    finally:
        kill_group(process)


def outcome(pipeline: PipelineTester) -> dict[str, object]:
    """Return what must be the same however often an update was killed: rows, and what the log counted of each batch."""
    counted = Counter[str]()
    for event in pipeline.log("flow_progress"):
        if event["level"] == "METRICS" and event["origin"]["flow_name"] != "gold":  # it is computed anew by each update
            details = event["details"]["flow_progress"]
            counted[json.dumps([event["origin"]["flow_name"], details["metrics"], details["data_quality"]])] += 1
    log = pipeline.log()
    assert len({event["id"] for event in log}) == len(log)
    return {"tables": {name: pipeline.rows(name) for name in TABLES}, "counted": sorted(counted.elements())}


def kill_and_resume(spark: SparkSession, folder: Path, seeds: range) -> None:
    """Compare killed and resumed updates with an undisturbed one: kills after any step, or right behind a commit."""
    quiet = PipelineTester(spark, folder / "quiet")
    source = prepare(quiet)
    before = steps(quiet.storage)
    result = quiet.run(source)
    assert result.state == "COMPLETED", result.errors
    expected, last = outcome(quiet), steps(quiet.storage)
    for seed in seeds:
        rng, pipeline = random.Random(seed), PipelineTester(spark, folder / str(seed))
        source = prepare(pipeline)
        after = rng.randint(before + 15, last - 8)  # behind what is defined, before the last words
        table, version = rng.choice(COMMITS)
        commit = Path(pipeline.path(table)) / "_delta_log" / f"{version:020}.json"
        if seed % 2:
            kill_once(pipeline, source, commit.exists)
        else:
            kill_once(pipeline, source, partial(has_come, pipeline.storage, after))
        said = f"seed {seed}: {f'after version {version} of {table}' if seed % 2 else f'after {after} steps'}"
        print(said, pipeline.log()[-1]["message"])
        result = pipeline.run(source)
        assert result.state == "COMPLETED", (said, result.errors)
        assert outcome(pipeline) == expected, said
