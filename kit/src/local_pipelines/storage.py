"""Where a pipeline's tables, checkpoints and log lie: one folder, plain Delta tables in it.

::

    FOLDER/tables/CATALOG/SCHEMA/NAME            published tables; one that another program puts there is read by name;
                                                 another folder for `tables` where catalogs of Spark's are to have them
    FOLDER/private/CATALOG/SCHEMA/NAME           private (temporary) tables
    FOLDER/cdc/CATALOG/SCHEMA/NAME               the events behind the target of an AUTO CDC flow
    FOLDER/flows/CATALOG/SCHEMA/NAME/FLOW/…      identity and checkpoint of each flow
    FOLDER/event_log, FOLDER/event_log.jsonl     the event log
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from local_pipelines.declaring.model import Dataset, Flow, TableName
from local_pipelines.errors import UpdateRefusedError

RESETTING = "resetting"


def safe(name: str) -> str:
    """Return a name as one part of a path: letters of any alphabet stay, what a file system minds is escaped."""
    if not name.strip("."):
        return name.replace(".", "%2E")  # this folder, or the one above it
    return "".join(letter if letter.isalnum() or letter in " _-.$" else quote(letter, safe="") for letter in name)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@dataclass(frozen=True)
class FlowState:
    """What outlives the process about one flow.

    Attributes:
        folder: Where it lies.
        uid: Fixed when the flow first ran; Delta's transactions and the log's events carry it.
    """

    folder: Path
    uid: str

    @property
    def checkpoint(self) -> Path:
        """Spark's checkpoint."""
        return self.folder / "checkpoint"

    @property
    def last_batch(self) -> int:
        """Number of the last micro-batch that the checkpoint has as done; -1 where there is none."""
        return max((int(file.name) for file in (self.checkpoint / "commits").glob("[0-9]*")), default=-1)

    @property
    def done_once(self) -> bool:
        """Whether a `once` flow has run."""
        return (self.folder / "once").exists()

    def set_done_once(self, frame: DataFrame) -> None:
        """Remember that a `once` flow has run, and which files it read; those of Delta tables are not its own."""
        files = [url2pathname(urlsplit(file).path) for file in frame.inputFiles() if file.startswith("file:")]
        own = [file for file in files if not any((folder / "_delta_log").is_dir() for folder in Path(file).parents)]
        write_whole(self.folder / "once", json.dumps(own))

    def files_gone(self) -> list[str]:
        """Return the files that a `once` flow read and that are not there any more."""
        file = self.folder / "once"
        read = json.loads(file.read_text(encoding="utf-8") or "[]") if file.exists() else []
        return [path for path in read if not Path(path).exists()]

    def was_started(self, batch: int) -> bool:
        """Whether the micro-batch was begun by an earlier run of the query and not finished."""
        offsets, commits = self.checkpoint / "offsets" / str(batch), self.checkpoint / "commits" / str(batch)
        return offsets.exists() and not commits.exists()


@dataclass(frozen=True)
class Storage:
    """The folder of one pipeline.

    Attributes:
        root: The folder.
        tables: Where published tables lie; ``root/tables`` by default.
    """

    root: Path
    tables: Path | None = None

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let one update at a time run here.

        Raises:
            UpdateRefusedError: Another one runs.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise UpdateRefusedError(
                f"another update runs on {self.root}", remedy="Wait for it, or choose another --storage."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _place(self, room: str, name: TableName) -> Path:
        return self.root.joinpath(room, *map(safe, name))

    def table(self, dataset: Dataset) -> str:
        """Return the path of a dataset's table."""
        if dataset.path:
            return dataset.path
        return str(self._place("private", dataset.name)) if dataset.private else self.published(dataset.name)

    def published(self, name: TableName) -> str:
        """Return the path of a table by name, whoever wrote it."""
        return str((self.tables or self.root / "tables").joinpath(*map(safe, name)))

    def hidden(self, dataset: Dataset) -> str:
        """Return the path of the events behind an AUTO CDC flow's target."""
        return str(self._place("cdc", dataset.name))

    def _flows(self, target: TableName | str) -> Path:
        return self._place("flows", target) if isinstance(target, TableName) else self.root / "flows" / safe(target)

    def flow(self, flow: Flow) -> FlowState:
        """Return a flow's state, made when it is asked for the first time."""
        folder = self._flows(flow.target) / safe(flow.name)
        file = folder / "flow.json"
        if not file.exists():
            write_whole(file, json.dumps({"name": flow.name, "uid": uuid.uuid4().hex}))
        return FlowState(folder, json.loads(file.read_text(encoding="utf-8"))["uid"])

    def has_flow(self, flow: Flow) -> bool:
        """Whether the flow has run before."""
        return (self._flows(flow.target) / safe(flow.name) / "flow.json").exists()

    def reset(self, dataset: Dataset) -> None:
        """Clear a dataset and its flows; what a kill interrupts is finished by `finish_resets`."""
        mark = self.root / RESETTING / safe(str(dataset.name))
        folders = [self.table(dataset), self.hidden(dataset), str(self._flows(dataset.name))]
        write_whole(mark, json.dumps(folders))
        self._clear(mark)

    def finish_resets(self) -> None:
        """Finish the full refreshes that a kill interrupted."""
        for mark in sorted((self.root / RESETTING).glob("[!.]*")):
            self._clear(mark)

    @staticmethod
    def _clear(mark: Path) -> None:
        for folder in json.loads(mark.read_text(encoding="utf-8")):
            shutil.rmtree(folder, ignore_errors=True)
        mark.unlink()


def is_table(path: str) -> bool:
    """Return whether a Delta table lies at a path."""
    log = Path(path.removeprefix("file:")) / "_delta_log"
    return log.is_dir() and any(log.glob("*.json"))


def last_commit(path: str, mark: str) -> int | None:
    """Return the highest number behind a mark in the commits of the Delta table at a path; -1 where there is none.

    It is not known where the log has lost its beginning and what is left of it has no such mark.
    """
    log = Path(path.removeprefix("file:")) / "_delta_log"
    commits = sorted(log.glob("[0-9]*.json"), reverse=True)
    for commit in commits:
        if found := re.search(rf'"{re.escape(mark)}(\d+)"', commit.read_text(encoding="utf-8")):
            return int(found[1])
    return None if commits and int(commits[-1].stem) else -1


def schema_of(spark: SparkSession, path: str) -> StructType | None:
    """Return the schema of the Delta table at a path, or nothing where there is none."""
    return load(spark, path).schema if is_table(path) else None


def load(spark: SparkSession, path: str) -> DataFrame:
    """Read the Delta table at a path."""
    return spark.read.format("delta").load(path)
