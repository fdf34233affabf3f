"""A job that runs on while events keep coming: each event once, and memory that does not grow with their number."""

from __future__ import annotations

import statistics
import threading
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from devkit.hub.client import EventSender
from devkit.hub.generator import Shares, generate
from devkit.hub.sending import send_paced
from devkit.testing import EventHub
from tests.job.job import Job
from tests.job.oracle import assert_exactly_once, positions
from tests.project import ROOT

SECONDS = 180.0
RATE = 400  # events a second
SAMPLE_SECONDS = 1.0


def resident_bytes(pid: int) -> int:
    """The resident memory of a process and all below it."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(process.memory_info().rss for process in processes if process.is_running())


class Sampler(threading.Thread):
    """Looks at a process's memory until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid, self._done = pid, threading.Event()
        self.samples: list[int] = []

    def run(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self.samples.append(resident_bytes(self._pid))

    def thirds(self) -> list[float]:
        """Stop, and return the median of each third."""
        self._done.set()
        self.join()
        third = len(self.samples) // 3
        return [statistics.median(self.samples[start : start + third]) for start in (0, third, 2 * third)]


def test_each_event_is_written_once_and_memory_stays_flat(
    spark: SparkSession, event_hub: EventHub, tmp_path: Path
) -> None:
    arguments = {
        "--schema": str(ROOT / "configuration" / "schemas" / "telemetry.json"),
        "--output-path": str(tmp_path / "out"),
        "--trigger": "1 second",
    }
    event_hub.send_events(generate(100))
    job = Job(tmp_path, arguments, {"STREAMING_EVENT_HUBS_CONNECTION_STRING": event_hub.connection_string})
    try:
        job.wait_for('"batch": 0')
        sampler = Sampler(job.process.pid)
        sampler.start()
        with EventSender(event_hub.connection_string) as sender:
            report = send_paced(sender, generate(None, shares=Shares(malformed=0.05)), rate=RATE, seconds=SECONDS)
        first, middle, last = sampler.thirds()
        job.wait_for(f'"total_events": {report.sent + 100}')
        assert job.stop() == 0, job.output
    finally:
        job.kill()
    assert_exactly_once(positions(spark, str(tmp_path / "out")), sent=report.sent + 100)
    print(f"resident MiB, by thirds: {first / 2**20:.0f}, {middle / 2**20:.0f}, {last / 2**20:.0f}")
    assert last < 1.15 * middle
