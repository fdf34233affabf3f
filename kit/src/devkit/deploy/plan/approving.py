"""A plan as JSON, for ``--out`` and ``--expect``: what was approved, so that nothing else is applied."""

from __future__ import annotations

import hashlib
import json
import secrets as random
from pathlib import Path
from typing import Any

from devkit.deploy.declaration.values import value_digest
from devkit.deploy.errors import DeploymentError
from devkit.deploy.plan.masking import masked
from devkit.deploy.plan.model import Action, Plan
from devkit.deploy.plan.printing import shown

REMEDY = "Something changed since it was approved. Plan again, and approve that."


def as_json(plan: Plan, salt: str = "") -> dict[str, Any]:
    """Return a plan as JSON: what is done, and digests of all that is too long or too secret to stand in it."""
    salt = salt or random.token_hex(16)
    return {
        "project": plan.declaration.project,
        "environment": plan.declaration.environment,
        "host": plan.state.host,
        "salt": salt,
        "actions": [
            {
                "verb": action.verb,
                "address": action.address,
                "name": action.name,
                "id": action.actual.id if action.actual else None,
                "reason": action.reason,
                "changes": [[each.path, shown(each.before), shown(each.after)] for each in masked(action)],
                "digest": _digest(action, salt),
            }
            for action in plan.changes
        ],
    }


def check_expected(plan: Plan, file: Path) -> None:
    """Refuse a plan that is not the one in a file.

    Raises:
        DeploymentError: If it is another one, of another project, environment or workspace, or the file holds none.
    """
    try:
        expected = json.loads(file.read_text(encoding="utf-8"))
        salt = expected["salt"].strip() or random.token_hex(16)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = "Write one with `devkit deploy plan --out FILE`."
        problem = f"the approved plan cannot be read: {type(error).__name__}: {error}"
        raise DeploymentError(problem, origin=str(file), remedy=remedy) from None
    planned = json.loads(json.dumps(as_json(plan, salt)))
    for name in ("project", "environment", "host"):
        if expected.get(name) != planned[name]:
            problem = f"the plan that was approved is of the {name} {expected.get(name)!r}, not of {planned[name]!r}"
            raise DeploymentError(problem, origin=str(file), remedy=REMEDY)
    if expected != planned:
        raise DeploymentError("the plan is not the one that was approved", origin=str(file), remedy=REMEDY)


def _digest(action: Action, salt: str) -> str:
    """Return a digest of everything that an action changes; the value of a secret is in it by its own digest."""
    content = action.desired.content if action.desired else None
    whole = [
        [[each.path, each.before, each.after] for each in action.changes],
        [action.desired.body, action.desired.source] if action.desired else None,
        dict(action.desired.stream or {}) if action.desired else None,
        hashlib.sha256(content).hexdigest() if content is not None else None,
    ]
    return value_digest(json.dumps(whole, sort_keys=True, default=str).encode(), salt)
