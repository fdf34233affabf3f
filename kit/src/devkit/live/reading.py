"""What the page shows: the runs that were told of, and what the latest commits of their tables hold.

Tables are read by their logs and files, without Spark, so that no stream is slowed:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#add-file-and-remove-file
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from devkit.live import journal

COMMITS: Final = 200  # of a table, as many as are looked at
ROWS: Final = 20
LATE: Final = 60_000  # milliseconds, at most, that a commit's file is younger than the commit says of itself


class Span(NamedTuple):
    """When a run wrote, in milliseconds since 1970; its tables may hold what earlier and later runs wrote too."""

    began: float
    ended: float = math.inf


class Commit(NamedTuple):
    """What a batch added to a table: when, in milliseconds since 1970, and the files."""

    time: int
    files: tuple[Path, ...]
    partitions: tuple[tuple[tuple[str, str | None], ...], ...]  # of each file: columns that it need not hold itself


def runs() -> list[dict[str, Any]]:
    """Return the runs that are known, those that go on and the latest first: what they are, and their last batch."""
    found = [run for file in journal.folder().glob("*.jsonl") if (run := _run(file.stem))]
    for run in found:
        run["last"] = (run.pop("batches") or [None])[-1]
        del run["config"]
    return sorted(found, key=lambda run: (run["state"] == "running", run["started"]), reverse=True)


def run_of(run_id: str) -> dict[str, Any] | None:
    """Return a run with its batches, its configuration and what its tables hold; None when it is not known."""
    run = _run(run_id)
    if run is None:
        return None
    from spark_utils.sinks.checkpoints import local_path  # it imports pyspark, which takes a second

    output, ui, span = local_path(run["folder"]), run["ui"] if run["state"] == "running" else None, _span(run)
    return run | {
        "ui": ui if ui is None or "watch" in run else f"{ui}/StreamingQuery/statistics/?id={run_id}",
        "reasons": reasons(output / "rejected", span) if output else [],
        "rows": newest_rows(output / "events", span) if output else None,
    }


def _run(run_id: str) -> dict[str, Any] | None:
    file = journal.folder() / f"{run_id}.jsonl"
    try:
        about, *told = _lines(file, file.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None
    end = told.pop() if told and "ended" in told[-1] else None
    if end is None:
        state = "running" if journal.is_alive(about) else "stopped" if "watch" in about else "killed"
    else:
        state = "failed" if end["exception"] else "stopped"
    told_end = {"ended": end["ended"], "error": end["exception"]} if end else {"ended": None, "error": None}
    return {**about, **told_end, "run": run_id, "state": state, "batches": told}


def _span(run: Mapping[str, Any]) -> Span:
    """Return when a run wrote: one that was killed until the next one to the same place began, at the latest."""
    began = _milliseconds(run["started"])
    if run["state"] == "running":
        return Span(began)
    others = [each for file in journal.folder().glob("*.jsonl") if (each := _run(file.stem))]
    starts = [_milliseconds(each["started"]) for each in others if each["output"] == run["output"]]
    ends = [run["ended"] * 1000] if run["ended"] else []
    return Span(began, min([*ends, *(start for start in starts if start > began)], default=math.inf))


def _milliseconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() * 1000


@lru_cache(maxsize=2 * journal.KEPT_RUNS)
def _lines(file: Path, _changed: int) -> list[dict[str, Any]]:
    """Read a run's file; a line that is being written has no end yet."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def reasons(table: Path, span: Span) -> list[tuple[int, dict[str, int]]]:
    """Return when each latest commit of a span was, and how many events of each reason it added."""
    return [(each.time, _reasons(each.files)) for each in [*commits(table, span)][::-1]]


def newest_rows(table: Path, span: Span) -> dict[str, Any] | None:
    """Return rows of a span's latest commit with any: ``columns``, ``rows`` as text, and ``of``, how many it has."""
    from pyarrow import parquet

    for commit in commits(table, span):
        with suppress(OSError):  # cleaned up meanwhile
            files = [parquet.ParquetFile(file) for file in commit.files]
            for file, partition in zip(files, commit.partitions, strict=True):
                if not file.metadata.num_rows:
                    continue
                rows = [row | dict(partition) for row in next(file.iter_batches(ROWS)).to_pylist()]
                return {
                    "columns": [*rows[0]],
                    "rows": [[None if cell is None else str(cell) for cell in row.values()] for row in rows],
                    "of": sum(each.metadata.num_rows for each in files),
                    "time": commit.time,
                }
    return None


def commits(table: Path, span: Span) -> Iterator[Commit]:
    """Yield a span's latest commits that added rows to a table, the newest first; not those that only rewrote files."""
    looked_at = 0
    for log in sorted((table / "_delta_log").glob("[0-9]*.json"), reverse=True):
        with suppress(OSError):  # cleaned up meanwhile
            written = log.stat().st_mtime_ns
            if written / 1e6 > span.ended + LATE:
                continue
            if written / 1e6 < span.began or looked_at == COMMITS:
                return
            looked_at += 1
            commit = _commit(table, log, written)
            if commit.files and span.began <= commit.time <= span.ended:
                yield commit


@lru_cache(maxsize=8 * COMMITS)
def _commit(table: Path, log: Path, _changed: int) -> Commit:
    actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    times = [action["commitInfo"]["timestamp"] for action in actions if "commitInfo" in action]
    added = [action["add"] for action in actions if action.get("add", {}).get("dataChange")]
    files = tuple(table / unquote(each["path"]) for each in added)
    return Commit(max(times, default=0), files, tuple(tuple(each["partitionValues"].items()) for each in added))


@lru_cache(maxsize=8 * COMMITS)
def _reasons(files: tuple[Path, ...]) -> dict[str, int]:
    from pyarrow import parquet

    count: Counter[str] = Counter()
    for file in files:
        with suppress(OSError):
            count.update(parquet.ParquetFile(file).read(["reason"])["reason"].to_pylist())
    return dict(count)
