"""The kinds of resources, in the order in which they depend on each other, and what may be declared of each.

Fields that the SDK knows are read from it, so that they are the SDK's own names; what this tool adds is written here.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final


@dataclass(frozen=True)
class SecretValue:
    """A secret: text, or the bytes of a file. Without a value it is looked up by its scope and key."""

    value: str | None = None
    binary: bool | None = None


@dataclass(frozen=True)
class KeyVault:
    """The Azure Key Vault behind a scope."""

    resource_id: str
    dns_name: str


@dataclass(frozen=True)
class SecretScope:
    """A secret scope."""

    name: str
    keyvault: KeyVault | None = None
    secrets: dict[str, Any] | None = None
    acls: dict[str, str] | None = None


@dataclass(frozen=True)
class File:
    """A file of the workspace, or of a volume: an init script, a configuration file, a jar."""

    file: str
    path: str | None = None
    volume: bool | None = None


@dataclass(frozen=True)
class Notebook:
    """A notebook: a source file or an ``.ipynb``."""

    file: str
    path: str | None = None


@dataclass(frozen=True)
class Folder:
    """A local folder, each file of which is deployed; source files that say so become notebooks."""

    folder: str
    path: str | None = None


@dataclass(frozen=True)
class GlobalInitScript:
    """A script that every cluster runs at its start."""

    name: str
    file: str
    enabled: bool | None = None
    position: int | None = None


@dataclass(frozen=True)
class Wheel:
    """A wheel: one file, or a pattern that fits one."""

    file: str
    volume: bool | None = None


@dataclass(frozen=True)
class Repo:
    """A Git folder."""

    url: str
    provider: str
    path: str | None = None
    branch: str | None = None
    tag: str | None = None


@dataclass(frozen=True)
class TableChanges:
    """SQL files that are run in the order of their names, each once."""

    warehouse: str
    folder: str
    ledger: str
    catalog: str | None = None
    schema: str | None = None


@dataclass(frozen=True)
class Group:
    """A group of users."""

    display_name: str
    members: list[str] | None = None


@dataclass(frozen=True)
class Kind:
    """What is known of a kind.

    Attributes:
        name: The key beneath ``resources``.
        spec: The dataclass of what may be declared, for kinds that are this tool's own.
        create: ``module:Class.method`` of the SDK whose parameters may be declared.
        edit: The method that changes one; a field that only `create` takes needs a new resource.
        name_field: The field that holds the name.
        undeclared: Parameters of `create` that are no settings.
        permissions: The object type of the permissions service.
        replaced_by: Fields of an own kind whose change needs a new resource.
    """

    name: str
    spec: type | None = None
    create: str = ""
    edit: str = ""
    name_field: str = "name"
    undeclared: frozenset[str] = frozenset()
    permissions: str = ""
    replaced_by: frozenset[str] = frozenset()


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("groups", Group, name_field="display_name"),  # first: whatever grants a permission may name one
        Kind("secret_scopes", SecretScope, replaced_by=frozenset({"backend_type", "keyvault"})),
        Kind("secrets", SecretValue),
        Kind("files", File),
        Kind("folders", Folder),
        Kind("global_init_scripts", GlobalInitScript),
        Kind(
            "instance_pools",
            create="compute:InstancePoolsAPI.create",
            edit="compute:InstancePoolsAPI.edit",
            name_field="instance_pool_name",
            replaced_by=frozenset({"node_type_id"}),  # the call asks for it, and refuses another one
            permissions="instance-pools",
        ),
        Kind(
            "cluster_policies",
            create="compute:ClusterPoliciesAPI.create",
            edit="compute:ClusterPoliciesAPI.edit",
            permissions="cluster-policies",
        ),
        Kind(
            "clusters",
            create="compute:ClustersAPI.create",
            edit="compute:ClustersAPI.edit",
            name_field="cluster_name",
            undeclared=frozenset({"clone_from"}),
            permissions="clusters",
        ),
        Kind("wheels", Wheel),
        Kind("notebooks", Notebook),
        Kind("repos", Repo, name_field="path", permissions="repos", replaced_by=frozenset({"url", "provider"})),
        Kind(
            "warehouses",
            create="sql:WarehousesAPI.create",
            edit="sql:WarehousesAPI.edit",
            undeclared=frozenset({"creator_name"}),
            permissions="warehouses",
        ),
        Kind("table_changes", TableChanges),
        Kind(
            "jobs",
            create="jobs:JobsAPI.create",
            undeclared=frozenset({"access_control_list", "deployment", "edit_mode", "format"}),
            permissions="jobs",
        ),
        Kind(
            "pipelines",
            create="pipelines:PipelinesAPI.create",
            undeclared=frozenset({"dry_run", "id", "allow_duplicate_names"}),
            permissions="pipelines",
        ),
        Kind("permissions"),
    )
}
ORDER: Final = {name: position for position, name in enumerate(KINDS)}
EXTRAS: Final = ("permissions", "stream")  # beside a body: who may do what with it, and whether it is a stream

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


def method(name: str) -> Any:
    """Return a method of the SDK by its name, such as ``jobs:JobsAPI.create``."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(f"databricks.sdk.service.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    return found


@cache
def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of a method of the SDK with their types."""
    called = method(name)
    hints = typing.get_type_hints(called)
    return {each: hints[each] for each in inspect.signature(called).parameters if each != "self"}


@cache
def fields_of(kind: str) -> dict[str, Any]:
    """Return what may be declared of a kind: names and types."""
    known = KINDS[kind]
    if known.spec is not None:
        return spec_fields(known.spec)
    found = {name: hint for name, hint in parameters(known.create).items() if name not in known.undeclared}
    if kind == "clusters":
        from databricks.sdk.service.compute import Library

        found["libraries"] = list[Library] | None
    if kind == "cluster_policies":
        found["definition"] = dict[str, Any] | None
    return found


@cache
def spec_fields(spec: type) -> dict[str, Any]:
    """Return the fields of a dataclass with their types."""
    hints = typing.get_type_hints(spec)
    return {each.name: hints[each.name] for each in fields(spec)}


@cache
def required_fields(kind: str) -> frozenset[str]:
    """Return what must be declared of a kind."""
    known = KINDS[kind]
    optional = fields_of(kind)
    named = {known.name_field} & optional.keys()
    hints = {name: hint for name, hint in optional.items() if not _may_be_none(hint)}
    return frozenset(hints) | named if known.spec is None or kind != "repos" else frozenset(hints)


@cache
def replacing_fields(kind: str) -> frozenset[str]:
    """Return the fields whose change needs a new resource, because the service cannot edit them."""
    known = KINDS[kind]
    if not known.edit:
        return known.replaced_by
    return known.replaced_by | (frozenset(parameters(known.create)) - frozenset(parameters(known.edit)))


def _may_be_none(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)
