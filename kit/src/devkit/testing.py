"""The pytest plug-in of the kit: add ``pytest_plugins = ["spark_utils.testing", "devkit.testing"]`` to a conftest.

It has the local event hub, and both kinds of Spark session::

    def test_events_arrive(event_hub):
        event_hub.send([b'{"a": 1}', b'{"a": 2}'], partition=0)
        ... event_hub.connection_string ...

    def test_on_spark_connect(connect): ...        # as on standard clusters, serverless and Databricks Connect
    def test_on_both(each_spark): ...              # runs twice: on a classic session and on Spark Connect

``pytest --spark warm`` runs every test that takes `spark` on the warm server (``devkit spark up``), which is started if
it does not run; ``--spark classic``, the default, starts a session of its own.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from pyspark.sql import SparkSession

from devkit.databricks import here, paths
from devkit.hub.broker import LocalHub
from devkit.hub.client import EventSender
from devkit.hub.generator import Event
from devkit.hub.receiving import receive
from devkit.hub.recording import RecordedEvent
from devkit.spark import catalog
from devkit.spark.connect_server import ConnectServer, connect_mode


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--spark``."""
    parser.addoption(
        "--spark",
        choices=("classic", "warm"),
        default="classic",
        help="the session of the fixture `spark`: one of its own, or the warm server's (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Give what Databricks gives to modules; with ``--spark warm``, let every session attach to the warm server."""
    here.provide()
    if config.getoption("--spark") == "warm":
        os.environ.update(ConnectServer.shared().start().variables)


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


@pytest.fixture(scope="session", autouse=True)
def _tables_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tables that tests create by name, and files at paths of Databricks, out of the project's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(catalog.ROOT_VARIABLE, str(tmp_path_factory.mktemp("tables")))
        patch.setenv(paths.ROOT_VARIABLE, str(tmp_path_factory.mktemp("files")))
        yield


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


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectServer]:
    """A Spark Connect server of this test run, whose Python workers find every module that the tests can import."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    server = ConnectServer(tmp_path_factory.mktemp("spark-connect"), fast_start=True, environment=environment)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def connect_session(connect_server: ConnectServer) -> Iterator[SparkSession]:
    """The Spark Connect session behind `connect`."""
    session = connect_server.session()
    yield session
    session.stop()


@pytest.fixture
def connect(connect_session: SparkSession) -> Iterator[SparkSession]:
    """A Spark Connect session, shared by the test run; while a test has it, it is pyspark's active session."""
    with connect_mode():
        yield connect_session


@pytest.fixture(params=["classic", "connect"])
def each_spark(request: pytest.FixtureRequest) -> SparkSession:
    """Run the test twice: on the session `spark`, and on Spark Connect."""
    session: SparkSession = request.getfixturevalue("connect" if request.param == "connect" else "spark")
    return session
