"""Cluster policies; the ownership tag stands in brackets at the end of the description."""

from __future__ import annotations

import json
from typing import Any

from devkit.deploy.declaration.model import Desired, Json, Owner
from devkit.deploy.resources.base import Context, Service

DEFINITIONS = ("definition", "policy_family_definition_overrides")  # JSON in text; compared as mappings


class ClusterPolicies(Service):
    """Cluster policies."""

    kind = "cluster_policies"
    identity = "policy_id"

    def read_owner(self, body: dict[str, Any]) -> Owner | None:
        """Return whom the description names, and read the definitions."""
        for name in DEFINITIONS:
            body[name] = json.loads(body[name]) if body.get(name) else None
        owner, description = Owner.within(body.get("description"))
        if owner:
            body["description"] = description
        return owner

    def with_owner(self, context: Context, desired: Desired, body: dict[str, Json]) -> dict[str, Json]:
        """Return a body with the tag in its description, and with definitions as texts."""
        texts = {
            name: json.dumps(body[name], sort_keys=True) for name in DEFINITIONS if isinstance(body.get(name), dict)
        }
        description = f"{body.get('description') or ''} [{context.owner(desired)}]".strip()
        return {**body, **texts, "description": description}
