"""Dynamic values: ``{{job.parameters.day}}``, ``{{tasks.a.values.k}}``, ``{{input}}`` … in what a task is given.

Source: https://docs.databricks.com/jobs/dynamic-value-references
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any, Final

REFERENCE: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
# A reference that begins like this must be known; any other text in braces is the task's own business.
NAMESPACES: Final = ("job.", "task.", "tasks.", "workspace.", "input.", "run.")


class UnknownReferenceError(ValueError):
    """A reference names nothing that is there."""


def resolve(content: Any, known: Mapping[str, Any]) -> Any:
    """Return JSON with the references in its texts replaced.

    Args:
        content: Text, a list or a dict of such, or anything else, which is left alone.
        known: What each reference stands for, by its dotted name.

    Raises:
        UnknownReferenceError: A reference of a known namespace names nothing.
    """
    if isinstance(content, str):
        return REFERENCE.sub(lambda match: _value(match, known), content)
    if isinstance(content, list):
        return [resolve(each, known) for each in content]
    if isinstance(content, dict):
        return {key: resolve(value, known) for key, value in content.items()}
    return content


def flat(prefix: str, value: Any) -> dict[str, Any]:
    """Return a value and, of an object, all that is inside it, by dotted name: ``input``, ``input.day``."""
    found = {prefix: value}
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= flat(f"{prefix}.{key}", inner)
    return found


def times(prefix: str, milliseconds: int) -> dict[str, str]:
    """Return the parts of a time that can be asked for: ``job.start_time.iso_date`` …, in UTC."""
    when = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    parts = {
        "iso_date": f"{when:%Y-%m-%d}",
        "iso_datetime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
        "year": str(when.year),
        "month": str(when.month),
        "day": str(when.day),
        "hour": str(when.hour),
        "minute": str(when.minute),
        "second": str(when.second),
        "iso_weekday": str(when.isoweekday()),
        "is_weekday": str(when.isoweekday() <= 5).lower(),
        "timestamp_ms": str(milliseconds),
    }
    return {f"{prefix}.{name}": value for name, value in parts.items()}


def as_text(value: Any) -> str:
    """Return a value as a parameter carries it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _value(match: re.Match[str], known: Mapping[str, Any]) -> str:
    name = match[1]
    if name in known:
        return as_text(known[name])
    if name.startswith(NAMESPACES):
        raise UnknownReferenceError(f"The reference {match[0]} is unknown to this task")
    return match[0]
