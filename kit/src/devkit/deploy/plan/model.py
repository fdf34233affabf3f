"""The actual state of a workspace, and the actions that lead from it to the desired state. Plain data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from devkit.deploy.declaration.model import Declaration, Desired, Json, Owner

Verb = Literal["create", "update", "replace", "unchanged", "delete", "restart"]


@dataclass(frozen=True)
class Actual:
    """The actual state of one resource.

    Attributes:
        kind: Such as ``clusters``.
        id: Its id in the workspace; the path of a file.
        name: Its name.
        body: Its settings, as the service reports them.
        owner: Who deployed it; None for what this tool did not deploy.
        extra: What else a plan needs, such as the active runs of a job.
    """

    kind: str
    id: str
    name: str
    body: dict[str, Json]
    owner: Owner | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return ``kind.key``, or ``kind.name`` for what this tool did not deploy."""
        return f"{self.kind}.{self.owner.key if self.owner else self.name}"


@dataclass(frozen=True)
class ActualState:
    """The actual state of a workspace.

    Attributes:
        host: The address of the workspace.
        me: The user who asked.
        items: The resources, in a stable order.
    """

    host: str = ""
    me: str = ""
    items: tuple[Actual, ...] = ()

    def of(self, kind: str) -> Iterator[Actual]:
        """Iterate over the resources of one kind."""
        return (each for each in self.items if each.kind == kind)


@dataclass(frozen=True)
class Change:
    """One difference: a path within a body, its actual and its desired value."""

    path: str
    before: Json
    after: Json


@dataclass(frozen=True)
class Pending:
    """The id of something that the same apply will create."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Show whose id it will be."""
        return f"(id of {self.kind} {self.name!r}, known after apply)"


@dataclass(frozen=True)
class Action:
    """What is done about one resource.

    Attributes:
        verb: What is done.
        desired: The desired state; None for what is deleted.
        actual: The actual state; None for what is created.
        changes: The differences that the action removes.
        reason: One more line for the reader, such as that the resource was edited by hand.
    """

    verb: Verb
    desired: Desired | None
    actual: Actual | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""

    @property
    def _subject(self) -> Desired | Actual:
        subject = self.desired or self.actual
        if subject is None:
            raise ValueError("an action needs a desired or an actual resource")
        return subject

    @property
    def address(self) -> str:
        """Return ``kind.key``."""
        return self._subject.address

    @property
    def name(self) -> str:
        """Return the name in the workspace."""
        return self._subject.name


@dataclass(frozen=True)
class Plan:
    """The actions, in the order in which they are taken.

    Attributes:
        declaration: The desired state.
        state: The actual state.
        actions: One for each resource, including those that are unchanged.
        orphans: What this project and environment owns and no longer declares: what prune would delete.
        copies: What carries the tag of another resource, such as a cloned job: reported, and left alone.
    """

    declaration: Declaration
    state: ActualState
    actions: tuple[Action, ...]
    orphans: tuple[Actual, ...]
    copies: tuple[Actual, ...] = ()

    @property
    def changes(self) -> tuple[Action, ...]:
        """Return the actions that change something."""
        return tuple(each for each in self.actions if each.verb != "unchanged")
