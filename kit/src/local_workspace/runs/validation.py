"""What a job may be: task keys, dependencies, clusters and schedules, before anything is stored.

Source: https://docs.databricks.com/api/azure/workspace/jobs/create
"""

from __future__ import annotations

import dataclasses
import re
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from databricks.sdk.service.jobs import CronSchedule, GitProvider, JobSettings, Source, SubmitTask, Task

from local_workspace.errors import invalid
from local_workspace.runs import graph

KINDS: Final = tuple(field.name for field in dataclasses.fields(Task) if field.name.endswith("_task"))
TASK_KEY: Final = re.compile(r"[\w-]{1,100}", re.ASCII)
MAXIMUM_TASKS: Final = 1000
LONGEST_SECONDS: Final = 2**31 - 1
MAXIMUM_TAGS: Final = 25
CRON_FIELD: Final = re.compile(r"[\dA-Za-z*?/,#LW-]+")


def kind_of(task: Task) -> str:
    """Return which of the ``…_task`` fields a task has.

    Raises:
        ApiError: 400 when it has none, or several.
    """
    kinds = [kind for kind in KINDS if getattr(task, kind, None) is not None]
    if len(kinds) != 1:
        found = f"has {', '.join(kinds)}" if kinds else "has none"
        raise invalid(f"Task {task.task_key!r} {found}: give exactly one of {', '.join(KINDS)}")
    return kinds[0]


def as_task(task: SubmitTask) -> Task:
    """Return the task of a one-time run as a job's."""
    return Task.from_dict(task.as_dict())


def check(settings: JobSettings) -> None:
    """Check the settings of a job.

    Raises:
        ApiError: 400 with the first thing that is wrong.
    """
    keys = [cluster.job_cluster_key for cluster in settings.job_clusters or []]
    check_tasks(settings.tasks or [], keys, from_git=settings.git_source is not None)
    check_unique("job cluster key", (cluster.job_cluster_key for cluster in settings.job_clusters or []))
    check_unique("parameter", (parameter.name for parameter in settings.parameters or []))
    if settings.git_source and not settings.git_source.git_provider:
        raise invalid(f"git_source.git_provider is missing: one of {', '.join(each.value for each in GitProvider)}")
    if settings.max_concurrent_runs is not None and not 0 <= settings.max_concurrent_runs <= MAXIMUM_TASKS:
        raise invalid(f"max_concurrent_runs must be from 0 to 1000, not {settings.max_concurrent_runs}")
    _check_timeout("The job", settings.timeout_seconds)
    if len(settings.tags or {}) > MAXIMUM_TAGS:
        raise invalid(f"A job has at most {MAXIMUM_TAGS} tags, not {len(settings.tags or {})}")
    triggers = [name for name in ("schedule", "continuous", "trigger") if getattr(settings, name)]
    if len(triggers) > 1:
        raise invalid(f"A job has at most one of schedule, continuous and trigger, not {' and '.join(triggers)}")
    if settings.schedule:
        check_schedule(settings.schedule)


def check_tasks(tasks: Sequence[Task], job_cluster_keys: Sequence[str], *, from_git: bool) -> None:
    """Check tasks: their keys, kinds, dependencies and clusters.

    Raises:
        ApiError: 400 with the first thing that is wrong.
    """
    if len(tasks) > MAXIMUM_TASKS:
        raise invalid(f"A job has at most {MAXIMUM_TASKS} tasks, not {len(tasks)}")
    for task in tasks:
        if not TASK_KEY.fullmatch(task.task_key or ""):
            raise invalid(f"Invalid task_key {task.task_key!r}: 1 to 100 letters, digits, '-' and '_'")
    check_unique("task key", (task.task_key for task in tasks))
    for task in tasks:
        _check_task(task, job_cluster_keys, from_git=from_git)
    _check_dependencies(tasks)


def check_unique(what: str, names: Iterable[str]) -> None:
    """Refuse a name that is there twice.

    Raises:
        ApiError: 400 with the name.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise invalid(f"Duplicate {what}: {', '.join(twice)}")


def check_schedule(schedule: CronSchedule) -> None:
    """Check a Quartz cron expression and its time zone.

    Raises:
        ApiError: 400 when one of them is invalid.
    """
    fields = (schedule.quartz_cron_expression or "").split()
    if len(fields) not in (6, 7) or not all(CRON_FIELD.fullmatch(field) for field in fields):
        raise invalid(f"Invalid quartz_cron_expression: {schedule.quartz_cron_expression!r} (6 or 7 fields)")
    try:
        zoneinfo.ZoneInfo(schedule.timezone_id or "")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid(f"Invalid timezone_id: {schedule.timezone_id!r}") from None


def _check_task(task: Task, job_cluster_keys: Sequence[str], *, from_git: bool) -> None:
    kind = kind_of(task)
    _check_timeout(f"Task {task.task_key!r}", task.timeout_seconds)
    if task.job_cluster_key and task.job_cluster_key not in job_cluster_keys:
        known = ", ".join(job_cluster_keys) or "none is defined"
        raise invalid(f"Job cluster {task.job_cluster_key!r} of task {task.task_key!r} is not defined: {known}")
    clusters = [name for name in ("existing_cluster_id", "new_cluster", "job_cluster_key") if getattr(task, name)]
    if len(clusters) > 1:
        raise invalid(f"Task {task.task_key!r} has {' and '.join(clusters)}: at most one says where it runs")
    notebook = task.notebook_task
    if notebook and not notebook.notebook_path.startswith("/") and notebook.source is not Source.GIT and not from_git:
        raise invalid(
            f"Task {task.task_key!r}: notebook_path {notebook.notebook_path!r} is relative. Only absolute paths are "
            "supported, which begin with '/'; a relative one needs a git_source."
        )
    if kind == "for_each_task":
        nested = task.for_each_task.task if task.for_each_task else None
        if nested is None:
            raise invalid(f"Task {task.task_key!r}: for_each_task.task is missing")
        if kind_of(nested) == "for_each_task":
            raise invalid(f"Task {task.task_key!r}: a for_each_task cannot hold another one")


def _check_timeout(what: str, seconds: int | None) -> None:
    if seconds is not None and not 0 <= seconds <= LONGEST_SECONDS:
        raise invalid(f"{what}: timeout_seconds must be from 0 to {LONGEST_SECONDS}, not {seconds}")


def _check_dependencies(tasks: Sequence[Task]) -> None:
    kinds = {task.task_key: kind_of(task) for task in tasks}
    needed = {task.task_key: [each.task_key for each in task.depends_on or []] for task in tasks}
    for task in tasks:
        for dependency in task.depends_on or []:
            if dependency.task_key not in kinds:
                raise invalid(
                    f"Task {task.task_key!r} depends on {dependency.task_key!r}, which is not a task of the job"
                )
            if dependency.outcome and kinds[dependency.task_key] != "condition_task":
                raise invalid(f"depends_on.outcome: {dependency.task_key!r} is not a condition_task")
    circle = graph.cycle(needed)
    if circle:
        raise invalid(f"The tasks depend on each other in a cycle: {' -> '.join(circle)}")
