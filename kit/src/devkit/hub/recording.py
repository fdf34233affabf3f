r"""Events in files: recorded events, and plain NDJSON.

Recorded events (``*.recorded.jsonl``) keep everything, byte for byte. Each line is one JSON object::

    {"body": "{\"event_id\": …}", "key": "device-0001", "partition": 0, "offset": 17,
     "enqueued_time": "2026-01-01T00:00:00.340Z", "headers": [{"key": "kind", "value": "clean"}]}

==================================  =====================================================================
``body`` or ``body_base64``         string; text when the bytes are valid UTF-8, base64 when not; both absent: null
``key`` or ``key_base64``           string; likewise
``partition``, ``offset``           int, long: the position in the hub
``enqueued_time``                   string, ISO 8601 in UTC: when the hub took the event
``headers``                         array of {``key``, and ``value`` or ``value_base64``}
==================================  =====================================================================

Plain NDJSON (any other name): each line is one body. It cannot hold a body with a line feed in it, an empty body,
keys, headers or positions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from devkit.hub.generator import DEFAULT_START, EVENT_INTERVAL, Event
from spark_utils.errors import ConfigurationError

RECORDED_SUFFIX = ".recorded.jsonl"


class RecordedEvent(NamedTuple):
    """One event of a file; what a plain NDJSON file does not hold is None or empty."""

    body: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None
    offset: int | None = None
    enqueued_time: datetime | None = None


def write_events(
    events: Iterable[Event], path: Path, *, partitions: int = 1, start: datetime = DEFAULT_START
) -> dict[str, int]:
    """Write generated events; the file's name decides the format.

    Args:
        events: What ``generate`` gives.
        path: ``*.recorded.jsonl`` for recorded events, any other name for plain NDJSON.
        partitions: Partitions of the imagined hub: a key always gets the same one.
        start: Enqueued time of the first event; 20 ms per event from there.

    Returns:
        How many events of each kind were written.

    Raises:
        ConfigurationError: A plain NDJSON file was asked for and cannot hold a body.
    """
    recorded = path.name.endswith(RECORDED_SUFFIX)
    counts: dict[str, int] = {}
    next_offset = [0] * partitions
    partition_of: dict[bytes, int] = {}
    with path.open("wb") as file:
        for number, event in enumerate(events):
            counts[event.kind] = counts.get(event.kind, 0) + 1
            if not recorded:
                file.write(_plain_line(event, path))
                continue
            partition = partition_of.setdefault(event.key, len(partition_of) % partitions)
            moment = start + number * EVENT_INTERVAL
            record = RecordedEvent(event.body, event.key, event.headers, partition, next_offset[partition], moment)
            next_offset[partition] += 1
            file.write(recorded_line(record))
    return counts


def recorded_line(event: RecordedEvent) -> bytes:
    """Encode one recorded event as its line, line feed included."""
    record: dict[str, Any] = {**_as_text("body", event.body), **_as_text("key", event.key)}
    if event.partition is not None:
        record["partition"] = event.partition
    if event.offset is not None:
        record["offset"] = event.offset
    if event.enqueued_time is not None:
        stamp = event.enqueued_time.astimezone(UTC).isoformat(timespec="milliseconds")
        record["enqueued_time"] = stamp.replace("+00:00", "Z")
    record["headers"] = [{"key": name, **_as_text("value", value)} for name, value in event.headers]
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def read_events(path: Path) -> Iterator[RecordedEvent]:
    """Yield the events of a file in its order; the file's name decides the format.

    Raises:
        ConfigurationError: The file cannot be read, or a line is not a recorded event.
    """
    recorded = path.name.endswith(RECORDED_SUFFIX)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", remedy="Name a file written by `devkit hub generate`."
        ) from None
    with file:
        for number, line in enumerate(file, start=1):
            yield _parse_recorded(line, path, number) if recorded else RecordedEvent(line.rstrip(b"\r\n"))


def _plain_line(event: Event, path: Path) -> bytes:
    if not event.body.strip() or b"\n" in event.body:
        raise ConfigurationError(
            f"plain NDJSON cannot hold a body of kind {event.kind}",
            origin=str(path),
            remedy=f"Name the file *{RECORDED_SUFFIX}: recorded events keep every byte.",
        )
    return event.body + b"\n"


def _parse_recorded(line: bytes, path: Path, number: int) -> RecordedEvent:
    try:
        record = json.loads(line)
        enqueued = record.get("enqueued_time")
        return RecordedEvent(
            body=_as_bytes("body", record),
            key=_as_bytes("key", record),
            headers=tuple((header["key"], _as_bytes("value", header)) for header in record.get("headers") or ()),
            partition=record.get("partition"),
            offset=record.get("offset"),
            enqueued_time=datetime.fromisoformat(enqueued) if enqueued else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"not a recorded event: {error}",
            origin=f"{path} line {number}",
            remedy="The format is described in devkit.hub.recording; plain bodies go in a *.ndjson file.",
        ) from error


def _as_text(field: str, value: bytes | None) -> dict[str, str]:
    if value is None:
        return {}
    try:
        return {field: value.decode()}
    except UnicodeDecodeError:
        return {f"{field}_base64": base64.b64encode(value).decode()}


def _as_bytes(field: str, record: dict[str, Any]) -> bytes | None:
    if (text := record.get(field)) is not None:
        return str(text).encode()
    encoded = record.get(f"{field}_base64")
    return None if encoded is None else base64.b64decode(encoded, validate=True)
