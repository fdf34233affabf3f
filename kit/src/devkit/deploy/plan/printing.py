"""A plan as a readable diff; a secret shows only that it changed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from devkit.deploy.plan.masking import masked
from devkit.deploy.plan.model import Action, Actual, Plan, Verb

SIGNS: Final = {"create": "+", "update": "~", "replace": "±", "delete": "-", "restart": "↻", "unchanged": " "}
LONGEST: Final = 100


def render(plan: Plan) -> str:
    """Return the plan as text."""
    lines = [f"{plan.declaration.environment} on {plan.state.host or 'a recorded workspace'}: {summary(plan)}"]
    for action in plan.changes:
        lines += render_action(action)
    if plan.orphans:
        lines.append(f"orphans, no longer declared ({len(plan.orphans)}; `devkit deploy prune` deletes them):")
        lines += [f"  {_orphan(each)}" for each in plan.orphans]
    lines += render_copies(plan.copies)
    return "\n".join(lines)


def render_copies(copies: tuple[Actual, ...]) -> list[str]:
    """Return what carries the tag of something else as lines."""
    if not copies:
        return []
    told = f"copies that carry the tag of another resource ({len(copies)}; left alone, remove the tag from them):"
    return [told, *(f"  {_orphan(each)}" for each in copies)]


def render_action(action: Action) -> list[str]:
    """Return one action as lines."""
    origin = f"  ({action.desired.origin})" if action.desired is not None and action.desired.origin else ""
    lines = [f"{SIGNS[action.verb]} {action.verb} {action.address} {action.name!r}{origin}"]
    if action.reason:
        lines.append(f"    ! {action.reason}")
    if action.verb == "create":
        return lines + [f"    {change.path}: {shown(change.after)}" for change in masked(action)]
    return lines + [f"    {each.path}: {shown(each.before)} -> {shown(each.after)}" for each in masked(action)]


def summary(plan: Plan) -> str:
    """Return the counts of a plan in one line."""
    counted = Counter(action.verb for action in plan.actions)
    verbs: tuple[Verb, ...] = ("create", "update", "replace", "delete", "restart")
    parts = [f"{counted[verb]} to {verb}" for verb in verbs if counted[verb]]
    if not parts:
        return f"nothing to do, {len(plan.actions)} as declared"
    return ", ".join([*parts, f"{counted['unchanged']} unchanged"])


def shown(value: Any) -> str:
    """Return a value in one short line."""
    if value is None:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | bool) else str(value)
    text = text.replace("\n", "⏎")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _orphan(found: Actual) -> str:
    key = found.owner.key if found.owner else found.name
    return f"{found.kind}.{key} {found.name!r} ({found.id})"
