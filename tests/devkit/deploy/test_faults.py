"""Deployment when calls fail, get lost, or take effect without an answer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from databricks.sdk.errors import NotFound
from databricks.sdk.service.jobs import ConditionTask, ConditionTaskOp, Task

from devkit.deploy.errors import Unavailable, UnknownOutcome, WaitEnded
from devkit.deploy.workspace.client import RetryPolicy, create_once, is_repeatable, wait_until
from devkit.deploy.workspace.runs import start_run, wait_for_run
from local_workspace import Workspace
from tests.devkit.deploy.everything import COUNT, snapshot, write_everything
from tests.devkit.deploy.kit import Deployer, FakeClock, Project, client_of

SAMPLE = 5  # of the schedules; `tests/long/test_fault_schedules.py` takes fifty
STATUSES = (429, 500, 502, 503, 504)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("everything") / "deploy")
    write_everything(project)
    return project


@pytest.fixture(scope="module")
def expected(everything: Project) -> dict[str, Any]:
    """What the workspace has when nothing goes wrong."""
    with Workspace() as workspace:
        deployer = Deployer(workspace, everything)
        deploy_and_run(deployer)
        return snapshot(deployer)


@pytest.fixture(scope="module")
def shared() -> Iterator[Workspace]:
    with Workspace() as workspace:
        yield workspace


def arm(workspace: Workspace, seed: int) -> None:
    """Arm a schedule of faults, spread over what a deployment calls."""
    chosen = random.Random(seed)
    for _ in range(12):
        kind: Any = chosen.choice(("status", "status", "drop", "drop", "delay"))
        method = chosen.choice(("POST", "POST", "PUT", "PATCH", "GET"))
        when = chosen.choice(("before", "after"))
        most = {"POST": 45, "GET": 50}.get(method, 6)
        settings: dict[str, Any] = {"skip": chosen.randrange(most), "times": chosen.choice((1, 1, 2, 3))}
        workspace.faults.add(kind, method=method, when=when, status=chosen.choice(STATUSES), seconds=0.01, **settings)


def deploy_and_run(deployer: Deployer) -> int:
    """Deploy everything, then start a job that needs no Spark, and return its id."""
    deployer.apply()
    task = Task("gate", condition_task=ConditionTask(op=ConditionTaskOp.EQUAL_TO, left="1", right="1"))
    job_id = create_once(
        lambda: str(deployer.client.jobs.create(name="gate", tasks=[task]).job_id),
        lambda: next((str(job.job_id) for job in deployer.client.jobs.list(name="gate")), None),
        deployer.clock,
    )
    run_id = start_run(deployer.client, int(job_id))
    deployer.workspace.faults.clear()
    wait_for_run(deployer.client, run_id, deployer.clock)
    return int(job_id)


def withstand(shared: Workspace, everything: Project, expected: dict[str, Any], seed: int) -> None:
    """Under a schedule of faults the workspace ends as without, and no run starts twice."""
    deployer = Deployer(shared, everything, token=shared.add_workspace())
    struck = shared.faults.struck
    arm(shared, seed)
    try:
        job_id = deploy_and_run(deployer)
    finally:
        shared.faults.clear()
    assert shared.faults.struck > struck
    assert snapshot(deployer) == expected
    assert len(list(deployer.client.jobs.list_runs(job_id=job_id))) == 1
    assert deployer.verbs() == {}


@pytest.mark.parametrize("seed", range(SAMPLE))
def test_under_a_schedule_of_faults_the_workspace_ends_as_without_and_no_run_starts_twice(
    shared: Workspace, everything: Project, expected: dict[str, Any], seed: int
) -> None:
    withstand(shared, everything, expected, seed)


def test_the_schedules_strike_before_and_after_the_effect(shared: Workspace) -> None:
    arm(shared, 1)
    kinds = {(fault.kind, fault.when) for fault in shared.faults._armed}
    shared.faults.clear()
    assert {("drop", "before"), ("status", "after")} & kinds


def test_without_safe_retries_the_same_faults_leave_two_of_something(workspace: Workspace) -> None:
    """The negative control: the SDK alone sends a dropped call again, and two jobs exist."""
    workspace.faults.add("drop", method="POST", path="/api/*/jobs/create", when="after")
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

    plain = WorkspaceClient(
        config=Config(host=workspace.host, token=workspace.token, auth_type="pat", clock=FakeClock())
    )
    plain.jobs.create(name="twice")
    assert len(list(plain.jobs.list(name="twice"))) == 2


@pytest.mark.parametrize("status", STATUSES)
def test_a_read_is_repeated_until_it_is_answered(workspace: Workspace, status: int) -> None:
    clock = FakeClock()
    workspace.faults.add("status", method="GET", path="/api/*/jobs/list", status=status, times=3)
    assert list(client_of(workspace, clock).jobs.list()) == []
    assert clock.slept == [0.5, 1.0, 2.0]


def test_the_retry_policy_ends_and_the_last_answer_is_told(workspace: Workspace) -> None:
    client = client_of(workspace, FakeClock(), policy=RetryPolicy(attempts=3))
    workspace.faults.add("status", method="GET", path="/api/*/jobs/list", status=502, times=0)
    with pytest.raises(Unavailable, match="was tried 3 times; the last answer was: status 502"):
        list(client.jobs.list())


@pytest.mark.parametrize(("kind", "settings"), [("drop", {}), ("status", {"status": 500}), ("status", {"status": 503})])
def test_a_call_that_must_not_be_sent_twice_is_sent_once(
    workspace: Workspace, kind: Any, settings: dict[str, Any]
) -> None:
    client = client_of(workspace, FakeClock())
    workspace.faults.add(kind, method="POST", path="/api/*/jobs/create", when="after", **settings)
    with pytest.raises(UnknownOutcome, match="may have had its effect"):
        client.jobs.create(name="once")
    assert len(list(client.jobs.list())) == 1


def test_a_run_that_was_started_without_an_answer_is_not_started_again(workspace: Workspace) -> None:
    client = client_of(workspace, FakeClock())
    task = Task("gate", condition_task=ConditionTask(op=ConditionTaskOp.EQUAL_TO, left="1", right="1"))
    job_id = int(client.jobs.create(name="gate", tasks=[task]).job_id or 0)
    workspace.faults.add("drop", method="POST", path="/api/*/jobs/run-now", when="after", times=2)
    start_run(client, job_id)
    assert len(list(client.jobs.list_runs(job_id=job_id))) == 1


def test_a_connection_that_was_never_opened_is_tried_again_whatever_the_call() -> None:
    with Workspace() as workspace:
        client = client_of(workspace, FakeClock(), policy=RetryPolicy(attempts=3))
    with pytest.raises(Unavailable, match="was tried 3 times"):
        client.jobs.create(name="nobody listens")


@pytest.mark.parametrize(
    ("method", "path", "body", "repeatable"),
    [
        ("GET", "/api/2.2/jobs/list", None, True),
        ("POST", "/api/2.2/jobs/create", b"{}", False),
        ("POST", "/api/2.2/jobs/reset", b"{}", True),
        ("POST", "/api/2.2/jobs/run-now", b'{"job_id": 1}', False),
        ("POST", "/api/2.2/jobs/run-now", b'{"idempotency_token": "t"}', True),
        ("POST", "/api/2.0/sql/warehouses", b"{}", False),
        ("POST", "/api/2.0/sql/warehouses/1/edit", b"{}", True),
        ("POST", "/api/2.0/sql/statements", b"{}", False),
        ("PUT", "/api/2.0/fs/files/Volumes/a", b"", True),
        ("DELETE", "/api/2.0/pipelines/1", None, True),
    ],
)
def test_what_may_be_sent_twice(method: str, path: str, body: bytes | None, repeatable: bool) -> None:
    assert is_repeatable(method, path, body) is repeatable


def test_an_upload_that_broke_is_sent_again_from_its_beginning(workspace: Workspace, tmp_path: Path) -> None:
    client = client_of(workspace, FakeClock())
    client.files.create_directory("/Volumes/main/default/demo")
    workspace.faults.add("drop", method="PUT", path="/api/2.0/fs/files/*", when="after")
    file = tmp_path / "content"
    file.write_bytes(b"abc" * 1000)
    with file.open("rb") as stream:
        client.files.upload("/Volumes/main/default/demo/content", stream, overwrite=True)
    answer = client.files.download("/Volumes/main/default/demo/content")
    assert answer.contents is not None
    assert answer.contents.read() == file.read_bytes()


def test_a_wait_survives_questions_that_fail() -> None:
    answers: list[Any] = [requests.ConnectionError("broken"), Unavailable("busy"), "PENDING", "RUNNING"]

    def probe() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    clock = FakeClock()
    assert wait_until(probe, lambda state: state == "RUNNING", what="x", clock=clock, interval=7) == "RUNNING"
    assert clock.slept == [7, 7, 7]


def test_a_wait_ends_at_its_limit_with_the_last_answer() -> None:
    clock = FakeClock()
    with pytest.raises(WaitEnded, match="the moon: not reached within 60 s; the last answer was: PENDING"):
        wait_until(lambda: "PENDING", lambda _: False, what="the moon", clock=clock, interval=10, limit=60)
    assert sum(clock.slept) == 60


def test_a_wait_for_what_does_not_exist_ends_at_once() -> None:
    def probe() -> str:
        raise NotFound("no such cluster")

    with pytest.raises(NotFound):
        wait_until(probe, lambda _: False, what="x", clock=FakeClock())


def test_everything_is_deployed(expected: dict[str, Any]) -> None:
    assert len([address for address in expected if not address.startswith("permissions/")]) >= COUNT - 3
