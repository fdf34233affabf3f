"""Tasks run in the order of their graph, or not at all, as run_if, conditions and the results before them say."""

from __future__ import annotations

import time

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import OperationFailed
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    ForEachTask,
    JobParameterDefinition,
    NotebookTask,
    PipelineTask,
    RunIf,
    RunJobTask,
    RunResultState,
    SparkJarTask,
    Task,
    TaskDependency,
)

from local_workspace import Workspace
from local_workspace.runs import graph
from tests.local_workspace.run_kit import finished, logs, python, reached, results, start

S, F, X = RunResultState.SUCCESS, RunResultState.FAILED, RunResultState.EXCLUDED
C, UF, UC = RunResultState.CANCELED, RunResultState.UPSTREAM_FAILED, RunResultState.UPSTREAM_CANCELED


@pytest.mark.parametrize(
    ("run_if", "before", "verdict"),
    [
        (None, [S, S], None),
        (RunIf.ALL_SUCCESS, [S, F], UF),
        (RunIf.ALL_SUCCESS, [S, UF], UF),
        (RunIf.ALL_SUCCESS, [S, C], UC),
        (RunIf.ALL_SUCCESS, [S, X], X),
        (RunIf.AT_LEAST_ONE_SUCCESS, [S, F], None),
        (RunIf.AT_LEAST_ONE_SUCCESS, [F, F], UF),
        (RunIf.AT_LEAST_ONE_SUCCESS, [S, X], None),
        (RunIf.NONE_FAILED, [S, X], None),
        (RunIf.NONE_FAILED, [S, F], UF),
        (RunIf.NONE_FAILED, [X, X], X),
        (RunIf.ALL_DONE, [F, UF], None),
        (RunIf.ALL_DONE, [X], X),
        (RunIf.AT_LEAST_ONE_FAILED, [S, F], None),
        (RunIf.AT_LEAST_ONE_FAILED, [S, S], X),
        (RunIf.ALL_FAILED, [F, F], None),
        (RunIf.ALL_FAILED, [F, S], X),
    ],
)
def test_run_if_decides_whether_a_task_runs(run_if: RunIf | None, before: list, verdict: RunResultState | None) -> None:
    assert graph.verdict(run_if, before) == verdict


@pytest.mark.parametrize(
    ("operator", "left", "right", "holds"),
    [
        ("EQUAL_TO", "12.0", "12", False),
        ("NOT_EQUAL", "a", "b", True),
        ("GREATER_THAN", "10", "9", True),
        ("GREATER_THAN_OR_EQUAL", "12.0", "12", True),
        ("LESS_THAN", "10", "9", False),
        ("LESS_THAN_OR_EQUAL", "-1", "1e3", True),
    ],
)
def test_conditions_compare_texts_for_equality_and_numbers_for_order(
    operator: str, left: str, right: str, holds: bool
) -> None:
    assert graph.compare(ConditionTaskOp[operator], left, right) is holds


def test_a_failed_task_lets_those_after_it_be_upstream_failed_and_the_run_fail(client: WorkspaceClient) -> None:
    tasks = [
        python(client, "bad", "print('before'); raise ValueError('no rows')"),
        python(client, "after", "", after="bad"),
        python(client, "last", "", after="after"),
        python(client, "cleaner", "print('clean')", after="bad", run_if=RunIf.ALL_DONE),
        python(client, "alarm", "", after="bad", run_if=RunIf.AT_LEAST_ONE_FAILED),
        python(client, "party", "", after="cleaner", run_if=RunIf.ALL_FAILED),
    ]
    run = finished(client, start(client, *tasks))
    assert results(run) == {
        "bad": "FAILED", "after": "UPSTREAM_FAILED", "last": "UPSTREAM_FAILED", "cleaner": "SUCCESS",
        "alarm": "SUCCESS", "party": "EXCLUDED",
    }  # fmt: skip
    assert run.state.result_state is RunResultState.FAILED
    assert "Task bad failed with message: Workload failed, see run output for details" in run.state.state_message
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert output.error == "ValueError: no rows"
    assert 'bad.py", line 1, in <module>' in output.error_trace
    assert "devkit" not in output.error_trace
    assert output.logs.startswith("before\n")
    assert run.tasks[0].status.termination_details.code.value == "RUN_EXECUTION_ERROR"


def test_a_run_whose_leaves_all_succeed_is_a_success_with_failures(client: WorkspaceClient) -> None:
    tasks = [python(client, "a", "exit(3)"), python(client, "b", "", after="a", run_if=RunIf.ALL_DONE)]
    run = finished(client, start(client, *tasks))
    assert run.state.result_state is RunResultState.SUCCESS_WITH_FAILURES
    assert client.jobs.get_run_output(run.tasks[0].run_id).error == "SystemExit: 3"


def test_independent_tasks_run_at_the_same_time_and_a_third_waits(client: WorkspaceClient) -> None:
    text = "import time; print(time.time()); time.sleep(1); print(time.time())"
    run = finished(client, start(client, *(python(client, key, text) for key in "abc")))
    (_, end_a), (_, end_b), (start_c, _) = sorted(tuple(map(float, logs(client, run, key).split())) for key in "abc")
    assert start_c >= min(end_a, end_b)
    begun = sorted(float(logs(client, run, key).split()[0]) for key in "abc")
    assert begun[1] < min(end_a, end_b)


def test_what_is_missing_or_cannot_run_here_fails_with_the_reason_and_is_never_a_success(
    client: WorkspaceClient,
) -> None:
    job_id = client.jobs.create(name="never").job_id
    client.jobs.delete(job_id)
    missing = python(client, "file", "")
    missing.spark_python_task.python_file = "dbfs:/nowhere.py"
    tasks = {
        "file": (missing, "dbfs:/nowhere.py does not exist"),
        "notebook": (Task("notebook", notebook_task=NotebookTask("/Shared/none")), "no notebook /Shared/none"),
        "cluster": (python(client, "cluster", "", existing_cluster_id="gone"), "Cluster gone does not exist"),
        "jar": (Task("jar", spark_jar_task=SparkJarTask(main_class_name="x.Y")), "JAR task does not run"),
        "pipeline": (Task("pipeline", pipeline_task=PipelineTask("p")), "The specified pipeline p was not found"),
        "selection": (
            Task("selection", pipeline_task=PipelineTask("p", reset_checkpoint_selection=["t"])),
            "reset_checkpoint_selection is not supported",
        ),
        "job": (Task("job", run_job_task=RunJobTask(job_id)), f"Job {job_id} does not exist"),
        "reference": (python(client, "reference", "", "{{job.naem}}"), "{{job.naem}} is unknown to this task"),
        "quit": (python(client, "quit", "import os; os._exit(0)"), "exited with status 0 before the task had ended"),
    }
    run = finished(client, start(client, *(task for task, _ in tasks.values())))
    for record in run.tasks:
        assert record.state.result_state is RunResultState.FAILED, record.task_key
        assert tasks[record.task_key][1] in client.jobs.get_run_output(record.run_id).error
    assert run.state.life_cycle_state.value == "INTERNAL_ERROR"
    assert run.state.result_state is RunResultState.FAILED


def test_a_run_with_a_failed_task_ends_internal_error_so_that_the_waiter_raises(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="fails", tasks=[python(client, "a", "raise ValueError('x')")]).job_id
    waiter = client.jobs.run_now(job_id)
    with pytest.raises(OperationFailed, match="INTERNAL_ERROR"):
        waiter.result()
    run = client.jobs.get_run(waiter.run_id)
    assert (run.state.result_state, run.tasks[0].state.life_cycle_state.value) == (RunResultState.FAILED, "TERMINATED")
    assert run.state.state_message.startswith("Task a failed with message: Workload failed")


def test_a_running_run_has_no_message(client: WorkspaceClient) -> None:
    run_id = start(client, python(client, "a", "import time; time.sleep(600)"))
    run = reached(client, run_id, lambda run: run.tasks[0].state.life_cycle_state.value == "RUNNING")
    assert not run.state.state_message
    assert not run.tasks[0].state.state_message
    client.jobs.cancel_run(run_id)
    assert finished(client, run_id).state.life_cycle_state.value == "TERMINATED"


def test_ids_of_jobs_runs_and_tasks_never_collide(client: WorkspaceClient) -> None:
    runs = [finished(client, start(client, python(client, "a", ""))) for _ in range(3)]
    ids = [number for run in runs for number in (run.job_id, run.run_id, run.tasks[0].run_id)]
    assert len(set(ids)) == len(ids)


def test_a_condition_sends_the_run_down_one_branch(client: WorkspaceClient) -> None:
    def branch(key: str, outcome: str) -> Task:
        task = python(client, key, "")
        task.depends_on = [TaskDependency("check", outcome)]
        return task

    check = Task("check", condition_task=ConditionTask(ConditionTaskOp.GREATER_THAN, "{{job.parameters.rows}}", "10"))
    merge = python(client, "merge", "", after="many few", run_if=RunIf.NONE_FAILED)
    parameters = [JobParameterDefinition("rows", "3")]
    job_id = client.jobs.create(
        name="if", tasks=[check, branch("many", "true"), branch("few", "false"), merge], parameters=parameters
    ).job_id
    run = finished(client, client.jobs.run_now(job_id).run_id)
    assert results(run) == {"check": "SUCCESS", "many": "EXCLUDED", "few": "SUCCESS", "merge": "SUCCESS"}
    assert run.tasks[0].condition_task.outcome == "false"
    assert run.state.result_state is RunResultState.SUCCESS
    run = finished(client, client.jobs.run_now(job_id, job_parameters={"rows": "11"}).run_id)
    assert results(run) == {"check": "SUCCESS", "many": "SUCCESS", "few": "EXCLUDED", "merge": "SUCCESS"}


def test_for_each_runs_the_nested_task_once_for_each_input(client: WorkspaceClient) -> None:
    nested = python(
        client, "one", "import sys; print(sys.argv); assert sys.argv[2] != 'x'", "{{input.n}}", "{{input.k}}"
    )
    loop = Task(
        "loop", for_each_task=ForEachTask('[{"n": 1, "k": "a"}, {"n": 2, "k": "x"}, {"n": 3, "k": "c"}]', nested)
    )
    run = finished(client, start(client, loop))
    assert results(run) == {"loop": "FAILED"}
    record = client.jobs.get_run(run.tasks[0].run_id)
    assert [each.state.result_state.value for each in record.iterations] == ["SUCCESS", "FAILED", "SUCCESS"]
    stats = record.tasks[0].for_each_task.stats.task_run_stats
    assert (stats.total_iterations, stats.succeeded_iterations, stats.failed_iterations) == (3, 2, 1)
    assert "'3', 'c'" in client.jobs.get_run_output(record.iterations[2].run_id).logs


def test_more_than_a_hundred_iterations_come_back_over_pages(workspace: Workspace) -> None:
    client = workspace.client()
    nested = Task("one", condition_task=ConditionTask(ConditionTaskOp.EQUAL_TO, "{{input}}", "7"))
    inputs = str([*range(130)])
    run = finished(client, start(client, Task("loop", for_each_task=ForEachTask(inputs, nested, concurrency=4))))
    assert results(run) == {"loop": "SUCCESS"}
    path = 'GET /api/<any("2.0","2.1","2.2"):_version>/jobs/runs/get'
    before = workspace.calls[path]
    iterations = client.jobs.get_run(run.tasks[0].run_id).iterations
    assert workspace.calls[path] == before + 2
    assert [n for n, each in enumerate(iterations) if each.condition_task.outcome == "true"] == [7]
    assert len(iterations) == 130


def test_a_job_runs_another_job_and_ends_as_it_ends(client: WorkspaceClient) -> None:
    inner = python(client, "inner", "import sys; exit(sys.argv[1])", "{{job.parameters.word}}")
    job_id = client.jobs.create(
        name="inner", tasks=[inner], parameters=[JobParameterDefinition("word", "x")], max_concurrent_runs=2
    ).job_id
    run = finished(
        client, start(client, Task("outer", run_job_task=RunJobTask(job_id, job_parameters={"word": "why"})))
    )
    assert results(run) == {"outer": "FAILED"}
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    inner_run = client.jobs.get_run(output.run_job_output.run_id)
    assert inner_run.job_id == job_id
    assert inner_run.trigger.value == "RUN_JOB_TASK"
    assert client.jobs.get_run_output(inner_run.tasks[0].run_id).error == "SystemExit: why"


def test_task_values_and_references_reach_later_tasks(client: WorkspaceClient) -> None:
    first = """
        from pyspark.dbutils import DBUtils
        dbutils = DBUtils(None)
        dbutils.jobs.taskValues.set("rows", 42)
        dbutils.jobs.taskValues.set("days", [{"day": "mon"}, {"day": "tue"}])
        """
    second = """
        import sys
        from pyspark.dbutils import DBUtils
        print(*sys.argv[1:], sep="|")
        values = DBUtils().jobs.taskValues
        print(values.get("first", "rows") + 1, values.get("first", "none", default="nothing"))
        """
    references = ["{{tasks.first.values.rows}}", "{{tasks.first.result_state}}", "{{job.id}}", "{{job.run_id}}",
                  "{{task.name}}", "{{job.parameters.p}}", "{{secrets/s/k}}", "{{ something }}"]  # fmt: skip
    each = python(client, "each", "import sys; print(sys.argv[1])", "{{input.day}}")
    loop = Task(
        "loop", depends_on=[TaskDependency("first")], for_each_task=ForEachTask("{{tasks.first.values.days}}", each)
    )
    run_id = start(client, python(client, "first", first), python(client, "second", second, *references, after="first"),
                   loop, parameters=[JobParameterDefinition("p", "{{job.trigger.type}}")])  # fmt: skip
    run = finished(client, run_id)
    assert results(run) == {"first": "SUCCESS", "second": "SUCCESS", "loop": "SUCCESS"}
    one, two = logs(client, run, "second").splitlines()
    expected = f"42|success|{run.job_id}|{run.run_id}|second|one_time|{{{{secrets/s/k}}}}|{{{{ something }}}}"
    assert (one, two) == (expected, "43 nothing")
    iterations = client.jobs.get_run(run.tasks[2].run_id).iterations
    assert [client.jobs.get_run_output(each.run_id).logs for each in iterations] == ["mon\n", "tue\n"]


def test_old_parameters_replace_those_of_the_task(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="a", tasks=[python(client, "a", "import sys; print(sys.argv[1:])", "old")]).job_id
    run = finished(client, client.jobs.run_now(job_id, python_params=["new", "er"]).run_id)
    assert logs(client, run, "a") == "['new', 'er']\n"
    assert run.overriding_parameters.python_params == ["new", "er"]


def test_the_server_answers_while_tasks_run(workspace: Workspace) -> None:
    client = workspace.client()
    run_id = start(client, python(client, "slow", "import time; time.sleep(1.5)"))
    asked = []
    while not client.jobs.get_run(run_id).state.result_state:
        before = time.monotonic()
        list(client.jobs.list_runs())
        asked.append(time.monotonic() - before)
    assert len(asked) > 5
    assert sorted(asked)[len(asked) // 2] < 0.5
