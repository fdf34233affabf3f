"""`devkit checkpoint show|repair`: how far a checkpoint and its tables have come, and one set up again from these.

Each batch leaves a mark in the table `events`: its query, its number, and the offsets between which it read. So a
checkpoint of an event hub can be written again exactly as it must be. One of files is a list of the files that were
read: that list is taken over from the old checkpoint when it is whole, and cannot be had from anywhere else.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from spark_utils.errors import CheckpointMismatchError, ConfigurationError
from spark_utils.session import get_session
from spark_utils.sinks.checkpoints import Checkpoint, damage, kafka_offsets, read_local_checkpoint
from spark_utils.sinks.delta_tables import Mark, Table, read_table
from spark_utils.sinks.guard import Guard, claims_of
from spark_utils.sinks.locks import LOCK

_SETTINGS = '{"batchWatermarkMs":0,"batchTimestampMs":0,"conf":{}}'
_COMMITTED = 'v1\n{"nextBatchWatermarkMs":0}'


@dataclass(frozen=True)
class Output:
    """A job's output and its checkpoint, as they are found."""

    checkpoint: Checkpoint
    events: Table
    rejected: Table | None

    @property
    def last(self) -> Mark | None:
        """The newest batch that `events` holds: of the checkpoint's own query, or of its source."""
        own = self.events.last_batch(self.checkpoint.query_id)
        return own or next((mark for mark in self.events.marks if mark.source == _guard(self).source), None)


def show(arguments: argparse.Namespace) -> int:
    """Print what is known; exit status 1 when a job would be refused."""
    output = _read(arguments)
    checkpoint, last = output.checkpoint, output.last
    print(f"checkpoint {checkpoint.path}")
    print(f"  query {checkpoint.query_id or 'unknown'}")
    print(f"  begun up to {_batch(checkpoint.last_begun)}, committed up to {_batch(checkpoint.last_committed)}")
    print(f"tables {Path(output.events.path).parent}")
    for name, table in (("events", output.events), ("rejected", output.rejected)):
        mark = next(iter(table.marks), None) if table else None
        found = f"batch {mark.batch} of query {mark.query}" if mark else "no batch" if table else "no table"
        print(f"  {name}: {found}")
    offsets = kafka_offsets(last.end) if last else None
    if offsets:
        positions = json.dumps({str(partition): at for (_, partition), at in sorted(offsets.items())})
        print(f"  what comes next, as --starting-position (-2 for the earliest event): '{positions}'")
    try:
        _guard(output).check(checkpoint, output.events, output.rejected)
    except CheckpointMismatchError as mismatch:
        print(f"a job would be refused: {mismatch}")
        return 1
    print("they belong together")
    return 0


def repair(arguments: argparse.Namespace) -> int:
    """Set a new checkpoint up from the tables' marks; the old one is moved aside.

    Raises:
        ConfigurationError: The tables hold no mark, or the checkpoint is of files and its list of these is damaged.
        CheckpointMismatchError: A query runs with the checkpoint.
    """
    output = _read(arguments)
    old, last = output.checkpoint, output.last
    if last is None or not last.end:
        raise ConfigurationError(
            f"the table {output.events.path} does not say what was read",
            origin="its history",
            remedy="Read the source again from its start into a new output path.",
        )
    files = _files_of(output, last)
    folder = Path(old.path)
    LOCK.take(old.path)()
    aside = folder.with_name(f"{folder.name}.before-repair-{time.strftime('%Y%m%d-%H%M%S')}")
    if old.files:
        folder.rename(aside)
        print(f"the old checkpoint is now {aside}")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    state = "goes on after" if f"commits/{last.batch}" in files else "repeats what may be missing of"
    print(f"{folder} {state} batch {last.batch}")
    return 0


def _files_of(output: Output, last: Mark) -> dict[str, str]:
    """Return the files of the new checkpoint: the newest batch that the tables hold, and the one before."""
    old, rejects = output.checkpoint, output.rejected.last_batch(last.query) if output.rejected else None
    files = {"metadata": json.dumps({"id": last.query}), f"offsets/{last.batch}": _offsets(last.end)}
    # The rejected rows are written last, so their mark, or the old commit, says that nothing of the batch is missing.
    if last.batch in old.committed or (rejects is not None and rejects.batch == last.batch):
        files[f"commits/{last.batch}"] = _COMMITTED
    if last.batch > 0 and last.begin:
        files |= {f"offsets/{last.batch - 1}": _offsets(last.begin), f"commits/{last.batch - 1}": _COMMITTED}
    if kafka_offsets(last.end) is not None:
        return files | ({"sources/0/0": f"v1\n{last.begin}"} if last.begin else {})
    whole = Checkpoint(old.path, {**{n: t for n, t in old.files.items() if n.startswith("sources/")}, **files})
    if found := damage(whole):
        raise ConfigurationError(
            f"the list of the files that were read is damaged: {'; '.join(found)}",
            origin=old.path,
            remedy="Put these files back, or read the source again from its start into a new output path.",
        )
    return dict(whole.files)


def _offsets(lines: str) -> str:
    return f"v1\n{_SETTINGS}\n{lines}"


def _batch(number: int) -> str:
    return "no batch" if number < 0 else f"batch {number}"


def _guard(output: Output) -> Guard:
    """Return the guard of the source that the checkpoint reads, as the table remembers it."""
    claims = claims_of(output.events).values()
    mine = [claim for claim in claims if claim.get("checkpoint") == output.checkpoint.path] or [*claims]
    known = mine[0] if mine else {}
    return Guard({key: str(value) for key, value in known.items() if key not in {"checkpoint", "unmarked"}})


def _read(arguments: argparse.Namespace) -> Output:
    folder = Path(arguments.output_path).absolute()
    checkpoint = read_local_checkpoint(Path(arguments.checkpoint_path or folder / "checkpoint").absolute())
    spark: SparkSession = get_session("devkit-checkpoint", fast_start=True, config={"spark.ui.enabled": "false"})
    events, rejected = (read_table(spark, str(folder / name), checkpoint.query_id) for name in ("events", "rejected"))
    if events is None:
        raise ConfigurationError(
            f"{str(folder / 'events')!r} is not a Delta table",
            origin="the argument OUTPUT_PATH",
            remedy="Give the job's --output-path: a folder of this machine.",
        )
    return Output(checkpoint, events, rejected)
