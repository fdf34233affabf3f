"""Mistakes in jobs that the service would report only when a deployment is under way."""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from devkit.deploy.declaration.checking import suggestion

Mistake = tuple[tuple[str | int, ...], str]
# Quartz: seconds, minutes, hours, day of month, month, day of week and maybe year: name, lowest and highest value.
# Source: https://www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html.
_FIELDS: Final = (
    ("seconds", 0, 59),
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 1, 7),
    ("year", 1970, 2099),
)
_NAMES: Final = {
    "month": ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    "day of week": ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
_PART: Final = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_SPECIAL: Final = {
    "day of month": re.compile(r"\?|L(?:-\d{1,2})?W?|(?:[12]?\d|3[01])W"),
    "day of week": re.compile(r"\?|L|(?:[1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5])"),
}


def job_mistakes(body: dict[str, Any]) -> Iterator[Mistake]:
    """Yield the mistakes of a job, each with its path: schedule, order of tasks, and keys that nothing has."""
    schedule = body.get("schedule") or {}
    if "quartz_cron_expression" in schedule:
        path = ("schedule", "quartz_cron_expression")
        yield from ((path, message) for message in cron_mistakes(schedule["quartz_cron_expression"]))
    zone = schedule.get("timezone_id")
    known_zones = zoneinfo.available_timezones()
    if zone is not None and zone not in known_zones:
        yield ("schedule", "timezone_id"), f"unknown time zone {zone!r}; {suggestion(zone, known_zones)}"
    tasks = [each for each in body.get("tasks") or [] if isinstance(each, dict)]
    yield from _order(tasks)
    for field, listed in (("job_cluster_key", "job_clusters"), ("environment_key", "environments")):
        known = [each.get(field) for each in body.get(listed) or [] if isinstance(each, dict)]
        for index, task in enumerate(tasks):
            if task.get(field) is not None and task[field] not in known:
                hint = suggestion(task[field], [each for each in known if each])
                yield ("tasks", index, field), f"no item of `{listed}` has the key {task[field]!r}; {hint}"


def cron_mistakes(expression: str) -> Iterator[str]:
    """Yield the mistakes of a Quartz cron expression."""
    parts = expression.upper().split()
    if len(parts) not in (6, 7):
        yield f"the cron expression {expression!r} has {len(parts)} fields instead of 6 or 7, seconds first"
        return
    for (name, low, high), text in zip(_FIELDS, parts, strict=False):
        special = _SPECIAL.get(name)
        if not (special and special.fullmatch(text)) and not all(
            _fits(each, name, low, high) for each in text.split(",")
        ):
            yield f"the cron expression {expression!r} has an invalid {name}: {text!r}"
    if (parts[3] == "?") == (parts[5] == "?"):
        yield f"the cron expression {expression!r} must have '?' either as day of month or as day of week"


def _fits(part: str, name: str, low: int, high: int) -> bool:
    match = _PART.fullmatch(part)
    if match is None or match["step"] == "0":
        return False
    names = _NAMES.get(name, [])
    numbers = [names.index(each) + low if each in names else each for each in (match["first"], match["last"]) if each]
    return all(low <= int(each) <= high for each in numbers if str(each).isdigit()) and all(
        str(each).isdigit() for each in numbers
    )


def _order(tasks: list[dict[str, Any]]) -> Iterator[Mistake]:
    keys = [each.get("task_key") for each in tasks]
    for key, count in Counter(keys).items():
        if key is not None and count > 1:
            yield ("tasks", len(keys) - 1 - keys[::-1].index(key), "task_key"), f"{count} tasks have the key {key!r}"
    graph: dict[Any, list[Any]] = {}
    for index, task in enumerate(tasks):
        needed = [each.get("task_key") for each in task.get("depends_on") or [] if isinstance(each, dict)]
        graph[task.get("task_key")] = needed
        for position, key in enumerate(needed):
            if key not in keys:
                hint = suggestion(str(key), [each for each in keys if each])
                yield ("tasks", index, "depends_on", position), f"no task has the key {key!r}; {hint}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = " -> ".join(map(str, error.args[1]))
        yield ("tasks",), f"tasks depend on each other in a cycle: {cycle}"
