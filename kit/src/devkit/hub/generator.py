"""Realistic nested telemetry, seeded: the same arguments give the same bytes, for ever.

Every good body matches ``configuration/schemas/telemetry.json``. A settable share of the events carries a fault
(``devkit.hub.faults``); the kind of every event is known, and travels with it in the header ``kind``, so that a
test can compare a verdict with what was sent. How events are kept in files: ``devkit.hub.recording``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from devkit.hub.faults import FAULTS, Document, Fault, encode
from spark_utils.errors import ConfigurationError

CLEAN = "clean"
DEFAULT_START = datetime(2026, 1, 1, tzinfo=UTC)
EVENT_INTERVAL = timedelta(milliseconds=20)

_MODELS = ("TX-100", "TX-200", "Pulse 3", "Wärmefühler")
_STATUSES = ("ok", "ok", "ok", "ok", "ok", "ok", "degraded", "failed")
_SENSORS = (("temperature", "°C", 21.0), ("humidity", "%", 45.0), ("pressure", "hPa", 1013.0), ("vibration", None, 0.2))
_LINES = ("A", "B", "C")


class Event(NamedTuple):
    """One event as it is sent.

    Attributes:
        key: The device's id in UTF-8; it decides the partition, so one device keeps its order.
        body: The bytes of the event; JSON unless its kind says otherwise.
        headers: Name and value, as Kafka carries them; Event Hubs calls them properties.
        kind: ``clean``, or ``<family>:<fault>``, such as ``malformed:truncated``; see ``devkit.hub.faults``.
    """

    key: bytes
    body: bytes
    headers: tuple[tuple[str, bytes], ...]
    kind: str

    @property
    def is_good(self) -> bool:
        """Whether a strict parser must accept this event: drift is kept, every other fault is rejected."""
        return self.kind == CLEAN or self.kind.startswith("drifting:")


@dataclass(frozen=True)
class Shares:
    """The share of each family of faults, each from 0 to 1 and together at most 1.

    Raises:
        ConfigurationError: A share is negative, or together they exceed 1.
    """

    malformed: float = 0.0
    drifting: float = 0.0
    lossy: float = 0.0
    duplicate_keys: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that cannot be met."""
        shares = asdict(self)
        if any(not share >= 0 for share in shares.values()) or not sum(shares.values()) <= 1:
            raise ConfigurationError(
                f"invalid shares of faults: {shares}", remedy="Each must be at least 0, and their sum at most 1."
            )


@dataclass
class _Device:
    """What stays the same for one device, and its counter."""

    id: str
    model: str
    firmware: Document | None
    location: Document
    tags: dict[str, str] | None
    sensors: int
    calibration: Document | None
    sequence: int = 0


def generate(
    count: int | None = None,
    *,
    seed: int = 0,
    shares: Shares | None = None,
    devices: int = 100,
    start: datetime = DEFAULT_START,
) -> Iterator[Event]:
    """Yield telemetry events.

    Args:
        count: How many; ``None`` never ends.
        seed: The same seed (and other arguments) gives the same bytes.
        shares: The shares of faulty events; none by default.
        devices: How many devices take turns at random; each has its own key.
        start: Device clock of the first event; the clock advances by 20 ms per event.

    Yields:
        ``Event(key, body, headers, kind)``.
    """
    rng = random.Random(seed)  # noqa: S311 - test data, and it must be repeatable
    fleet = [_make_device(number, rng, start) for number in range(devices)]
    families = list(FAULTS)
    limits = list(accumulate(asdict(shares or Shares()).values()))
    number = 0
    while count is None or number < count:
        device = fleet[int(rng.random() * devices)]
        document = _make_document(device, number, rng, start)
        kind, fault = _pick_fault(rng, families, limits)
        body = fault(document, rng) if fault else encode(document)
        yield Event(device.id.encode(), body, (("kind", kind.encode()),), kind)
        number += 1


def _pick_fault(rng: random.Random, families: list[str], limits: list[float]) -> tuple[str, Fault | None]:
    draw = rng.random()
    for family, limit in zip(families, limits, strict=True):
        if draw < limit:
            faults = FAULTS[family]
            name = list(faults)[int(rng.random() * len(faults))]
            return f"{family}:{name}", faults[name]
    return CLEAN, None


def _make_device(number: int, rng: random.Random, start: datetime) -> _Device:
    installed = start - timedelta(days=int(rng.random() * 900))
    firmware: Document | None = {"version": f"{1 + number % 4}.{number % 10}.0"}
    if firmware and number % 3:
        firmware["installed_at"] = _iso(installed) if number % 3 == 1 else None
    location: Document = {
        "latitude": round(47 + rng.random(), 6),
        "longitude": round(8 + rng.random(), 6),
    }
    if number % 4:
        location["altitude"] = round(400 + 100 * rng.random(), 1) if number % 4 > 1 else None
    tags: dict[str, str] = {"line": _LINES[number % 3], "owner": "Müller & Søn", "shift plan": "24/7"}
    return _Device(
        id=f"device-{number:04d}",
        model=_MODELS[number % len(_MODELS)],
        firmware=firmware if number % 10 else None,
        location=location,
        tags=tags if number % 5 else ({} if number % 2 else None),
        sensors=1 + number % len(_SENSORS),
        calibration={"gain": round(0.9 + rng.random() / 5, 3), "offset": -0.5} if number % 2 else None,
    )


def _make_document(device: _Device, number: int, rng: random.Random, start: datetime) -> Document:
    random_ = rng.random
    device.sequence += 1
    document: Document = {
        "event_id": f"{device.id}-{device.sequence}",
        "sequence": device.sequence,
        "recorded_at": _iso(start + number * EVENT_INTERVAL),
        "status": _STATUSES[int(random_() * len(_STATUSES))],
        # Copies where a fault writes: the next event of this device must not inherit it.
        "device": {"id": device.id, "model": device.model, "firmware": device.firmware},
        "location": dict(device.location),
        "readings": [_make_reading(_SENSORS[index], device.calibration, random_) for index in range(device.sensors)],
        "tags": device.tags,
        "energy_cost": int(random_() * 100_000) / 100,
        "battery_percent": int(random_() * 101),
    }
    if document["battery_percent"] < 5:
        document["battery_percent"] = None  # a device low on power reports none
        document["energy_cost"] = None
    if document["status"] == "failed":
        document["readings"] = []
    if device.sensors > 1:
        document["online"] = True
    return document


def _make_reading(
    sensor: tuple[str, str | None, float], calibration: Document | None, random_: Callable[[], float]
) -> Document:
    name, unit, level = sensor
    value = round(level + random_(), 3)
    return {
        "sensor": name,
        "value": value,
        "unit": unit,
        "quality": 100 - int(random_() * 10),
        "samples": [value, round(level + random_(), 3)],
        "calibration": calibration,
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
