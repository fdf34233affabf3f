"""The job as its users start it: as a script, by entry point and spark-submit, on both kinds of session."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from devkit.hub.generator import Shares, generate
from devkit.hub.recording import write_events
from devkit.live import reading
from devkit.testing import EventHub
from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks.locks import LOCK
from tests.job import oracle
from tests.job.job import Job
from tests.project import ROOT

SCHEMA = str(ROOT / "configuration" / "schemas" / "telemetry.json")
EVENTS, SHARES = 300, Shares(malformed=0.1, lossy=0.1)
ENTRY_POINT = [str(Path(sys.executable).with_name("streaming-job"))]
DEVKIT_ENV = 'variables="$("$0" -m devkit.cli env)" && eval "$variables" && exec "$SPARK_HOME/bin/spark-submit" "$@"'
SPARK_SUBMIT = ["bash", "-c", DEVKIT_ENV, sys.executable, str(ROOT / "src" / "streaming_job.py")]
Start = Callable[..., Job]


@pytest.fixture
def telemetry(event_hub: EventHub) -> EventHub:
    """An event hub with events, of which some must be rejected."""
    event_hub.send_events(generate(EVENTS, seed=7, shares=SHARES))
    return event_hub


@pytest.fixture(params=["classic", "connect"])
def session(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables by which a job gets its session: one of its own, or one of the Spark Connect server."""
    if request.param == "classic":
        return {}
    variables: dict[str, str] = request.getfixturevalue("connect_server").start().variables
    return variables


@pytest.fixture
def start() -> Iterator[Callable[..., Job]]:
    """Start jobs that do not outlive the test."""
    jobs: list[Job] = []

    def start_job(*given: object) -> Job:
        jobs.append(Job(*given))  # type: ignore[arg-type]  # as Job takes them
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.kill()


def arguments(folder: Path, **more: str) -> dict[str, str]:
    given = {"schema": SCHEMA, "output-path": str(folder / "out"), "trigger": "available-now"} | more
    return {f"--{name.replace('_', '-')}": value for name, value in given.items()}


def from_files(source: Path, folder: Path) -> dict[str, str]:
    """Record events in a folder, and return the arguments that read them."""
    write_events(generate(EVENTS, seed=7, shares=SHARES), source / "events.recorded.jsonl", partitions=2)
    return arguments(folder, source="files", source_path=str(source / "events.recorded.jsonl"), fast_start="true")


def environment(hub: EventHub) -> dict[str, str]:
    return {"STREAMING_EVENT_HUBS_CONNECTION_STRING": hub.connection_string}


def written(spark: SparkSession, folder: Path) -> list[tuple[int, int]]:
    """Where every event of both tables stood, sorted; neither table is empty."""
    found = oracle.positions(spark, str(folder / "out"))
    assert found.events
    assert found.rejected
    return sorted((found.events + found.rejected).elements())


def each_once(hub: EventHub) -> list[tuple[int, int]]:
    return sorted((event.partition, event.offset) for event in hub.receive())


def test_the_job_puts_each_event_in_one_table_and_a_second_run_continues(
    session: dict[str, str], telemetry: EventHub, spark: SparkSession, tmp_path: Path, start: Start
) -> None:
    first = start(tmp_path, arguments(tmp_path, fast_start="true"), environment(telemetry) | session)
    assert first.wait() == 0, first.output
    assert written(spark, tmp_path) == each_once(telemetry)
    telemetry.send_events(generate(50, seed=8))
    command = ENTRY_POINT if session else SPARK_SUBMIT  # with generated code and the optimising compiler
    second = start(tmp_path, arguments(tmp_path), environment(telemetry) | session, command)
    assert second.wait() == 0, second.output
    assert written(spark, tmp_path) == each_once(telemetry)
    lines = [json.loads(line) for line in second.output.splitlines() if line.startswith("{")]
    assert sum(line["events"] for line in lines) == 50
    runs = [run for run in reading.runs() if run["output"] == str(tmp_path / "out")]  # as `devkit page` knows them
    assert [(run["state"], run["last"]["total_events"]) for run in runs] == [("stopped", 50), ("stopped", EVENTS)]
    assert runs[0]["last"]["behind"] == {f"{telemetry.name}-{partition}": 0 for partition in (0, 1)}
    assert all(bool(run["ui"]) == (not session) for run in runs)  # a Spark Connect server has its own


WITH_A_FUNCTION = """
from pyspark.sql import functions as F

@F.udf("bigint")
def larger(number):
    return number + 100

def transform(events):
    return events.withColumn("larger", larger("partition"))
"""


@pytest.mark.slow
def test_a_transformation_may_make_functions_at_its_head(
    session: dict[str, str], spark: SparkSession, tmp_path: Path, start: Start
) -> None:
    job = Path(shutil.copy(ROOT / "src" / "streaming_job.py", tmp_path))
    job.with_name("transformation.py").write_text(WITH_A_FUNCTION)
    run = start(tmp_path, from_files(tmp_path, tmp_path), session, [sys.executable, str(job)])
    assert run.wait() == 0, run.output
    oracle.assert_exactly_once(found := oracle.positions(spark, str(tmp_path / "out")), sent=EVENTS)
    rows = spark.read.format("delta").load(str(tmp_path / "out" / "events")).where("larger = partition + 100")
    assert rows.count() == found.events.total() > 0


# On classic Spark: tests/spark_utils/streaming_utils/test_termination.py, by a script of its own.
@pytest.mark.slow
@pytest.mark.parametrize("session", ["connect"], indirect=True)
def test_a_signal_to_end_lets_the_batch_finish_and_is_no_failure(
    session: dict[str, str], telemetry: EventHub, spark: SparkSession, tmp_path: Path, start: Start
) -> None:
    given = arguments(tmp_path, trigger="1 second", max_events_per_trigger="100")
    job = start(tmp_path, given, environment(telemetry) | session)
    job.wait_for('"batch": 0')
    assert job.stop() == 0, job.output
    reported = [json.loads(line) for line in job.output.splitlines() if line.startswith("{")]
    rows = written(spark, tmp_path)
    assert len(rows) == len(set(rows)) == reported[-1]["total_events"]  # no batch is left half written
    assert set(rows) <= set(each_once(telemetry))


@pytest.mark.slow
@pytest.mark.parametrize("session", ["connect"], indirect=True)
def test_a_second_run_is_refused_until_the_first_has_ended_in_whatever_way(
    session: dict[str, str], telemetry: EventHub, spark: SparkSession, tmp_path: Path, start: Start
) -> None:
    given = arguments(tmp_path, trigger="100 ms", max_events_per_trigger="10")
    first = start(tmp_path / "first", given, environment(telemetry) | session)
    first.wait_for('"batch": 0')
    second = start(tmp_path / "second", arguments(tmp_path), environment(telemetry) | session)
    assert second.wait() == 1
    assert "another query runs with the checkpoint" in second.output
    with pytest.raises(CheckpointMismatchError, match="another query"):
        LOCK.take(given["--output-path"] + "/checkpoint")
    first.kill()  # and its query ends on the server
    third = start(tmp_path / "third", arguments(tmp_path), environment(telemetry) | session)
    assert third.wait() == 0, third.output
    assert written(spark, tmp_path) == each_once(telemetry)


@pytest.mark.parametrize("session", ["connect"], indirect=True)
def test_a_wrong_key_is_one_line_without_the_key_and_exit_status_1(
    session: dict[str, str], telemetry: EventHub, tmp_path: Path, start: Start
) -> None:
    wrong = "d3JvbmcgYnV0IHNlY3JldA=="
    key = telemetry.connection_string.split("SharedAccessKey=")[1].split(";")[0]
    connection = {"STREAMING_EVENT_HUBS_CONNECTION_STRING": telemetry.connection_string.replace(key, wrong)}
    job = start(tmp_path, arguments(tmp_path), connection | session)
    assert job.wait() == 1
    assert "authentication" in job.output.lower()
    assert wrong not in job.output
    assert "Traceback" not in job.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"output-pth": "x"}, "--output-path"),
        ({"source": "files", "source-path": "x", "schema": "no/such/file.json"}, "no/such/file.json"),
        ({"trigger": "sometimes"}, "available-now"),
    ],
)
def test_a_wrong_argument_is_said_before_spark_is_started(
    given: dict[str, str], said: str, tmp_path: Path, start: Start
) -> None:
    job = start(tmp_path, arguments(tmp_path, **given), {**os.environ, "JAVA_HOME": "/nowhere"})
    assert job.wait() != 0
    assert said in job.output
    assert "Traceback" not in job.output
