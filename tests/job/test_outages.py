"""What fails around a running job: the broker restarts, the disk is full. Nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import SparkSession

from spark_utils import StreamFailedError, await_termination, parse_arguments, read_stream, write_stream
from tests.job.oracle import assert_exactly_once, positions
from tests.spark_utils.sinks.sink_kit import parse, to_events

if TYPE_CHECKING:
    from devkit.hub.broker import LocalHub
    from devkit.testing import EventHub


def start(spark: SparkSession, hub: EventHub, folder: Path, trigger: str, output: Path | None = None) -> Any:
    config = parse_arguments(
        [
            *("--schema", "number BIGINT", "--output-path", str(output or folder / "output")),
            *("--checkpoint-path", str(folder / "checkpoint"), "--trigger", trigger),
        ],
        environ={"STREAMING_EVENT_HUBS_CONNECTION_STRING": hub.connection_string},
    )
    raw = read_stream(spark, config.source)
    return write_stream(raw, parse=parse, events=to_events, output=config.output)


def bodies(first: int, count: int) -> Iterator[bytes]:
    """Numbers, and every tenth no number."""
    return (b"%d" % number if number % 10 else b"{" for number in range(first, first + count))


def test_a_stream_survives_a_restart_of_its_broker(
    spark: SparkSession, event_hub: EventHub, local_hub: LocalHub, tmp_path: Path
) -> None:
    event_hub.send(bodies(0, 200))
    query = start(spark, event_hub, tmp_path, "100 ms")
    try:
        query.processAllAvailable()
        local_hub.restart()
        event_hub.send(bodies(200, 200))
        query.processAllAvailable()
    finally:
        query.stop()
    assert_exactly_once(positions(spark, str(tmp_path / "output")), sent=400)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of a given size, for root only; calling it again changes the size."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def resize(size: str) -> Path:
        nonlocal mounted
        options = f"remount,size={size}" if mounted else f"size={size}"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this machine lets nobody mount a small disk: {done.stderr.decode().strip()}")
        mounted = True
        return place

    yield resize
    if mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_told_in_one_line_and_the_next_start_goes_on(
    spark: SparkSession, event_hub: EventHub, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    output = small_disk("100k") / "output"
    event_hub.send(bodies(0, 60_000))
    query = start(spark, event_hub, tmp_path, "available-now", output)
    with pytest.raises(StreamFailedError, match="No space left on device") as failure:
        await_termination(query)
    assert "\n" not in str(failure.value)

    small_disk("50m")
    await_termination(start(spark, event_hub, tmp_path, "available-now", output))
    assert_exactly_once(positions(spark, str(output)), sent=60_000)
