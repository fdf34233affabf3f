"""Policies: what becomes of the value at one path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, MapType, StructType, VariantType

from spark_utils.errors import FlattenError
from spark_utils.names import quote

REMEDY = (
    "Use keep, json, drop, explode, `index 0` (or `index 0,1`) for an array, "
    "`keys NAME,NAME` for a map, flatten for a struct."
)
_WORDS = ("keep", "json", "drop", "explode", "flatten")
_KEY = re.compile(r"\s*(?:`((?:[^`]|``)*)`|([^,`]*[^,`\s]))\s*(,|$)")


@dataclass(frozen=True)
class Policy:
    """What becomes of one value.

    Attributes:
        kind: One of ``keep`` (as it is), ``json`` (`to_json` text, nulls included), ``drop``, ``flatten`` (structs
            only, their default), ``explode`` (one row per element, outer), ``index`` (arrays), ``keys`` (maps).
        items: The positions (from 0) of ``index``, or the declared keys of ``keys``.
    """

    kind: str
    items: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write the policy as `parse_policy` reads it."""
        items = (quote(item) if re.search(r"[,`]|^\s|\s$|^$", item) else item for item in self.items)
        return f"{self.kind} {','.join(items)}" if self.items else self.kind

    def fits(self, data_type: DataType) -> bool:
        """Return whether the policy can be applied to a value of this type."""
        if self.kind in ("keep", "drop"):
            return True
        if self.kind == "json":
            return isinstance(data_type, StructType | ArrayType | MapType | VariantType)
        if isinstance(data_type, StructType):
            return self.kind == "flatten"
        if isinstance(data_type, ArrayType):
            return self.kind in ("explode", "index")
        return isinstance(data_type, MapType) and self.kind in ("explode", "keys")


def parse_policy(text: str | Policy, *, origin: str | None = None) -> Policy:
    """Read a written policy, such as ``explode``, ``index 0,2`` or ``keys colour,`a,b` ``.

    Raises:
        FlattenError: The word is unknown, or its positions or keys cannot be read.
    """
    if isinstance(text, Policy):
        return text
    kind, _, rest = text.strip().partition(" ")
    if kind in _WORDS and not rest:
        return Policy(kind)
    if kind == "index" and re.fullmatch(r"\s*\d+(\s*,\s*\d+)*\s*", rest):
        return Policy(kind, tuple(str(int(item)) for item in dict.fromkeys(rest.split(","))))
    if kind == "keys" and (keys := _parse_keys(rest)):
        return Policy(kind, keys)
    raise FlattenError(f"{text!r} is not a flatten policy", origin=origin, remedy=REMEDY)


def _parse_keys(text: str) -> tuple[str, ...]:
    keys: list[str] = []
    position = 0
    while match := _KEY.match(text, position):
        quoted, plain, comma = match.groups()
        keys.append(plain if quoted is None else quoted.replace("``", "`"))
        position = match.end()
        if not comma:
            return tuple(dict.fromkeys(keys))
    return ()
