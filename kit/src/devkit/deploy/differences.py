"""Where what is wanted and what is found differ: in declared fields only; a server's defaults are no differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from devkit.deploy.model import Change, Json, Pending

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


def differences(wanted: Json, found: Json) -> tuple[Change, ...]:
    """Return what would have to change in `found` to hold everything that `wanted` declares.

    A list is declared as a whole: an item that is found and not wanted is a difference. A mapping is declared key by
    key. Nothing, false, zero and empty are the same as absent, because services leave them out of their answers.
    """
    return tuple(_differ(wanted, found, ""))


def _differ(wanted: Json, found: Json, path: str) -> Iterator[Change]:
    if isinstance(wanted, Pending):
        yield Change(path, found, wanted)
    elif isinstance(wanted, dict) and (isinstance(found, dict) or found is None):
        for name, value in wanted.items():
            yield from _differ(value, (found or {}).get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(wanted, list) and (isinstance(found, list) or found is None):
        yield from _lists(wanted, found or [], path)
    elif not _same(wanted, found):
        yield Change(path, found, wanted)


def _lists(wanted: list[Json], found: list[Json], path: str) -> Iterator[Change]:
    identity = IDENTITIES.get(path.rpartition(".")[2].rpartition("]")[2])
    named = all(isinstance(each, dict) and identity in each for each in [*wanted, *found]) if identity else False
    if not named:
        for index in range(max(len(wanted), len(found))):
            yield from _item(wanted, found, index, index, f"{path}[{index}]")
        return
    positions = {each[identity]: index for index, each in enumerate(found)}
    for index, each in enumerate(wanted):
        name = each[identity]
        yield from _item(wanted, found, index, positions.pop(name, len(found)), f"{path}[{name}]")
    for name, position in positions.items():
        yield Change(f"{path}[{name}]", found[position], None)


def _item(wanted: list[Json], found: list[Json], here: int, there: int, path: str) -> Iterator[Change]:
    if here >= len(wanted):
        yield Change(path, found[there], None)
    elif there >= len(found):
        yield Change(path, None, wanted[here])
    else:
        yield from _differ(wanted[here], found[there], path)


def _same(wanted: Json, found: Json) -> bool:
    if found is None:
        return not wanted
    if isinstance(wanted, bool) != isinstance(found, bool):
        return False
    return bool(wanted == found)
