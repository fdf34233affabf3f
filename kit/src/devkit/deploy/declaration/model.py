"""The desired state of one environment, and the ownership tag that deployed resources carry. Plain data only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

Json = Any
TAG: Final = "devkit"
LONGEST_TAG: Final = 255
PATH_KINDS: Final = frozenset({"notebooks", "files", "wheels", "repos"})  # owned by their folder, not by a tag
_OWNER: Final = re.compile(
    r"devkit:(?P<project>[\w.-]+):(?P<environment>[\w.-]+):(?P<key>[\w./@ -]+?)"
    r":(?P<digest>[0-9a-f]{12})(?P<flag>:p)?"
)
_BRACKETED: Final = re.compile(r"\[(devkit:[^\[\]]+)\]")


@dataclass(frozen=True)
class Owner:
    """The ownership tag: who deployed a resource, written into the resource itself. It replaces a state file.

    Attributes:
        project: The project.
        environment: The environment.
        key: The key of the resource in the declaration; it stays when the name changes.
        digest: Digest of what was declared, so that a field that is no longer declared is noticed.
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
        """Return the owner if the text is a tag and nothing else, otherwise None."""
        match = _OWNER.fullmatch(text or "")
        if match is None:
            return None
        return cls(match["project"], match["environment"], match["key"], match["digest"], bool(match["flag"]))

    @classmethod
    def within(cls, text: str | None) -> tuple[Owner | None, str]:
        """Return the owner of the last bracketed tag in a text, and the text before that tag."""
        matches = list(_BRACKETED.finditer(text or ""))
        owner = cls.parse(matches[-1][1]) if matches else None
        return owner, (text or "")[: matches[-1].start()].strip() if owner else (text or "")

    @property
    def is_legible(self) -> bool:
        """Return whether the tag survives being written and read again."""
        return len(str(self)) <= LONGEST_TAG and Owner.parse(str(self)) == self

    def same_resource(self, other: Owner | None) -> bool:
        """Return whether two tags name the same resource, whatever was declared of it."""
        return other is not None and self.address == other.address

    @property
    def address(self) -> tuple[str, str, str]:
        """Return project, environment and key."""
        return self.project, self.environment, self.key


@dataclass(frozen=True)
class Desired:
    """The desired state of one resource.

    Attributes:
        kind: Such as ``clusters``.
        key: Its key in the declaration.
        name: Its name, or its path, in the workspace.
        body: What is declared, in the SDK's field names, with names where the service expects ids.
        origin: ``file:line``.
        content: The bytes of a file, notebook, script or wheel.
        local: The local file of the content, relative to the project's folder.
        source: Where the value of a secret comes from, such as ``${env.NAME}``; never the value.
        stream: For a streaming job, how its health is observed; None for any other job.
        places: ``file:line`` of each part of the body, by its dotted path.
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
        """Return a short digest of what is declared, the same for any order of keys."""
        content = {"body": self.body, "stream": bool(self.stream)}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Declaration:
    """The desired state of one environment.

    Attributes:
        project: The project.
        environment: Such as ``dev``.
        root: The workspace folder that belongs to this project and environment alone.
        volume_root: The same in a volume; empty when the project uses none.
        repos_root: The same for Git folders.
        workspace: How to reach the workspace: host, profile, proxy and so on.
        resources: The desired resources, in the order of the files.
        protect: Patterns of ``kind.key`` that are never deleted.
    """

    project: str
    environment: str
    root: str
    volume_root: str = ""
    repos_root: str = ""
    workspace: Mapping[str, Json] = field(default_factory=dict)
    resources: tuple[Desired, ...] = ()
    protect: tuple[str, ...] = ()

    @cached_property
    def owners(self) -> Mapping[str, Owner]:
        """Return the ownership tag of each resource, by its address."""
        permitted = {each.key for each in self.resources if each.kind == "permissions"}
        return {
            each.address: Owner(self.project, self.environment, each.key, each.digest, each.address in permitted)
            for each in self.resources
        }

    def of(self, kind: str) -> Iterator[Desired]:
        """Iterate over the desired resources of one kind."""
        return (each for each in self.resources if each.kind == kind)


def plain_path(path: str) -> str:
    """Return a path without ``/Workspace``, which the workspace's own listing leaves out."""
    return path.removeprefix("/Workspace").rstrip("/")
