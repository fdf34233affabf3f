"""What every kind's operations share: how bodies become calls of the SDK, and how ownership is written."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from devkit.deploy.catalogue import parameters
from devkit.deploy.client import create_once
from devkit.deploy.model import TAG, Action, Declaration, Found, Json, Owner, Wanted
from devkit.deploy.values import Values

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.clock import Clock

T = TypeVar("T")
R = TypeVar("R")
READERS = 8  # calls at a time where each thing has to be asked for by itself


@dataclass
class Recording:
    """What a recording of the workspace looks at.

    Attributes:
        client: The workspace.
        declaration: What is wanted; None for a recording of everything.
        found: What was found so far, kind after kind.
    """

    client: WorkspaceClient
    declaration: Declaration | None = None
    found: list[Found] = field(default_factory=list)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """Return what is wanted."""
        return self.declaration.resources if self.declaration else ()


@dataclass
class Context:
    """What an apply works with.

    Attributes:
        client: The workspace.
        clock: What pauses are taken on.
        declaration: What is wanted.
        values: Where the values of secrets come from.
        ids: The id of each resource, by its address; filled as resources are created.
    """

    client: WorkspaceClient
    clock: Clock
    declaration: Declaration
    values: Values
    ids: dict[str, str] = field(default_factory=dict)

    def owner(self, wanted: Wanted) -> Owner:
        """Return the ownership tag of a resource."""
        return self.declaration.owner(wanted)


class Operations:
    """How one kind is listed, created, changed and deleted."""

    kind: ClassVar[str]

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return what the workspace has of this kind."""
        raise NotImplementedError

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create one and return its id; never two, whatever gets lost."""
        return create_once(lambda: self.make(context, wanted, body), lambda: self.look(context, wanted), context.clock)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Send the call that creates one."""
        raise NotImplementedError

    def look(self, context: Context, wanted: Wanted) -> str | None:
        """Find one by its name and ownership tag, after an answer got lost; a copy has another name."""
        ours = context.owner(wanted)
        for found in self.record(Recording(context.client)):
            owner = found.owner if found.name == wanted.name else None
            if owner and (owner.project, owner.environment, owner.key) == (ours.project, ours.environment, ours.key):
                return found.id
        return None

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Change one."""
        raise NotImplementedError

    def delete(self, context: Context, found: Found) -> None:
        """Delete one; one that is gone already is no error."""
        raise NotImplementedError


def call(name: str, body: Mapping[str, Json]) -> dict[str, Any]:
    """Return keyword arguments for a method of the SDK out of a body; what the method does not take is left out."""
    known = parameters(name)
    return {key: build(known[key], value) for key, value in body.items() if key in known and value is not None}


def build(hint: Any, value: Json) -> Any:
    """Return JSON as the type of the SDK that a hint names."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return [build(inner[0], each) for each in value]
    if origin is dict:
        return {key: build(inner[1], each) for key, each in value.items()}
    if inner:  # an optional
        return build(next(each for each in inner if each is not type(None)), value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    return hint.from_dict(value) if dataclasses.is_dataclass(hint) else value  # type: ignore[union-attr]  # SDK types


def tagged(tags: Mapping[str, str] | None, owner: Owner) -> dict[str, str]:
    """Return tags with the ownership tag among them."""
    return {**(tags or {}), TAG: str(owner)}


def without_tag(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return tags without the ownership tag."""
    return {name: value for name, value in (tags or {}).items() if name != TAG}


def owner_in(tags: Mapping[str, str] | None) -> Owner | None:
    """Return the owner that tags name."""
    return Owner.parse((tags or {}).get(TAG))


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Ask for several things at a time, and give the answers in order."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(function, list(items))


def gone(delete: Callable[[], object]) -> None:
    """Delete something; that it is gone already is no error."""
    from databricks.sdk.errors import InvalidParameterValue, NotFound

    try:
        delete()
    except NotFound:
        return
    except InvalidParameterValue as error:
        if "does not exist" not in str(error):
            raise
