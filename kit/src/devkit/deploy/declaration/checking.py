"""Checking a declared body against the types of the SDK, recursively, with all mistakes at once."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from devkit.deploy.declaration.kinds import REFERENCES, spec_fields
from spark_utils.names import nearest

Place = Callable[[tuple[str | int, ...]], str]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a half-sentence with the nearest known name, or with some of those that there are."""
    choices = sorted(known)
    if near := nearest(name, choices):
        return f"did you mean {near!r}?"
    shown = ", ".join(choices[:12]) + (", …" if len(choices) > 12 else "")
    return f"known are {shown}" if choices else "there are none"


def mistakes_of(
    body: dict[str, Any], known: Mapping[str, Any], place: Place, path: tuple[str | int, ...]
) -> Iterator[str]:
    """Yield every mistake of a body: unknown keys and values of the wrong type, each with ``file:line``.

    Args:
        body: What is declared.
        known: Names and types that may stand in it.
        place: Gives ``file:line`` of a path.
        path: Where the body stands in its file.
    """
    for name, value in body.items():
        here = (*path, name)
        if name not in known:
            yield f"{place(here)}: unknown field {name!r}; {suggestion(name, known)}"
        elif name in REFERENCES and isinstance(value, str):
            continue  # a name, which is looked up when the workspace is known
        else:
            yield from _mistakes_of_value(value, known[name], place, here)


def _mistakes_of_value(value: Any, hint: Any, place: Place, path: tuple[str | int, ...]) -> Iterator[str]:
    hint = _without_none(hint)
    if hint is Any or value is None:
        return
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, dict):
        yield from _mistakes_of_container(value, origin, inner, place, path)
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, dict):
            yield from mistakes_of(value, spec_fields(hint), place, path)
        else:
            yield f"{place(path)}: {_called(path)} must be a mapping, not {_shown(value)}"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        known = [str(each.value) for each in hint]
        if value not in known:
            yield f"{place(path)}: {_called(path)} cannot be {_shown(value)}; {suggestion(str(value), known)}"
    elif not _fits(value, hint):
        yield f"{place(path)}: {_called(path)} must be {_named(hint)}, not {_shown(value)}{_quotes(value, hint)}"


def _mistakes_of_container(
    value: Any, origin: Any, inner: tuple[Any, ...], place: Place, path: tuple[str | int, ...]
) -> Iterator[str]:
    if not isinstance(value, origin):
        kind = "a list" if origin is list else "a mapping"
        yield f"{place(path)}: {_called(path)} must be {kind}, not {_shown(value)}"
    elif origin is list:
        for index, each in enumerate(value):
            if each is None:
                yield f"{place((*path, index))}: {_called((*path, index))} is empty"
            yield from _mistakes_of_value(each, inner[0], place, (*path, index))
    else:
        for name, each in value.items():
            yield from _mistakes_of_value(each, inner[1], place, (*path, name))


def _called(path: tuple[str | int, ...]) -> str:
    last = path[-1]
    return f"item {last + 1} of {path[-2]!r}" if isinstance(last, int) else repr(last)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        others = [each for each in typing.get_args(hint) if each is not type(None)]
        return others[0] if len(others) == 1 else Any
    return hint


def _fits(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool):
        return isinstance(value, hint)
    return True


def _named(hint: Any) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(hint, str(hint))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)


def _quotes(value: Any, hint: Any) -> str:
    return "; write it in quotes" if hint is str and isinstance(value, int | float) else ""
