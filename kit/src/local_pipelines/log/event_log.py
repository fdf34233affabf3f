"""The event log, shaped as Databricks' is: JSON lines as things happen, and a Delta table of the same rows.

Columns, event types and `details` follow the documentation of Lakeflow pipelines and databricks-sdk 0.156. An event's
id is fixed by what it says (flow and micro-batch), so that nothing is logged twice after a kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from local_pipelines.storage import Storage, is_table, write_whole

SCHEMA = """
id STRING, sequence STRUCT<control_plane_seq_no: BIGINT, data_plane_id: STRUCT<instance: STRING, seq_no: BIGINT>>,
origin STRUCT<cloud: STRING, host: STRING, pipeline_id: STRING, pipeline_name: STRING, pipeline_type: STRING,
  update_id: STRING, catalog_name: STRING, schema_name: STRING, dataset_name: STRING, flow_id: STRING,
  flow_name: STRING, batch_id: BIGINT>,
timestamp TIMESTAMP, message STRING, level STRING, maturity_level STRING,
error STRUCT<fatal: BOOLEAN, exceptions: ARRAY<STRUCT<class_name: STRING, message: STRING, stack: ARRAY<STRING>>>>,
details STRING, event_type STRING
"""


class EventLog:
    """The log of one pipeline's storage.

    Args:
        storage: Where it lies.
        origin: What every event of this update carries, such as ``pipeline_name`` and ``update_id``.
        hooks: Get every event as a dictionary, but those of hooks' failures; each with how many times it may fail in a
            row before this update asks it no more, none for ever.
        hide: Masks secrets in messages and errors.
    """

    def __init__(
        self,
        storage: Storage,
        origin: Mapping[str, Any],
        hooks: Mapping[Callable[[dict[str, Any]], Any], int | None] | None = None,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._hide = hide
        self._file = storage.root / "event_log.jsonl"
        self._table = storage.root / "event_log"
        self._origin = dict(origin)
        self._hooks = dict(hooks or {})
        self._failures = Counter[Any]()
        self._writing = threading.Lock()
        self._cut_torn_line()
        self._ids = {event["id"] for event in read_events(self._file)}
        self._next = self._before = len(self._ids)
        self._written: list[dict[str, Any]] = []

    def _cut_torn_line(self) -> None:
        """Remove what a kill left of a line that was being written."""
        if self._file.exists():
            content = self._file.read_bytes()
            if content and not content.endswith(b"\n"):
                os.truncate(self._file, content.rfind(b"\n") + 1)

    def write(  # an event has many parts
        self,
        event_type: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        level: str = "INFO",
        error: BaseException | str | None = None,
        key: str | None = None,
        **origin: Any,
    ) -> None:
        """Log one event; with a `key` that was logged before, nothing."""
        with self._writing:
            number = self._next
            said = key or f"{self._origin.get('update_id')}/{number}"
            event_id = hashlib.sha256(said.encode()).hexdigest()[:32]
            if event_id in self._ids:
                return
            event = {
                "id": event_id,
                "sequence": {
                    "control_plane_seq_no": number,
                    "data_plane_id": {"instance": "local", "seq_no": number},
                },
                "origin": {**self._origin, **origin},
                "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "message": self._hide(message),
                "level": level,
                "maturity_level": "STABLE",
                "error": _error(error, self._hide),
                "details": {event_type: dict(details or {})},
                "event_type": event_type,
            }
            with self._file.open("a", encoding="utf-8") as file:
                line = json.dumps(event, ensure_ascii=False, default=str)
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._ids.add(event_id)
            self._written.append(json.loads(line))
            self._next += 1
        if event_type != "hook_progress":
            self._tell_hooks(event)

    def _tell_hooks(self, event: dict[str, Any]) -> None:
        for hook, allowed in list(self._hooks.items()):
            try:
                hook(event)
                self._failures[hook] = 0
            except Exception as error:
                self._failures[hook] += 1
                if allowed is not None and self._failures[hook] > allowed:
                    self._hooks.pop(hook, None)
                self.write("hook_progress", f"event hook failed: {error}", level="WARN", error=error)

    def to_table(self, spark: SparkSession) -> None:
        """Append to the Delta table what it lacks; nothing twice, also after a kill."""
        path, held = str(self._table), 0
        note = self._table.with_suffix(".held")  # the number of its rows, so that counting them takes no job
        if is_table(path):
            is_known = note.exists() and note.read_text(encoding="utf-8") == str(self._before)
            held = self._before if is_known else spark.read.format("delta").load(path).count()
        events = self._written if held == self._before else list(read_events(self._file))[held:]
        if events:
            frame = spark.createDataFrame([_row(event) for event in events], SCHEMA).coalesce(1)
            frame.write.format("delta").mode("append").save(path)
        write_whole(note, str(self._next))


def _error(error: BaseException | str | None, hide: Callable[[str], str]) -> dict[str, Any] | None:
    if error is None:
        return None
    name = type(error).__name__ if isinstance(error, BaseException) else "PipelineError"
    return {"fatal": True, "exceptions": [{"class_name": name, "message": hide(str(error)), "stack": []}]}


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    when = datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
    return {**event, "timestamp": when, "details": json.dumps(event["details"], ensure_ascii=False)}


def read_events(file: Path) -> Iterator[dict[str, Any]]:
    """Return the events of a log's JSON lines, oldest first."""
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
