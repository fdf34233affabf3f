"""What exists of each wanted resource: by its key in the ownership tag, or by its path; and what only looks like it."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import Final

from devkit.deploy.catalogue import KINDS
from devkit.deploy.model import PATH_KINDS, Declaration, Findings, Found, Wanted, plain_path

NAMED_KINDS: Final = frozenset({"secret_scopes", "secrets"})  # the name is the id: another name is another one


def copies_of(declaration: Declaration, findings: Findings) -> tuple[tuple[Found, ...], list[str]]:
    """Return what carries a tag that is not its own, and the mistakes where that cannot be told.

    A resource that somebody copies, as "Clone" of the web page does, keeps the tag. The one that is called as it is
    declared is the one that was deployed; when that is none or several, all of them are left alone.
    """
    names = {(each.kind, each.name if each.kind in NAMED_KINDS else each.key): each for each in declaration.resources}
    groups: dict[tuple[str, str], list[Found]] = {}
    for each in findings.items:
        if declaration.owns(each) and each.kind not in PATH_KINDS and each.kind != "permissions":
            groups.setdefault((each.kind, _key(each)), []).append(each)
    copies: list[Found] = []
    mistakes = []
    for address, group in groups.items():
        wanted = names.get(address)
        named = [each for each in group if wanted is not None and each.name == wanted.name]
        if len(group) == 1:
            continue
        copies += [each for each in group if len(named) != 1 or each is not named[0]]
        if wanted is not None and len(named) != 1:
            ids = ", ".join(sorted(each.id for each in group))
            what = f"{len(group)} {wanted.kind.replace('_', ' ')} carry the tag of {wanted.address}: {ids}"
            mistakes.append(f"{wanted.origin}: {what}; remove the tag from the copy")
    return tuple(copies), mistakes


def without(findings: Findings, copies: tuple[Found, ...]) -> Findings:
    """Return findings without copies and their permissions."""
    left_out = {(each.kind, each.id) for each in copies}
    left_out |= {("permissions", f"{KINDS[each.kind].permissions}/{each.id}") for each in copies}
    return replace(findings, items=tuple(each for each in findings.items if (each.kind, each.id) not in left_out))


def is_protected(declaration: Declaration, found: Found) -> bool:
    """Tell whether the environment's file protects something from being deleted; a secret also by its scope."""
    addresses = {f"{found.kind}.{found.name}"}
    if found.owner:
        addresses.add(f"{found.kind}.{found.owner.key}")
    if found.kind == "secrets":
        addresses |= {f"secret_scopes.{each.partition('.')[2].partition('/')[0]}" for each in addresses}
    return any(fnmatch.fnmatchcase(address, pattern) for address in addresses for pattern in declaration.protect)


class Matcher:
    """Finds what exists of each wanted resource: by its key in the ownership tag, or by its path."""

    def __init__(self, declaration: Declaration, findings: Findings, *, adopt: bool) -> None:
        self._declaration = declaration
        self._adopt = adopt
        self._owned: dict[tuple[str, str], Found] = {}
        self._named: dict[tuple[str, str], list[Found]] = {}
        self.mistakes: list[str] = []
        for each in findings.items:
            self._named.setdefault((each.kind, _name(each.kind, each.name)), []).append(each)
            if declaration.owns(each):
                self._owned.setdefault((each.kind, _key(each)), each)

    def match(self, wanted: Wanted) -> Found | None:
        """Return what exists of it, or None; a name taken by something else is a mistake."""
        key = _name(wanted.kind, wanted.name) if wanted.kind in (*PATH_KINDS, *NAMED_KINDS) else wanted.key
        found = self._owned.get((wanted.kind, key))
        if found is not None or wanted.kind == "permissions":
            return found
        strangers = self._named.get((wanted.kind, _name(wanted.kind, wanted.name)), [])
        if len(strangers) == 1 and strangers[0].owner is None and (self._adopt or strangers[0].extra.get("empty")):
            return strangers[0]  # an empty secret scope is what an apply leaves that stopped before it marked it
        if strangers:
            owner = strangers[0].owner
            whose = f"belongs to {owner.project}/{owner.environment}" if owner else "is not owned by this project"
            remedy = "Choose another name" + ("" if owner else ", delete it, or take it over with --adopt")
            self.mistakes.append(
                f"{wanted.origin}: {wanted.address}: {wanted.name!r} exists already ({strangers[0].id}) "
                f"and {whose}. {remedy}"
            )
        return None


def _key(found: Found) -> str:
    if found.owner is None or found.kind in (*PATH_KINDS, *NAMED_KINDS):
        return _name(found.kind, found.name)
    return found.owner.key


def _name(kind: str, name: str) -> str:
    return plain_path(name) if kind in PATH_KINDS else name
