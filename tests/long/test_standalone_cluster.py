"""The wheel's job on a standalone cluster with two workers: nothing in it knows that it is not local."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from devkit.hub.generator import Shares, generate
from devkit.processes import free_port
from devkit.spark.environment_command import environment
from devkit.spark.local_session import prepare
from devkit.testing import EventHub
from tests.job.job import POLL_SECONDS, Job
from tests.job.oracle import assert_exactly_once, positions
from tests.patience import PATIENCE
from tests.project import ROOT

EVENTS = 1_000


@dataclass(frozen=True)
class Cluster:
    """A master and two workers of one core and 1 GiB each, on loopback."""

    master: str
    work: tuple[Path, Path]
    variables: dict[str, str]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    variables = {**environment(prepare()), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
    port, page = free_port(), free_port()
    master = f"spark://127.0.0.1:{port}"
    work = (folder / "worker-1", folder / "worker-2")
    daemons = [daemon(folder, variables, "master.Master", "--port", str(port), "--webui-port", str(page))]
    try:
        for place in work:
            options = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--work-dir", str(place), master)
            daemons.append(daemon(folder, variables, "worker.Worker", *options))
        wait_for_workers(f"http://127.0.0.1:{page}/json/", daemons)
        yield Cluster(master, work, variables)
    finally:
        for process in reversed(daemons):
            process.terminate()
        for process in daemons:
            process.wait(60)


def daemon(folder: Path, variables: dict[str, str], name: str, *options: str) -> subprocess.Popen:
    spark_class = Path(variables["SPARK_HOME"], "bin", "spark-class")
    with (folder / "daemons.txt").open("ab") as log:
        return subprocess.Popen(
            [spark_class, f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", *options],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_for_workers(page: str, daemons: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert all(process.poll() is None for process in daemons), "a daemon of the cluster ended"
        try:
            with urllib.request.urlopen(page, timeout=5) as answer:
                if json.load(answer)["aliveworkers"] == 2:
                    return
        except OSError:
            pass  # the master does not listen yet
        time.sleep(POLL_SECONDS)
    pytest.fail("the two workers did not register in time")


@pytest.fixture(scope="module")
def job_from_wheel(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job's file as the wheel holds it, away from the checkout."""
    folder = tmp_path_factory.mktemp("submitted")
    with zipfile.ZipFile(built_wheel) as wheel:
        wheel.extract("streaming_job.py", folder)
    return Path(shutil.copy(built_wheel, folder))


@pytest.fixture(scope="module")
def finished(
    cluster: Cluster,
    job_from_wheel: Path,
    make_event_hub: Callable[..., EventHub],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Job, str]:
    """A job that was submitted with the wheel and has read the whole hub."""
    hub = make_event_hub(partitions=4)
    hub.send_events(generate(EVENTS, shares=Shares(malformed=0.05)))
    folder = tmp_path_factory.mktemp("job")
    submit = [
        str(Path(cluster.variables["SPARK_HOME"], "bin", "spark-submit")),
        *("--master", cluster.master, "--executor-memory", "600m", "--driver-memory", "1g"),
        *("--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.driver.bindAddress=127.0.0.1"),
        *("--py-files", str(job_from_wheel), str(job_from_wheel.with_name("streaming_job.py"))),
    ]
    arguments = {
        "--schema": str(ROOT / "configuration" / "schemas" / "telemetry.json"),
        "--output-path": str(folder / "output"),
        "--trigger": "available-now",
    }
    secrets = {"STREAMING_EVENT_HUBS_CONNECTION_STRING": hub.connection_string}
    job = Job(folder, arguments, {**cluster.variables, **secrets}, submit)
    try:
        job.wait()
    finally:
        job.kill()
    return job, arguments["--output-path"]


def test_the_job_ends_well(finished: tuple[Job, str]) -> None:
    job, _ = finished

    assert job.process.returncode == 0, job.output


def test_every_event_is_in_one_of_the_two_tables_once(spark: SparkSession, finished: tuple[Job, str]) -> None:
    _, output = finished
    found = positions(spark, output)

    assert_exactly_once(found, sent=EVENTS)
    assert found.rejected.total() > 0
    assert len({partition for partition, _ in found.events}) == 4


def test_both_workers_ran_it_from_the_wheel(cluster: Cluster, finished: tuple[Job, str]) -> None:
    for work in cluster.work:
        assert list(work.glob("app-*/*/*.whl")), f"no executor with the wheel in {work}"
