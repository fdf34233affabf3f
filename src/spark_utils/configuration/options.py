"""Declaring one option of the configuration, and reading the text it is given.

An option is declared once, as a field of a frozen dataclass; the parser, the sample file, the table in
`configuration/README.md` and `--explain-config` are all made from that declaration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final

from spark_utils.redaction import MASK, looks_secret_name, looks_secret_text

ENVIRONMENT_PREFIX: Final = "STREAMING_"


@dataclass(frozen=True)
class Option:
    """One argument of a job.

    Args:
        name: Such as `output-path`: the command line adds `--`, a configuration file takes it as it is.
        field: The field's name in the dataclass.
        group: The heading under which help and sample show it.
        help: One or two sentences.
        default: The default as text; None for none.
        parse: From text to the typed value; raises ValueError with what to write instead.
        metavar: The value's name in help.
        environment: Its environment variable.
        sensitive: A secret: never shown, wherever it comes from.
        required: It must have a value.
        path: A relative value is resolved against the folder it was written for.
        flag: May stand without a value on the command line, which then means this text.
        example: What the sample file shows when there is no default.
    """

    name: str
    field: str
    group: str
    help: str
    default: str | None
    parse: Callable[[str], Any]
    metavar: str
    environment: str
    sensitive: bool = False
    required: bool = False
    path: bool = False
    flag: str | None = None
    example: str | None = None

    def shown(self, text: str) -> str:
        """The text as a message may show it: masked when the option is a secret or the text looks like one."""
        looks_secret = self.sensitive or looks_secret_name(text) or looks_secret_text(text)
        return MASK if looks_secret else repr(text)


def option(group: str, help: str, parse: Callable[[str], Any] = str, default: str | None = None, **more: Any) -> Any:
    """Declare a dataclass field that is an option; see `Option` for the names in `more`."""
    value = None if default is None else parse(default)
    if default is None and more.get("required"):
        value = ""  # so that cells and tests can leave it out; parse_arguments insists on it
    return field(
        default=value, metadata={"option": {"group": group, "help": help, "parse": parse, "default": default, **more}}
    )


def options_of(config: type[Any]) -> list[Option]:
    """Return the options a dataclass declares, in the order of its fields."""
    return [_to_option(each) for each in fields(config) if "option" in each.metadata]


def _to_option(declared: Field[Any]) -> Option:
    metadata = dict(declared.metadata["option"])
    name = declared.name.replace("_", "-")
    metadata.setdefault("metavar", declared.name.rpartition("_")[2].upper())
    metadata.setdefault("environment", ENVIRONMENT_PREFIX + declared.name.upper())
    assert declared.default is not MISSING, declared.name  # noqa: S101 - a mistake in the declaration, not in a value
    return Option(name=name, field=declared.name, **metadata)


def flag_value(text: str) -> bool:
    """Read `true` or `false` (also yes/no, on/off, 1/0)."""
    word = text.strip().lower()
    if word not in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        raise ValueError("write true or false")
    return word in ("true", "yes", "on", "1")


def whole_number(lowest: int) -> Callable[[str], int]:
    """Read a whole number that is not below `lowest`; underscores and commas may group its digits."""

    def parse(text: str) -> int:
        digits = re.sub(r"(?<=\d)[_,](?=\d)", "", text.strip())
        if not digits.isdecimal() or int(digits) < lowest:
            raise ValueError(f"write a whole number of at least {lowest}")
        return int(digits)

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Read one of some words."""

    def parse(text: str) -> str:
        if text.strip().lower() not in words:
            raise ValueError(f"write one of {', '.join(words)}")
        return text.strip().lower()

    return parse


def name_list(text: str) -> tuple[str, ...]:
    """Read names separated by commas."""
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


class FrozenMap(Mapping[str, str]):
    """A mapping that cannot be changed, so that a frozen dataclass can hold and hash it."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, key: str) -> str:
        """Return the value of a key."""
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys in the order given."""
        return iter(self._values)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._values)

    def __hash__(self) -> int:
        """Hash the items, in any order."""
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        """Show it as it is configured."""
        return json.dumps(self._values, ensure_ascii=False)


def text_map(text: str) -> FrozenMap:
    """Read a JSON object of texts, such as `{"readings": "explode"}`."""
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ValueError('write a JSON object of texts, such as {"a.b": "json"}')
    return FrozenMap(values)
