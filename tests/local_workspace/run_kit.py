"""Short words for tests of runs: files put, jobs made of them, runs waited for, each through the official client."""

from __future__ import annotations

import base64
import textwrap
import time
from collections.abc import Callable
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import (
    Run,
    RunIf,
    RunLifeCycleState,
    SparkPythonTask,
    Task,
    TaskDependency,
)

ENDED = {RunLifeCycleState.TERMINATED, RunLifeCycleState.SKIPPED, RunLifeCycleState.INTERNAL_ERROR}


def put(client: WorkspaceClient, path: str, text: str) -> str:
    """Write a file to DBFS and return its path."""
    content = base64.b64encode(textwrap.dedent(text).encode()).decode()
    client.dbfs.put(path, contents=content, overwrite=True)
    return path


def python(client: WorkspaceClient, key: str, text: str, *parameters: str, after: str = "", **settings: Any) -> Task:
    """A task that runs these lines of Python; `after` names what it depends on."""
    file = put(client, f"dbfs:/{key}.py", text)
    depends_on = [TaskDependency(each) for each in after.split()]
    return Task(key, depends_on=depends_on, spark_python_task=SparkPythonTask(file, [*parameters]), **settings)


def start(client: WorkspaceClient, *tasks: Task, **settings: Any) -> int:
    """Make a job of tasks, start it and return the id of the run."""
    job_id = client.jobs.create(name="job", tasks=[*tasks], **settings).job_id
    return client.jobs.run_now(job_id).run_id


def finished(client: WorkspaceClient, run_id: int, within: float = 60.0, *, history: bool = False) -> Run:
    """Wait for a run to end; the client's own waiter sleeps for a second or more."""
    return reached(client, run_id, lambda run: run.state.life_cycle_state in ENDED, within, history=history)


def reached(
    client: WorkspaceClient, run_id: int, wanted: Callable[[Run], bool], within: float = 60.0, *, history: bool = False
) -> Run:
    """Wait until a run is as wanted."""
    until = time.monotonic() + within
    while not wanted(run := client.jobs.get_run(run_id, include_history=history)):
        assert time.monotonic() < until, run.as_dict()
        time.sleep(0.02)
    return run


def results(run: Run) -> dict[str, str]:
    """The result of each task."""
    return {task.task_key: task.state.result_state.value for task in run.tasks}


def logs(client: WorkspaceClient, run: Run, key: str) -> str:
    """What a task printed."""
    (record,) = [task for task in run.tasks if task.task_key == key]
    return client.jobs.get_run_output(record.run_id).logs or ""


__all__ = ["RunIf", "finished", "logs", "put", "python", "reached", "results", "start"]
