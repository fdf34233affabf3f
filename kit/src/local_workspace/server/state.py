"""The state of one workspace: its services, their tables, its folder, its lock and its clock."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from devkit import cache
from local_workspace.errors import not_found
from local_workspace.server.faults import Faults
from local_workspace.server.routing import FromDict

logger = logging.getLogger(__name__)
T = TypeVar("T")
S = TypeVar("S", bound="Service")


class Clock(Protocol):
    """Time, so that a test can bring its own."""

    def time(self) -> float:
        """Return seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own time."""

    def time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Identity:
    """Who and what a workspace is; the same at every start.

    Attributes:
        user_name: The one user, an administrator.
        user_id: Its SCIM id.
        workspace_id: Of the first workspace; each further one counts up.
        cluster_id: Of the default cluster.
        pool_id: Of the default instance pool.
        warehouse_id: Of the default SQL warehouse.
    """

    user_name: str = "engineer@localhost"
    user_id: str = "1000000000000001"
    workspace_id: int = 4242424242424242
    cluster_id: str = "0101-000000-default0"
    pool_id: str = "0101-000000-pool0-pool-default0"
    warehouse_id: str = "0000000000default"


@dataclass
class Options:
    """What a test or a rehearsal can ask of a workspace.

    Attributes:
        page_size: The largest page that a listing gives; 0 for the real service's own.
        cluster_start_seconds: How long a cluster is PENDING before it is RUNNING.
        processes: How many tasks run at the same time; an endless stream takes one of them.
    """

    page_size: int = 0
    cluster_start_seconds: float = 0.0
    processes: int = 2


class Table(MutableMapping[str, T], Generic[T]):
    """Things by their id, in the order in which they were made.

    Args:
        kind: An SDK type, or ``dict`` for plain JSON.
    """

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self._plain = not hasattr(kind, "from_dict")
        self._items: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        """Return one thing."""
        return self._items[key]

    def __setitem__(self, key: str, value: T) -> None:
        """Keep one thing."""
        self._items[key] = value

    def __delitem__(self, key: str) -> None:
        """Forget one thing."""
        del self._items[key]

    def __iter__(self) -> Iterator[str]:
        """Go through the ids."""
        return iter(self._items)

    def __len__(self) -> int:
        """Count."""
        return len(self._items)

    def existing(self, key: str, problem: str) -> T:
        """Return one thing.

        Raises:
            ApiError: 404 with the problem when there is none of this id.
        """
        if key not in self._items:
            raise not_found(problem)
        return self._items[key]

    def forget(self, unwanted: Callable[[str, T], bool]) -> None:
        """Delete the items for which the predicate, given id and item, is true."""
        self._items = {key: value for key, value in self._items.items() if not unwanted(key, value)}

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON."""
        if self._plain:
            return cast(dict[str, Any], json.loads(json.dumps(self._items)))
        return {key: cast(FromDict, value).as_dict() for key, value in self._items.items()}

    def load(self, content: dict[str, Any]) -> None:
        """Replace everything by what `dump` gave."""
        make = (lambda value: value) if self._plain else cast(type[FromDict], self.kind).from_dict
        self._items = {key: cast(T, make(value)) for key, value in content.items()}


class Service:
    """A service of the API: routes are its methods, state is in its tables.

    Args:
        state: The workspace that it belongs to.
    """

    name: ClassVar[str]
    permission_kinds: ClassVar[tuple[str, ...]] = ()
    """The kinds of its objects that have permissions, as the permissions API writes them: ``jobs``, ``clusters``."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.tables: dict[str, Table[Any]] = {}
        self.prepare()

    def prepare(self) -> None:
        """Make tables and fixed content; other services may not exist yet."""

    def resume(self) -> None:
        """Put right what a stopped server left behind; called once all services exist and their state is read."""

    def stop(self) -> None:
        """End what this service started: processes, threads."""

    def holds(self, kind: str, object_id: str) -> bool:
        """Return whether there is an object of this id: by default, whether the first table has it.

        Args:
            kind: One of `permission_kinds`.
            object_id: As the permissions API writes it.
        """
        return kind in self.permission_kinds and object_id in next(iter(self.tables.values()))

    def table(self, name: str, kind: type[T]) -> Table[T]:
        """Make a table that is kept with the workspace."""
        table = Table(kind)
        self.tables[name] = table
        return table


@dataclass
class State:
    """One isolated workspace.

    Attributes:
        folder: Where its files, tables and logs lie.
        token: The token that opens it.
        host: The address of the server, such as ``http://127.0.0.1:8080``.
        lock: Held by every handler; a running task never holds it.
        keys: Each returns whether a token opens the workspace, besides the one it was made with.
        faults: What goes wrong on request, in every workspace of the server.
        calls: How often each route was called, in every workspace of the server.
        is_past: Whether the tables are those of an earlier moment, for a stale read; files on the disk are not.
    """

    folder: Path
    token: str = field(repr=False)
    host: str
    identity: Identity = field(default_factory=Identity)
    options: Options = field(default_factory=Options)
    clock: Clock = field(default_factory=SystemClock)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    services: dict[type[Service], Service] = field(default_factory=dict, repr=False)
    keys: list[Callable[[str], bool]] = field(default_factory=list, repr=False)
    faults: Faults = field(default_factory=Faults, repr=False)
    calls: Counter[str] = field(default_factory=Counter, repr=False)
    is_past: bool = field(default=False, repr=False)
    _numbers: Table[dict[str, int]] = field(default_factory=lambda: Table(dict), repr=False)

    def add_services(self, kinds: list[type[Service]]) -> None:
        """Make the services, read what an earlier server kept, and let each put itself right."""
        self.services = {kind: kind(self) for kind in kinds}
        for file, table in self._files():
            if file.is_file():
                table.load(json.loads(file.read_text(encoding="utf-8")))
        for service in self.services.values():
            service.resume()

    def service(self, kind: type[S]) -> S:
        """Return one service by its class."""
        return cast(S, self.services[kind])

    def number(self) -> int:
        """Return a number that was never given before, so that no job has the id of a run."""
        with self.lock:
            highest = max((each["next"] for each in self._numbers.values()), default=1001)
            counted = self._numbers.setdefault("all", {"next": highest})
            counted["next"] += 1
            return counted["next"] - 1

    def now(self) -> int:
        """Return milliseconds since 1970."""
        return int(self.clock.time() * 1000)

    def path(self, *parts: str) -> Path:
        """Return a folder of the workspace, made if it is missing: ``files``, ``dbfs``, ``runs``."""
        folder = self.folder.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self) -> None:
        """Write every table that differs from its file, into a folder that only this user can read.

        A table that cannot be written keeps the file that it has, and keeps no other table from being written.
        """
        self.path("state").chmod(0o700)
        with self.lock:
            texts = {file: _text(file.stem, table) for file, table in self._files()}
        for file, text in texts.items():
            if text is None:
                continue
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                cache.write_atomically(file, text)

    def dump(self) -> list[dict[str, Any]]:
        """Return every table as JSON, in a fixed order."""
        with self.lock:
            return [table.dump() for _, table in self._files()]

    @contextmanager
    def as_of(self, dumped: list[dict[str, Any]]) -> Iterator[None]:
        """Let a read see the state of an earlier `dump`, and nothing else; what it changes is forgotten."""
        with self.lock:
            tables = [table for _, table in self._files()]
            now = [table._items for table in tables]
            for table, content in zip(tables, dumped, strict=True):
                table.load(content)
            self.is_past = True
            try:
                yield
            finally:
                self.is_past = False
                for table, items in zip(tables, now, strict=True):
                    table._items = items

    def _files(self) -> Iterator[tuple[Path, Table[Any]]]:
        folder = self.folder / "state"
        named = ((f"{s.name}.{name}", table) for s in self.services.values() for name, table in s.tables.items())
        for name, table in itertools.chain([("numbers", self._numbers)], named):
            yield folder / f"{name}.json", table


def _text(name: str, table: Table[Any]) -> str | None:
    """Return a table as it is written, or None when something in it cannot be."""
    try:
        return json.dumps(table.dump(), indent=1)
    except (AttributeError, TypeError, ValueError, RecursionError):
        logger.exception("the table %s cannot be written: its file stays as it is", name)
        return None
