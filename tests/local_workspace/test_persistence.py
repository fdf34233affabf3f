"""A workspace with a folder that is stopped and started again keeps everything."""

from __future__ import annotations

import base64
import io
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databricks.sdk.errors import BadRequest
from databricks.sdk.service import catalog, compute, iam, jobs, pipelines, settings, workspace

from local_workspace import Workspace
from local_workspace.server import workspace as server
from local_workspace.server.state import Identity
from local_workspace.services.tokens import Tokens
from tests.patience import wait_for

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

NOTEBOOK = b"# Databricks notebook source\ndbutils.jobs.taskValues.set('key', 1)"


def fill(client: WorkspaceClient, repository: Path) -> None:
    """Leave something behind in every service."""
    client.workspace.upload("/Shared/nb", NOTEBOOK, language=workspace.Language.PYTHON)
    condition = jobs.ConditionTask(op=jobs.ConditionTaskOp.EQUAL_TO, left="1", right="1")
    notebook = jobs.NotebookTask(notebook_path="/Shared/nb")
    tasks = [jobs.Task(task_key="a", condition_task=condition), jobs.Task(task_key="b", notebook_task=notebook)]
    job = client.jobs.create(name="daily", tasks=tasks).job_id or 0
    client.jobs.run_now(job, idempotency_token="once").result()
    client.api_client.do("POST", "/api/2.2/jobs/create", body={"name": "other", "idempotency_token": "once"})
    request = [iam.AccessControlRequest(group_name="users", permission_level=iam.PermissionLevel.CAN_VIEW)]
    client.permissions.update("jobs", str(job), access_control_list=request)
    cluster = {"spark_version": "17.3.x-scala2.13", "node_type_id": "Standard_DS3_v2", "idempotency_token": "once"}
    made = client.api_client.do("POST", "/api/2.1/clusters/create", body={**cluster, "num_workers": 1})
    assert isinstance(made, dict)
    client.clusters.pin(made["cluster_id"])
    client.libraries.install(made["cluster_id"], [compute.Library(pypi=compute.PythonPyPiLibrary(package="none"))])
    client.instance_pools.create("pool", node_type_id="Standard_DS3_v2")
    client.cluster_policies.create(name="policy", definition="{}")
    client.global_init_scripts.create("script", base64.b64encode(b"echo").decode())
    client.warehouses.create(name="warehouse", cluster_size="Small", max_num_clusters=1, auto_stop_mins=10)
    found = client.statement_execution.execute_statement("SELECT 1", Identity.warehouse_id, wait_timeout="0s")
    client.statement_execution.cancel_execution(found.statement_id)
    client.secrets.create_scope("scope")
    client.secrets.put_secret("scope", "key", string_value="value")
    client.tokens.create(comment="mine")
    client.groups.create(display_name="team")
    client.service_principals.create(display_name="robot")
    client.dbfs.create("/open")
    client.api_client.do("POST", "/api/2.0/fs/files/Volumes/a/b/c/open", query={"action": "initiate-upload"})
    client.git_credentials.create("gitHub")
    client.repos.create(url=str(repository), provider="gitHub")
    client.files.upload("/Volumes/main/default/raw/ü", io.BytesIO(b"kept"))
    client.volumes.create("main", "default", "files", catalog.VolumeType.MANAGED, comment="kept")
    library = pipelines.PipelineLibrary(notebook=pipelines.NotebookLibrary(path="/Shared/nb"))
    client.pipelines.create(name="p", libraries=[library])
    number = client.pipelines.create(name="without a source").pipeline_id
    client.pipelines.start_update(number)
    wait_for(lambda: client.pipelines.get(number).state is pipelines.PipelineState.IDLE)


def contents(started: Workspace) -> dict[str, dict[str, object]]:
    services = started.state().services.values()
    return {f"{each.name}.{name}": table.dump() for each in services for name, table in each.tables.items()}


def test_every_table_of_every_service_is_the_same_after_a_restart(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    with Workspace(tmp_path / "kept", token="mine") as started:
        fill(started.client(), repository)
        before = contents(started)
    empty = {name for name, table in before.items() if not table}
    assert empty == {"clusters.due"}  # no cluster is on its way from one state to another
    with Workspace(tmp_path / "kept", token="mine") as started:
        after = contents(started)
        client = started.client()
        downloaded = client.files.download("/Volumes/main/default/raw/ü").contents
        assert downloaded is not None
        assert downloaded.read() == b"kept"
        assert client.workspace.get_status("/Shared/nb").language is workspace.Language.PYTHON
    for name, table in before.items():
        assert after[name] == table, name


def test_numbers_are_never_given_twice_across_a_restart(tmp_path: Path) -> None:
    given = []
    for _ in range(2):
        with Workspace(tmp_path, token="mine") as started:
            given.append(started.client().jobs.create(name="j").job_id)
    assert given[0] != given[1]


def test_what_was_just_changed_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    with Workspace(tmp_path, token="mine") as started:
        started.client().secrets.create_scope("scope")
        started.state().save()  # what the server does every second
        killed = tmp_path / "copied"
        subprocess.run(
            ["cp", "-r", str(tmp_path / str(started.state().identity.workspace_id)), str(killed)], check=True
        )
        (tmp_path / "other").mkdir()
        killed.rename(tmp_path / "other" / str(started.state().identity.workspace_id))
    with Workspace(tmp_path / "other", token="mine") as started:
        assert [scope.name for scope in started.client().secrets.list_scopes()] == ["scope"]


def test_scopes_of_a_token_that_are_no_list_of_texts_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    with Workspace(tmp_path, token="mine") as started:
        client = started.client()
        for wrong in (1.5, "all", [1], {"a": 1}):
            with pytest.raises(BadRequest):
                client.api_client.do("POST", "/api/2.0/token/create", body={"scopes": wrong})
        client.tokens.create(comment="mine", scopes=["sql"])
    with Workspace(tmp_path, token="mine") as started:
        assert [token.comment for token in started.client().tokens.list()] == ["mine"]


def test_a_table_that_cannot_be_written_keeps_its_file_and_the_others_are_written(tmp_path: Path) -> None:
    with Workspace(tmp_path, token="mine") as started:
        client = started.client()
        client.tokens.create(comment="kept")
        started.state().save()
        started.state().service(Tokens).infos["bad"] = settings.TokenInfo(scopes=1.5)  # type: ignore[arg-type]  # what cannot be written
        client.secrets.create_scope("later")
    with Workspace(tmp_path, token="mine") as started:
        client = started.client()
        assert [token.comment for token in client.tokens.list()] == ["kept"]
        assert [scope.name for scope in client.secrets.list_scopes()] == ["later"]


def test_saving_goes_on_after_one_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SAVE_SECONDS", 0.01)
    served = Workspace(tmp_path, token="mine")
    folder = served.state().folder / "state"
    folder.write_text("in the way")
    saved = folder / "secrets.scopes.json"
    with served as started:
        time.sleep(0.1)
        folder.unlink()
        started.client().secrets.create_scope("later")
        wait_for(lambda: saved.is_file() and "later" in saved.read_text())


@pytest.mark.parametrize("exists", [False, True])
def test_the_folder_of_a_workspace_is_for_its_user_only(tmp_path: Path, *, exists: bool) -> None:
    folder = tmp_path / "kept"
    if exists:
        folder.mkdir(mode=0o755)
    with Workspace(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
