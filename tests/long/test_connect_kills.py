"""Kills of the job on Spark Connect: of the client, of the server, and of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from devkit.spark.connect_server import ConnectServer
from devkit.testing import EventHub
from tests.job.oracle import assert_exactly_once, positions
from tests.long.kills import EVENTS, kill_again_and_again


def test_twenty_kills_of_client_server_and_both_lose_nothing_and_double_nothing(
    spark: SparkSession, make_event_hub: Callable[..., EventHub], tmp_path: Path
) -> None:
    server = ConnectServer(tmp_path / "server", fast_start=True)
    try:
        kill_again_and_again(make_event_hub, tmp_path, kills=20, server=server)
    finally:
        server.kill()
    assert_exactly_once(found := positions(spark, f"{tmp_path}/output"), sent=EVENTS)
    assert found.rejected.total() == EVENTS // 4
