"""A few kills, at the stages that matter; `tests/long/test_kills.py` kills thirty times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from devkit.spark.connect_server import ConnectServer
from devkit.testing import EventHub
from tests.job.kills import EVENTS, kill_again_and_again
from tests.job.oracle import assert_exactly_once, positions


def test_a_kill_between_the_two_writes_and_one_before_the_commit_lose_nothing_and_double_nothing(
    spark: SparkSession, make_event_hub: Callable[..., EventHub], tmp_path: Path
) -> None:
    kill_again_and_again(make_event_hub, tmp_path, kills=2)
    assert_exactly_once(found := positions(spark, f"{tmp_path}/output"), sent=EVENTS)
    assert found.rejected.total() == EVENTS // 4


def test_a_kill_of_the_spark_connect_server_loses_nothing_and_doubles_nothing(
    spark: SparkSession, make_event_hub: Callable[..., EventHub], tmp_path: Path
) -> None:
    server = ConnectServer(tmp_path / "server", fast_start=True)
    try:
        kill_again_and_again(make_event_hub, tmp_path, kills=1, server=server, victims=["server"])
    finally:
        server.kill()
    assert_exactly_once(positions(spark, f"{tmp_path}/output"), sent=EVENTS)
