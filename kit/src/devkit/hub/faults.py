"""What can be wrong with a telemetry body: every fault by name, made from a good document.

A fault takes the good document (it may change it) and a seeded random source, and gives the body that is sent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Fault = Callable[[Document, random.Random], bytes]

# One encoder for all events: `json.dumps` with settings would build a new one per call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)


def encode(document: Document) -> bytes:
    """Encode a document as compact UTF-8 JSON."""
    return _ENCODER.encode(document).encode()


def _setting(*path: str | int, to: object) -> Fault:
    """Build the fault that sets one value, which may be a new field, to something."""

    def fault(document: Document, _rng: random.Random) -> bytes:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = to
        return encode(document)

    return fault


def _without(field: str) -> Fault:
    def fault(document: Document, _rng: random.Random) -> bytes:
        del document[field]
        return encode(document)

    return fault


def _followed_by(text: bytes) -> Fault:
    return lambda document, _rng: encode(document) + text


def _with_repeated(key: str, value: bytes) -> Fault:
    """Write a key a second time, first in the body, so that a lax reader silently takes the other one."""
    return lambda document, _rng: b'{"%s":%s,' % (key.encode(), value) + encode(document)[1:]


def _truncated(document: Document, rng: random.Random) -> bytes:
    body = encode(document)
    return body[: 1 + int(rng.random() * (len(body) - 2))]


def _invalid_utf8(document: Document, _rng: random.Random) -> bytes:
    document["status"] = "\x00MARK"
    return encode(document).replace(b"\\u0000MARK", b"caf\xe9")  # é in Latin-1, which is not UTF-8


def _repeated_in_device(document: Document, _rng: random.Random) -> bytes:
    return encode(document).replace(b'"device":{', b'"device":{"model":"other",', 1)


def _new_sensor(document: Document, _rng: random.Random) -> bytes:
    document["readings"].append({"sensor": "radiation", "value": 0.11, "half_life": 30.1})
    return encode(document)


MALFORMED: dict[str, Fault] = {
    "nan": _setting("location", "longitude", to=float("nan")),
    "infinity": _setting("location", "latitude", to=float("inf")),
    "truncated": _truncated,
    "trailing-text": _followed_by(b" end of message"),
    "second-object": lambda document, _rng: encode(document) * 2,
    "invalid-utf8": _invalid_utf8,
    "empty": lambda _document, _rng: b"",
    "array-root": lambda document, _rng: b"[" + encode(document) + b"]",
    "not-json": lambda document, _rng: b"ERROR device %s offline" % document["device"]["id"].encode(),
    "missing-required": _without("recorded_at"),
}

LOSSY: dict[str, Fault] = {
    "fraction-for-integer": _setting("battery_percent", to=1.5),
    "string-for-number": _setting("location", "latitude", to="47.1"),
    "number-for-string": _setting("status", to=7),
    "int32-overflow": _setting("battery_percent", to=3_000_000_000),
    "int64-overflow": _setting("sequence", to=2**63),
    "decimal-overflow": _setting("energy_cost", to=123456789.25),
    "decimal-rounding": _setting("energy_cost", to=12.345),
    "bad-timestamp": _setting("recorded_at", to="2026-02-30T25:00:00Z"),
}

DRIFTING: dict[str, Fault] = {
    "unknown-field": _setting("humidity_alarm", to=True),
    "unknown-struct": _setting("operator", to={"name": "Łukasz", "shift": 2}),
    "unknown-in-struct": _setting("device", "colour", to="grey"),
    "unknown-in-array": _new_sensor,
}

DUPLICATE_KEYS: dict[str, Fault] = {
    "root": _with_repeated("status", b'"first"'),
    "nested": _repeated_in_device,
}

FAULTS: dict[str, dict[str, Fault]] = {
    "malformed": MALFORMED,
    "drifting": DRIFTING,
    "lossy": LOSSY,
    "duplicate-keys": DUPLICATE_KEYS,
}
