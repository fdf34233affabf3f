"""Variables in a declaration: ``${var.name}``, ``${project}``, ``${jobs.key.name}``, ``${wheels.key.path}``.

A value that is one variable and nothing else takes the variable's own type. References to secrets (``${env.NAME}``)
are left as they are: they are resolved when they are applied, and stand in secret values only.
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
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.unknown: list[tuple[tuple[str | int, ...], str]] = []

    def resolve(self, content: Any, path: tuple[str | int, ...] = ()) -> Any:
        """Return content with every variable replaced; what is unknown is kept in `unknown` with its path."""
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
            self.unknown.append((path, f"{written} is unknown; {suggestion(name, self._near(name))}"))
        return written

    def _text(self, name: str, path: tuple[str | int, ...], written: str) -> str:
        value = self._value(name, path, written)
        if isinstance(value, bool):
            return str(value).lower()
        return str(value)

    def _near(self, name: str) -> list[str]:
        first = name.partition(".")[0]
        same = [each for each in self.values if each.partition(".")[0] == first]
        return same or [*self.values, *KINDS]


def secret_source(text: Any) -> str | None:
    """Return the kind of place that a reference to a secret names, or None for any other text."""
    match = VARIABLE.fullmatch(text) if isinstance(text, str) else None
    first = match["name"].partition(".")[0] if match else ""
    return first if first in SECRET_SOURCES else None
