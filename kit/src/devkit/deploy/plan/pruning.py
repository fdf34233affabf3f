"""What prune and destroy delete: what is owned, but nothing protected and no wheel in use; dependants first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devkit.deploy.declaration.kinds import ORDER
from devkit.deploy.declaration.model import Declaration, plain_path
from devkit.deploy.errors import DeploymentError
from devkit.deploy.plan.matching import copies_of, is_protected, owns, without
from devkit.deploy.plan.model import Actual, ActualState, Plan

WHEEL_USERS: Final = ("jobs", "runs", "clusters", "pipelines")


def prunable(plan: Plan) -> list[Actual]:
    """Return the orphans of a plan that may be deleted."""
    return _deletable(plan.declaration, plan.state, plan.orphans)


def owned(declaration: Declaration, state: ActualState) -> list[Actual]:
    """Return what the project and environment owns and may delete, declared or not."""
    copies, _ = copies_of(declaration, state)
    items = without(state, copies).items
    return _deletable(declaration, state, [each for each in items if owns(declaration, each)])


def check_maximum(deleted: list[Actual], maximum: int) -> None:
    """Refuse to delete more than allowed.

    Raises:
        DeploymentError: If it is more.
    """
    if len(deleted) > maximum:
        problem = f"{len(deleted)} resources would be deleted, and at most {maximum} may be; nothing was deleted"
        raise DeploymentError(problem, remedy=f"Check the list, and repeat with --max {len(deleted)}.")


def _deletable(declaration: Declaration, state: ActualState, candidates: Iterable[Actual]) -> list[Actual]:
    keeping = {each.name.partition("/")[0] for each in state.of("secrets") if is_protected(declaration, each)}
    going = [
        each
        for each in candidates
        if each.kind not in ("permissions", "table_changes")
        and not (each.kind == "secret_scopes" and each.name in keeping)
        and not is_protected(declaration, each)
    ]
    deleted = {(each.kind, each.id) for each in going}
    staying = (each for each in state.items if each.kind in WHEEL_USERS and (each.kind, each.id) not in deleted)
    used = "\n".join(str([each.body, each.extra]) for each in staying)
    free = (each for each in going if each.kind != "wheels" or plain_path(each.name) not in used)
    return sorted(free, key=lambda each: (-ORDER[each.kind], each.name))
