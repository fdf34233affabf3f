"""The grammar of timestamps and dates in event bodies.

A timestamp is ``YYYY-MM-DD``, then optionally ``T`` or a space and ``hh``, ``hh:mm``, ``hh:mm:ss`` or ``hh:mm:ss.f``,
then ``Z`` or an offset ``+hh``, ``+hhmm`` or ``+hh:mm``. Without an offset it is UTC. A fraction has 1 to 6 digits and
any number of zeros behind them, such as the seven digits that .NET and so Azure write. Years are 0001 to 9999, after
the offset is applied. This is what Arrow's JSON reader takes (https://arrow.apache.org/docs/cpp/json.html), and those
zeros. ``jvm/java/TimestampReader.java`` reads the same: a test holds both equal.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6})0*)?)?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_timestamp(text: str) -> datetime | None:
    """Return the moment in UTC, or None for any other text."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found.group(part) or 0) for part in range(1, 7))
    micros = int((found.group(7) or "").ljust(6, "0"))
    offset = _offset(found.group(8) or "Z")
    if offset is None:
        return None
    try:
        return datetime(year, month, day, hour, minute, second, micros, tzinfo=offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def has_offset(text: str) -> bool:
    """Return whether a text is written as a timestamp with ``Z`` or an offset."""
    found = _TIMESTAMP.fullmatch(text)
    return found is not None and found.group(8) is not None


def read_date(text: str) -> date | None:
    """Return the day written as ``YYYY-MM-DD``, or None for any other text."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        return None


def _offset(text: str) -> timezone | None:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        return None
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if text[0] == "-" else size)
