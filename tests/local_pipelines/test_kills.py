"""An update that is killed goes on where it was: rows, counts and log as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path

from pyspark.sql import SparkSession

from local_pipelines.testing import PipelineTester
from tests.local_pipelines.kills import killed_after, outcome, prepare, steps


def kill_and_resume(spark: SparkSession, folder: Path, seeds: range) -> None:
    """Compare killed and resumed updates with an undisturbed one."""
    quiet = PipelineTester(spark, folder / "quiet")
    source = prepare(quiet)
    before = steps(quiet.storage)
    result = quiet.run(source)
    assert result.state == "COMPLETED", result.errors
    expected, last = outcome(quiet), steps(quiet.storage)
    for seed in seeds:
        pipeline = PipelineTester(spark, folder / str(seed))
        source = prepare(pipeline)
        after = random.Random(seed).randint(before + 15, last - 8)  # behind what is defined, before the last words
        reached = killed_after(pipeline, source, after)
        result = pipeline.run(source)
        assert result.state == "COMPLETED", (seed, after, reached, result.errors)
        assert outcome(pipeline) == expected, (seed, after, reached)


def test_a_killed_update_goes_on_exactly_where_it_was(spark: SparkSession, tmp_path: Path) -> None:
    kill_and_resume(spark, tmp_path, range(2))
