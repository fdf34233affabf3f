"""What `--explain-config` prints: every effective value, secrets masked, and where it came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spark_utils.configuration.options import Option
from spark_utils.configuration.secrets import Secret
from spark_utils.redaction import MASK


def explain(config: Any, options: Iterable[Option]) -> str:
    """Return one line per option: name, effective value, origin.

    A reference to a secret is shown as it is, since it is none; the value behind it is not looked up.
    """
    rows = [
        (option.name, shown_value(option, option.value_in(config)), config.origins[option.name]) for option in options
    ]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = min(60, max(len(value) for _, value, _ in rows))
    return "".join(f"{name:<{name_width}}  {value:<{value_width}}  {origin}\n" for name, value, origin in rows)


def shown_value(option: Option, value: Any) -> str:
    """Return a value as it may be shown, in one line."""
    if isinstance(value, Secret):
        return value.reference or MASK
    if value is None or value in ((), ""):
        return "-"
    if isinstance(value, tuple):
        return ", ".join(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return MASK if option.shown(text) == MASK else text
