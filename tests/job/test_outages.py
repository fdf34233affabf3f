"""What fails around a job: the broker restarts, the disk is full, events are gone. Nothing is lost without a word."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from pyspark.sql import SparkSession

from devkit.hub.client import kafka_settings
from spark_utils import (
    CheckpointMismatchError,
    StreamFailedError,
    attach_progress,
    await_termination,
    parse_arguments,
    read_stream,
    write_stream,
)
from spark_utils.configuration.values import StopAfter
from spark_utils.sinks import hub_positions
from spark_utils.sources.event_hubs import parse_connection_string
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
    return write_stream(raw, parse=parse, events=to_events, source=config.source, output=config.output)


def bodies(first: int, count: int) -> Iterator[bytes]:
    """Numbers, and every tenth no number."""
    return (b"%d" % number if number % 10 else b"{" for number in range(first, first + count))


@pytest.mark.slow
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
def hub_with_five(each_spark: SparkSession, event_hub: EventHub, tmp_path: Path) -> EventHub:
    """A hub of whose partition 0 five events are in the tables."""
    event_hub.send([b"1"] * 5, partition=0)
    await_termination(start(each_spark, event_hub, tmp_path, "available-now"))
    return event_hub


# Where the same small job answers on both kinds of session; of a partition that is gone, an error's text tells.
on_connect = pytest.mark.parametrize("each_spark", ["connect"], indirect=True)


def admin_of(hub: EventHub) -> AdminClient:
    return AdminClient(kafka_settings(parse_connection_string(hub.connection_string)))


def make_anew(hub: EventHub, local_hub: LocalHub, partitions: int = 2) -> None:
    admin = admin_of(hub)
    admin.delete_topics([hub.name])[hub.name].result()
    while hub.name in admin.list_topics(timeout=10).topics:
        pass
    local_hub.create_hub(hub.name, partitions=partitions)


def add_partition(hub: EventHub, local_hub: LocalHub, number: int) -> None:
    admin = admin_of(hub)  # what it is asked for ends with it
    admin.create_partitions([NewPartitions(hub.name, number + 1)])[hub.name].result()
    while local_hub.create_hub(hub.name) <= number:  # it is there already, and this waits until it takes events
        pass


@pytest.mark.slow
def test_added_partitions_are_told_and_read_from_their_first_event(
    hub_with_five: EventHub,
    local_hub: LocalHub,
    each_spark: SparkSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    attach_progress(each_spark, stream=io.StringIO())
    running = start(each_spark, hub_with_five, tmp_path, "100 ms")
    add_partition(hub_with_five, local_hub, 2)
    hub_with_five.send([b"2"] * 3, partition=2)
    await_termination(running, StopAfter(events=3))
    add_partition(hub_with_five, local_hub, 3)
    hub_with_five.send([b"3"] * 4, partition=3)
    attach_progress(each_spark, stream=io.StringIO())
    await_termination(start(each_spark, hub_with_five, tmp_path, "available-now"))
    assert_exactly_once(positions(each_spark, str(tmp_path / "output")), sent=12)
    assert re.search(r"new partitions, which batch \d reads from their first event: 2 \(", caplog.text)
    assert "from their first event: 3 (events 0 to 3)" in caplog.text


@pytest.mark.slow
def test_a_hub_made_anew_with_fewer_partitions_is_refused(
    hub_with_five: EventHub, local_hub: LocalHub, each_spark: SparkSession, tmp_path: Path
) -> None:
    make_anew(hub_with_five, local_hub, partitions=1)
    with pytest.raises(CheckpointMismatchError, match=r'no longer has partition 1 .batch 0 ends at 0.*\{"0": -2\}'):
        start(each_spark, hub_with_five, tmp_path, "available-now")


@pytest.mark.slow
@on_connect
def test_events_that_retention_took_are_named_with_the_way_on(
    hub_with_five: EventHub, each_spark: SparkSession, tmp_path: Path
) -> None:
    hub_with_five.send([b"2"] * 4, partition=0)
    admin = admin_of(hub_with_five)
    for answer in admin.delete_records([TopicPartition(hub_with_five.name, 0, 8)]).values():
        answer.result()
    way_on = """--accept-new-checkpoint --starting-position '{"0": -2, "1": 0}'"""
    with pytest.raises(CheckpointMismatchError, match=f"has 3 events .* 5 to 7 of partition 0 .*{re.escape(way_on)}"):
        start(each_spark, hub_with_five, tmp_path, "available-now")


@pytest.mark.slow
def test_a_hub_made_anew_that_has_less_is_named_with_the_way_on(
    hub_with_five: EventHub,
    local_hub: LocalHub,
    each_spark: SparkSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_anew(hub_with_five, local_hub)
    hub_with_five.send([b"2"] * 3, partition=0)
    with pytest.raises(StreamFailedError, match=r"--accept-new-checkpoint.*--starting-position"):
        await_termination(start(each_spark, hub_with_five, tmp_path, "available-now"))
    assert "event 4 of partition 0 was taken up, and the hub has only others, from 0 on" in caplog.text


@pytest.mark.slow
@on_connect
def test_a_hub_made_anew_that_has_more_is_refused_before_the_start(
    hub_with_five: EventHub,
    local_hub: LocalHub,
    each_spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_positions, "_CLOCKS_SECONDS", 0.0)
    await_termination(start(each_spark, hub_with_five, tmp_path, "available-now"))  # nothing has happened to it yet
    make_anew(hub_with_five, local_hub)
    hub_with_five.send([b"2"] * 7, partition=0)
    with pytest.raises(CheckpointMismatchError, match=r"event 4 of partition 0 came at .* of the new hub 5 events"):
        start(each_spark, hub_with_five, tmp_path, "available-now")


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


@pytest.mark.slow
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
