"""What a task is given: its own parameters, those of the run, and references to what the run knows.

Sources: https://docs.databricks.com/jobs/parameters and https://docs.databricks.com/jobs/dynamic-value-references
"""

from __future__ import annotations

from typing import Any

from databricks.sdk.service.jobs import Run, RunParameters, RunTask, Task

from local_workspace.runs import references, states
from local_workspace.runs.records import Records
from local_workspace.runs.validation import KINDS
from local_workspace.server.state import State

# What a list of the old parameters replaces, by the kind of task.
LISTS = {
    "spark_python_task": "python_params",
    "python_wheel_task": "python_params",
    "spark_submit_task": "spark_submit_params",
}


def resolved(task: Task, run: Run, known: dict[str, Any]) -> Task:
    """Return a task with the run's parameters in it and its references replaced.

    Raises:
        UnknownReferenceError: A reference names nothing.
    """
    content = task.as_dict()
    (kind,) = [name for name in KINDS if content.get(name) is not None]
    content[kind] = _given(kind, content[kind], run)
    if kind == "for_each_task":
        content[kind]["inputs"] = references.resolve(content[kind]["inputs"], known)
    else:
        content[kind] = references.resolve(content[kind], known)
    return Task.from_dict(content)


def known_to(
    state: State, records: Records, run: Run, record: RunTask, task: Task, given: Any = None
) -> dict[str, Any]:
    """Return everything that a task may refer to, by its dotted name.

    Args:
        state: The workspace.
        records: Of its runs.
        run: The run of the job.
        record: The run of the task.
        task: The task as it was defined.
        given: The input of an iteration.
    """
    started = run.start_time or 0
    known: dict[str, Any] = {
        "job.id": str(run.job_id),
        "job.name": run.run_name or "",
        "job.run_id": str(run.run_id),
        "job.repair_count": str(max(0, len(run.repair_history or []) - 1)),
        "job.trigger.type": run.trigger.value.lower() if run.trigger else "",
        "task.name": task.task_key,
        "task.run_id": str(record.run_id),
        "task.execution_count": str((record.attempt_number or 0) + 1),
        "workspace.id": str(state.identity.workspace_id),
        "workspace.url": state.host.partition("://")[2],
        # the names of before
        "job_id": str(run.job_id),
        "run_id": str(record.run_id),
        "run.id": str(run.run_id),
        "parent_run_id": str(run.run_id),
        "task_key": task.task_key,
        "start_time": str(started),
        "task_retry_count": str(record.attempt_number or 0),
    }
    known |= references.times("job.start_time", started) | references.times("job.trigger.time", started)
    known["start_date"] = known["job.start_time.iso_date"]
    if task.notebook_task:
        known["task.notebook_path"] = task.notebook_task.notebook_path
    for each in run.job_parameters or []:
        known[f"job.parameters.{each.name}"] = references.resolve(each.value or each.default or "", known)
    for other in records.latest_tasks(run.run_id or 0):
        known |= _of_task(records, run, other)
    return known | (references.flat("input", given) if given is not None else {})


def _of_task(records: Records, run: Run, other: RunTask) -> dict[str, Any]:
    name = f"tasks.{other.task_key}"
    known: dict[str, Any] = {
        f"{name}.run_id": str(other.run_id),
        f"{name}.execution_count": str((other.attempt_number or 0) + 1),
    }
    result = states.result_of(other)
    if result is not None:
        known[f"{name}.result_state"] = result.value.lower()
        details = other.status.termination_details if other.status else None
        known[f"{name}.error_code"] = details.code.value if details and details.code else ""
    if other.notebook_task:
        known[f"{name}.notebook_path"] = other.notebook_task.notebook_path
    values = records.values.get(str(run.run_id), {}).get(other.task_key, {})
    if other.sql_task:
        known |= references.flat(name, values)
    return known | {f"{name}.values.{key}": value for key, value in values.items()}


def _given(kind: str, content: dict[str, Any], run: Run) -> dict[str, Any]:
    """Add the parameters of the run; they win over those of the task."""
    old = run.overriding_parameters or RunParameters()
    pushed = {each.name: each.value if each.value is not None else each.default for each in run.job_parameters or []}
    if kind == "notebook_task":
        content["base_parameters"] = {**content.get("base_parameters", {}), **(old.notebook_params or {}), **pushed}
    elif kind == "sql_task":
        content["parameters"] = {**content.get("parameters", {}), **(old.sql_params or {}), **pushed}
    elif kind == "python_wheel_task" and not content.get("parameters") and not old.python_params:
        named = content.get("named_parameters", {})
        if named or old.python_named_params:
            content["named_parameters"] = {**named, **(old.python_named_params or {}), **pushed}
    elif kind == "pipeline_task" and old.pipeline_params:
        content |= old.pipeline_params.as_dict()
    elif kind in LISTS and getattr(old, LISTS[kind]):
        content["parameters"] = getattr(old, LISTS[kind])
    return content
