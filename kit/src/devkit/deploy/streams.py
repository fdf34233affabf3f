"""Streams: whether a running one is what is declared now, and whether it makes progress.

A stream is restarted only when its code or its configuration changed; a run carries the tasks that it was started
with, so that an apply which stopped between the update and the restart is noticed by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from devkit.deploy.differences import differences
from devkit.deploy.model import Action

# What a run needs a restart for; schedules, notifications and tags are none of it.
RUNNING_FIELDS: Final = ("tasks", "job_clusters", "environments", "parameters", "git_source", "continuous", "run_as")

CODE_FIELDS: Final = (
    "task_key",
    "python_wheel_task",
    "spark_python_task",
    "notebook_task",
    "spark_jar_task",
    "libraries",
)


def stale_run(action: Action, runs: list[Mapping[str, Any]], uploaded: Iterable[str] = ()) -> str:
    """Return why the active runs of a stream have to be replaced, or an empty text.

    Args:
        action: What is done to the job.
        runs: Its active runs, as ``jobs/runs/list`` tells them.
        uploaded: The paths of files and notebooks whose content changes.
    """
    if not runs or action.wanted is None:
        return ""
    changed = [change.path for change in action.changes if re.split(r"[.\[]", change.path)[0] in RUNNING_FIELDS]
    if changed:
        return f"its code or configuration changed: {', '.join(changed[:3])}"
    used = [path for path in uploaded if path.removeprefix("/Workspace") in str(action.wanted.body)]
    if used:
        return f"{used[0]} changed"
    if action.verb == "update" and not action.changes:
        return action.reason
    for run in runs:
        older = differences(_code(action.wanted.body), _code(run))
        if older:
            return f"run {run.get('run_id')} was started before {older[0].path} changed"
    return ""


def _code(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run was started with and a job would start now: the tasks, without what the service fills in."""
    tasks = [
        {name: value for name, value in task.items() if name in CODE_FIELDS and "{{" not in str(value)}
        for task in body.get("tasks") or []
    ]
    return {"tasks": tasks}


def progress_in(text: str, pattern: str) -> int | None:
    """Return the last number of a micro-batch that stands in a text, or None."""
    numbers = [int(match) for match in re.findall(pattern, text)]
    return numbers[-1] if numbers else None


def last_commit(names: Iterable[str]) -> int | None:
    """Return the newest micro-batch of a checkpoint by the names in its folder ``commits``, or None."""
    numbers = [int(name) for name in names if name.isdigit()]
    return max(numbers) if numbers else None
