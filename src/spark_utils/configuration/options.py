"""Declaring one option of the configuration, and reading the text it is given.

An option is declared once, as a field of a frozen dataclass that is an `OptionGroup`; the parser, the sample file, the
table in `configuration/README.md` and `--explain-config` are all made from that declaration, and it reads the text,
wherever that comes from: an argument, or a value given by hand in a test or a cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Final, TypeVar

from spark_utils.configuration.secrets import Secret
from spark_utils.errors import ConfigurationError
from spark_utils.redaction import MASK, looks_secret_name, looks_secret_text

ENVIRONMENT_PREFIX: Final = "STREAMING_"
Group = TypeVar("Group", bound="OptionGroup")


@dataclass(frozen=True)
class Option:
    """One argument of a job.

    Args:
        name: Such as `output-path`: the command line adds `--`, a configuration file takes it as it is.
        owner: The field of the configuration that holds the option's group; empty for the configuration itself.
        field: The field's name in the group.
        group: The heading under which help and sample show it.
        help: One or two sentences.
        metavar: The value's name in help.
        environment: Its environment variable.
        default: The default as text; None for none.
        parse: From text to the typed value; raises ValueError with what to write instead.
        sensitive: A secret: never shown, wherever it comes from.
        required: It must have a value.
        path: A relative value is resolved against the folder it was written for.
        flag: May stand without a value on the command line, which then means this text.
        example: What the sample file shows when there is no default.
    """

    name: str
    owner: str
    field: str
    group: str
    help: str
    metavar: str
    environment: str
    default: str | None = None
    parse: Callable[[str], Any] = str
    sensitive: bool = False
    required: bool = False
    path: bool = False
    flag: str | None = None
    example: str | None = None

    def value_in(self, config: Any) -> Any:
        """Return the option's value in a configuration."""
        return getattr(getattr(config, self.owner) if self.owner else config, self.field)

    def shown(self, text: str) -> str:
        """Return the text as a message may show it: masked when the option is a secret or the text looks like one."""
        looks_secret = self.sensitive or looks_secret_name(text) or looks_secret_text(text)
        return MASK if looks_secret else repr(text)


class OptionGroup:
    """Base of the frozen dataclasses whose fields are options.

    Args:
        title: The heading under which help and sample show the options.
        prefix: What the options' names begin with, before the fields' names.
    """

    title: ClassVar[str]
    prefix: ClassVar[str]

    def __init_subclass__(cls, *, title: str, prefix: str = "") -> None:
        """Keep the heading and the prefix."""
        super().__init_subclass__()
        cls.title, cls.prefix = title, prefix

    def __post_init__(self) -> None:
        """Read values that were given as text by hand, as arguments are read; a secret is closed by that.

        Raises:
            ConfigurationError: If a text does not fit its option.
        """
        for option in options_of(type(self)):
            text = None if option.owner else getattr(self, option.field)
            if not isinstance(text, str) or isinstance(text, Secret):
                continue
            try:
                object.__setattr__(self, option.field, option.parse(text))
            except ValueError as error:
                raise ConfigurationError(
                    f"{option.field} is {option.shown(text)}: {error}", origin=type(self).__name__
                ) from None

    def with_given(self: Group, **given: Any) -> Group:
        """Return the options with those values in place that are not None: keywords beside a group are stronger."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})  # type: ignore[type-var]  # every group is a dataclass


def option(help: str, parse: Callable[[str], Any] = str, default: str | None = None, **more: Any) -> Any:
    """Declare a dataclass field that is an option; see `Option` for the names in `more`."""
    value = None if default is None else parse(default)
    if default is None and more.get("required"):
        value = ""  # so that cells and tests can leave it out; parse_arguments insists on it
    return field(default=value, metadata={"option": {"help": help, "parse": parse, "default": default, **more}})


def secret(help: str, **more: Any) -> Any:
    """Declare an option whose value is a secret."""
    return option(f"{help} Give a reference.", Secret, sensitive=True, example="{{secrets/SCOPE/KEY}}", **more)


def flag(help: str) -> Any:
    """Declare an option that is true or false, false by default."""
    return option(help, flag_value, "false", metavar="BOOL", flag="true")


def word(help: str, *words: str, **more: Any) -> Any:
    """Declare an option that is one of some words, by default the first."""
    return option(help, one_of(*words), words[0], **more)


def options_of(group: type[Any], owner: str = "") -> list[Option]:
    """Return the options a group declares, in the order of its fields, those of the groups inside it included."""
    found: list[Option] = []
    for each in fields(group):
        if "option" in each.metadata:
            found.append(_to_option(group, each, owner))
        elif (inner := inner_group(each)) is not None:
            found += options_of(inner, each.name)
    return found


def inner_group(declared: Field[Any]) -> type[OptionGroup] | None:
    """Return the group that a field holds, None if it holds something else."""
    factory: Any = declared.default_factory
    return factory if isinstance(factory, type) and issubclass(factory, OptionGroup) else None


def _to_option(group: type[OptionGroup], declared: Field[Any], owner: str) -> Option:
    metadata = dict(declared.metadata["option"])
    name = metadata.pop("name", group.prefix + declared.name.replace("_", "-"))
    metadata.setdefault("group", group.title)
    metadata.setdefault("metavar", name.rpartition("-")[2].upper())
    metadata.setdefault("environment", ENVIRONMENT_PREFIX + name.replace("-", "_").upper())
    return Option(name=name, owner=owner, field=declared.name, **metadata)


def flag_value(text: str) -> bool:
    """Read `true` or `false` (also yes/no, on/off, 1/0)."""
    word = text.strip().lower()
    if word not in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        raise ValueError("expected true or false")
    return word in ("true", "yes", "on", "1")


def whole_number(lowest: int) -> Callable[[str], int]:
    """Read a whole number that is not below `lowest`; underscores and commas may group its digits."""

    def parse(text: str) -> int:
        digits = re.sub(r"(?<=\d)[_,](?=\d)", "", text.strip())
        if not digits.isdecimal() or int(digits) < lowest:
            raise ValueError(f"expected a whole number of at least {lowest}")
        return int(digits)

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Read one of some words."""

    def parse(text: str) -> str:
        if text.strip().lower() not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
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
        raise ValueError('expected a JSON object of texts, such as {"a.b": "json"}')
    return FrozenMap(values)
