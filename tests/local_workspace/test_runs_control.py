"""Runs are started once, stopped, timed out, retried, repaired, listed, and ended honestly by a stopped server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, InvalidState, OperationFailed, ResourceDoesNotExist
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    JobSettings,
    QueueSettings,
    Run,
    RunJobTask,
    RunLifeCycleState,
    RunResultState,
    RunType,
    SparkPythonTask,
    SubmitTask,
    Task,
    TaskDependency,
)

from local_workspace import Options, Workspace
from tests.local_workspace.run_kit import finished, logs, python, reached, results, start
from tests.patience import wait_for

# Finishes what it is at when it is asked to end, as a streaming job does.
GENTLE = """
    import signal, sys, time
    def finish(*_):
        print("finishing", flush=True); time.sleep(0.3); print("finished", flush=True); sys.exit(0)
    signal.signal(signal.SIGTERM, finish)
    print("running", flush=True)
    time.sleep(100)
    """
SLOW = "import time; print('up', flush=True); time.sleep(100)"


def is_running(run: Run) -> bool:
    return all(task.state.life_cycle_state is RunLifeCycleState.RUNNING for task in run.tasks)


def running(client: WorkspaceClient, run_id: int, word: str = "") -> Run:
    """Wait until every task runs and has printed a word."""
    return reached(
        client, run_id, lambda run: is_running(run) and all(word in logs(client, run, t.task_key) for t in run.tasks)
    )


def test_a_third_task_runs_beside_two_endless_ones_where_that_many_are_allowed() -> None:
    with Workspace(options=Options(processes=3)) as workspace:
        client = workspace.client()
        run_id = start(client, *(python(client, key, SLOW) for key in ("one", "two", "three")))
        running(client, run_id, "up")
        client.jobs.cancel_run(run_id)
        finished(client, run_id)


def test_a_cancelled_run_is_asked_to_finish_what_it_is_at(client: WorkspaceClient) -> None:
    run_id = start(client, python(client, "stream", GENTLE), python(client, "after", "", after="stream"))
    reached(client, run_id, lambda run: run.tasks[0].state.life_cycle_state is RunLifeCycleState.RUNNING)
    reached(client, run_id, lambda run: "running" in logs(client, run, "stream"))
    client.jobs.cancel_run(run_id)
    run = finished(client, run_id)
    assert run.state.result_state is RunResultState.CANCELED
    assert run.state.user_cancelled_or_timedout
    assert run.status.termination_details.code.value == "USER_CANCELED"
    assert results(run) == {"stream": "CANCELED", "after": "CANCELED"}
    assert logs(client, run, "stream").splitlines() == ["running", "finishing", "finished"]


def test_cancel_reaches_the_jobs_that_a_run_started_and_a_run_that_is_over_stays(client: WorkspaceClient) -> None:
    inner = client.jobs.create(name="inner", tasks=[python(client, "slow", SLOW)]).job_id
    outer = start(client, Task("outer", run_job_task=RunJobTask(inner)))
    found = wait_for(lambda: list(client.jobs.list_runs(job_id=inner)))
    running(client, found[0].run_id)
    client.jobs.cancel_run(outer)
    assert finished(client, outer).state.result_state is RunResultState.CANCELED
    assert finished(client, found[0].run_id).state.result_state is RunResultState.CANCELED
    client.jobs.cancel_run(outer)
    assert client.jobs.get_run(outer).state.life_cycle_state is RunLifeCycleState.TERMINATED


def test_a_task_that_takes_too_long_is_timed_out_and_so_is_a_run(client: WorkspaceClient) -> None:
    run = finished(client, start(client, python(client, "slow", SLOW, timeout_seconds=1)))
    assert results(run) == {"slow": "TIMEDOUT"}
    assert run.state.result_state is RunResultState.TIMEDOUT
    run = finished(client, start(client, python(client, "slow", SLOW, max_retries=3), timeout_seconds=1))
    assert (run.state.result_state, len(run.tasks)) == (RunResultState.TIMEDOUT, 1)


def test_a_failed_task_is_tried_again_as_often_as_it_may_be(client: WorkspaceClient) -> None:
    text = "import sys; print('attempt', sys.argv[1]); exit(int(sys.argv[1]) < 2)"
    retried = python(client, "a", text, "{{task_retry_count}}", max_retries=5, min_retry_interval_millis=10)
    hopeless = python(client, "b", "exit(1)", max_retries=1)
    run_id = start(client, retried, hopeless)
    finished(client, run_id)
    run = client.jobs.get_run(run_id, include_history=True)
    attempts = [(each.task_key, each.attempt_number, each.state.result_state.value) for each in run.tasks]
    assert [each for each in attempts if each[0] == "a"] == [
        ("a", 0, "FAILED"),
        ("a", 1, "FAILED"),
        ("a", 2, "SUCCESS"),
    ]
    assert [each for each in attempts if each[0] == "b"] == [("b", 0, "FAILED"), ("b", 1, "FAILED")]
    assert [task.attempt_number for task in client.jobs.get_run(run_id).tasks] == [2, 1]
    first = next(task for task in run.tasks if task.task_key == "a")
    assert client.jobs.get_run_output(first.run_id).logs.startswith("attempt 0\n")


def test_a_time_out_is_retried_only_on_request(client: WorkspaceClient) -> None:
    never = python(client, "never", SLOW, max_retries=1, timeout_seconds=1)
    again = python(client, "again", SLOW, max_retries=1, timeout_seconds=1, retry_on_timeout=True)
    run_id = start(client, never, again)
    finished(client, run_id)
    tasks = client.jobs.get_run(run_id, include_history=True).tasks
    assert [task.task_key for task in tasks] == ["never", "again", "again"]


def test_the_same_idempotency_token_starts_one_run(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="a", tasks=[python(client, "a", "")], max_concurrent_runs=5).job_id
    one = client.jobs.run_now(job_id, idempotency_token="t").run_id
    assert client.jobs.run_now(job_id, idempotency_token="t").run_id == one  # type: ignore[operator]  # the client names a function as its type
    assert client.jobs.run_now(job_id).run_id != one  # type: ignore[operator]  # the client names a function as its type
    task = SubmitTask("a", spark_python_task=SparkPythonTask("dbfs:/a.py"))
    submitted = {client.jobs.submit(tasks=[task], idempotency_token="u").run_id for _ in range(2)}
    assert len(submitted) == 1
    with pytest.raises(InvalidParameterValue, match="at most 64"):
        client.jobs.run_now(job_id, idempotency_token="x" * 65)


def test_a_submitted_run_belongs_to_no_job_and_the_clients_own_waiter_takes_it(client: WorkspaceClient) -> None:
    file = python(client, "a", "print('hi')").spark_python_task
    run = client.jobs.submit(run_name="once", tasks=[SubmitTask("a", spark_python_task=file)]).result()
    assert (run.run_name, run.run_type, run.state.result_state) == ("once", RunType.SUBMIT_RUN, RunResultState.SUCCESS)
    assert client.jobs.get_run_output(run.run_id).logs == "hi\n"  # one task only, so the run's own id will do
    with pytest.raises(OperationFailed, match="does not exist"):
        client.jobs.submit(tasks=[SubmitTask("a", spark_python_task=SparkPythonTask("dbfs:/none.py"))]).result()


def test_a_run_too_many_is_skipped_or_queued_as_the_job_says(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="a", tasks=[python(client, "a", GENTLE)]).job_id
    first = client.jobs.run_now(job_id).run_id
    skipped = client.jobs.run_now(job_id).result()
    assert skipped.state.life_cycle_state is RunLifeCycleState.SKIPPED
    assert "limit of 1 maximum concurrent runs" in skipped.state.state_message
    second = client.jobs.run_now(job_id, queue=QueueSettings(enabled=True)).run_id
    third = client.jobs.run_now(job_id, queue=QueueSettings(enabled=True)).run_id
    assert client.jobs.get_run(second).state.life_cycle_state is RunLifeCycleState.QUEUED
    client.jobs.cancel_run(third)
    assert finished(client, third).state.result_state is RunResultState.CANCELED
    running(client, first, "running")
    client.jobs.cancel_run(first)
    running(client, second, "running")
    client.jobs.cancel_all_runs(job_id=job_id)
    assert finished(client, second).state.result_state is RunResultState.CANCELED


def test_a_deleted_jobs_runs_are_cancelled(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="a", tasks=[python(client, "a", SLOW)]).job_id
    run_id = running(client, client.jobs.run_now(job_id).run_id).run_id
    client.jobs.delete(job_id)
    assert finished(client, run_id).state.result_state is RunResultState.CANCELED


def test_a_repair_runs_what_failed_again_and_leaves_the_rest(client: WorkspaceClient) -> None:
    fine = python(client, "fine", "print('once')")
    broken = python(client, "broken", "exit(1)", after="fine")
    last = python(client, "last", "", after="broken")
    run_id = start(client, fine, broken, last)
    before = finished(client, run_id)
    assert results(before) == {"fine": "SUCCESS", "broken": "FAILED", "last": "UPSTREAM_FAILED"}
    python(client, "broken", "print('mended')")
    repair_id = client.jobs.repair_run(run_id, rerun_all_failed_tasks=True).response.repair_id  # type: ignore[attr-defined]  # the client names a function as its type
    run = finished(client, run_id)
    assert run.state.result_state is RunResultState.SUCCESS
    assert results(run) == {"fine": "SUCCESS", "broken": "SUCCESS", "last": "SUCCESS"}
    assert logs(client, run, "broken") == "mended\n"
    assert {t.task_key: t.attempt_number for t in run.tasks} == {"fine": 0, "broken": 1, "last": 1}
    history = client.jobs.get_run(run_id, include_history=True).repair_history
    assert [(each.type.value, each.state.result_state.value) for each in history] == [
        ("ORIGINAL", "FAILED"), ("REPAIR", "SUCCESS"),
    ]  # fmt: skip
    with pytest.raises(InvalidParameterValue, match=f"latest_repair_id must be {repair_id}"):
        client.jobs.repair_run(run_id, rerun_tasks=["fine"])
    client.jobs.repair_run(run_id, rerun_tasks=["broken"], rerun_dependent_tasks=True, latest_repair_id=repair_id)
    run = finished(client, run_id)
    assert {t.task_key: t.attempt_number for t in run.tasks} == {"fine": 0, "broken": 2, "last": 2}


def test_runs_are_listed_over_pages_and_filtered(workspace: Workspace) -> None:
    client = workspace.client()
    job_id = client.jobs.create(name="a", tasks=[python(client, "a", "")], max_concurrent_runs=9).job_id
    ids = [client.jobs.run_now(job_id).run_id for _ in range(3)]
    for run_id in ids:
        finished(client, run_id)
    active = start(client, python(client, "b", SLOW))
    workspace.state().options.page_size = 1
    assert [run.run_id for run in client.jobs.list_runs()] == [active, *ids[::-1]]
    assert [run.run_id for run in client.jobs.list_runs(job_id=job_id)] == ids[::-1]
    assert [run.run_id for run in client.jobs.list_runs(active_only=True)] == [active]
    assert [run.run_id for run in client.jobs.list_runs(completed_only=True)] == ids[::-1]
    assert [run.run_id for run in client.jobs.list_runs(run_type=RunType.SUBMIT_RUN)] == []
    assert [run.tasks[0].task_key for run in client.jobs.list_runs(job_id=job_id, expand_tasks=True)] == ["a"] * 3


def test_what_a_run_does_not_allow_is_refused(client: WorkspaceClient) -> None:
    run_id = start(client, python(client, "a", SLOW), python(client, "b", ""))
    with pytest.raises(InvalidState, match="is active"):
        client.jobs.delete_run(run_id)
    with pytest.raises(InvalidState, match="is active"):
        client.jobs.repair_run(run_id, rerun_tasks=["a"])
    client.jobs.cancel_run(run_id)
    finished(client, run_id)
    with pytest.raises(InvalidParameterValue, match="multiple tasks is not supported"):
        client.jobs.get_run_output(run_id)
    with pytest.raises(InvalidParameterValue, match="no task c"):
        client.jobs.repair_run(run_id, rerun_tasks=["c"])
    with pytest.raises(InvalidParameterValue, match="together with job parameters"):
        client.jobs.run_now(client.jobs.get_run(run_id).job_id, python_params=["x"], job_parameters={"y": "z"})
    client.jobs.delete_run(run_id)
    with pytest.raises(ResourceDoesNotExist):
        client.jobs.get_run(run_id)


def test_runs_that_a_stopped_server_left_end_with_that_reason_and_their_processes_with_it(tmp_path: Path) -> None:
    with Workspace(tmp_path, token="t") as workspace:
        client = workspace.client()
        run_id = start(client, python(client, "a", "import os; print(os.getpid(), flush=True); " + SLOW))
        run = running(client, run_id, "up")
        process = int(logs(client, run, "a").split()[0])
    wait_for(lambda: not Path(f"/proc/{process}").exists())
    with Workspace(tmp_path, token="t") as workspace:
        run = workspace.client().jobs.get_run(run_id)
        assert run.state.life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
        assert "was stopped while this run was active" in run.state.state_message
        assert run.tasks[0].state.life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
        assert run.status.termination_details.type.value == "INTERNAL_ERROR"


def condition(key: str, left: str = "1", right: str = "1", *, after: str = "") -> Task:
    """A task that is over at once."""
    depends_on = [TaskDependency(each) for each in after.split()]
    return Task(key, depends_on=depends_on, condition_task=ConditionTask(ConditionTaskOp.LESS_THAN, left, right))


def test_a_repair_runs_the_tasks_too_that_the_job_was_given_since(client: WorkspaceClient) -> None:
    job = client.jobs.create(name="job", tasks=[condition("a", left="wrong"), condition("c", after="a")]).job_id or 0
    run_id = client.jobs.run_now(job).run_id
    assert results(finished(client, run_id)) == {"a": "FAILED", "c": "UPSTREAM_FAILED"}
    tasks = [condition("a", after="b"), condition("b"), condition("c", after="a")]
    client.jobs.reset(job, JobSettings(name="job", tasks=tasks))
    with pytest.raises(InvalidParameterValue, match="no task d"):
        client.jobs.repair_run(run_id, rerun_tasks=["d"])
    assert client.jobs.get_run(run_id).state.result_state is RunResultState.FAILED
    client.jobs.repair_run(run_id, rerun_tasks=["a"], rerun_dependent_tasks=True)
    assert results(finished(client, run_id)) == {"a": "SUCCESS", "b": "SUCCESS", "c": "SUCCESS"}


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_task_waits_for_its_queued_job_and_takes_it_along_when_it_is_cancelled(
    client: WorkspaceClient, *, cancelled: bool
) -> None:
    task = python(client, "wait", "import sys, time; print('up', flush=True); time.sleep(float(sys.argv[1]))")
    inner = client.jobs.create(name="inner", tasks=[task], queue=QueueSettings(enabled=True)).job_id or 0
    before = client.jobs.run_now(inner, python_params=["100"]).run_id
    running(client, before, "up")
    outer = start(client, Task("outer", run_job_task=RunJobTask(inner, python_params=["0"])))
    runs = wait_for(lambda: list(client.jobs.list_runs(job_id=inner)), lambda runs: len(runs) == 2)
    time.sleep(0.2)
    assert client.jobs.get_run(outer).state.life_cycle_state is RunLifeCycleState.RUNNING
    client.jobs.cancel_run(outer if cancelled else before)
    wanted = RunResultState.CANCELED if cancelled else RunResultState.SUCCESS
    assert finished(client, outer).state.result_state is wanted
    assert finished(client, runs[0].run_id).state.result_state is wanted
    client.jobs.cancel_run(before)
