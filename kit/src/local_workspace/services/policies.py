"""Cluster policies and the families that they can inherit from.

Sources: https://docs.databricks.com/api/azure/workspace/clusterpolicies and
https://docs.databricks.com/api/azure/workspace/policyfamilies
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

from databricks.sdk.service.compute import Policy, PolicyFamily

from local_workspace.compute import policy_rules
from local_workspace.errors import already_exists, invalid, not_found
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service

_JOB: Final = {"cluster_type": {"type": "fixed", "value": "job"}}
_ALL_PURPOSE: Final = {"cluster_type": {"type": "fixed", "value": "all-purpose"}}
_NODE: Final = {"node_type_id": {"type": "unlimited", "defaultValue": "Standard_DS3_v2", "isOptional": True}}
_VERSION: Final = {"spark_version": {"type": "unlimited", "defaultValue": "auto:latest-lts"}}
_IDLE: Final = {"autotermination_minutes": {"type": "range", "maxValue": 4320, "defaultValue": 4320}}
_SINGLE: Final = {
    "spark_conf.spark.databricks.cluster.profile": {"type": "fixed", "value": "singleNode", "hidden": True},
    "num_workers": {"type": "fixed", "value": 0, "hidden": True},
}
# Family, name, description, definition.
_FAMILIES: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    ("personal-vm", "Personal Compute", "One small machine", _ALL_PURPOSE | _NODE | _VERSION | _SINGLE | _IDLE),
    ("shared-compute", "Shared Compute", "A cluster for a team", _ALL_PURPOSE | _NODE | _VERSION | _IDLE),
    ("power-user", "Power User Compute", "A larger cluster", _ALL_PURPOSE | _NODE | _VERSION | _IDLE),
    ("job-cluster", "Job Compute", "Clusters of jobs", _JOB | _NODE | _VERSION),
)
FAMILIES: Final = {
    each[0]: PolicyFamily(
        policy_family_id=each[0], name=each[1], description=each[2], definition=json.dumps(each[3], indent=2)
    )
    for each in _FAMILIES
}


class Policies(Service):
    """Policies by id."""

    name = "policies"
    permission_kinds: ClassVar[tuple[str, ...]] = ("cluster-policies",)

    def prepare(self) -> None:
        """Make the table."""
        self.policies = self.table("policies", Policy)

    def definition(self, policy_id: str) -> policy_rules.Definition:
        """Return the rules of a policy, those of its family included.

        Raises:
            ApiError: 404 when there is no such policy.
        """
        return policy_rules.parse(self._policy(policy_id).definition)

    @route(
        "POST",
        "2.0/policies/clusters/create",
        differs="max_clusters_per_user, libraries and rules on dbus_per_hour have no effect",
    )
    def create(self, request: Request) -> object:
        """Make a policy; 400 when the name is taken or the definition malformed."""
        policy_id = f"{self.state.number():016X}"
        self.policies[policy_id] = self._checked(
            request, policy_id, {"created_at_timestamp": self.state.now(), "is_default": False}
        )
        return {"policy_id": policy_id}

    @route("GET", "2.0/policies/clusters/get")
    def get(self, request: Request) -> object:
        """Return a policy."""
        return self._policy(request.required("policy_id"))

    @route("GET", "2.0/policies/clusters/list", differs="lacks the policies that a new workspace comes with")
    def list(self, request: Request) -> object:
        """Return all policies; this listing has no pages."""
        found = [*self.policies.values()]  # in the order in which they were made
        if request.get("sort_column") == "POLICY_NAME":
            found.sort(key=lambda policy: str(policy.name))
        if request.get("sort_order") == "DESC":
            found.reverse()
        return {"policies": found, "total_count": len(found)}

    @route("POST", "2.0/policies/clusters/edit")
    def edit(self, request: Request) -> object:
        """Replace a policy; clusters made under it keep what they have."""
        policy = self._policy(request.required("policy_id"))
        kept = {"created_at_timestamp": policy.created_at_timestamp, "is_default": policy.is_default}
        self.policies[str(policy.policy_id)] = self._checked(request, str(policy.policy_id), kept)
        return None

    @route("POST", "2.0/policies/clusters/delete")
    def delete(self, request: Request) -> object:
        """Delete a policy; clusters made under it can run, but not be edited."""
        del self.policies[str(self._policy(request.required("policy_id")).policy_id)]
        return None

    @route("GET", "2.0/policy-families", differs="has the four families by shortened definitions")
    def list_families(self, request: Request) -> object:
        """Return the families, in pages."""
        return request.listing("policy_families", [*FAMILIES.values()], size="max_results")

    @route("GET", "2.0/policy-families/<policy_family_id>", differs="has one version of each")
    def get_family(self, request: Request) -> object:
        """Return a family."""
        return _family(request.path["policy_family_id"])

    def _policy(self, policy_id: str) -> Policy:
        return self.policies.existing(policy_id, f"Can't find a cluster policy with id: {policy_id}.")

    def _checked(self, request: Request, policy_id: str, kept: dict[str, Any]) -> Policy:
        """Return the policy that a request asks for."""
        name = str(request.required("name"))
        if len(name) > 100:
            raise invalid(f"The name of a policy has at most 100 characters, not {len(name)}")
        if any(other.name == name and other.policy_id != policy_id for other in self.policies.values()):
            raise already_exists(f"Cluster Policy with name `{name}` already exists")
        made = {"policy_id": policy_id, "definition": _effective(request)}
        return typed(Policy, request.json | {"creator_user_name": self.state.identity.user_name} | kept | made)


def _effective(request: Request) -> str:
    """Return the definition, or the family's with the overrides merged into it."""
    definition, family = request.get("definition"), request.get("policy_family_id")
    overrides = request.get("policy_family_definition_overrides")
    if family is None:
        if overrides is not None:
            raise invalid("policy_family_definition_overrides needs a policy_family_id")
        policy_rules.parse(definition)
        return str(definition if definition is not None else "{}")
    if definition is not None:
        raise invalid("definition cannot be given with policy_family_id; use policy_family_definition_overrides")
    inherited = policy_rules.parse(_family(family).definition)
    merged = inherited | policy_rules.parse(overrides, "policy_family_definition_overrides")
    return json.dumps(merged, indent=2)


def _family(family_id: str) -> PolicyFamily:
    if family_id not in FAMILIES:
        raise not_found(f"Can't find a policy family with id: {family_id}. There are {', '.join(FAMILIES)}.")
    return FAMILIES[family_id]
