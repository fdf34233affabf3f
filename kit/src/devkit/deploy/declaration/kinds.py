"""The kinds of resources, in dependency order, and what may be declared of each.

What the SDK knows is read from the signature of its own method, so that fields have the SDK's names and types; only
what this tool adds is written here.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any, Final

OptionalText = str | None
OptionalFlag = bool | None
Anything = Any | None

# The fields of a permission that name its principal, and how an access list calls them.
PRINCIPALS: Final = {"user_name": "user", "group_name": "group", "service_principal_name": "service_principal"}
# The permission levels of each object type.
# Source: https://docs.databricks.com/api/workspace/permissions/getpermissionlevels.
LEVELS: Final = {
    "instance-pools": (
        "CAN_ATTACH_TO",
        "CAN_MANAGE",
    ),
    "cluster-policies": ("CAN_USE",),
    "clusters": (
        "CAN_ATTACH_TO",
        "CAN_RESTART",
        "CAN_MANAGE",
    ),
    "repos": (
        "CAN_READ",
        "CAN_RUN",
        "CAN_EDIT",
        "CAN_MANAGE",
    ),
    "warehouses": (
        "CAN_USE",
        "CAN_MONITOR",
        "CAN_VIEW",
        "CAN_MANAGE",
        "IS_OWNER",
    ),
    "jobs": (
        "CAN_VIEW",
        "CAN_MANAGE_RUN",
        "CAN_MANAGE",
        "IS_OWNER",
    ),
    "pipelines": (
        "CAN_VIEW",
        "CAN_RUN",
        "CAN_MANAGE",
        "IS_OWNER",
    ),
}


@dataclass(frozen=True)
class KeyVault:
    """The Azure Key Vault behind a scope."""

    resource_id: str
    dns_name: str


@dataclass(frozen=True)
class Kind:
    """What is known of a kind.

    Attributes:
        name: The key beneath ``resources``.
        spec: Names and types of what may be declared, for kinds that are this tool's own.
        create: ``module:Class.method`` of the SDK whose parameters may be declared.
        edit: The method that edits one; a field that only `create` takes needs a new resource.
        name_field: The field that holds the name.
        undeclared: Parameters of `create` that are not settings.
        permissions: The object type in the permissions service.
        replaced_by: Further fields whose change needs a new resource.
        unreported: Fields that the service takes and never reports: only the ownership tag shows that they changed.
        more: Names and types that may be declared beside the parameters of `create`.
    """

    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    create: str = ""
    edit: str = ""
    name_field: str = "name"
    undeclared: frozenset[str] = frozenset()
    permissions: str = ""
    replaced_by: frozenset[str] = frozenset()
    unreported: frozenset[str] = frozenset()
    more: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Return what may be declared: names and types."""
        taken = parameters(self.create) if self.create else self.spec
        kept = {name: hint for name, hint in taken.items() if name not in self.undeclared}
        more = {name: list[_sdk(hint)] | None if isinstance(hint, str) else hint for name, hint in self.more.items()}  # type: ignore[misc]  # a class of the SDK
        return {**kept, **more, **({"permissions": Anything} if self.permissions else {})}

    @property
    def levels(self) -> tuple[str, ...]:
        """Return the permission levels that this kind has."""
        return LEVELS[self.permissions]

    @cached_property
    def required(self) -> frozenset[str]:
        """Return what must be declared."""
        needed = {name for name, hint in self.fields.items() if type(None) not in typing.get_args(hint)}
        return frozenset(needed | ({self.name_field} if self.create else set()))

    @cached_property
    def replacing(self) -> frozenset[str]:
        """Return the fields whose change needs a new resource, because the service cannot edit them."""
        if not (self.create and self.edit):
            return self.replaced_by
        return self.replaced_by | (parameters(self.create).keys() - parameters(self.edit).keys())


_KINDS = (
    Kind("groups", {"display_name": str, "members": list[str] | None}, name_field="display_name"),
    Kind(
        "secret_scopes",
        {"name": str, "keyvault": KeyVault | None, "secrets": dict[str, Any] | None, "acls": dict[str, str] | None},
        replaced_by=frozenset({"backend_type", "keyvault"}),
    ),
    Kind("secrets"),
    Kind("files", {"file": str, "path": OptionalText, "volume": OptionalFlag}),
    Kind("folders", {"folder": str, "path": OptionalText}),
    Kind("global_init_scripts", {"name": str, "file": str, "enabled": OptionalFlag, "position": int | None}),
    Kind(
        "instance_pools",
        create="compute:InstancePoolsAPI.create",
        edit="compute:InstancePoolsAPI.edit",
        name_field="instance_pool_name",
        replaced_by=frozenset({"node_type_id"}),  # a parameter of the call, which refuses another value
        permissions="instance-pools",
    ),
    Kind(
        "cluster_policies",
        create="compute:ClusterPoliciesAPI.create",
        edit="compute:ClusterPoliciesAPI.edit",
        permissions="cluster-policies",
        more={"definition": dict[str, Any] | None},
    ),
    Kind(
        "clusters",
        create="compute:ClustersAPI.create",
        edit="compute:ClustersAPI.edit",
        name_field="cluster_name",
        undeclared=frozenset({"clone_from"}),
        unreported=frozenset({"apply_policy_default_values"}),
        permissions="clusters",
        more={"libraries": "compute:Library"},
    ),
    Kind("wheels", {"file": str, "volume": OptionalFlag}),
    Kind("notebooks", {"file": str, "path": OptionalText}),
    Kind(
        "repos",
        {"url": str, "provider": str, "path": OptionalText, "branch": OptionalText, "tag": OptionalText},
        name_field="path",
        permissions="repos",
        replaced_by=frozenset({"url", "provider"}),
    ),
    Kind(
        "warehouses",
        create="sql:WarehousesAPI.create",
        edit="sql:WarehousesAPI.edit",
        undeclared=frozenset({"creator_name"}),
        permissions="warehouses",
    ),
    Kind(
        "table_changes",
        {"warehouse": str, "folder": str, "ledger": str, "catalog": OptionalText, "schema": OptionalText},
    ),
    Kind(
        "jobs",
        create="jobs:JobsAPI.create",
        undeclared=frozenset({"access_control_list", "deployment", "edit_mode", "format"}),
        permissions="jobs",
        more={"stream": Anything},
    ),
    Kind(
        "pipelines",
        create="pipelines:PipelinesAPI.create",
        edit="pipelines:PipelinesAPI.update",
        undeclared=frozenset({"dry_run", "id", "allow_duplicate_names"}),
        permissions="pipelines",
    ),
    Kind("permissions"),
)
KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in _KINDS}
ORDER: Final = {name: position for position, name in enumerate(KINDS)}

# Fields that hold an id, and the kind whose name may stand there instead.
REFERENCES: Final = {
    "existing_cluster_id": "clusters",
    "instance_pool_id": "instance_pools",
    "driver_instance_pool_id": "instance_pools",
    "policy_id": "cluster_policies",
    "warehouse_id": "warehouses",
    "job_id": "jobs",
    "pipeline_id": "pipelines",
}


@cache
def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of a method of the SDK with their types.

    Args:
        name: Such as ``jobs:JobsAPI.create``.
    """
    called = _sdk(name)
    hints = typing.get_type_hints(called)
    return {each: hints[each] for each in inspect.signature(called).parameters if each != "self"}


@cache
def spec_fields(spec: type) -> dict[str, Any]:
    """Return the fields of a dataclass with their types."""
    hints = typing.get_type_hints(spec)
    return {each.name: hints[each.name] for each in fields(spec)}


def _sdk(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(f"databricks.sdk.service.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    return found
