"""The shape of a request: whether each of its values is of the type that the official SDK gives it.

The SDK's own `from_dict` takes any value for a text or a number, and would keep it: one job whose name is an object
makes every listing by name fail.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from local_workspace.errors import ApiError

LONGEST_INT: Final = 2**63  # a number of the API has 64 bits
SHOWN: Final = 100


def checked(kind: Any, value: Any, where: str = "") -> Any:
    """Return a value as a type has it; a whole number may be written as text, as protobuf's JSON has it.

    Args:
        kind: A dataclass of the SDK, or the type of a field of one.
        value: Parsed JSON.
        where: The path of the value in the request.

    Raises:
        ApiError: 400 with the first value that is of another type.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in inner if option is not types.NoneType]
        return checked(options[0], value, where) if len(options) == 1 and value is not None else value
    if origin is list:
        _expect(isinstance(value, list), "a list", value, where)
        return [checked(inner[0], each, f"{where}[{index}]") for index, each in enumerate(value)]
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, where)
        return {name: checked(inner[1], each, f"{where}.{name}") for name, each in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _checked_object(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        allowed = [each.value for each in kind]
        _expect(value == "" or value in allowed, f"one of {', '.join(map(str, allowed))}", value, where)
        return value
    return SCALARS[kind](value, where) if kind in SCALARS else value


def _checked_object(kind: type, value: Any, where: str) -> dict[str, Any]:
    _expect(isinstance(value, dict), "an object", value, where)
    fields, prefix = _fields(kind), f"{where}." if where else ""
    return {
        name: checked(fields[name], each, prefix + name) if name in fields and each is not None else each
        for name, each in value.items()
    }


@functools.cache
def _fields(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields, by their names and as SCIM writes them: ``displayName``."""
    hints = typing.get_type_hints(kind)
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): hint for name, hint in hints.items()} | hints


def _text(value: Any, where: str) -> str:
    _expect(isinstance(value, str), "a text", value, where)
    return str(value)


def _flag(value: Any, where: str) -> bool:
    _expect(isinstance(value, bool), "true or false", value, where)
    return bool(value)


def _whole(value: Any, where: str) -> int:
    is_written = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value) is not None
    is_whole = (isinstance(value, int) and not isinstance(value, bool)) or is_written
    is_whole = is_whole or (isinstance(value, float) and value.is_integer())
    _expect(is_whole and abs(int(value)) < LONGEST_INT, "a whole number of 64 bits", value, where)
    return int(value)


def _number(value: Any, where: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    _expect(is_number and math.isfinite(value), "a number", value, where)
    return float(value)


SCALARS: Final[dict[Any, Callable[[Any, str], Any]]] = {str: _text, bool: _flag, int: _whole, float: _number}


def _expect(holds: bool, what: str, value: Any, where: str) -> None:  # the one thing it is about
    if not holds:
        message = f"Could not parse request object: {where or 'it'} must be {what}, not {repr(value)[:SHOWN]}"
        raise ApiError(400, "MALFORMED_REQUEST", message)
