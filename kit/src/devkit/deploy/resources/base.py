"""What all kinds share: how bodies become calls of the SDK, and how ownership is written and read."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from devkit.deploy.declaration.kinds import KINDS, parameters
from devkit.deploy.declaration.model import TAG, Declaration, Desired, Json, Owner
from devkit.deploy.declaration.values import Values
from devkit.deploy.plan.model import Actual
from devkit.deploy.workspace.client import create_once

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.clock import Clock

T = TypeVar("T")
R = TypeVar("R")
READERS = 8  # concurrent calls where each thing has to be asked for on its own


@dataclass
class Recording:
    """A recording of the actual state on its way.

    Attributes:
        client: The workspace.
        declaration: The desired state; None to record the whole workspace.
        found: What was recorded so far, kind after kind.
    """

    client: WorkspaceClient
    declaration: Declaration | None = None
    found: list[Actual] = field(default_factory=list)

    def desired(self, kind: str) -> list[Desired]:
        """Return the desired resources of a kind."""
        return list(self.declaration.of(kind)) if self.declaration else []


@dataclass
class Context:
    """What an apply works with.

    Attributes:
        client: The workspace.
        clock: The clock that pauses are taken on.
        declaration: The desired state.
        values: Where the values of secrets come from.
        ids: The id of each resource, by its address; filled as resources are created.
    """

    client: WorkspaceClient
    clock: Clock
    declaration: Declaration
    values: Values
    ids: dict[str, str] = field(default_factory=dict)

    def owner(self, desired: Desired) -> Owner:
        """Return the ownership tag of a resource."""
        return self.declaration.owners[desired.address]


class Resource:
    """How one kind is listed, created, updated and deleted.

    Attributes:
        kind: Its name.
        is_named: Whether one that was created is found again by its name and tag, so that none is created twice.
    """

    kind: ClassVar[str]
    is_named: ClassVar[bool] = False

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return what the workspace has of this kind."""
        raise NotImplementedError

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Create one and return its id; exactly one, even if an answer gets lost."""
        return create_once(
            lambda: self.make(context, desired, body), lambda: self.look(context, desired), context.clock
        )

    def make(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Send the call that creates one."""
        raise NotImplementedError

    def look(self, context: Context, desired: Desired) -> str | None:
        """Find one by its name and ownership tag, after an answer got lost; a copy has another name."""
        ours = context.owner(desired)
        for actual in self.record(Recording(context.client)):
            if actual.name == desired.name and ours.same_resource(actual.owner):
                return actual.id
        return None

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Change one."""
        raise NotImplementedError

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete one; it is no error if it is already gone."""
        raise NotImplementedError


class Service(Resource):
    """A kind that one service of the SDK lists, creates, edits and deletes, its ownership tag among its tags.

    The service has the name of the kind: ``client.instance_pools`` and so on.

    Attributes:
        identity: The field that holds the id.
        tags: The field that holds the tags.
    """

    identity: ClassVar[str]
    tags: ClassVar[str] = "custom_tags"
    is_named = True

    def listed(self, recording: Recording) -> Iterable[dict[str, Any]]:
        """Return the bodies of all, as the service reports them."""
        return (each.as_dict() for each in getattr(recording.client, self.kind).list())

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return all of the workspace."""
        for body in self.listed(recording):
            owner, name = self.read_owner(body), str(body.get(KINDS[self.kind].name_field, ""))
            yield Actual(self.kind, str(body[self.identity]), name, body, owner)

    def read_owner(self, body: dict[str, Any]) -> Owner | None:
        """Return whom the tags name, and take the ownership tag out of them."""
        tags = dict(body.get(self.tags) or {})
        body[self.tags] = without_tag(tags)
        return Owner.parse(tags.get(TAG))

    def with_owner(self, context: Context, desired: Desired, body: dict[str, Json]) -> dict[str, Json]:
        """Return a body as it is sent: with the ownership tag."""
        return {**body, self.tags: {**(body.get(self.tags) or {}), TAG: str(context.owner(desired))}}

    def make(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Create one."""
        sent = call(KINDS[self.kind].create, self.with_owner(context, desired, body))
        made = getattr(context.client, self.kind).create(**sent)
        return str(getattr(getattr(made, "response", made), self.identity))

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Edit one."""
        edit = KINDS[self.kind].edit
        sent = {**call(edit, self.with_owner(context, desired, body)), self.identity: actual.id}
        getattr(getattr(context.client, self.kind), edit.rpartition(".")[2])(**sent)

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete one."""
        gone(lambda: getattr(context.client, self.kind).delete(actual.id))


def call(name: str, body: Mapping[str, Json]) -> dict[str, Any]:
    """Return keyword arguments for a method of the SDK from a body; what the method does not take is left out."""
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


def without_tag(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return tags without the ownership tag."""
    return {name: value for name, value in (tags or {}).items() if name != TAG}


def concurrently(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Call a function for several items at a time, and return the answers in order."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(function, list(items))


def gone(delete: Callable[[], object]) -> None:
    """Delete something; it is no error if it is already gone."""
    from databricks.sdk.errors import InvalidParameterValue, NotFound

    try:
        delete()
    except NotFound:
        return
    except InvalidParameterValue as error:
        if "does not exist" not in str(error):
            raise
