"""Variables in a declaration: ``${var.name}``, ``${project}``, ``${jobs.key.name}``, ``${wheels.key.path}``.

A value that is one variable and nothing else takes the variable's own type; within a longer text a variable stands as
it was written. References to secrets (``${env.NAME}``) are left as they are: they are resolved when they are applied,
and stand in secret values only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from devkit.deploy.declaration.checking import suggestion
from devkit.deploy.declaration.kinds import KINDS

VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Za-z_][\w-]*(?:\.[^{}]+)?)\}")
SECRET_SOURCES: Final = ("env", "file", "keyring", "key_vault", "secret")


class Variables:
    """What stands for each variable.

    Args:
        values: By name: ``var.x``, ``project``, ``workspace.root``.
        texts: Numbers, truth values and nulls among them as they were written.

    Attributes:
        mistakes: What could not be replaced: the path of each, and why.
    """

    def __init__(self, values: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> None:
        self.values = dict(values)
        self.texts = dict(texts or {})
        self.mistakes: list[tuple[tuple[str | int, ...], str]] = []

    def resolve(self, content: Any, path: tuple[str | int, ...] = ()) -> Any:
        """Return content with every variable replaced; what cannot be is left, and kept in `mistakes`."""
        if isinstance(content, dict):
            return {
                str(self.resolve(name, path)): self.resolve(value, (*path, name)) for name, value in content.items()
            }
        if isinstance(content, list):
            return [self.resolve(value, (*path, index)) for index, value in enumerate(content)]
        if not isinstance(content, str):
            return content
        whole = VARIABLE.fullmatch(content)
        if whole:
            return self._value(whole["name"], path, content)
        return VARIABLE.sub(lambda match: self._text(match["name"], path, match[0]), content)

    def _value(self, name: str, path: tuple[str | int, ...], written: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name.partition(".")[0] not in SECRET_SOURCES:
            first = name.partition(".")[0]
            near = [each for each in self.values if each.partition(".")[0] == first] or [*self.values, *KINDS]
            self.mistakes.append((path, f"{written} is unknown; {suggestion(name, near)}"))
        return written

    def _text(self, name: str, path: tuple[str | int, ...], written: str) -> str:
        value = self._value(name, path, written)
        if isinstance(value, dict | list):
            what = "a mapping" if isinstance(value, dict) else "a list"
            self.mistakes.append((path, f"{written} is {what}, and cannot stand within a text"))
        elif value is None:
            self.mistakes.append((path, f"{written} has no value; write '' for an empty text"))
        return self.texts.get(name, str(value))


def secret_source(text: Any) -> str | None:
    """Return the kind of place that a reference to a secret names, or None for any other text."""
    match = VARIABLE.fullmatch(text) if isinstance(text, str) else None
    first = match["name"].partition(".")[0] if match else ""
    return first if first in SECRET_SOURCES else None
