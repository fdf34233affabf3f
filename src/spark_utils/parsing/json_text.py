"""Bytes to a tree of Python values, by RFC 8259 and nothing more lenient.

Numbers stay the text they were written as (``NumberText``), so nothing is rounded before the schema has spoken
and unknown fields can be kept exactly.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import accumulate
from typing import Any

from spark_utils.parsing.reasons import Limits, Reason, RejectedBodyError

PathParts = tuple[str | int, ...]

LONGEST_PATH = 256  # a key may be as long as the body; a path column should stay readable
LONGEST_EXCERPT = 40

_JSON_SPACE = " \t\n\r"
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKET = re.compile(r"[^\[\]{}]+")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CUT_TOKEN = re.compile(
    r"t(ru?)?|f(a(ls?)?)?|n(ul?)?|N(aN?)?|-?I(n(f(i(n(it?)?)?)?)?)?|-"  # a literal or a sign cut short
    r"|\.|(\.[0-9]+)?[eE][+-]?"  # a fraction or an exponent without digits
    r"|\\?u?[0-9a-fA-F]{0,3}"  # an escape cut short
)


class NumberText(str):
    """A number, as it was written."""

    __slots__ = ()


class NotFinite(str):
    """``NaN``, ``Infinity`` or ``-Infinity``, which are no JSON."""

    __slots__ = ()


class RepeatedKeys(dict[str, Any]):
    """An object that held one of its keys twice."""

    repeated: str


def read_tree(body: bytes | None, limits: Limits) -> dict[str, Any]:
    """Read one body strictly.

    Args:
        body: The bytes of the event, or None for a tombstone.
        limits: The largest size and depth.

    Returns:
        The root object: dicts, lists, ``str``, ``bool``, None and ``NumberText``.

    Raises:
        RejectedBodyError: with the reason; its path is None when the reason concerns the whole body.
    """
    text = _text_of(body, limits)
    _check_depth(text, limits.max_depth)
    faults: list[object] = []

    def remember(constant: str) -> NotFinite:
        faults.append(constant)
        return NotFinite(constant)

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) == len(pairs):
            return built
        faults.append(built)
        return _with_repeated_key(pairs)

    try:
        tree = json.loads(
            text, object_pairs_hook=build, parse_int=NumberText, parse_float=NumberText, parse_constant=remember
        )
    except json.JSONDecodeError as error:
        raise _syntax_verdict(text, error) from None
    if faults or _SURROGATE_ESCAPE.search(text):
        _raise_first_fault(tree, ())
    if not isinstance(tree, dict):
        raise RejectedBodyError(Reason.NOT_AN_OBJECT, f"the root is {kind_of(tree)}")
    return tree


def _text_of(body: bytes | None, limits: Limits) -> str:
    if body is None:
        raise RejectedBodyError(Reason.NULL_BODY, "the event has no body")
    if len(body) > limits.max_body_bytes:
        problem = f"{len(body)} bytes, the limit is {limits.max_body_bytes}"
        raise RejectedBodyError(Reason.TOO_LARGE, problem)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RejectedBodyError(Reason.INVALID_UTF8, f"{error.reason} at byte {error.start}") from None
    if not text.strip(_JSON_SPACE):
        raise RejectedBodyError(Reason.EMPTY, f"{len(body)} bytes of white space" if body else "0 bytes")
    if text.startswith("\ufeff"):
        raise RejectedBodyError(Reason.NOT_JSON, "starts with a byte-order mark")
    return text


def _check_depth(text: str, max_depth: int) -> None:
    """Raise ``too_deep`` when brackets outside strings nest deeper than allowed, whether or not they match."""
    if text.count("{") + text.count("[") <= max_depth:
        return
    brackets = _NO_BRACKET.sub("", _STRINGS.sub("", text))
    deepest = max(accumulate((1 if bracket in "{[" else -1 for bracket in brackets), initial=0))
    if deepest > max_depth:
        raise RejectedBodyError(Reason.TOO_DEEP, f"nested {deepest} deep, the limit is {max_depth}")


def _with_repeated_key(pairs: list[tuple[str, Any]]) -> RepeatedKeys:
    seen: set[str] = set()
    built = RepeatedKeys()
    built.repeated = ""
    for key, value in pairs:
        if key in seen:
            built.repeated = key
            built.setdefault(key, value)
            return built
        seen.add(key)
        built[key] = value
    return built


def _syntax_verdict(text: str, error: json.JSONDecodeError) -> RejectedBodyError:
    where = f"{error.msg.removesuffix(' starting at')} at character {error.pos}"
    if error.msg == "Extra data":
        return RejectedBodyError(Reason.TRAILING_TEXT, f"text after the root value, at character {error.pos}")
    rest = text[error.pos :].rstrip(_JSON_SPACE)
    if not rest or error.msg.startswith("Unterminated string") or _CUT_TOKEN.fullmatch(rest):
        return RejectedBodyError(Reason.TRUNCATED, f"ends early: {where}")
    return RejectedBodyError(Reason.NOT_JSON, where)


def _raise_first_fault(value: Any, path: PathParts) -> None:
    """Walk in the order of the text and raise the first thing that no strict JSON reader accepts."""
    if isinstance(value, NotFinite):
        raise RejectedBodyError(Reason.NOT_FINITE, f"{value} is not a JSON number", path)
    if isinstance(value, NumberText):
        return
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_text(key, path)
            _raise_first_fault(child, (*path, key))
        if isinstance(value, RepeatedKeys):
            raise RejectedBodyError(Reason.DUPLICATE_KEY, "specified twice", (*path, value.repeated))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _raise_first_fault(child, (*path, index))


def _check_text(text: str, path: PathParts) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RejectedBodyError(Reason.LONE_SURROGATE, "half of a surrogate pair", path) from None


def kind_of(value: Any) -> str:
    """The JSON type of a value of the tree, with its article."""
    if isinstance(value, (NumberText, NotFinite)):
        return "a number"
    if value is None:
        return "null"
    return {str: "a string", bool: "a boolean", list: "an array"}.get(type(value), "an object")


def excerpt(text: str) -> str:
    """At most 40 characters of a value, for a detail: never the whole of a long one."""
    return text if len(text) <= LONGEST_EXCERPT else text[:LONGEST_EXCERPT] + "…"


def path_text(parts: PathParts, longest: int | None = LONGEST_PATH) -> str:
    """Write a path as ``readings[2].value``; any key but a plain name is quoted: ``tags["a b"]``.

    A path of more than ``longest`` characters is cut, with an ellipsis; None means never.
    """
    text = _short_path(parts) if path_length(parts) <= LONGEST_PATH else _written_path(parts)
    return text if longest is None or len(text) <= longest else text[:longest] + "…"


def path_length(parts: PathParts) -> int:
    """Return how many characters the keys and indices of a path have."""
    return sum(len(str(part)) for part in parts)


def _written_path(parts: PathParts) -> str:
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_NAME.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{_quoted(part)}]"
    return text


_short_path = lru_cache(maxsize=1024)(_written_path)  # a stream that drifts has the same few paths in every event


def json_text(value: Any) -> str:
    """Write a value of the tree as compact JSON, its numbers exactly as they were read."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(key)}:{json_text(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return _quoted(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _quoted(value: str | int | None) -> str:
    return _ENCODER.encode(value)
