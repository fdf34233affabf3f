"""What a task's process is given: the request that the launcher wrote, and where paths of the workspace lie.

This and every other module that a task's process imports uses the standard library only, so that it starts at once
and the wheel of a task is never shadowed.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devkit.databricks.paths import local

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


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

    @property
    def values(self) -> dict[str, dict[str, Any]]:
        """The values that other tasks of the run left, by task and key."""
        found: dict[str, dict[str, Any]] = self.request["values"]
        return found

    def leave_values(self, values: dict[str, Any]) -> None:
        """Leave this task's values for other tasks."""
        self.write("values.json", values)

    @cached_property
    def _client(self) -> WorkspaceClient:
        """The official client, so that the workspace's own rules apply."""
        from databricks.sdk import WorkspaceClient

        host, token = os.environ["DATABRICKS_HOST"], os.environ["DATABRICKS_TOKEN"]
        return WorkspaceClient(host=host, token=token, auth_type="pat")

    def secret(self, scope: str, key: str) -> bytes:
        """Return a secret; it is shown as ``[REDACTED]`` in the output from now on."""
        content = base64.b64decode(self._client.secrets.get_secret(scope, key).value or "")
        self.secrets.add(content.decode("utf-8", errors="replace"))
        self.secrets_read.append(f"{scope}/{key}")
        self.write("secrets.json", self.secrets_read)
        return content

    def secret_scopes(self) -> Iterator[str]:
        """Return the names of the scopes."""
        return (each.name or "" for each in self._client.secrets.list_scopes())

    def secret_keys(self, scope: str) -> Iterator[str]:
        """Return the keys of a scope."""
        return (each.key or "" for each in self._client.secrets.list_secrets(scope))


def local_arguments(arguments: list[str], roots: list[tuple[str, str]]) -> list[str]:
    """Return command-line arguments with the workspace's paths in them replaced: whole ones and ``--name=path``.

    ``abfss://`` stays: Spark knows whether the task signs in to the account.
    """
    roots = [(prefix, folder) for prefix, folder in roots if prefix != "abfss://"]

    def mapped(argument: str) -> str:
        name, equals, value = argument.partition("=")
        if equals and name.startswith("-"):
            return f"{name}={local(value, roots)}"
        return local(argument, roots)

    return [mapped(argument) for argument in arguments]
