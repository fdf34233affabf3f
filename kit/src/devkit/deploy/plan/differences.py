"""Where what is desired and what is found differ: in declared fields only; a server's defaults are no differences."""

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


def differences(desired: Json, found: Json) -> tuple[Change, ...]:
    """Return what would have to change in `found` to hold everything that `desired` declares.

    A list is declared as a whole: an item that is found and not desired is a difference. A mapping is declared key by
    key. Nothing, false, zero and empty are the same as absent, because services leave them out of their answers.
    """
    return tuple(_differ(desired, found, ""))


def _differ(desired: Json, found: Json, path: str) -> Iterator[Change]:
    if isinstance(desired, Pending):
        yield Change(path, found, desired)
    elif isinstance(desired, dict) and (isinstance(found, dict) or found is None):
        for name, value in desired.items():
            yield from _differ(value, (found or {}).get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(desired, list) and (isinstance(found, list) or found is None):
        yield from _lists(desired, found or [], path)
    elif not _same(desired, found):
        yield Change(path, found, desired)


def _lists(desired: list[Json], found: list[Json], path: str) -> Iterator[Change]:
    identity = IDENTITIES.get(path.rpartition(".")[2].rpartition("]")[2])
    named = all(isinstance(each, dict) and identity in each for each in [*desired, *found]) if identity else False
    if not named:
        for index in range(max(len(desired), len(found))):
            yield from _item(desired, found, index, index, f"{path}[{index}]")
        return
    positions = {each[identity]: index for index, each in enumerate(found)}
    for index, each in enumerate(desired):
        name = each[identity]
        yield from _item(desired, found, index, positions.pop(name, len(found)), f"{path}[{name}]")
    for name, position in positions.items():
        yield Change(f"{path}[{name}]", found[position], None)


def _item(desired: list[Json], found: list[Json], here: int, there: int, path: str) -> Iterator[Change]:
    if here >= len(desired):
        yield Change(path, found[there], None)
    elif there >= len(found):
        yield Change(path, None, desired[here])
    else:
        yield from _differ(desired[here], found[there], path)


def _same(desired: Json, found: Json) -> bool:
    if found is None:
        return not desired
    if isinstance(desired, bool) != isinstance(found, bool):
        return False
    return bool(desired == found)
