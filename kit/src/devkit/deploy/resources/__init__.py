"""The resources of a workspace, a file for each kind; and the recording of its actual state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devkit.deploy.declaration.model import Declaration
from devkit.deploy.plan.model import ActualState
from devkit.deploy.resources.base import Recording, Resource
from devkit.deploy.resources.cluster_policies import ClusterPolicies
from devkit.deploy.resources.clusters import Clusters
from devkit.deploy.resources.files import Files, Notebooks, Wheels
from devkit.deploy.resources.global_init_scripts import GlobalInitScripts
from devkit.deploy.resources.groups import Groups
from devkit.deploy.resources.instance_pools import InstancePools
from devkit.deploy.resources.jobs import Jobs
from devkit.deploy.resources.permissions import Permissions
from devkit.deploy.resources.pipelines import Pipelines
from devkit.deploy.resources.repos import Repos
from devkit.deploy.resources.secrets import Secrets, SecretScopes
from devkit.deploy.resources.table_changes import TableChanges
from devkit.deploy.resources.warehouses import Warehouses

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_KINDS: Final[tuple[type[Resource], ...]] = (
    Groups,
    SecretScopes,
    Secrets,
    Files,
    GlobalInitScripts,
    InstancePools,
    ClusterPolicies,
    Clusters,
    Wheels,
    Notebooks,
    Repos,
    Warehouses,
    TableChanges,
    Jobs,
    Pipelines,
    Permissions,
)
RESOURCES: Final = {kind.kind: kind() for kind in _KINDS}


def record(client: WorkspaceClient, declaration: Declaration | None = None) -> ActualState:
    """Record the actual state of a workspace.

    Args:
        client: The workspace.
        declaration: The desired state: only the files of its own folders are recorded. Without it the whole workspace
            is, except the files of volumes, which no listing names.
    """
    recording = Recording(client, declaration)
    for resource in RESOURCES.values():
        recording.found += list(resource.record(recording))
    return ActualState(str(client.config.host), str(client.current_user.me().user_name), tuple(recording.found))
