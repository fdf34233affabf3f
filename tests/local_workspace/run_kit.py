"""Short words for tests of runs: files put, jobs made of them, runs waited for, each through the official client."""

from __future__ import annotations

import base64
import textwrap
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
from databricks.sdk.service.pipelines import UpdateInfo
from databricks.sdk.service.sql import StatementResponse, StatementState

from local_workspace.server.state import Identity
from tests.patience import wait_for

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


def finished(client: WorkspaceClient, run_id: int, *, history: bool = False) -> Run:
    """Wait for a run to end; the client's own waiter sleeps for a second or more."""
    return reached(client, run_id, lambda run: run.state.life_cycle_state in ENDED, history=history)


def reached(client: WorkspaceClient, run_id: int, wanted: Callable[[Run], bool], *, history: bool = False) -> Run:
    """Wait until a run is as wanted."""
    return wait_for(lambda: client.jobs.get_run(run_id, include_history=history), wanted)


def update_reached(
    client: WorkspaceClient, pipeline: str, update_id: str, wanted: Callable[[UpdateInfo], bool]
) -> UpdateInfo:
    """Wait until an update of a pipeline is as wanted."""
    return wait_for(lambda: client.pipelines.get_update(pipeline, update_id).update, wanted)


def results(run: Run) -> dict[str, str]:
    """The result of each task."""
    return {task.task_key: task.state.result_state.value for task in run.tasks}


def logs(client: WorkspaceClient, run: Run, key: str) -> str:
    """What a task printed."""
    (record,) = [task for task in run.tasks if task.task_key == key]
    return client.jobs.get_run_output(record.run_id).logs or ""


__all__ = ["RunIf", "finished", "logs", "put", "python", "reached", "results", "start"]


def execute(
    client: WorkspaceClient, statement: str, warehouse_id: str = Identity.warehouse_id, **settings: Any
) -> StatementResponse:
    """Run a statement of SQL to its end."""
    api = client.statement_execution
    pending = (StatementState.PENDING, StatementState.RUNNING)
    found = api.execute_statement(statement, warehouse_id, wait_timeout="50s", **settings)
    if found.status.state not in pending:
        return found
    return wait_for(lambda: api.get_statement(found.statement_id), lambda each: each.status.state not in pending)
