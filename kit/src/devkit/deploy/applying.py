"""Applying a plan: step after step; one that fails stops the rest, and the next apply goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devkit.deploy.catalogue import KINDS, ORDER
from devkit.deploy.errors import DeploymentError, StepFailed
from devkit.deploy.matching import copies_of, is_protected, without
from devkit.deploy.model import PATH_KINDS, Action, Declaration, Findings, Found, Json, Wanted
from devkit.deploy.names import Names
from devkit.deploy.planning import Plan
from devkit.deploy.running import restart_stream
from spark_utils.errors import SparkUtilsError
from spark_utils.redaction import redact

if TYPE_CHECKING:
    from devkit.deploy.kinds.base import Context

Report = Callable[[str], None]
TAGGED: Final = frozenset(KINDS) - PATH_KINDS - {"folders", "permissions", "secret_scopes", "secrets", "table_changes"}
USERS: Final = ("jobs", "runs", "clusters", "pipelines")  # kinds that may use a wheel


@dataclass
class _Apply:
    """One apply on its way."""

    plan: Plan
    context: Context
    names: Names
    report: Report

    def run_all(self, steps: Sequence[Action]) -> int:
        """Take the steps in order, tell of each, and return how many there were.

        Raises:
            StepFailed: When a step failed; it says what was done and what was not.
        """
        for number, action in enumerate(steps):
            try:
                self.run(action)
            except Exception as error:
                raise _stopped(steps, number, error, self.context.values.revealed) from error
            self.report(f"{action.verb} {action.address} {action.name!r}: done")
        return len(steps)

    def run(self, action: Action) -> None:
        from devkit.deploy.kinds import OPERATIONS

        if action.verb == "delete":
            assert action.found is not None  # noqa: S101  # what is deleted was found
            OPERATIONS[action.found.kind].delete(self.context, action.found)
            return
        wanted = action.wanted
        assert wanted is not None  # noqa: S101  # all else was declared
        operations = OPERATIONS[wanted.kind]
        body = self._body(wanted)
        if action.verb == "restart":
            restart_stream(self.context, wanted)
            return
        if action.verb == "replace" and action.found is not None:
            operations.delete(self.context, action.found)
        if action.verb == "create" and wanted.kind in TAGGED:
            self._check_new(wanted)
        if action.verb in ("create", "replace"):
            identity = operations.create(self.context, wanted, body)
            self.context.ids[wanted.address] = identity
            self.names.learn(wanted, identity)
        elif action.verb == "update":
            operations.update(self.context, action, body)

    def _check_new(self, wanted: Wanted) -> None:
        """Refuse to create what another apply created since the plan was made."""
        from devkit.deploy.kinds import OPERATIONS

        identity = OPERATIONS[wanted.kind].look(self.context, wanted)
        if identity is not None:
            problem = f"it was created in the meantime ({identity}), by another apply"
            raise DeploymentError(problem, remedy="Let one apply run at a time.")

    def _body(self, wanted: Wanted) -> dict[str, Json]:
        body, mistakes = self.names.resolve(wanted)
        if mistakes:
            raise DeploymentError(mistakes[0])
        return body


def apply(plan: Plan, context: Context, report: Report = lambda _: None) -> int:
    """Do what a plan says.

    Args:
        plan: What to do.
        context: What to do it with.
        report: Told of each step.

    Returns:
        How many steps changed something.

    Raises:
        StepFailed: When a step failed; it says what was done and what was not.
        ConfigurationError: When the value of a secret is found nowhere, before anything is changed.
    """
    _look_up_secrets(plan, context)
    names = Names(plan.findings.items, _declared(plan))
    context.ids |= {each.address: each.found.id for each in plan.actions if each.wanted and each.found}
    return _Apply(plan, context, names, report).run_all(plan.changes)


def prunable(plan: Plan) -> list[Found]:
    """Return what is owned and declared no longer, the last in the order of dependencies first.

    A wheel that a job or an active run still uses stays, whatever the declaration says.
    """
    return _deletable(plan.declaration, plan.findings, list(plan.leftovers))


def owned(declaration: Declaration, findings: Findings) -> list[Found]:
    """Return everything that the project and environment owns, declared or not, in the same order."""
    copies, _ = copies_of(declaration, findings)
    ours = [each for each in without(findings, copies).items if declaration.owns(each)]
    return _deletable(declaration, findings, ours)


def _deletable(declaration: Declaration, findings: Findings, doomed: list[Found]) -> list[Found]:
    found = [each for each in doomed if each.kind not in ("permissions", "table_changes")]
    kept = [each.name.partition("/")[0] for each in findings.of("secrets") if is_protected(declaration, each)]
    found = [each for each in found if not (each.kind == "secret_scopes" and each.name in kept)]
    found = [each for each in found if not is_protected(declaration, each)]
    going = {(each.kind, each.id) for each in found}
    used = _used_paths(each for each in findings.items if (each.kind, each.id) not in going)
    free = [each for each in found if each.kind != "wheels" or not _is_used(each, used)]
    return sorted(free, key=lambda each: (-ORDER[each.kind], each.name))


def delete_all(doomed: list[Found], context: Context, maximum: int, report: Report = lambda _: None) -> int:
    """Delete what is listed, if it is not more than the guard allows.

    Raises:
        DeploymentError: If it is more.
        StepFailed: When a step failed.
    """
    check_maximum(doomed, maximum)
    steps = [Action("delete", None, found) for found in doomed]
    nothing_planned = Plan(context.declaration, Findings(), (), ())
    return _Apply(nothing_planned, context, Names((), ()), report).run_all(steps)


def check_maximum(doomed: list[Found], maximum: int) -> None:
    """Refuse to delete more than a guard allows.

    Raises:
        DeploymentError: If it is more.
    """
    if len(doomed) > maximum:
        problem = f"{len(doomed)} resources would be deleted, and the guard allows {maximum}; nothing was deleted"
        raise DeploymentError(problem, remedy=f"Check the list, and repeat with --max {len(doomed)}.")


def _look_up_secrets(plan: Plan, context: Context) -> None:
    """Look every secret that will be written up first: one that is missing stops before anything is changed."""
    for action in plan.changes:
        wanted = action.wanted
        if wanted is not None and wanted.kind == "secrets" and wanted.source:
            context.values.get(wanted.source, wanted.origin)


def _declared(plan: Plan) -> list[tuple[Wanted, Found | None]]:
    """Return each declared resource once, with what exists of it."""
    return [(each.wanted, each.found) for each in plan.actions if each.wanted is not None and each.verb != "restart"]


def _used_paths(found: Iterable[Found]) -> str:
    """Return the text in which a wheel's path stands if anything that stays uses it: a job or a run."""
    return "\n".join(str([each.body, each.extra]) for each in found if each.kind in USERS)


def _is_used(found: Found, used: str) -> bool:
    return found.name.removeprefix("/Workspace") in used


def _stopped(steps: Sequence[Action], number: int, error: Exception, secrets: set[str]) -> StepFailed:
    done = ", ".join(each.address for each in steps[:number]) or "nothing"
    left = ", ".join(each.address for each in steps[number + 1 :]) or "nothing"
    reason = str(error) if isinstance(error, SparkUtilsError) else f"{type(error).__name__}: {error}"
    failed = steps[number]
    problem = f"{failed.verb} {failed.address} {failed.name!r} failed: {redact(reason, secrets)}"
    remedy = f"Done before: {done}. Not done: {left}. The next apply goes on from there."
    return StepFailed(problem, origin=failed.wanted.origin if failed.wanted else None, remedy=remedy)
