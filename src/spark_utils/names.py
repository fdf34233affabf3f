"""Paths and names: how a nested field is written, quoted, made legal for Delta, compared, counted; what was meant.

A path is a tuple of parts. Written as text, the parts are joined by dots, and a part that holds a dot or a backtick is
quoted in backticks (an inner backtick doubled), as Spark SQL quotes identifiers: ``device.`serial.no` ``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from spark_utils.errors import FlattenError

Path = tuple[str, ...]

# Delta refuses " ,;{}()\n\t=" in a column name unless column mapping is on; a dot or a backtick is legal there, but has
# to be quoted by everyone who reads the table. All of them become one underscore each.
_REPLACED = str.maketrans(dict.fromkeys(" ,;{}()\n\t=.`", "_"))
_PART = re.compile(r"`((?:[^`]|``)*)`|([^.`]+)")


def parse_path(text: str, *, origin: str | None = None) -> Path:
    """Read a written path.

    Args:
        text: Such as ``device.location`` or ``device.`serial.no` ``.
        origin: Where the text came from, for the error.

    Raises:
        FlattenError: The text is empty, has an empty part or an open backtick.
    """
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        quoted, plain = match.groups()
        parts.append(plain if quoted is None else quoted.replace("``", "`"))
        position = match.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            break
        position += 1
    raise FlattenError(
        f"the path {text!r} cannot be read at character {position + 1}",
        origin=origin,
        remedy="Join field names by dots and quote a name that holds a dot or backtick: device.`serial.no`.",
    )


def format_path(path: Path) -> str:
    """Write a path as `parse_path` reads it."""
    return ".".join(quote(part) if not part or "." in part or "`" in part else part for part in path)


def quote(*parts: str) -> str:
    """Quote one identifier for Spark SQL, `select` and `col`; several parts become one dotted name."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


def string_literal(text: str) -> str:
    r"""Quote one string for Spark SQL; a line break is written as `\n`, so that a statement stays one line."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def legal_name(name: str) -> str:
    r"""Return the name with each of `` ,;{}()\n\t=.`` and backtick replaced by an underscore; unicode stays.

    Source of the characters: Delta Lake, "Column mapping", supported characters in column names.
    """
    return name.translate(_REPLACED) or "_"


def fold(name: str) -> str:
    """Return the form under which Spark and Delta hold two names for the same (case-insensitive).

    Mirrors Java's ``String.equalsIgnoreCase``, which Spark's default resolver uses: each character is upper-cased,
    then lower-cased, alone (so ``ß`` does not equal ``ss``, but the Kelvin sign equals ``k``).
    """
    if name.isascii():
        return name.lower()
    return "".join(_fold_character(character) for character in name)


def _fold_character(character: str) -> str:
    upper = character.upper()
    return (upper if len(upper) == 1 else character).lower()[0]


def counted(count: int, what: str) -> str:
    """Return a number with its noun, whose plural ends in an s: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def nearest(name: str, known: Iterable[str], *, prefix: str = "") -> str | None:
    """Return the known name that a misspelt one is most like, whatever its case.

    Args:
        name: The misspelt name.
        known: Those that there are.
        prefix: What all of them begin with: it does not count as likeness.
    """
    candidates = {each.removeprefix(prefix).lower(): each for each in known}
    found = difflib.get_close_matches(name.removeprefix(prefix).lower(), candidates, n=1)
    return candidates[found[0]] if found else None


def suggestion(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return ``; did you mean 'x'?`` for the nearest known name, or nothing; see `nearest`."""
    found = nearest(name, known, prefix=prefix)
    return f"; did you mean {found!r}?" if found else ""
