"""What a task's process is given: the request that the launcher wrote, and where paths of the workspace lie.

This and every other module that a task's process imports uses the standard library only, so that it starts at once
and the wheel of a task is never shadowed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REMOTE_SCHEME = "dbfs:"


@dataclass
class Context:
    """One task, as its process sees it.

    Attributes:
        folder: Of the task run: the request, the result and what else the process leaves for the server.
        request: What is to be run.
        secrets: The values of the secrets that were read.
        secrets_read: Their names, ``scope/key``, so that the server can clean what a program below printed.
        notebook: The workspace path of the notebook that runs now, if one does.
        widgets: The parameters of the notebook that runs now.
    """

    folder: Path
    request: dict[str, Any]
    secrets: set[str] = field(default_factory=set, repr=False)
    secrets_read: list[str] = field(default_factory=list)
    notebook: str | None = None
    widgets: dict[str, str] = field(default_factory=dict)

    @property
    def roots(self) -> list[tuple[str, str]]:
        """What a path of the workspace begins with, and the folder that stands for it."""
        return [(prefix, folder) for prefix, folder in self.request["roots"]]

    def local(self, path: str) -> str:
        """Return where a path lies on this machine; a path outside the workspace stays as it is."""
        return local(path, self.roots)

    def write(self, name: str, content: Any) -> None:
        """Leave a file for the server, whole or not at all."""
        temporary = self.folder / f".{name}"
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(self.folder / name)

    def note_secret(self, scope: str, key: str, value: str) -> None:
        """Remember a secret that was read, so that it is shown nowhere."""
        self.secrets.add(value)
        self.secrets_read.append(f"{scope}/{key}")
        self.write("secrets.json", self.secrets_read)


def local(path: str, roots: list[tuple[str, str]]) -> str:
    """Return where a path of the workspace lies on this machine, or the text as it is."""
    for prefix, folder in roots:
        if path.startswith(prefix):
            return os.path.normpath(os.path.join(folder, path.removeprefix(prefix).lstrip("/")))  # noqa: PTH118 - text
        if path == prefix.rstrip("/"):
            return folder
    return path


def local_arguments(arguments: list[str], roots: list[tuple[str, str]]) -> list[str]:
    """Return command-line arguments with the workspace's paths in them replaced: whole ones and ``--name=path``."""

    def mapped(argument: str) -> str:
        name, equals, value = argument.partition("=")
        if equals and name.startswith("-"):
            return f"{name}={local(value, roots)}"
        return local(argument, roots)

    return [mapped(argument) for argument in arguments]


def local_values(values: Mapping[str, str], roots: list[tuple[str, str]]) -> dict[str, str]:
    """Return named parameters with the workspace's paths in them replaced."""
    return {name: local(value, roots) for name, value in values.items()}
