"""What the tests of access modes see on a standard cluster they see on a dedicated one, too."""

from __future__ import annotations

from databricks.sdk.service.compute import DataSecurityMode

from local_workspace import Workspace
from tests.local_workspace.test_runs_access_modes import check_each_kind_of_task, workspace

__all__ = ["workspace"]


def test_each_kind_of_task_runs_on_a_dedicated_cluster(workspace: Workspace) -> None:
    check_each_kind_of_task(workspace, DataSecurityMode.SINGLE_USER)
