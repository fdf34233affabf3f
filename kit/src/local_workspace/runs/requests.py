"""What a request to run a job gives: parameters of both kinds, and which tasks.

Source: https://docs.databricks.com/api/azure/workspace/jobs/runnow
"""

from __future__ import annotations

from typing import Any, Final

from databricks.sdk.service.jobs import JobParameter, JobSettings, RunJobTask, RunParameters

from local_workspace.errors import invalid
from local_workspace.server.routing import typed

LEGACY: Final = ("notebook_params", "python_params", "python_named_params", "jar_params", "spark_submit_params",
                 "sql_params", "dbt_commands", "pipeline_params")  # fmt: skip


def check(settings: JobSettings, given: dict[str, Any]) -> None:
    """Refuse parameters of both kinds at once.

    Raises:
        ApiError: 400 with those of the older kind.
    """
    legacy = [name for name in LEGACY if given.get(name)]
    if legacy and (settings.parameters or given.get("job_parameters")):
        raise invalid(f"{', '.join(legacy)} cannot be given together with job parameters")


def overriding(given: dict[str, Any]) -> RunParameters:
    """Return the parameters of the older kind, which hold for this run alone."""
    return typed(RunParameters, {name: given[name] for name in LEGACY if name in given})


def job_parameters(settings: JobSettings, given: dict[str, Any]) -> list[JobParameter]:
    """Return the job's parameters with their values, those that the job does not define last."""
    values = typed(RunJobTask, {"job_parameters": given.get("job_parameters") or {}}).job_parameters or {}
    defined = [
        JobParameter(default=each.default, name=each.name, value=values.pop(each.name, each.default))
        for each in settings.parameters or []
    ]
    return [*defined, *(JobParameter(name=name, value=value) for name, value in values.items())]


def only(settings: JobSettings, keys: list[str] | None) -> JobSettings:
    """Leave only some tasks in a run, and only the dependencies among them.

    Raises:
        ApiError: 400 when the job has no such task.
    """
    if keys:
        known = {task.task_key for task in settings.tasks or []}
        if unknown := set(keys) - known:
            raise invalid(f"The job has no task {', '.join(sorted(unknown))}")
        settings.tasks = [task for task in settings.tasks or [] if task.task_key in keys]
        for task in settings.tasks:
            task.depends_on = [each for each in task.depends_on or [] if each.task_key in keys]
    return settings
