"""What a Spark checkpoint holds, and what is damaged in it.

A checkpoint is Spark's folder of ``metadata`` (the query's id), ``offsets`` (how far each batch reads; written before
it), ``commits`` (which batches are done) and ``sources`` (what a source remembers). It is read here, and never
changed but for drafts (`remove_drafts`). A file is read directly where it is in reach of this process, and by Spark
everywhere else: with Spark Connect the client does not see the server's files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from spark_utils.session import is_connect

_FILE = re.compile(r"(?:^|/)(metadata|(?:offsets|commits|sources/\d+)/\d+(?:\.compact)?)$")
_HEADER_LINES = 2  # of an offset file: the version, and the settings of the batch


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it is on disk.

    Attributes:
        path: Its folder.
        files: Text by name, such as ``offsets/7``; an empty file is an empty text, or, as Spark reads folders, missing.
    """

    path: str
    files: Mapping[str, str] = field(repr=False)

    @cached_property
    def query_id(self) -> str | None:
        """The id of the query it belongs to, None before its first start or when that file is damaged."""
        return query_id_of(self.files.get("metadata"))

    @cached_property
    def begun(self) -> list[int]:
        """The batches whose offsets are logged, in order; Spark keeps the last hundred."""
        return self._numbers("offsets")

    @cached_property
    def committed(self) -> list[int]:
        """The batches that are done, in order."""
        return self._numbers("commits")

    @property
    def last_begun(self) -> int:
        """The newest batch whose offsets are logged; -1 when there is none."""
        return max(self.begun, default=-1)

    @property
    def last_committed(self) -> int:
        """The newest batch that is done; -1 when there is none."""
        return max(self.committed, default=-1)

    @property
    def replayed_batch(self) -> int:
        """The batch that an earlier run began and did not commit: Spark runs it again; -1 when there is none."""
        return self.last_begun if self.last_begun > self.last_committed else -1

    def offsets(self, batch: int) -> str:
        """Return how far a batch reads: a line of Spark's JSON for each source, empty when it is not known."""
        return offset_lines(self.files.get(f"offsets/{batch}"))

    def _numbers(self, folder: str) -> list[int]:
        names = (name.split("/") for name in self.files)
        return sorted(int(parts[-1]) for parts in names if parts[0] == folder and parts[-1].isdigit())


def query_id_of(metadata: str | None) -> str | None:
    """Return the query's id from the text of ``metadata``; None when that is damaged."""
    value = _json(metadata or "")
    return str(value["id"]) if isinstance(value, dict) and "id" in value else None


def offset_lines(text: str | None) -> str:
    """Return the lines of an offset file that say where each source is, without its version and settings."""
    return "\n".join((text or "").strip("\0\n").splitlines()[_HEADER_LINES:])


def kafka_offsets(text: str) -> dict[tuple[str, int], int] | None:
    """Read the offsets of one Kafka source, by topic and partition; None when they are something else."""
    lines = text.strip("\0\n").splitlines()
    topics: Any = _json(lines[-1]) if lines else None
    try:
        return {(topic, int(place)): int(at) for topic, places in topics.items() for place, at in places.items()}
    except (ValueError, AttributeError, TypeError):
        return None


def batch_size(begin: str, end: str) -> int | None:
    """Return how many events lie between two offsets of one Kafka source, or None when these do not tell."""
    starts, ends = kafka_offsets(begin), kafka_offsets(end)
    if starts is None or ends is None or ends.keys() != starts.keys() or "\n" in end:
        return None
    return sum(ends[place] - starts[place] for place in ends)


def added_partitions(begin: str, end: str) -> dict[int, int]:
    """Return the partitions that an event hub has gained between two offsets, and where each ends."""
    starts, ends = kafka_offsets(begin), kafka_offsets(end)
    return {place[1]: ends[place] for place in sorted(ends.keys() - starts.keys())} if starts and ends else {}


def damage(checkpoint: Checkpoint) -> list[str]:
    """Name what is missing, empty or out of place; what Spark would overlook, or fail at with a page of Java.

    Spark itself reads only the newest entries. An older one that is gone is named too: somebody has been at work.
    """
    files = checkpoint.files
    if not files:
        return []
    found = []
    if checkpoint.query_id is None:
        found.append("metadata (the query's id) is " + ("unreadable" if "metadata" in files else "missing"))
    for folder, numbers in (("offsets", checkpoint.begun), ("commits", checkpoint.committed)):
        missing = sorted({*range(numbers[0], numbers[-1])} - {*numbers}) if numbers else []
        found += [f"{folder}/{number} is missing" for number in missing]
        found += [
            f"{folder}/{number} is empty or cut off" for number in numbers if not _is_whole(files, folder, number)
        ]
    begun, committed = checkpoint.last_begun, checkpoint.last_committed
    if begun > 0 and len(checkpoint.begun) == 1:  # Spark starts from the one before the newest
        found.append(f"offsets/{begun - 1} is missing")
    if committed > begun:
        found.append(f"offsets/{committed} is missing, though that batch is committed")
    found += [f"commits/{number} is missing" for number in range(committed + 1, begun)]
    if begun >= 0:
        for place, line in enumerate(checkpoint.offsets(begun).splitlines()):
            found += _source_damage(checkpoint, place, line)
    return found


def _is_whole(files: Mapping[str, str], folder: str, number: int) -> bool:
    version, *lines = files[f"{folder}/{number}"].strip("\0\n").splitlines() or [""]
    needed = _HEADER_LINES if folder == "offsets" else 1
    parsed = [line == "-" or _json(line) is not None for line in lines]  # "-": a source that has no offset yet
    return version.startswith("v") and len(parsed) >= needed and all(parsed)


def _source_damage(checkpoint: Checkpoint, place: int, line: str) -> Iterator[str]:
    """Compare what a source remembers with how far its offset says that it has come."""
    folder = f"sources/{place}"
    logs = {name.rsplit("/", 1)[1]: text for name, text in checkpoint.files.items() if name.startswith(f"{folder}/")}
    reached = _json(line)
    if not isinstance(reached, dict):
        return
    if "logOffset" not in reached:  # an event hub: what it started from is read again until batch 0 is done
        if kafka_offsets(line) is not None and checkpoint.last_committed < 0 and not logs.get("0", "").strip("\0\n"):
            yield f"{folder}/0 (where the source began) is missing or empty"
        return
    entries = {int(name.split(".")[0]): (name, text) for name, text in logs.items()}
    compacted = max((number for number, (name, _) in entries.items() if name.endswith(".compact")), default=0)
    for number in range(compacted, max(int(reached["logOffset"]), max(entries, default=0)) + 1):
        name, text = entries.get(number, (str(number), ""))
        lines = [_json(entry) for entry in text.strip("\0\n").splitlines()[1:]]
        batches = [entry["batchId"] for entry in lines if isinstance(entry, dict) and "batchId" in entry]
        if not batches or len(batches) != len(lines) or max(batches) != number:
            yield f"{folder}/{name} (the files that were read) is missing or is not the one of that batch"


def read_checkpoint(spark: SparkSession, path: str) -> Checkpoint:
    """Read a checkpoint's files; a folder that does not exist has none."""
    folder = None if is_connect(spark) else local_path(path)
    if folder is not None and folder.is_dir():
        return read_local_checkpoint(folder)
    try:
        rows = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
        found = [(_FILE.search(row.path), row.content) for row in rows.select("path", "content").collect()]
    except AnalysisException as refusal:
        if not is_missing_path(refusal):
            raise
        found = []
    return Checkpoint(path, {match[1]: bytes(content).decode("utf-8", "replace") for match, content in found if match})


def read_local_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint that lies on this machine."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    kept = [name for name in names if _FILE.fullmatch(name)]
    return Checkpoint(str(folder), {name: (folder / name).read_text("utf-8", "replace") for name in kept})


def remove_drafts(folder: Path) -> None:
    """Remove what a kill left of the first batch's offsets, beside which Spark 4.1 starts no query.

    Spark writes such a file under a hidden name and renames it. Once a batch is begun, drafts disturb nobody.
    """
    offsets = folder / "offsets"
    if not any(offsets.glob("[0-9]*")):
        for draft in offsets.glob(".*.tmp*"):
            draft.unlink(missing_ok=True)


def read_text(spark: SparkSession, path: str) -> str | None:
    """Return the text of a small file of the driver's, or None when there is no such file."""
    local = local_path(path)
    if local is not None and local.is_file():
        return local.read_text("utf-8", "replace")
    try:
        row = spark.read.format("binaryFile").load(path).select("content").first()
    except AnalysisException as refusal:
        if not is_missing_path(refusal):
            raise
        return None
    return bytes(row.content).decode("utf-8", "replace") if row else None


def is_missing_path(refusal: AnalysisException) -> bool:
    """Return whether Spark refused because nothing is at the path."""
    return refusal.getCondition() in {"PATH_NOT_FOUND", "DELTA_PATH_DOES_NOT_EXIST", "DELTA_MISSING_DELTA_TABLE"}


def local_path(path: str) -> Path | None:
    """Return a path as this machine's own file system has it, None when it is another one's."""
    if path.startswith("file:"):
        return Path(unquote(urlsplit(path).path))
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ  # /x is dbfs:/x there, but for volumes
    return Path(path) if path.startswith("/") and path.startswith("/Volumes/") == on_databricks else None


def absolute(path: str) -> str:
    """Return a path that another process understands too; a URL stays."""
    return path if ":" in path.split("/", 1)[0] or path.startswith("/") else str(Path(path).absolute())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
