"""Whatever a request holds, it is refused as the caller's mistake, and nothing of it is kept."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from databricks.sdk.errors import BadRequest
from databricks.sdk.service.jobs import ConditionTask, ConditionTaskOp, Task, TaskDependency

from local_workspace import Workspace
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

CONDITION = {"op": "EQUAL_TO", "left": "1", "right": "1"}


def task(**settings: object) -> dict[str, Any]:
    return {"name": "job", "tasks": [{"task_key": "a", "condition_task": CONDITION, **settings}]}


@pytest.mark.parametrize(
    "job",
    [
        {"name": {"a": 1}},
        {"name": 1},
        {"timeout_seconds": "x"},
        {"timeout_seconds": 10**30},
        {"timeout_seconds": 2**60},
        task(timeout_seconds=-1),
        {"max_concurrent_runs": True},
        {"tags": {"a": None}},
        {"tags": ["a"]},
        {"run_as": "me"},
        {"run_as": {"user_name": 1}},
        {"tasks": ["a"]},
        task(timeout_seconds="x"),
        task(max_retries=1.5),
        task(run_if="NOPE"),
        task(depends_on={"task_key": "a"}),
        task(condition_task={**CONDITION, "op": "NOPE"}),
        task(condition_task={**CONDITION, "left": 1}),
    ],
)
def test_a_job_with_a_value_of_another_type_is_refused_and_not_kept(
    client: WorkspaceClient, job: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest):
        client.api_client.do("POST", "/api/2.2/jobs/create", body=job)
    kept = client.jobs.create(name="kept").job_id or 0
    with pytest.raises(BadRequest):
        client.api_client.do("POST", "/api/2.2/jobs/reset", body={"job_id": kept, "new_settings": job} | job)
    assert [each.settings.name for each in client.jobs.list() if each.settings] == ["kept"]
    assert [each.job_id for each in client.jobs.list(name="kept")] == [kept]


def test_a_whole_number_may_be_written_as_text_and_is_kept_as_a_number(client: WorkspaceClient) -> None:
    body = {"name": "job", "timeout_seconds": "60"}
    made = client.api_client.do("POST", "/api/2.2/jobs/create", body=body)
    assert client.jobs.get(made["job_id"]).settings.timeout_seconds == 60


@pytest.mark.parametrize("path", ["2.2/jobs/list", "2.2/jobs/runs/list"])
@pytest.mark.parametrize(
    "query",
    [
        {"limit": "-1"},
        {"limit": "1.5"},
        {"limit": "x"},
        {"offset": "-1"},
        {"offset": "x"},
        {"page_token": base64.urlsafe_b64encode(b"from:-5").decode()},
        {"page_token": "é"},
    ],
)
def test_a_page_that_cannot_be_is_refused(client: WorkspaceClient, path: str, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as caught:
        client.api_client.do("GET", f"/api/{path}", query=query)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("2.2/jobs/run-now", {"job_id": float("inf")}),
        ("2.2/jobs/run-now", {"job_id": 1, "idempotency_token": [1]}),
        ("2.2/jobs/create", {"access_control_list": [None]}),
        ("2.2/jobs/runs/submit", {"tasks": 1}),
        ("2.2/jobs/runs/submit", {"timeout_seconds": -1, **task()}),
        ("2.1/clusters/create", {"clone_from": "x"}),
        ("2.0/policies/clusters/delete", {"policy_id": [1]}),
        ("2.0/fs/create-download-url", {"path": "\ud800"}),
        ("2.0/dbfs/mkdirs", {"path": "/a" * 1500}),
        ("2.0/global-init-scripts", {"name": "a", "script": "YQ==", "position": "x"}),
    ],
)
def test_a_body_that_no_handler_can_take_is_the_callers_mistake(
    client: WorkspaceClient, path: str, body: dict[str, Any]
) -> None:
    headers = {"Content-Type": "application/json"}
    with pytest.raises(BadRequest):
        client.api_client.do("POST", f"/api/{path}", headers=headers, data=json.dumps(body).encode())
    assert list(client.jobs.list()) == []
    assert list(client.jobs.list_runs()) == []
    assert list(client.global_init_scripts.list()) == []


def test_an_empty_order_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(BadRequest, match="order_by"):
        client.api_client.do("GET", "/api/2.0/pipelines", query={"order_by": ""})


def test_a_run_is_not_kept_when_its_parameters_are_no_texts(client: WorkspaceClient) -> None:
    job = client.jobs.create(name="job").job_id
    wrongs: list[dict[str, Any]] = [
        {"job_parameters": {"a": {}}},
        {"queue": 1},
        {"python_params": [1]},
        {"pipeline_params": "x"},
    ]
    for wrong in wrongs:
        with pytest.raises(BadRequest):
            client.api_client.do("POST", "/api/2.2/jobs/run-now", body={"job_id": job, **wrong})
    assert list(client.jobs.list_runs(job_id=job)) == []


def test_json_that_is_too_deep_is_refused(client: WorkspaceClient) -> None:
    headers = {"Content-Type": "application/json"}
    with pytest.raises(BadRequest) as caught:
        client.api_client.do("POST", "/api/2.2/jobs/create", headers=headers, data=b"[" * 100_000)
    assert caught.value.error_code == "MALFORMED_REQUEST"


@pytest.mark.parametrize("encoded", ["/w==", "é", "x"])
def test_credentials_that_nobody_can_read_open_nothing(workspace: Workspace, encoded: str) -> None:
    headers = {"Authorization": f"Basic {encoded}".encode()}
    answer = requests.post(f"{workspace.host}/oidc/v1/token", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "invalid_client")


def test_a_thousand_tasks_may_hang_on_each_other_in_one_chain_and_in_no_circle(client: WorkspaceClient) -> None:
    condition = ConditionTask(ConditionTaskOp.EQUAL_TO, "1", "1")
    chain = [
        Task(f"t{index}", depends_on=[TaskDependency(f"t{index + 1}")], condition_task=condition)
        for index in range(999)
    ]
    assert client.jobs.create(name="chain", tasks=[*chain, Task("t999", condition_task=condition)]).job_id
    last = Task("t999", depends_on=[TaskDependency("t500")], condition_task=condition)
    with pytest.raises(BadRequest, match="t998 -> t999 -> t500"):
        client.jobs.create(name="circle", tasks=[*chain, last])
