"""The plan: which actions lead from the actual to the desired state. Pure: no server, no file, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from devkit.deploy.declaration.kinds import KINDS
from devkit.deploy.declaration.model import Declaration
from devkit.deploy.errors import DeclarationError
from devkit.deploy.plan.differences import differences
from devkit.deploy.plan.matching import Match, match_resources
from devkit.deploy.plan.model import Action, ActualState, Change, Plan
from devkit.deploy.plan.references import References
from devkit.deploy.plan.streams import stale_run


def plan(
    declaration: Declaration,
    state: ActualState,
    *,
    adopt: bool = False,
    secret_digests: Mapping[str, str] | None = None,
) -> Plan:
    """Decide what has to be done.

    Args:
        declaration: The desired state.
        state: The actual state.
        adopt: Take over what has a declared name and no owner, instead of refusing.
        secret_digests: Digests of the values of declared secrets, by their address; a secret whose value is not
            known here is compared when it is applied.

    Raises:
        DeclarationError: If names are missing, ambiguous, or taken by what is not owned here; all of them at once.
    """
    matching = match_resources(declaration, state, adopt=adopt)
    references = References(state.items, ((each.desired, each.actual) for each in matching.matches))
    mistakes = list(matching.mistakes)
    actions: dict[str, Action] = {}
    replaced: set[tuple[str, str]] = set()
    by_address = {each.desired.address: each for each in matching.matches}
    for each in (by_address[address] for address in references.order):
        body, missing = references.resolve(each.desired, replaced)
        mistakes += missing
        if each.desired.kind == "secrets":  # a value is compared by its digest alone
            known = (secret_digests or {}).get(each.desired.address)
            body = {"digest": known} if known or each.actual is None else {}
        if each.desired.kind == "permissions" and actions[each.desired.key].verb == "replace":
            each = replace(each, actual=None)  # noqa: PLW2901  # they are deleted with their resource
        action = _action(each, body)
        if action.verb == "replace":
            replaced.add((each.desired.kind, each.desired.name))
            mistakes += _losses(declaration, state, each, action)
        mistakes += _edited_changes(action)
        actions[action.address] = action
    if mistakes:
        raise DeclarationError(mistakes)
    withdrawn = [
        Action("delete", None, each, _principals(each.body["principals"]), "its permissions are no longer declared")
        for each in matching.withdrawn
    ]
    steps = [*withdrawn, *actions.values()]
    return Plan(declaration, state, (*steps, *_restarts(steps)), matching.orphans, matching.copies)


def _action(match: Match, body: dict[str, Any]) -> Action:
    """Return what is done about one resource, given its body with ids for names."""
    desired, actual = match.desired, match.actual
    if actual is None:
        return Action("create", desired, None, tuple(Change(name, None, value) for name, value in body.items()))
    reported = {name: value for name, value in body.items() if name not in KINDS[desired.kind].unreported}
    changes = (*differences(reported, actual.body), *_further_principals(match))
    fields = {change.path.partition(".")[0].partition("[")[0] for change in changes}
    if fields & KINDS[desired.kind].replacing:
        return Action("replace", desired, actual, changes, "a field changed that the service cannot edit")
    owner = actual.owner
    if match.is_tagged and owner is None:
        return Action("update", desired, actual, changes, "it is taken over")
    if changes:
        by_hand = desired.kind == "permissions" or (match.is_tagged and owner and owner.digest == match.owner.digest)
        return Action(
            "update", desired, actual, changes, "it was edited by hand since the last apply" if by_hand else ""
        )
    if match.is_tagged and owner is not None and owner != match.owner:
        reason = "whether its permissions are declared has changed"
        if owner.digest != match.owner.digest:
            reason = "something that was declared before is no longer declared"
        return Action("update", desired, actual, (), reason)
    return Action("unchanged", desired, actual)


def _further_principals(match: Match) -> tuple[Change, ...]:
    """Return who has undeclared permissions, except owner and deployer, whom the service adds itself."""
    if match.desired.kind != "permissions" or match.actual is None:
        return ()
    expected = {*match.desired.body["principals"], *(match.actual.extra.get("given") or [])}
    return _principals({who: level for who, level in match.actual.body["principals"].items() if who not in expected})


def _principals(withdrawn: Mapping[str, str]) -> tuple[Change, ...]:
    return tuple(Change(f"principals.{who}", level, None) for who, level in withdrawn.items())


def _edited_changes(action: Action) -> Iterator[str]:
    """Refuse to run a table change again because its file was edited."""
    if action.desired is None or action.desired.kind != "table_changes":
        return
    remedy = "It has been run, and runs once: undo the edit, and add another file"
    for change in action.changes:
        if change.before is not None and change.path.startswith("files."):
            file = change.path.removeprefix("files.")
            yield f"{action.desired.origin}: {action.address}: {file} was edited. {remedy}"


def _losses(declaration: Declaration, state: ActualState, match: Match, action: Action) -> Iterator[str]:
    """Refuse to replace, which deletes first, what is protected or holds secrets that are not declared."""
    paths = ", ".join(change.path for change in action.changes)
    what = f"{match.desired.origin}: {action.address} would be deleted to change {paths}"
    if match.protected:
        yield f"{what}, and it is protected. Undo the change, or remove it from `protect`"
    if match.desired.kind == "secret_scopes" and match.actual is not None:
        declared = {each.name for each in declaration.of("secrets")}
        held = {each.name for each in state.of("secrets") if each.name.startswith(f"{match.actual.name}/")}
        lost = ", ".join(sorted(held - declared))
        if lost:
            yield f"{what}, and it holds secrets that are not declared: {lost}. Declare them, or delete them first"


def _restarts(actions: list[Action]) -> Iterator[Action]:
    """Yield the restarts of streams whose active run does not match the declaration."""
    uploaded = [
        each.name for each in actions if each.verb == "update" and each.desired and each.desired.content is not None
    ]
    for action in actions:
        if action.desired is not None and action.desired.stream and action.actual is not None:
            reason = stale_run(action, action.actual.extra.get("active_runs") or [], uploaded)
            if reason:
                yield replace(action, verb="restart", changes=(), reason=reason)
