"""Differences between desired and actual state, in declared fields only: a server's defaults are not differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from devkit.deploy.declaration.model import Json
from devkit.deploy.plan.model import Change, Pending

# Items of a list that have a name of their own are compared by it, wherever they stand.
IDENTITIES: Final = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "depends_on": "task_key",
    "environments": "environment_key",
    "environment_variables": "name",
    "parameters": "name",
    "custom_tags": "key",
}


def differences(desired: Json, actual: Json) -> tuple[Change, ...]:
    """Return what has to change in `actual` to hold everything that `desired` declares.

    A list is declared as a whole: an item that exists and is not declared is a difference. A mapping is declared key by
    key. Nothing, false, zero and empty are the same as absent, because services leave them out of their answers.
    """
    return tuple(_differ(desired, actual, ""))


def _differ(desired: Json, actual: Json, path: str) -> Iterator[Change]:
    if isinstance(desired, Pending):
        yield Change(path, actual, desired)
    elif isinstance(desired, dict) and (isinstance(actual, dict) or actual is None):
        for name, value in desired.items():
            yield from _differ(value, (actual or {}).get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(desired, list) and (isinstance(actual, list) or actual is None):
        yield from _lists(desired, actual or [], path)
    elif not _same(desired, actual):
        yield Change(path, actual, desired)


def _lists(desired: list[Json], actual: list[Json], path: str) -> Iterator[Change]:
    identity = IDENTITIES.get(path.rpartition(".")[2].rpartition("]")[2])
    named = all(isinstance(each, dict) and identity in each for each in [*desired, *actual]) if identity else False
    if not named:
        for index in range(max(len(desired), len(actual))):
            yield from _item(desired, actual, index, index, f"{path}[{index}]")
        return
    positions = {each[identity]: index for index, each in enumerate(actual)}
    for index, each in enumerate(desired):
        name = each[identity]
        yield from _item(desired, actual, index, positions.pop(name, len(actual)), f"{path}[{name}]")
    for name, position in positions.items():
        yield Change(f"{path}[{name}]", actual[position], None)


def _item(desired: list[Json], actual: list[Json], here: int, there: int, path: str) -> Iterator[Change]:
    if here >= len(desired):
        yield Change(path, actual[there], None)
    elif there >= len(actual):
        yield Change(path, None, desired[here])
    else:
        yield from _differ(desired[here], actual[there], path)


def _same(desired: Json, actual: Json) -> bool:
    if actual is None:
        return not desired
    if isinstance(desired, bool) != isinstance(actual, bool):
        return False
    return bool(desired == actual)
