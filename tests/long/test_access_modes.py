"""Access modes of clusters, where it takes several JVMs."""

from __future__ import annotations

from pathlib import Path

from databricks.sdk.service.compute import DataSecurityMode

from local_workspace import Workspace
from tests.local_workspace.run_kit import finished, python, results, start
from tests.local_workspace.test_runs_access_modes import check_each_kind_of_task, servers_of, workspace

__all__ = ["workspace"]


def test_each_kind_of_task_runs_on_a_dedicated_cluster_as_on_a_standard_one(workspace: Workspace) -> None:
    check_each_kind_of_task(workspace, DataSecurityMode.SINGLE_USER)


def test_a_server_that_a_dead_workspace_left_behind_ends_at_the_next_start(tmp_path: Path) -> None:
    with Workspace(tmp_path) as dead:
        client = dead.client()
        text = "from pyspark.sql import SparkSession; SparkSession.builder.getOrCreate().range(1).count()"
        assert results(finished(client, start(client, python(client, "a", text)))) == {"a": "SUCCESS"}
        assert servers_of(dead)
        with Workspace(tmp_path):
            assert not servers_of(dead)
