"""The pytest plug-in with the local event hub: add ``pytest_plugins = ["devkit.testing"]`` to a conftest.

::

    def test_events_arrive(event_hub):
        event_hub.send([b'{"a": 1}', b'{"a": 2}'], partition=0)
        ... event_hub.connection_string ...
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from devkit.hub.broker import LocalHub
from devkit.hub.client import EventSender
from devkit.hub.generator import Event
from devkit.hub.receiving import receive
from devkit.hub.recording import RecordedEvent


@dataclass(frozen=True)
class EventHub:
    """One event hub for a test.

    Attributes:
        name: Its name, the Kafka topic.
        connection_string: With its ``EntityPath``; a secret of the test run only.
        partitions: How many it has.
    """

    name: str
    connection_string: str = field(repr=False)
    partitions: int

    def send(
        self,
        bodies: Iterable[bytes | None],
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> int:
        """Send bodies, all with the same place and headers; return how many the broker acknowledged."""
        with EventSender(self.connection_string) as sender:
            for body in bodies:
                sender.send(body, key=key, headers=headers, partition=partition)
        return sender.acknowledged

    def send_events(self, events: Iterable[Event | RecordedEvent]) -> int:
        """Send generated or recorded events, each with its own key and headers."""
        with EventSender(self.connection_string) as sender:
            for event in events:
                sender.send(event.body, key=event.key, headers=event.headers)
        return sender.acknowledged

    def receive(self) -> list[RecordedEvent]:
        """Return everything it holds, in order of partition and offset."""
        return receive(self.connection_string, self.name)


@pytest.fixture(scope="session")
def local_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A broker of its own, on a free port, for the whole test run; started when the first test asks for it."""
    with LocalHub(tmp_path_factory.mktemp("local-hub")) as hub:
        yield hub


@pytest.fixture(scope="session")
def make_event_hub(local_hub: LocalHub) -> Callable[..., EventHub]:
    """Create event hubs with names never used before: ``make_event_hub(partitions=2)``."""
    numbers = itertools.count(1)

    def make(partitions: int = 1) -> EventHub:
        name = f"hub-{next(numbers)}"
        local_hub.create_hub(name, partitions=partitions)
        return EventHub(name, local_hub.connection_string(name), partitions)

    return make


@pytest.fixture
def event_hub(make_event_hub: Callable[..., EventHub]) -> EventHub:
    """An empty event hub with two partitions, for one test alone."""
    return make_event_hub(partitions=2)
