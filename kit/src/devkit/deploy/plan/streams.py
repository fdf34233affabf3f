"""Whether a running stream matches its declaration: it is restarted only when its code or configuration changed.

A run carries the tasks that it was started with, so an apply that stopped between update and restart is noticed by
the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from devkit.deploy.declaration.model import plain_path
from devkit.deploy.plan.differences import differences
from devkit.deploy.plan.model import Action

# The fields whose change needs a restart; schedules, notifications and tags do not.
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
        action: What is done about the job.
        runs: Its active runs, as ``jobs/runs/list`` reports them.
        uploaded: The paths of files and notebooks whose content changes.
    """
    if not runs or action.desired is None:
        return ""
    changed = [change.path for change in action.changes if re.split(r"[.\[]", change.path)[0] in RUNNING_FIELDS]
    if changed:
        return f"its code or configuration changed: {', '.join(changed[:3])}"
    used = [path for path in uploaded if plain_path(path) in str(action.desired.body)]
    if used:
        return f"{used[0]} changed"
    if action.verb == "update" and not action.changes:
        return action.reason
    for run in runs:
        older = differences(_code(action.desired.body), _code(run))
        if older:
            return f"run {run.get('run_id')} was started before {older[0].path} changed"
    return ""


def _code(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the tasks that a run shares with its job, without what the service fills in."""
    tasks = [
        {name: value for name, value in task.items() if name in CODE_FIELDS and "{{" not in str(value)}
        for task in body.get("tasks") or []
    ]
    return {"tasks": tasks}
