"""The services of the API, a file each."""

from __future__ import annotations

from typing import Final

from devkit.workspace.services.clusters import Clusters
from devkit.workspace.services.dbfs import Dbfs
from devkit.workspace.services.file_uploads import FileUploads
from devkit.workspace.services.files import Files
from devkit.workspace.services.git_credentials import GitCredentials
from devkit.workspace.services.global_init_scripts import GlobalInitScripts
from devkit.workspace.services.instance_pools import InstancePools
from devkit.workspace.services.jobs import Jobs
from devkit.workspace.services.libraries import Libraries
from devkit.workspace.services.local import Local
from devkit.workspace.services.meta import Meta
from devkit.workspace.services.permissions import Permissions
from devkit.workspace.services.pipelines import Pipelines
from devkit.workspace.services.policies import Policies
from devkit.workspace.services.repos import Repos
from devkit.workspace.services.runs import Runs
from devkit.workspace.services.scim import Scim
from devkit.workspace.services.secrets import Secrets
from devkit.workspace.services.statements import Statements
from devkit.workspace.services.tokens import Tokens
from devkit.workspace.services.warehouses import Warehouses
from devkit.workspace.services.workspace_objects import WorkspaceObjects
from devkit.workspace.state import Service

SERVICES: Final[list[type[Service]]] = [
    Clusters,
    Dbfs,
    FileUploads,
    Files,
    GitCredentials,
    GlobalInitScripts,
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
    Warehouses,
    WorkspaceObjects,
]
