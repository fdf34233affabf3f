"""What Databricks' own command-line tool asks when it deploys a bundle: every path is answered."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from databricks.sdk.core import DatabricksError

from local_workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

HOME = "/Workspace/Users/engineer@localhost/.bundle/sample/dev"

ME = {"user_name": "engineer@localhost"}


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        yield started


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> WorkspaceClient:
    return workspace.client()


@pytest.fixture(scope="module")
def known(client: WorkspaceClient) -> dict[str, Any]:
    """A folder, a job with a run, and a pipeline with an update, by the calls that the tool makes."""
    do = client.api_client.do
    do("POST", "/api/2.0/workspace/mkdirs", body={"path": f"{HOME}/state"})
    folder = do("GET", "/api/2.0/workspace/get-status", query={"path": HOME})
    query = {"overwrite": "false"}
    do("POST", f"/api/2.0/workspace-files/import-file{HOME}/state/deploy.lock", query=query, data=b"{}")
    pipeline = do("POST", "/api/2.0/pipelines", body={"name": "bronze", "libraries": [], "channel": "CURRENT"})
    update = do("POST", f"/api/2.0/pipelines/{pipeline['pipeline_id']}/updates", body={})
    condition = {"op": "EQUAL_TO", "left": "1", "right": "1"}
    job = do(
        "POST", "/api/2.2/jobs/create", body={"name": "j", "tasks": [{"task_key": "a", "condition_task": condition}]}
    )
    run = do("POST", "/api/2.2/jobs/run-now", body={"job_id": job["job_id"]})
    return {"directory": folder["object_id"], **pipeline, **update, **job, **run}


def test_discovery_is_answered_without_a_token(workspace: Workspace) -> None:
    for path in ("/.well-known/databricks-config", "/oidc/.well-known/oauth-authorization-server"):
        with urllib.request.urlopen(f"{workspace.host}{path}") as answer:
            assert json.load(answer)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/2.0/preview/scim/v2/Me", None),
        ("GET", f"/api/2.0/workspace/get-status?path={HOME}", None),
        ("GET", f"/api/2.0/workspace/get-status?path={HOME}&return_git_info=true", None),
        ("GET", f"/api/2.0/workspace/export?path={HOME}/state/deploy.lock&direct_download=true", None),
        ("GET", f"/api/2.0/workspace/list?path={HOME}", None),
        ("POST", "/api/2.0/workspace/mkdirs", {"path": f"{HOME}/files"}),
        ("POST", "/api/2.0/workspace/delete", {"path": f"{HOME}/files", "recursive": True}),
        ("GET", "/api/2.2/jobs/get?job_id={job_id}", None),
        ("GET", "/api/2.2/jobs/list", None),
        ("POST", "/api/2.2/jobs/reset", {"job_id": "{job_id}", "new_settings": {"name": "k"}}),
        ("GET", "/api/2.2/jobs/runs/get?run_id={run_id}", None),
        ("GET", "/api/2.2/jobs/runs/list?job_id={job_id}", None),
        ("POST", "/api/2.2/jobs/runs/cancel", {"run_id": "{run_id}"}),
        ("GET", "/api/2.0/pipelines/{pipeline_id}", None),
        ("PUT", "/api/2.0/pipelines/{pipeline_id}", {"name": "bronze", "id": "{pipeline_id}"}),
        ("GET", "/api/2.0/pipelines/{pipeline_id}/updates/{update_id}", None),
        ("GET", "/api/2.0/pipelines/{pipeline_id}/events?filter=update_id = '{update_id}'", None),
        ("POST", "/api/2.0/pipelines/{pipeline_id}/stop", {}),
        *(
            (
                method,
                f"/api/2.0/permissions/{kind}",
                None if method == "GET" else {"access_control_list": [{**ME, **level}]},
            )
            for kind, level in (
                ("directories/{directory}", {"permission_level": "CAN_MANAGE"}),
                ("jobs/{job_id}", {"permission_level": "IS_OWNER"}),
                ("pipelines/{pipeline_id}", {"permission_level": "IS_OWNER"}),
            )
            for method in ("GET", "PUT", "PATCH")
        ),
        ("POST", "/telemetry-ext", {"uploadTime": 1, "items": [], "protoLogs": ["{}"]}),
    ],
)
def test_the_tool_is_answered(
    client: WorkspaceClient, known: dict[str, Any], method: str, path: str, body: dict[str, Any] | None
) -> None:
    for name, value in known.items():
        path = path.replace(f"{{{name}}}", str(value))
        body = body and {key: value if each == f"{{{name}}}" else each for key, each in body.items()}
    client.api_client.do(method, path, body=body)


def test_a_second_deployment_finds_the_lock(client: WorkspaceClient, known: dict[str, Any]) -> None:
    path = f"/api/2.0/workspace-files/import-file{HOME}/state/deploy.lock"
    with pytest.raises(DatabricksError, match="already exists"):
        client.api_client.do("POST", path, query={"overwrite": "false"}, data=b"{}")


def test_a_job_and_a_pipeline_are_deleted_at_the_end(client: WorkspaceClient) -> None:
    job = client.jobs.create(name="gone").job_id
    pipeline = client.pipelines.create(name="gone").pipeline_id
    client.api_client.do("POST", "/api/2.2/jobs/delete", body={"job_id": job})
    client.api_client.do("DELETE", f"/api/2.0/pipelines/{pipeline}")


def test_the_output_of_a_task_is_answered(client: WorkspaceClient, known: dict[str, Any]) -> None:
    run = client.jobs.wait_get_run_job_terminated_or_skipped(known["run_id"])
    assert run.tasks
    client.api_client.do("GET", f"/api/2.2/jobs/runs/get-output?run_id={run.tasks[0].run_id}")
