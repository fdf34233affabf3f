"""An update that is killed goes on where it was: rows, counts and log as if nothing had happened."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from local_pipelines.testing import PipelineTester
from tests.local_pipelines.kills import has_come, kill_once, outcome, prepare, steps

COMMITS = [*(("bronze", version) for version in range(1, 5)), ("silver", 1), ("both", 1), ("both", 2), ("latest", 1)]


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


def test_a_killed_update_goes_on_exactly_where_it_was(spark: SparkSession, tmp_path: Path) -> None:
    kill_and_resume(spark, tmp_path, range(2))
