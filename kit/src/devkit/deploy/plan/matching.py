"""Which actual resource belongs to which desired one: by the key in the ownership tag, or by the path.

What is owned and matches nothing is an orphan; what only looks owned, such as a clone, is a copy.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from devkit.deploy.declaration.kinds import KINDS
from devkit.deploy.declaration.model import PATH_KINDS, Declaration, Desired, Owner, plain_path
from devkit.deploy.plan.model import Actual, ActualState

NAMED_KINDS: Final = frozenset({"secret_scopes", "secrets"})  # the name is the id: another name is another resource
ADOPTED: Final = frozenset({"permissions", "table_changes"})  # exist with what has them, and carry no tag


@dataclass(frozen=True)
class Match:
    """A desired resource with its actual state.

    Attributes:
        desired: The desired state.
        actual: The actual state; None when it has to be created.
        owner: The ownership tag that it has to carry.
        is_tagged: Whether this kind carries a tag at all.
        protected: Whether the environment's file protects it from being deleted.
    """

    desired: Desired
    actual: Actual | None
    owner: Owner
    is_tagged: bool
    protected: bool


@dataclass(frozen=True)
class Matching:
    """The outcome of comparing ownership.

    Attributes:
        matches: One for each desired resource, in the order of the declaration.
        orphans: What is owned and no longer declared.
        withdrawn: Permissions that were declared and no longer are, of resources that still are.
        copies: What carries the tag of another resource.
        mistakes: Names that are taken by what is not owned here, and tags that nobody can tell apart.
    """

    matches: tuple[Match, ...]
    orphans: tuple[Actual, ...]
    withdrawn: tuple[Actual, ...]
    copies: tuple[Actual, ...]
    mistakes: tuple[str, ...]


def match_resources(declaration: Declaration, state: ActualState, *, adopt: bool = False) -> Matching:
    """Find the actual state of each desired resource.

    Args:
        declaration: The desired state.
        state: The actual state.
        adopt: Take over what has a declared name and no owner, instead of reporting it as a mistake.
    """
    copies, mistakes = copies_of(declaration, state)
    items = without(state, copies).items
    owned = [each for each in items if owns(declaration, each)]
    by_key = {(each.kind, _key(each)): each for each in reversed(owned)}
    by_name: dict[tuple[str, str], list[Actual]] = {}
    for each in items:
        by_name.setdefault((each.kind, _name(each.kind, each.name)), []).append(each)
    matches = []
    for desired in declaration.resources:
        name = _name(desired.kind, desired.name)
        actual = by_key.get((desired.kind, name if desired.kind in PATH_KINDS | NAMED_KINDS else desired.key))
        others = by_name.get((desired.kind, name), []) if actual is None and desired.kind != "permissions" else []
        if len(others) == 1 and others[0].owner is None and (adopt or others[0].extra.get("empty")):
            actual = others[0]  # an empty secret scope is what an interrupted apply leaves before it marks the scope
        elif others:
            mistakes.append(_taken(desired, others[0]))
        owner, is_tagged = declaration.owners[desired.address], desired.kind not in PATH_KINDS | ADOPTED
        protected = actual is not None and is_protected(declaration, replace(actual, owner=owner))
        matches.append(Match(desired, actual, owner, is_tagged, protected))
    mistakes += _swaps(matches)
    known = {(each.actual.kind, each.actual.id) for each in matches if each.actual is not None}
    orphans = tuple(each for each in owned if (each.kind, each.id) not in known and each.kind != "permissions")
    return Matching(tuple(matches), orphans, tuple(_withdrawn(declaration, owned)), copies, tuple(mistakes))


def owns(declaration: Declaration, actual: Actual) -> bool:
    """Return whether a resource belongs to this project and environment."""
    if actual.kind in PATH_KINDS:
        roots = (declaration.root, declaration.volume_root, declaration.repos_root)
        return any(plain_path(actual.name).startswith(plain_path(root) + "/") for root in roots if root)
    owner = actual.owner
    return owner is not None and (owner.project, owner.environment) == (declaration.project, declaration.environment)


def copies_of(declaration: Declaration, state: ActualState) -> tuple[tuple[Actual, ...], list[str]]:
    """Return what carries the tag of another resource, and a mistake where that cannot be decided.

    A resource that somebody copies, as "Clone" on the web page does, keeps the tag. The one with the declared name is
    the one that was deployed; if none or several have it, all of them are left alone.
    """
    declared = {
        (each.kind, each.name if each.kind in NAMED_KINDS else each.key): each for each in declaration.resources
    }
    groups: dict[tuple[str, str], list[Actual]] = {}
    for each in state.items:
        if each.kind not in PATH_KINDS and each.kind != "permissions" and owns(declaration, each):
            groups.setdefault((each.kind, _key(each)), []).append(each)
    copies: list[Actual] = []
    mistakes = []
    for address, group in groups.items():
        if len(group) == 1:
            continue
        desired = declared.get(address)
        named = [each for each in group if desired is not None and each.name == desired.name]
        copies += [each for each in group if len(named) != 1 or each is not named[0]]
        if desired is not None and len(named) != 1:
            ids = ", ".join(sorted(each.id for each in group))
            what = f"{len(group)} {desired.kind.replace('_', ' ')} carry the tag of {desired.address}: {ids}"
            mistakes.append(f"{desired.origin}: {what}; remove the tag from the copies")
    return tuple(copies), mistakes


def without(state: ActualState, copies: tuple[Actual, ...]) -> ActualState:
    """Return the actual state without copies and their permissions."""
    left_out = {(each.kind, each.id) for each in copies}
    left_out |= {("permissions", f"{KINDS[each.kind].permissions}/{each.id}") for each in copies}
    return replace(state, items=tuple(each for each in state.items if (each.kind, each.id) not in left_out))


def is_protected(declaration: Declaration, actual: Actual) -> bool:
    """Return whether the environment's file protects a resource from deletion; a secret also by its scope."""
    addresses = {actual.address, f"{actual.kind}.{actual.name}"}
    if actual.kind == "secrets":
        addresses |= {f"secret_scopes.{each.partition('.')[2].partition('/')[0]}" for each in addresses}
    return any(fnmatch.fnmatchcase(address, pattern) for address in addresses for pattern in declaration.protect)


def _taken(desired: Desired, other: Actual) -> str:
    """Return the mistake that a declared name is taken."""
    owner = other.owner
    whose = f"belongs to {owner.project}/{owner.environment}" if owner else "is not owned by this project"
    remedy = "Choose another name" + ("" if owner else ", delete it, or take it over with --adopt")
    return f"{desired.origin}: {desired.address}: {desired.name!r} already exists ({other.id}) and {whose}. {remedy}"


def _swaps(matches: list[Match]) -> Iterator[str]:
    """Refuse two resources that take each other's name: the first rename would find its name taken."""
    renamed = {
        (each.desired.kind, each.actual.name, each.desired.name): each.desired
        for each in matches
        if each.actual is not None and each.actual.name != each.desired.name
    }
    remedy = "Rename one of them to a third name, apply, and then rename it to its final name"
    for (kind, old, new), each in renamed.items():
        if old < new and (kind, new, old) in renamed:
            yield f"{each.origin}: {each.address} and {renamed[kind, new, old].address} swap their names. {remedy}"


def _withdrawn(declaration: Declaration, owned: list[Actual]) -> Iterator[Actual]:
    """Yield the permissions that are no longer declared, while the tag of their resource still remembers them."""
    addresses = declaration.owners
    for each in owned:
        if each.kind == "permissions" and each.owner and each.owner.permissions and each.body.get("principals"):
            owner = addresses.get(each.owner.key)
            if owner is not None and not owner.permissions:
                yield each


def _key(actual: Actual) -> str:
    if actual.owner is None or actual.kind in PATH_KINDS | NAMED_KINDS:
        return _name(actual.kind, actual.name)
    return actual.owner.key


def _name(kind: str, name: str) -> str:
    return plain_path(name) if kind in PATH_KINDS else name
