"""The words of a deployment: what is wanted, what is found, who owns it, and what follows from that.

Everything here is plain data: no server, no files, no clock.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Verb = Literal["create", "update", "replace", "unchanged", "delete", "restart"]
Json = Any
TAG: Final = "devkit"
PATH_KINDS: Final = frozenset({"notebooks", "files", "wheels", "repos"})  # owned by where they lie, not by a tag
_OWNER: Final = re.compile(
    r"devkit:(?P<project>[\w.-]+):(?P<environment>[\w.-]+):(?P<key>[\w./@ -]+?)"
    r":(?P<digest>[0-9a-f]{12})(?P<flag>:p)?"
)
_BRACKETED: Final = re.compile(r"\[(devkit:[^\[\]]+)\]")
LONGEST_TAG: Final = 255


@dataclass(frozen=True)
class Owner:
    """Who deployed something, written into it: the ownership tag. It stands for a state file.

    Attributes:
        project: The project.
        environment: The environment.
        key: The key of the resource in the declaration; it stays when the name changes.
        digest: Of what was declared, so that a field that is no longer declared is noticed.
        permissions: Whether its permissions were declared too.
    """

    project: str
    environment: str
    key: str
    digest: str
    permissions: bool = False

    def __str__(self) -> str:
        """Return the text of the tag."""
        return f"{TAG}:{self.project}:{self.environment}:{self.key}:{self.digest}" + (":p" if self.permissions else "")

    @classmethod
    def parse(cls, text: str | None) -> Owner | None:
        """Return the owner that a text is, and nothing else, or None."""
        match = _OWNER.fullmatch(text or "")
        if match is None:
            return None
        return cls(match["project"], match["environment"], match["key"], match["digest"], bool(match["flag"]))

    @classmethod
    def within(cls, text: str | None) -> tuple[Owner | None, str]:
        """Return the owner whose tag stands last and in brackets in a text, and the text before it."""
        matches = list(_BRACKETED.finditer(text or ""))
        owner = cls.parse(matches[-1][1]) if matches else None
        return owner, (text or "")[: matches[-1].start()].strip() if owner else (text or "")

    @property
    def is_legible(self) -> bool:
        """Tell whether the tag can be written and is understood when it is read again."""
        return len(str(self)) <= LONGEST_TAG and Owner.parse(str(self)) == self


@dataclass(frozen=True)
class Wanted:
    """One declared resource.

    Attributes:
        kind: Such as ``clusters``.
        key: Its key in the declaration.
        name: Its name, or its path, in the workspace.
        body: What is declared, in the field names of the SDK, with names where the service wants ids.
        origin: ``file:line``.
        content: The bytes of a file, notebook, script or wheel.
        local: The local file of the content, from the project's folder.
        source: Where the value of a secret comes from, such as ``${env.NAME}``; never the value.
        stream: For a job, how to tell that its stream is healthy; None when it is no stream.
        places: ``file:line`` of each part of the body, by its path written with dots.
    """

    kind: str
    key: str
    name: str
    body: dict[str, Json]
    origin: str = ""
    content: bytes | None = field(default=None, repr=False)
    local: str = ""
    source: str | None = None
    stream: Mapping[str, Json] | None = None
    places: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def address(self) -> str:
        """Return ``kind.key``."""
        return f"{self.kind}.{self.key}"

    @property
    def digest(self) -> str:
        """Return the digest of what is declared."""
        return digest({"body": self.body, "stream": bool(self.stream)})


@dataclass(frozen=True)
class Found:
    """One thing that the workspace has.

    Attributes:
        kind: Such as ``clusters``.
        id: Its id in the workspace; its path for files.
        name: Its name.
        body: Its settings, as the service tells them.
        owner: Who deployed it; None for what nobody deployed with this tool.
        extra: More that a plan needs to know, such as the active runs of a job.
    """

    kind: str
    id: str
    name: str
    body: dict[str, Json]
    owner: Owner | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """Everything found in one workspace.

    Attributes:
        host: The address of the workspace.
        me: The user who asked.
        items: What was found, in a stable order.
    """

    host: str = ""
    me: str = ""
    items: tuple[Found, ...] = ()

    def of(self, kind: str) -> Iterator[Found]:
        """Go through what was found of one kind."""
        return (each for each in self.items if each.kind == kind)


@dataclass(frozen=True)
class Change:
    """One difference: a path within a body, what is found there and what is wanted there."""

    path: str
    before: Json
    after: Json


@dataclass(frozen=True)
class Pending:
    """The id of something that this very apply will create."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Show what it will be the id of."""
        return f"(id of {self.kind} {self.name!r}, known after apply)"


@dataclass(frozen=True)
class Action:
    """What follows for one resource.

    Attributes:
        verb: What is done.
        wanted: The declaration; None for what is deleted.
        found: What exists; None for what is created.
        changes: The differences that a change makes.
        reason: One more line for the reader, such as that the resource was edited by hand.
    """

    verb: Verb
    wanted: Wanted | None
    found: Found | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""

    @property
    def address(self) -> str:
        """Return ``kind.key``."""
        if self.wanted is not None:
            return self.wanted.address
        assert self.found is not None  # noqa: S101  # an action is about something
        key = self.found.owner.key if self.found.owner else self.found.name
        return f"{self.found.kind}.{key}"

    @property
    def name(self) -> str:
        """Return the name in the workspace."""
        about = self.wanted or self.found
        return about.name if about else ""


@dataclass(frozen=True)
class Declaration:
    """Everything that is wanted in one environment.

    Attributes:
        project: The project.
        environment: Such as ``dev``.
        root: The workspace folder that belongs to this project and environment alone.
        volume_root: The same in a volume; empty when the project uses none.
        repos_root: The same for Git folders.
        workspace: How to reach the workspace: host, profile, proxy and so on.
        resources: What is wanted, in the order of the files.
        protect: Patterns of ``kind.key`` that are never deleted.
    """

    project: str
    environment: str
    root: str
    volume_root: str = ""
    repos_root: str = ""
    workspace: Mapping[str, Json] = field(default_factory=dict)
    resources: tuple[Wanted, ...] = ()
    protect: tuple[str, ...] = ()

    def owner(self, wanted: Wanted) -> Owner:
        """Return the ownership tag of one of its resources."""
        permissions = any(each.kind == "permissions" and each.key == wanted.address for each in self.resources)
        return Owner(self.project, self.environment, wanted.key, wanted.digest, permissions)

    def owns(self, found: Found) -> bool:
        """Tell whether something found belongs to this project and environment."""
        if found.kind in PATH_KINDS:
            roots = (self.root, self.volume_root, self.repos_root)
            return any(plain_path(found.name).startswith(plain_path(root) + "/") for root in roots if root)
        owner = found.owner
        return owner is not None and (owner.project, owner.environment) == (self.project, self.environment)


def plain_path(path: str) -> str:
    """Return a path without the ``/Workspace`` that the workspace's own listing leaves out."""
    return path.removeprefix("/Workspace").rstrip("/")


def digest(content: Json) -> str:
    """Return a short digest of JSON, the same for the same content in any order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def walk(content: Json, path: str = "") -> Iterator[tuple[str, str, Json]]:
    """Yield each field of a body at any depth: its path, its own name and its value."""
    if isinstance(content, dict):
        for name, value in content.items():
            here = f"{path}.{name}" if path else str(name)
            yield here, str(name), value
            yield from walk(value, here)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from walk(value, f"{path}[{index}]")


def replaced(content: Json, change: Any, path: str = "") -> Json:
    """Return a body in which ``change(path, name, value)`` was asked for the value of each field."""
    if isinstance(content, dict):
        changed = {}
        for name, value in content.items():
            here = f"{path}.{name}" if path else str(name)
            changed[name] = replaced(change(here, str(name), value), change, here)
        return changed
    if isinstance(content, list):
        return [replaced(value, change, f"{path}[{index}]") for index, value in enumerate(content)]
    return content


def by_kind(items: Iterable[Found]) -> dict[str, list[Found]]:
    """Group what was found."""
    grouped: dict[str, list[Found]] = {}
    for each in items:
        grouped.setdefault(each.kind, []).append(each)
    return grouped
