"""Applying a plan: one action after another; a failure stops the rest, and the next apply continues from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from devkit.deploy.declaration.model import Desired
from devkit.deploy.errors import DeploymentError, StepFailed
from devkit.deploy.plan.model import Action, Actual, Plan
from devkit.deploy.plan.pruning import check_maximum
from devkit.deploy.plan.references import References
from devkit.deploy.resources import RESOURCES
from devkit.deploy.resources.base import Context
from devkit.deploy.workspace.runs import restart_stream
from spark_utils.errors import SparkUtilsError
from spark_utils.redaction import redact

Report = Callable[[str], None]


def apply(plan: Plan, context: Context, report: Report = lambda _: None) -> int:
    """Carry out a plan.

    Args:
        plan: The actions.
        context: What to carry them out with.
        report: Receives a line for each action that was taken.

    Returns:
        How many actions changed something.

    Raises:
        StepFailed: If an action failed; it says what was done and what was not.
        ConfigurationError: If the value of a secret cannot be found, before anything is changed.
    """
    for action in plan.changes:
        if action.desired is not None and action.desired.source:
            context.values.get(action.desired.source, action.desired.origin)
    pairs = [(each.desired, each.actual) for each in plan.actions if each.desired and each.verb != "restart"]
    references = References(plan.state.items, pairs)
    context.ids |= {desired.address: actual.id for desired, actual in pairs if actual}
    return _run_all(plan.changes, context, references, report)


def delete_all(deleted: list[Actual], context: Context, maximum: int, report: Report = lambda _: None) -> int:
    """Delete what is listed, if it is not more than allowed.

    Raises:
        DeploymentError: If it is more.
        StepFailed: If a deletion failed.
    """
    check_maximum(deleted, maximum)
    return _run_all([Action("delete", None, each) for each in deleted], context, References((), ()), report)


def _run_all(actions: Sequence[Action], context: Context, references: References, report: Report) -> int:
    for number, action in enumerate(actions):
        try:
            _run(action, context, references)
        except Exception as error:
            raise _stopped(actions, number, error, context.values.revealed) from error
        report(f"{action.verb} {action.address} {action.name!r}: done")
    return len(actions)


def _run(action: Action, context: Context, references: References) -> None:
    desired, actual = action.desired, action.actual
    if actual is not None and action.verb in ("delete", "replace"):
        RESOURCES[actual.kind].delete(context, actual)
    if desired is None:
        return
    resource = RESOURCES[desired.kind]
    body, mistakes = references.resolve(desired)
    if mistakes:
        raise DeploymentError(mistakes[0])
    if action.verb == "restart":
        restart_stream(context, desired)
    elif action.verb == "update" and actual is not None:
        resource.update(context, desired, actual, body)
    elif action.verb in ("create", "replace"):
        if action.verb == "create":
            _check_new(desired, context)
        identity = resource.create(context, desired, body)
        context.ids[desired.address] = identity
        references.learn(desired, identity)


def _check_new(desired: Desired, context: Context) -> None:
    """Refuse to create what another apply created since the plan was made."""
    resource = RESOURCES[desired.kind]
    identity = resource.look(context, desired) if resource.is_named else None
    if identity is not None:
        problem = f"it was created in the meantime ({identity}), by another apply"
        raise DeploymentError(problem, remedy="Run one apply at a time.")


def _stopped(actions: Sequence[Action], number: int, error: Exception, secrets: set[str]) -> StepFailed:
    done = ", ".join(each.address for each in actions[:number]) or "nothing"
    left = ", ".join(each.address for each in actions[number + 1 :]) or "nothing"
    failed = actions[number]
    origin = failed.desired.origin if failed.desired else None
    reason, remedy = f"{type(error).__name__}: {error}", ""
    if isinstance(error, SparkUtilsError):
        reason, remedy, origin = error.problem, f"{error.remedy or ''} ", error.origin or origin
    problem = f"{failed.verb} {failed.address} {failed.name!r} failed: {reason}"
    remedy = f"{remedy}Done before: {done}. Not done: {left}. The next apply continues from there.".lstrip()
    return StepFailed(redact(problem, secrets), origin=origin, remedy=redact(remedy, secrets))
