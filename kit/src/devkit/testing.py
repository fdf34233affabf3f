"""The pytest plug-in of the kit: `-p devkit.testing`, or its name in `pytest_plugins`, beside `spark_utils.testing`.

Fixtures: `spark` of either kind (`connect`, `each_spark`; ``--spark warm``), `stream`, `event_hub`, `golden`; pipelines
and the workspace have plug-ins of their own. Each is described, with an example that is run, in docs/testing.md.
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from devkit.databricks import here, paths
from devkit.hub.broker import LocalHub
from devkit.hub.client import EventSender
from devkit.hub.generator import DEFAULT_START, EVENT_INTERVAL, Event
from devkit.hub.receiving import receive
from devkit.hub.recording import RECORDED_SUFFIX, RecordedEvent, recorded_line
from devkit.live import journal
from devkit.spark import catalog
from devkit.spark.connect_server import ConnectServer, connect_mode
from spark_utils import (
    FlattenOptions,
    FlattenPlan,
    ParseOptions,
    SourceOptions,
    await_termination,
    flatten,
    flatten_plan,
    good_rows,
    good_schema,
    load_schema,
    parse,
    read_stream,
    write_stream,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--spark``."""
    parser.addoption(
        "--spark",
        choices=("classic", "warm"),
        default="classic",
        help="the session of the fixture `spark`: one of its own, or the warm server's (default: %(default)s)",
    )
    parser.addoption("--update-golden", action="store_true", help="write the files of the fixture `golden` anew")


def pytest_configure(config: pytest.Config) -> None:
    """Give what Databricks gives to modules; with ``--spark warm``, let every session attach to the warm server."""
    here.provide()
    if config.getoption("--spark") == "warm":
        os.environ.update(ConnectServer.shared().start().variables)


class Mark(Enum):
    """What may stand between the events of a `StreamTester`."""

    END = "the stream comes to its end here and goes on in another run"
    CRASH = "the process is killed here, with both tables written and the batch not yet noted, and started again"


END, CRASH = Mark.END, Mark.CRASH
Step = Callable[[DataFrame], DataFrame]
Body = Mapping[str, Any] | str | bytes | Event | RecordedEvent


class StreamTester:
    """The stream of the job, on events of a list: read, parsed, flattened, transformed and written as the job does it.

    Args:
        spark: The session, of either kind.
        folder: A folder of the test's own.
    """

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        self._sent = 0

    def run(
        self,
        events: Iterable[Body | Mark],
        *,
        schema: str | Path | StructType,
        transform: Step = lambda events: events,
        parse: ParseOptions | None = None,
        flatten: FlattenOptions | None = None,
    ) -> None:
        """Feed events, and run to their end; what comes after a mark, or in another call, goes on from there.

        Args:
            events: Bodies (a mapping is written as JSON), generated or recorded events; `END` and `CRASH` between them.
            schema: Of the bodies: a type, or what `load_schema` takes.
            transform: The transformation.
            parse: Options of the parser.
            flatten: Options of the flattening.

        Raises:
            StreamFailedError: The query fails.
        """
        loaded = schema if isinstance(schema, StructType) else load_schema(schema)
        batch: list[Body] = []
        for item in [*events, END]:
            if not isinstance(item, Mark):
                batch.append(item)
                continue
            self._send(batch)
            self._run(loaded, transform, parse or ParseOptions(), flatten or FlattenOptions())
            if item is CRASH:
                self._forget_last_commit()
            batch = []

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return the rows of `events` or `rejected` in the order of their events, with the columns named, or all."""
        frame = self.spark.read.format("delta").load(str(self.folder / "out" / table)).orderBy("offset")
        return [tuple(row) for row in frame.select(*(columns or ("*",))).collect()]

    def _forget_last_commit(self) -> None:
        commits = self.folder / "out/checkpoint/commits"
        last = max(int(each.name) for each in commits.glob("[0-9]*"))
        for name in (f"{last}", f".{last}.crc"):
            (commits / name).unlink(missing_ok=True)

    def _send(self, batch: list[Body]) -> None:
        if not batch and self._sent:  # a file is read once, by its name
            return
        source = self.folder / "in"
        source.mkdir(exist_ok=True)
        lines = [recorded_line(_event(item, offset)) for offset, item in enumerate(batch, self._sent)]
        (source / f"{self._sent:09}{RECORDED_SUFFIX}").write_bytes(b"".join(lines))
        self._sent += len(batch)

    def _run(
        self,
        schema: StructType,
        transform: Step,
        parsing: ParseOptions,
        flat: FlattenOptions,
    ) -> None:
        source = SourceOptions(kind="files", path=str(self.folder / "in" / f"*{RECORDED_SUFFIX}"))
        raw = read_stream(self.spark, source)
        plan = flatten_plan(good_schema(raw.schema, schema, options=parsing), column="event", options=flat)
        query = write_stream(
            raw,
            parse=lambda raw: parse(raw, schema, options=parsing),
            events=lambda parsed: parsed.transform(good_rows).transform(flatten, plan).transform(transform),
            source=source,
            output_path=str(self.folder / "out"),
        )
        await_termination(query)


def _event(item: Body, offset: int) -> RecordedEvent:
    """Return an item as the event of a hub with one partition."""
    moment = DEFAULT_START + offset * EVENT_INTERVAL
    if isinstance(item, (Event, RecordedEvent)):
        return RecordedEvent(item.body, item.key, tuple(item.headers), 0, offset, moment)
    text = json.dumps(item, ensure_ascii=False) if isinstance(item, Mapping) else item
    return RecordedEvent(text.encode() if isinstance(text, str) else text, None, (), 0, offset, moment)


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> StreamTester:
    """Run the job's stream on events of a list."""
    return StreamTester(spark, tmp_path)


@dataclass(frozen=True)
class Golden:
    """Compares what a test found with a file, which is looked at once and kept with the tests.

    Attributes:
        folder: Of the files.
        update: Whether to write them instead.
    """

    folder: Path
    update: bool

    def __call__(self, name: str, found: FlattenPlan | str) -> None:
        """Compare a flatten plan, or a text, with the file of a name."""
        file, text = self.folder / name, f"{found}\n"
        if self.update:
            self.folder.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif not file.exists():
            pytest.fail(f"there is no {file}: write it by --update-golden, and look at it")
        elif text != (kept := file.read_text(encoding="utf-8")):
            changes = "\n".join(difflib.ndiff(kept.splitlines(), text.splitlines()))
            pytest.fail(f"{file} says something else; --update-golden takes over what is new:\n{changes}")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a flatten plan, or a text, with a file in `golden/` beside the test: ``golden("orders.txt", plan)``."""
    return Golden(request.path.parent / "golden", request.config.getoption("--update-golden"))


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
        patch.setenv(paths.ROOT_VARIABLE, str(tmp_path_factory.mktemp("run") / "files"))
        patch.setenv(journal.FOLDER_VARIABLE, str(tmp_path_factory.mktemp("streams")))
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
