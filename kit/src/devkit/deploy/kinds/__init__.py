"""The operations of each kind, beside each other as the catalogue has them."""

from __future__ import annotations

from typing import Final

from devkit.deploy.kinds.base import Operations
from devkit.deploy.kinds.compute import ClusterPolicies, Clusters, GlobalInitScripts, InstancePools
from devkit.deploy.kinds.files import Files, Notebooks, Wheels
from devkit.deploy.kinds.jobs import Jobs, Pipelines
from devkit.deploy.kinds.secrets import Secrets, SecretScopes
from devkit.deploy.kinds.services import Groups, Permissions, Repos, Warehouses
from devkit.deploy.kinds.table_changes import TableChanges

OPERATIONS: Final[dict[str, Operations]] = {
    operations.kind: operations
    for operations in (
        Groups(),
        SecretScopes(),
        Secrets(),
        Files(),
        GlobalInitScripts(),
        InstancePools(),
        ClusterPolicies(),
        Clusters(),
        Wheels(),
        Notebooks(),
        Repos(),
        Warehouses(),
        TableChanges(),
        Jobs(),
        Pipelines(),
        Permissions(),
    )
}
