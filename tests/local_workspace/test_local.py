"""What the real service has not: faults over HTTP, counted calls, tables and streams for the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from databricks.sdk.core import DatabricksError
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotImplemented
from databricks.sdk.service.workspace import ImportFormat
from werkzeug.test import Client

from local_workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


def local(client: WorkspaceClient, method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = client.api_client.do(method, f"/local/{name}", body=body)
    assert isinstance(answer, dict)
    return answer


def test_a_fault_armed_over_http_strikes_the_call_it_names_and_no_other(client: WorkspaceClient) -> None:
    armed = local(client, "POST", "faults", {"kind": "status", "path": "*/mkdirs", "status": 400, "when": "after"})
    assert (armed["status"], armed["times"]) == (400, 1)
    assert list(client.workspace.list("/Shared")) == []
    with pytest.raises(BadRequest, match="A requested fault: 400"):
        client.workspace.mkdirs("/Shared/a")
    assert [each.path for each in client.workspace.list("/Shared")] == ["/Shared/a"]
    client.workspace.mkdirs("/Shared/b")
    assert local(client, "DELETE", "faults") == {"struck": 1}


def test_faults_of_every_path_leave_the_way_to_disarm_them(client: WorkspaceClient) -> None:
    local(client, "POST", "faults", {"kind": "status", "status": 400, "times": 0})
    with pytest.raises(BadRequest):
        client.workspace.get_status("/")
    local(client, "DELETE", "faults")
    assert len(list(client.workspace.list("/"))) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "melt"},
        {"kind": "status", "when": "during"},
        {"kind": "status", "status": 418},
        {"kind": "status", "status": "503"},
        {"kind": "delay", "seconds": "1"},
        {"kind": "drop", "times": True},
        {"kind": "drop", "_seen": 3},
        {"kind": "drop", "code": 3},
        {"kind": "drop", "method": 1},
        {"kind": "drop", "path": None},
        {"kind": "delay", "seconds": -1},
        {"kind": "delay", "seconds": 1e10},
        {"kind": "drop", "skip": -1},
        {"kind": "drop", "times": -1},
        {"kind": "drop", "times": 1.5},
        {"kind": [1]},
    ],
)
def test_what_no_fault_can_be_is_refused(client: WorkspaceClient, fault: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterValue):
        local(client, "POST", "faults", fault)
    assert client.workspace.get_status("/").path == "/"


def test_calls_are_counted_by_route(client: WorkspaceClient) -> None:
    for name in ("a", "b"):
        client.workspace.mkdirs(f"/Shared/{name}")
    client.workspace.get_status("/Shared/a")
    counted = local(client, "GET", "calls")["calls"]
    assert counted == {"GET /api/2.0/workspace/get-status": 1, "POST /api/2.0/workspace/mkdirs": 2}


def test_delta_tables_of_all_catalogs_are_found(workspace: Workspace, client: WorkspaceClient) -> None:
    assert local(client, "GET", "tables") == {"tables": []}
    for folder in ("main/default/orders", "dev/bronze/raw"):
        log = workspace.state().path("warehouse", *folder.split("/"), "_delta_log")
        for version in (0, 1):
            (log / f"{version:020}.json").write_text("{}")
    found = local(client, "GET", "tables")["tables"]
    assert [(each["name"], each["version"]) for each in found] == [("dev.bronze.raw", 1), ("main.default.orders", 1)]


def test_streams_are_found_by_their_checkpoints_newest_batch_first(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    checkpoint = workspace.state().path("dbfs", "checkpoints", "events")
    for name in ("offsets", "commits"):
        (checkpoint / name).mkdir()
    (checkpoint / "metadata").write_text('{"id": "1"}')
    for number in range(3):
        lines = ["v1", json.dumps({"batchTimestampMs": 1000 + number}), json.dumps({"hub": {"0": number}})]
        (checkpoint / "offsets" / str(number)).write_text("\n".join(lines))
        (checkpoint / "commits" / str(number)).write_text("v1\n{}")
    (checkpoint / "offsets" / "3").write_text("v1\n{}\n{}")
    (checkpoint / "commits" / ".3.crc").write_text("")
    streams = local(client, "GET", "streams")["streams"]
    assert [each["checkpoint"] for each in streams] == ["dbfs/checkpoints/events"]
    batches = streams[0]["batches"]
    assert [(each["batch_id"], each["planned_at"]) for each in batches] == [(2, 1002), (1, 1001), (0, 1000)]
    assert batches[0]["offsets"] == ['{"hub": {"0": 2}}']


def test_an_unknown_route_is_a_sentence_that_says_where_to_look(client: WorkspaceClient) -> None:
    with pytest.raises(NotImplemented, match=r"does not support GET /api/2.0/none/such; `devkit workspace supported`"):
        client.api_client.do("GET", "/api/2.0/none/such")


@pytest.mark.parametrize("path", ["workspace/mkdirs", "dbfs/put", "pipelines", "repos", "git-credentials"])
@pytest.mark.parametrize("body", ["{", "[1]", "nul"])
def test_a_body_that_is_no_json_object_is_refused(client: WorkspaceClient, path: str, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    with pytest.raises(BadRequest) as caught:
        client.api_client.do("POST", f"/api/2.0/{path}", headers=headers, data=body.encode())
    assert caught.value.error_code == "MALFORMED_REQUEST"


def test_two_tokens_see_two_workspaces(workspace: Workspace) -> None:
    one, two = workspace.client(), workspace.client(workspace.add_workspace())
    one.workspace.upload("/Shared/a", b"1", format=ImportFormat.RAW)
    one.dbfs.mkdirs("/a")
    one.pipelines.create(name="a")
    one.git_credentials.create("gitHub")
    assert list(two.workspace.list("/Shared")) == []
    assert list(two.dbfs.list("/")) == []
    assert list(two.pipelines.list_pipelines()) == []
    assert list(two.git_credentials.list()) == []
    assert two.pipelines.create(name="a").pipeline_id


def test_a_token_that_nobody_gave_opens_nothing(workspace: Workspace) -> None:
    with pytest.raises(DatabricksError, match="This token opens no workspace here"):
        workspace.client("wrong").workspace.get_status("/")


def test_a_call_that_fails_outside_its_handler_is_answered_in_json(workspace: Workspace) -> None:
    workspace.faults.add("drop")  # there is no connection here that it could close
    answer = Client(workspace._application).get("/api/2.0/clusters/list", base_url="http://127.0.0.1")
    assert (answer.status_code, answer.json["error_code"]) == (500, "INTERNAL_ERROR")
