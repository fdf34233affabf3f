"""`kill -9` of the job's whole process group, again and again, at every stage of a batch: nothing lost, nothing twice.

On Spark Connect these are two programs, and each of them, or both, may be hit.

This watches the files by which a batch shows how far it is, and kills within a millisecond or so of the one it
waits for. What stage the batch was really in is read from the logs that the dead process left.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.patience import PATIENCE
from tests.project import ROOT

if TYPE_CHECKING:
    from devkit.spark.connect_server import ConnectServer
    from devkit.testing import EventHub


SEED = 20261121
EVENTS = 6000
EVENTS_PER_TRIGGER = 20
STAGES = ("events", "rejected", "offsets", "commit", "delay")
VICTIMS = ("client", "server", "both")


class Job:
    """The killed job's folder and what its files tell."""

    def __init__(self, folder: Path, hub: EventHub, server: ConnectServer | None = None) -> None:
        self.folder, self.server = folder, server
        self.log = folder / "output.log"
        self.environment = {
            **os.environ,
            "STREAMING_EVENT_HUBS_CONNECTION_STRING": hub.connection_string,
            "PYTHONFAULTHANDLER": "1",  # one that hangs tells where: see `kill`
        }

    def start(self, events_per_trigger: int, trigger: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "src/streaming_job.py", "--schema", "number BIGINT", "--fast-start", "true"]
        command += ["--output-path", f"{self.folder}/output", "--checkpoint-path", f"{self.folder}/checkpoint"]
        command += ["--max-events-per-trigger", str(events_per_trigger), "--trigger", trigger]
        environment = self.environment | (self.server.start().variables if self.server else {})
        with self.log.open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def kill(self, process: subprocess.Popen[bytes], victim: str) -> None:
        """Kill it, its server, or both; one whose server has gone ends by itself."""
        if victim != "client" and self.server:
            self.server.kill()
        if victim == "server":
            try:
                assert process.wait(PATIENCE) != 0, self.log.read_text()[-3000:]
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)
                process.wait()
                raise AssertionError(f"it went on without its server:\n{self.log.read_text()[-9000:]}") from None
        else:
            kill_group(process)

    def latest(self, kind: str) -> int:
        """The latest batch whose offsets are logged, or that is committed; -1 for none."""
        return max(numbers(self.folder / "checkpoint" / kind), default=-1)

    def latest_version(self, table: str) -> int:
        return max(numbers(self.folder / "output" / table / "_delta_log"), default=0)

    def latest_written(self, table: str) -> int:
        """The latest batch that a table's log holds, by Delta's own idempotency mark."""
        logs = (self.folder / "output" / table / "_delta_log").glob("*.json")
        actions = (json.loads(line) for log in logs for line in log.read_text().splitlines())
        return max((action["txn"]["version"] for action in actions if "txn" in action), default=-1)

    def stage(self) -> str:
        """How far the last batch had come when the process died."""
        begun = self.latest("offsets")
        if begun == self.latest("commits"):
            return "between batches"
        if self.latest_written("events") < begun:
            return "before the first write"
        return "between the writes" if self.latest_written("rejected") < begun else "between write and commit"

    def sign_of(self, stage: str, batches: int) -> Path:
        """The file that appears when the job reaches a stage, so many batches on from here."""
        if stage in ("events", "rejected"):
            return self.folder / f"output/{stage}/_delta_log/{self.latest_version(stage) + batches:020}.json"
        kind = "commits" if stage == "commit" else "offsets"
        return self.folder / f"checkpoint/{kind}/{self.latest(kind) + batches}"


def numbers(folder: Path) -> Iterator[int]:
    names = folder.iterdir() if folder.is_dir() else ()
    return (int(path.stem) for path in names if path.stem.isdigit() and path.suffix in ("", ".json"))


def wait_for(sign: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not sign.exists():
        assert process.poll() is None, f"the job ended by itself:\n{log.read_text()[-3000:]}"
        assert time.monotonic() < until, f"{sign} did not come:\n{log.read_text()[-3000:]}"
        time.sleep(0.0005)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill Python and its JVM at once, and return when both are gone."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 5
    while time.monotonic() < until:  # a zombie that nobody reaps keeps the group alive, but does nothing any more
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.001)


def kill_again_and_again(
    make_event_hub: Callable[..., EventHub],
    folder: Path,
    kills: int,
    server: ConnectServer | None = None,
) -> Counter[str]:
    """Kill a job so often, let it end once, and return how many kills hit it at which stage; the output is `output`."""
    hub = make_event_hub(partitions=2)
    for partition in range(2):
        bodies = (b'{"number": %d}' % n if n % 4 else b"{" for n in range(EVENTS // 2))
        hub.send(bodies, partition=partition)
    job, rng, stages = Job(folder, hub, server), random.Random(SEED), Counter[str]()
    for life in range(kills):
        stage = STAGES[life % len(STAGES)]
        sign = job.sign_of(stage, rng.randint(1, 2))
        process = job.start(EVENTS_PER_TRIGGER, "1 ms")
        try:
            wait_for(sign, process, job.log)
            time.sleep(rng.random() if stage == "delay" else 0)  # the moment is the test's input, not a wait
        finally:
            job.kill(process, VICTIMS[life % len(VICTIMS)] if server else "client")
        stages[job.stage()] += 1
        assert job.latest_written("events") < EVENTS // EVENTS_PER_TRIGGER - 1, "all was consumed: send more events"

    last = job.start(EVENTS, "available-now")
    assert last.wait(PATIENCE) == 0, job.log.read_text()[-3000:]
    return stages
