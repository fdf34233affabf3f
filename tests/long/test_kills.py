"""Kills of the job in number, at every stage of a batch, and one of a pipeline's update."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from devkit.testing import EventHub
from tests.job.oracle import assert_exactly_once, positions
from tests.long.kills import EVENTS, kill_again_and_again
from tests.long.pipeline_kills import kill_and_resume


def test_thirty_kills_at_any_moment_lose_nothing_and_double_nothing(
    spark: SparkSession, make_event_hub: Callable[..., EventHub], tmp_path: Path
) -> None:
    stages = kill_again_and_again(make_event_hub, tmp_path, kills=30)
    assert_exactly_once(found := positions(spark, f"{tmp_path}/output"), sent=EVENTS)
    assert found.rejected.total() == EVENTS // 4
    print(dict(stages))
    assert stages["between the writes"] >= 3, stages
    assert stages["between write and commit"] >= 3, stages


def test_a_killed_update_goes_on_exactly_where_it_was(spark: SparkSession, tmp_path: Path) -> None:
    kill_and_resume(spark, tmp_path, range(1))
