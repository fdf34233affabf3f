"""The plan: from what is wanted and what is found to what has to be done, without any server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from devkit.deploy.catalogue import KINDS, ORDER, replacing_fields
from devkit.deploy.differences import differences
from devkit.deploy.errors import DeclarationError
from devkit.deploy.matching import Matcher, copies_of, is_protected, without
from devkit.deploy.model import PATH_KINDS, Action, Change, Declaration, Findings, Found, Wanted
from devkit.deploy.names import Names, references
from devkit.deploy.streams import stale_run


@dataclass(frozen=True)
class Plan:
    """What has to be done, in the order in which it is done.

    Attributes:
        declaration: What is wanted.
        findings: What was found.
        actions: One for each resource, those that need nothing included.
        leftovers: What this project and environment owns and no longer declares: what prune would delete.
        copies: What carries the tag of something else, such as a cloned job: told, and left alone.
    """

    declaration: Declaration
    findings: Findings
    actions: tuple[Action, ...]
    leftovers: tuple[Found, ...]
    copies: tuple[Found, ...] = ()

    @property
    def changes(self) -> tuple[Action, ...]:
        """Return the actions that change something."""
        return tuple(each for each in self.actions if each.verb != "unchanged")


def plan(
    declaration: Declaration,
    findings: Findings,
    *,
    adopt: bool = False,
    secret_digests: Mapping[str, str] | None = None,
) -> Plan:
    """Decide what has to be done.

    Args:
        declaration: What is wanted.
        findings: What was found.
        adopt: Take over what has a declared name and no owner, instead of refusing.
        secret_digests: Digests of the values of declared secrets, by their address; a secret whose value is not
            known here is compared when it is applied.

    Raises:
        DeclarationError: If names are missing, ambiguous or taken by what is not owned here; all of them at once.
    """
    copies, doubts = copies_of(declaration, findings)
    everything, findings = findings, without(findings, copies)
    matcher = Matcher(declaration, findings, adopt=adopt)
    pairs = [(wanted, matcher.match(wanted)) for wanted in in_order(declaration.resources)]
    names = Names(everything.items, pairs)
    mistakes = [*doubts, *matcher.mistakes, *_swaps(pairs)]
    actions, replaced = [], set()
    for wanted, found in pairs:
        body, missing = names.resolve(wanted)
        mistakes += missing
        if wanted.kind == "secrets":  # a value is compared by its digest alone
            known = (secret_digests or {}).get(wanted.address)
            body = {"digest": known} if known or found is None else {}
        if wanted.kind == "permissions" and wanted.key in replaced:
            found = None  # noqa: PLW2901  # they go with what had them
        action = _action(declaration, wanted, body, found)
        mistakes += [*_refusals(action), *_losses(declaration, findings, action)]
        if action.verb == "replace":
            names.forget(wanted)
            replaced.add(wanted.address)
        actions.append(action)
    if mistakes:
        raise DeclarationError(mistakes)
    actions = [*_withdrawn_permissions(declaration, findings, pairs), *actions, *_restarts(actions)]
    matched = {(found.kind, found.id) for _, found in pairs if found is not None}
    leftovers = [each for each in findings.items if declaration.owns(each) and (each.kind, each.id) not in matched]
    leftovers = [each for each in leftovers if each.kind != "permissions"]
    return Plan(declaration, everything, tuple(actions), tuple(leftovers), copies)


def in_order(resources: Iterable[Wanted]) -> list[Wanted]:
    """Return resources so that each comes after those that it refers to.

    Raises:
        DeclarationError: If jobs refer to each other in a circle.
    """
    ordered = sorted(resources, key=lambda each: ORDER[each.kind])
    jobs = {each.name: each for each in ordered if each.kind == "jobs"}
    placed: dict[str, Wanted] = {}

    def place(job: Wanted, above: tuple[str, ...]) -> None:
        if job.name in above:
            circle = " -> ".join([*above[above.index(job.name) :], job.name])
            raise DeclarationError([f"{job.origin}: jobs run each other in a circle: {circle}"])
        for kind, name in references(job.body, "jobs"):
            if kind == "jobs" and name in jobs and name not in placed:
                place(jobs[name], (*above, job.name))
        placed.setdefault(job.name, job)

    for job in jobs.values():
        place(job, ())
    sorted_jobs = iter(placed.values())
    return [next(sorted_jobs) if each.kind == "jobs" else each for each in ordered]


def _action(declaration: Declaration, wanted: Wanted, body: dict[str, Any], found: Found | None) -> Action:
    if found is None:
        return Action("create", wanted, None, tuple(Change(name, None, value) for name, value in body.items()))
    changes = (*differences(body, found.body), *_further_principals(wanted, found))
    owner, ours = found.owner, declaration.owner(wanted)
    tagged = wanted.kind not in PATH_KINDS and wanted.kind not in ("permissions", "table_changes")
    replacing = replacing_fields(wanted.kind) if KINDS[wanted.kind].create or KINDS[wanted.kind].spec else frozenset()
    if any(change.path.partition(".")[0].partition("[")[0] in replacing for change in changes):
        return Action("replace", wanted, found, changes, "a field changed that the service cannot edit")
    if tagged and owner is None:
        return Action("update", wanted, found, changes, "it is taken over")
    if changes:
        drift = (owner is not None and tagged and owner.digest == ours.digest) or wanted.kind == "permissions"
        return Action("update", wanted, found, changes, "it was edited by hand since the last apply" if drift else "")
    if tagged and owner is not None and owner != ours:
        digests = owner.digest != ours.digest
        reason = "something" if digests else "whether its permissions are declared"
        reason += " that was declared before is declared no longer" if digests else " has changed"
        return Action("update", wanted, found, (), reason)
    return Action("unchanged", wanted, found)


def _further_principals(wanted: Wanted, found: Found) -> list[Change]:
    """Return who may do something undeclared, but for the owner and the deployer, whom the service itself adds."""
    if wanted.kind != "permissions":
        return []
    declared, given = wanted.body["principals"], found.extra.get("given") or []
    further = {who: level for who, level in found.body["principals"].items() if who not in {*declared, *given}}
    return [Change(f"principals.{who}", level, None) for who, level in further.items()]


def _refusals(action: Action) -> list[str]:
    """Refuse what must not be done: running a table change again because its file was edited."""
    wanted = action.wanted
    if wanted is None or wanted.kind != "table_changes":
        return []
    edited = [
        change.path for change in action.changes if change.before is not None and change.path.startswith("files.")
    ]
    remedy = "It was run already, and is run once: take the edit back, and write a further file"
    return [f"{wanted.origin}: {wanted.address}: {path.removeprefix('files.')} was edited. {remedy}" for path in edited]


def _swaps(pairs: list[tuple[Wanted, Found | None]]) -> list[str]:
    """Refuse that two resources take each other's name: the first rename would find its name taken."""
    renamed = {(each.kind, found.name, each.name): each for each, found in pairs if found and found.name != each.name}
    remedy = "Give one of them a third name first, apply, and then the name that it shall have"
    return [
        f"{each.origin}: {each.address} and {renamed[kind, new, old].address} change names with each other. {remedy}"
        for (kind, old, new), each in renamed.items()
        if old < new and (kind, new, old) in renamed
    ]


def _losses(declaration: Declaration, findings: Findings, action: Action) -> list[str]:
    """Refuse to replace, which deletes first, what is protected or holds secrets that nobody here would write again."""
    wanted, found = action.wanted, action.found
    if wanted is None or found is None or action.verb != "replace":
        return []
    why = []
    if is_protected(declaration, replace(found, owner=declaration.owner(wanted))):
        why.append("it is protected. Take the change back, or take it out of `protect`")
    declared = {each.name for each in declaration.resources if each.kind == "secrets"}
    held = [each.name for each in findings.of("secrets") if each.name.startswith(f"{found.name}/")]
    lost = sorted(set(held) - declared) if wanted.kind == "secret_scopes" else []
    if lost:
        why.append(f"it holds secrets that are not declared: {', '.join(lost)}. Declare them, or delete them first")
    paths = ", ".join(change.path for change in action.changes)
    return [f"{wanted.origin}: {wanted.address} would be deleted to change {paths}, and {each}" for each in why]


def _withdrawn_permissions(
    declaration: Declaration, findings: Findings, pairs: list[tuple[Wanted, Found | None]]
) -> list[Action]:
    """Return what takes permissions back that are declared no longer, before their object forgets them."""
    still = {wanted.key for wanted, _ in pairs if wanted.kind == "permissions"}
    objects = {wanted.address for wanted, _ in pairs}
    gone = []
    for each in findings.of("permissions"):
        owned = declaration.owns(each) and each.owner is not None and each.owner.permissions
        if owned and each.owner and each.owner.key in objects - still and each.body.get("principals"):
            changes = tuple(Change(f"principals.{who}", level, None) for who, level in each.body["principals"].items())
            gone.append(Action("delete", None, each, changes, "its permissions are declared no longer"))
    return gone


def _restarts(actions: list[Action]) -> list[Action]:
    """Return what restarts streams whose active run is not what is declared now."""
    restarts = []
    uploaded = [
        each.name for each in actions if each.verb == "update" and each.wanted and each.wanted.content is not None
    ]
    for action in actions:
        wanted, found = action.wanted, action.found
        if wanted is None or found is None or wanted.kind != "jobs" or not wanted.stream:
            continue
        runs = found.extra.get("active_runs") or []
        reason = stale_run(action, runs, uploaded)
        if reason:
            restarts.append(replace(action, verb="restart", changes=(), reason=reason))
    return restarts
