"""Streams are restarted only when they changed, and have to be healthy afterwards; their runs are real processes."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest

from devkit.deploy.errors import DeploymentError, StepFailed, WaitEnded
from devkit.deploy.plan.model import Action
from devkit.deploy.plan.streams import stale_run
from devkit.deploy.workspace.runs import (
    active_run,
    find_job,
    last_commit,
    observe,
    progress_in,
    start_run,
    wait_until_healthy,
)
from local_workspace import Workspace
from tests.devkit.deploy.kit import Deployer, FakeClock, Project, actual_of, desired
from tests.devkit.deploy.kit import declaration as declared_with

LOOP = """
import time
for number in range(100000):
    print("batch", number, "{word}", flush=True)
    time.sleep(0.05)
"""
JOB = """
resources:
  files:
    loop: {file: loop.py}
  jobs:
    stream:
      name: stream
      stream: true
      tasks:
        - task_key: loop
          environment_key: default
          spark_python_task: {python_file: "${files.loop.path}", parameters: ["one"]}
      environments:
        - environment_key: default
          spec: {environment_version: "2"}
"""


class QuickClock(FakeClock):
    """Lets a process of this machine get on for a moment whenever somebody sleeps for longer."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.2)


@pytest.fixture
def streaming(workspace: Workspace, project: Project) -> Iterator[Deployer]:
    project.write("loop.py", LOOP.format(word="first"))
    project.resources(JOB)
    deployer = Deployer(workspace, project, QuickClock())
    deployer.apply()
    start_run(deployer.client, find_job(deployer.client, "stream"))
    yield deployer
    deployer.client.jobs.cancel_all_runs(job_id=find_job(deployer.client, "stream"))


def running(deployer: Deployer) -> int:
    return active_run(deployer.client, find_job(deployer.client, "stream"))


def test_a_running_stream_that_did_not_change_is_left_alone(streaming: Deployer) -> None:
    before, writes = running(streaming), streaming.writes()
    assert streaming.apply().changes == ()
    assert (running(streaming), streaming.writes()) == (before, writes)


def test_a_stream_whose_configuration_changed_is_restarted_and_waited_for_until_batches_advance(
    streaming: Deployer, project: Project
) -> None:
    before = running(streaming)
    project.resources(JOB.replace('["one"]', '["two"]'))
    planned = streaming.apply()
    assert [(each.verb, each.address) for each in planned.changes] == [
        ("update", "jobs.stream"),
        ("restart", "jobs.stream"),
    ]
    after = running(streaming)
    assert after != before
    batch = observe(streaming.client, after, project.load().resources[-1])
    assert batch is not None
    assert batch > 0
    assert streaming.verbs() == {}


def test_a_stream_whose_code_changed_is_restarted(streaming: Deployer, project: Project) -> None:
    before = running(streaming)
    project.write("loop.py", LOOP.format(word="second"))
    assert [each.verb for each in streaming.apply().changes] == ["update", "restart"]
    assert running(streaming) != before


def test_a_change_of_its_schedule_or_its_description_restarts_no_stream(streaming: Deployer, project: Project) -> None:
    before = running(streaming)
    project.resources(JOB.replace("stream: true", "stream: true\n      description: more words"))
    assert [each.verb for each in streaming.apply().changes] == ["update"]
    assert running(streaming) == before


def test_an_apply_that_stopped_before_the_restart_is_made_good_by_the_next_one(
    streaming: Deployer, project: Project
) -> None:
    before = running(streaming)
    project.resources(JOB.replace('["one"]', '["two"]'))
    streaming.workspace.faults.add("status", method="POST", path="/api/*/jobs/runs/cancel", status=400)
    with pytest.raises(StepFailed):
        streaming.apply()
    planned = streaming.apply()
    assert [(each.verb, each.reason) for each in planned.changes] == [
        ("restart", f"run {before} was started before tasks[loop].spark_python_task.parameters[0] changed")
    ]
    assert running(streaming) != before


def test_a_stream_that_ends_is_not_healthy(workspace: Workspace, project: Project) -> None:
    project.write("loop.py", "print('batch 1')\n")
    project.resources(JOB)
    deployer = Deployer(workspace, project, QuickClock())
    deployer.apply()
    run_id = start_run(deployer.client, find_job(deployer.client, "stream"))
    stream = project.load().resources[-1]
    with pytest.raises(WaitEnded, match=r"ended .* before it made progress"):
        wait_until_healthy(deployer.client, deployer.clock, stream, run_id)
    with pytest.raises(DeploymentError, match="has no active run"):
        running(deployer)


def test_a_stream_whose_batches_stand_still_is_not_healthy(streaming: Deployer) -> None:
    commits = "/Volumes/main/default/demo/still/commits"
    streaming.client.files.create_directory(commits)
    streaming.client.files.upload(f"{commits}/3", io.BytesIO(b"v1"))
    settings = {"checkpoint": commits.removesuffix("/commits"), "within_seconds": 60}
    with pytest.raises(WaitEnded, match=r"not reached within 60 s.*\('RUNNING', 3\)"):
        wait_until_healthy(
            streaming.client, streaming.clock, desired("jobs", "stream", {}, stream=settings), running(streaming)
        )


def test_progress_is_read_from_the_commits_of_a_checkpoint_in_a_volume_or_on_dbfs(deployer: Deployer) -> None:
    client = deployer.client
    stream = desired("jobs", "stream", {}, stream={"checkpoint": "/Volumes/main/default/demo/checkpoint"})
    assert observe(client, None, stream) is None
    client.files.create_directory("/Volumes/main/default/demo/checkpoint/commits")
    for batch in (9, 10, 2):
        client.files.upload(f"/Volumes/main/default/demo/checkpoint/commits/{batch}", io.BytesIO(b"v1"))
    assert observe(client, None, stream) == 10
    client.dbfs.mkdirs("/checkpoint/commits")
    client.dbfs.put("/checkpoint/commits/4", contents="")
    assert observe(client, None, desired("jobs", "s", {}, stream={"checkpoint": "dbfs:/checkpoint"})) == 4


def test_numbers_of_batches_are_found_in_logs_and_in_names() -> None:
    pattern = r"\bbatch\"?[ =:]+(\d+)"
    assert progress_in('batch 3  10 events\n{"time": 1, "batch": 12, "events": 5}\n', pattern) == 12
    assert progress_in("nothing", pattern) is None
    assert last_commit([".0.crc", "10", "9"]) == 10
    assert last_commit([]) is None


def test_a_run_that_carries_resolved_references_is_not_taken_for_an_older_one() -> None:
    job = desired(
        "jobs", "s", {"name": "s", "tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "{{job.id}}"}}]}
    )
    action = Action("unchanged", job, actual_of(declared_with(job), job))
    assert (
        stale_run(action, [{"run_id": 1, "tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "7"}}]}]) == ""
    )
