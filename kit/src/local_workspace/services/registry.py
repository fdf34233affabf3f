"""Every service of the API, in the order in which they are made."""

from __future__ import annotations

from typing import Final

from local_workspace.server.state import Service
from local_workspace.services.catalog_objects import CatalogObjects
from local_workspace.services.clusters import Clusters
from local_workspace.services.dbfs import Dbfs
from local_workspace.services.file_uploads import FileUploads
from local_workspace.services.files import Files
from local_workspace.services.git_credentials import GitCredentials
from local_workspace.services.global_init_scripts import GlobalInitScripts
from local_workspace.services.grants import Grants
from local_workspace.services.instance_pools import InstancePools
from local_workspace.services.jobs import Jobs
from local_workspace.services.libraries import Libraries
from local_workspace.services.local import Local
from local_workspace.services.meta import Meta
from local_workspace.services.permissions import Permissions
from local_workspace.services.pipelines import Pipelines
from local_workspace.services.policies import Policies
from local_workspace.services.repos import Repos
from local_workspace.services.runs import Runs
from local_workspace.services.scim import Scim
from local_workspace.services.secrets import Secrets
from local_workspace.services.statements import Statements
from local_workspace.services.tokens import Tokens
from local_workspace.services.unity_catalog import UnityCatalog
from local_workspace.services.warehouses import Warehouses
from local_workspace.services.workspace_objects import WorkspaceObjects

SERVICES: Final[list[type[Service]]] = [
    CatalogObjects,
    Clusters,
    Dbfs,
    FileUploads,
    Files,
    GitCredentials,
    GlobalInitScripts,
    Grants,
    InstancePools,
    Jobs,
    Libraries,
    Local,
    Meta,
    Permissions,
    Pipelines,
    Policies,
    Repos,
    Runs,
    Scim,
    Secrets,
    Statements,
    Tokens,
    UnityCatalog,
    Warehouses,
    WorkspaceObjects,
]
