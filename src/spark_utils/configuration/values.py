"""The typed values of configuration that are more than a text or a number: trigger, starting position, durations."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

_UNITS: Final = {
    "millisecond": 0.001,
    "ms": 0.001,
    "second": 1.0,
    "s": 1.0,
    "minute": 60.0,
    "min": 60.0,
    "hour": 3600.0,
    "h": 3600.0,
}


def parse_seconds(text: str) -> float:
    """Return a duration such as `5 seconds`, `500 ms` or `2 minutes` in seconds.

    Raises:
        ValueError: If it is not a positive number with a unit.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    unit = _UNITS.get(match[2].removesuffix("s") or "s") or _UNITS.get(match[2]) if match else None
    if match is None or unit is None or float(match[1]) == 0:
        raise ValueError("expected a number and a unit, such as '5 seconds', '500 ms' or '2 minutes'")
    return float(match[1]) * unit


@dataclass(frozen=True)
class Trigger:
    """When a micro-batch starts.

    Args:
        kind: `available-now` (all there is, then stop), `once` (one batch, then stop) or `interval`.
        seconds: The interval, for the kind `interval`.
    """

    kind: str = "available-now"
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Trigger:
        """Read `available-now`, `once`, or an interval such as `5 seconds`.

        Raises:
            ValueError: If it is none of these.
        """
        kind = text.strip().lower()
        if kind in ("available-now", "once"):
            return cls(kind)
        try:
            return cls("interval", parse_seconds(kind))
        except ValueError:
            raise ValueError("expected 'available-now', 'once', or an interval such as '5 seconds'") from None

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `DataStreamWriter.trigger`."""
        if self.seconds is None:
            return {"availableNow": True} if self.kind == "available-now" else {"once": True}
        return {"processingTime": f"{round(self.seconds * 1000)} milliseconds"}

    @property
    def is_bounded(self) -> bool:
        """Whether the query ends by itself."""
        return self.kind != "interval"

    def __str__(self) -> str:
        """The form in which it is configured."""
        return self.kind if self.seconds is None else f"{self.seconds:g} seconds"


@dataclass(frozen=True)
class StopAfter:
    """When a demonstration ends by itself: after a time, or after a number of events.

    Exactly one of the two is set. A micro-batch that has begun is finished, so a few more events may be written.

    Args:
        seconds: Seconds since the query started.
        events: Events read by the query since it started.
    """

    seconds: float | None = None
    events: int | None = None

    @classmethod
    def parse(cls, text: str) -> StopAfter:
        """Read `30 seconds` or `1000 events`.

        Raises:
            ValueError: If it is neither.
        """
        match = re.fullmatch(r"(\d[\d_,]*)\s*events?", text.strip().lower())
        if match and (events := int(re.sub("[_,]", "", match[1]))):
            return cls(events=events)
        try:
            return cls(seconds=parse_seconds(text))
        except ValueError:
            raise ValueError("expected a duration such as '30 seconds', or a number such as '1000 events'") from None

    def __str__(self) -> str:
        """The form in which it is configured."""
        return f"{self.events} events" if self.events is not None else f"{self.seconds:g} seconds"


@dataclass(frozen=True)
class StartingPosition:
    """Where a new checkpoint starts to read; an existing checkpoint always goes on where it stopped.

    Exactly one of the forms is set.

    Args:
        edge: `earliest` or `latest`.
        offsets: Partition -> first offset to read (-2 earliest, -1 latest, as Spark writes them).
        timestamp_ms: Events enqueued from this time on, milliseconds since 1970 UTC, for all partitions.
        timestamps_ms: Partition -> the same, per partition.
    """

    edge: str | None = "earliest"
    offsets: tuple[tuple[int, int], ...] = ()
    timestamp_ms: int | None = None
    timestamps_ms: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> StartingPosition:
        """Read `earliest`, `latest`, an ISO 8601 time, or JSON by partition: offsets or ISO 8601 times.

        Raises:
            ValueError: If it is none of these.
        """
        text = text.strip()
        if text.lower() in ("earliest", "latest"):
            return cls(text.lower())
        try:
            if not text.startswith("{"):
                return cls(None, timestamp_ms=_milliseconds(text))
            values = {int(partition): value for partition, value in json.loads(text).items()}
            if values and all(type(value) is int for value in values.values()):
                return cls(None, offsets=tuple(sorted(values.items())))
            if values and all(type(value) is str for value in values.values()):
                times = sorted((partition, _milliseconds(value)) for partition, value in values.items())
                return cls(None, timestamps_ms=tuple(times))
        except (ValueError, AttributeError):
            pass  # told below, with all the forms that are understood
        raise ValueError(
            "expected 'earliest', 'latest', a time such as '2026-01-31T12:00:00Z', or JSON by partition: "
            '\'{"0": 1200, "1": 0}\' (offsets) or \'{"0": "2026-01-31T12:00:00Z"}\' (times)'
        )

    def kafka_options(self, topic: str) -> dict[str, str]:
        """Return the options of Spark's Kafka source.

        A time later than the last event of a partition starts at its end, instead of failing the query.
        """
        if self.edge is not None:
            return {"startingOffsets": self.edge}
        if self.offsets:
            return {"startingOffsets": _by_partition(topic, self.offsets)}
        times = {"startingOffsetsByTimestampStrategy": "latest"}
        if self.timestamps_ms:
            return {"startingOffsetsByTimestamp": _by_partition(topic, self.timestamps_ms), **times}
        return {"startingTimestamp": str(self.timestamp_ms), **times}

    def __str__(self) -> str:
        """A form in which it can be configured."""
        if self.edge is not None:
            return self.edge
        if self.offsets:
            return json.dumps(dict(self.offsets))
        if self.timestamps_ms:
            return json.dumps({partition: _iso(time) for partition, time in self.timestamps_ms})
        return _iso(self.timestamp_ms or 0)


def _by_partition(topic: str, values: tuple[tuple[int, int], ...]) -> str:
    return json.dumps({topic: {str(partition): value for partition, value in values}})


def _milliseconds(text: str) -> int:
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
