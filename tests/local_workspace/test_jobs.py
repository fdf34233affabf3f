"""Jobs are kept as Databricks keeps them, and refused where it refuses them."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import DatabricksError
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service.compute import ClusterSpec
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    CronSchedule,
    GitProvider,
    GitSource,
    JobAccessControlRequest,
    JobCluster,
    JobEmailNotifications,
    JobParameterDefinition,
    JobPermissionLevel,
    JobRunAs,
    JobSettings,
    NotebookTask,
    QueueSettings,
    SparkPythonTask,
    SubmitTask,
    Task,
    TaskDependency,
    WebhookNotifications,
)

from local_workspace import Workspace

ON_A = [TaskDependency("a", "true")]


def task(key: str, *needed: str, **settings: Any) -> Task:
    depends_on = [TaskDependency(each) for each in needed]
    return Task(key, depends_on=depends_on, spark_python_task=SparkPythonTask("dbfs:/a.py"), **settings)


def test_a_job_is_given_back_with_what_was_set_and_the_defaults_of_the_service(client: WorkspaceClient) -> None:
    settings = JobSettings(
        name="nightly",
        tags={"team": "data"},
        schedule=CronSchedule("0 0 3 * * ?", "Europe/Berlin"),
        parameters=[JobParameterDefinition("day", "today")],
        queue=QueueSettings(enabled=True),
        job_clusters=[JobCluster("small", ClusterSpec(num_workers=1, spark_version="18.x-scala2.13"))],
        tasks=[Task("a", job_cluster_key="small", notebook_task=NotebookTask("/Shared/nb")), task("b", "a")],
    )
    job_id = client.jobs.create(**settings.as_shallow_dict()).job_id
    job = client.jobs.get(job_id)
    found = job.settings.as_dict()
    wanted = settings.as_dict()
    assert {name: found[name] for name in wanted if name != "tasks"} == {
        n: v for n, v in wanted.items() if n != "tasks"
    }
    assert (found["format"], found["max_concurrent_runs"], found["timeout_seconds"]) == ("MULTI_TASK", 1, 0)
    assert [each["run_if"] for each in found["tasks"]] == ["ALL_SUCCESS"] * 2
    assert job.creator_user_name == "engineer@localhost"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": [task("a"), task("a")]}, "Duplicate task key: a"),
        ({"tasks": [task("a", "b")]}, "depends on 'b'"),
        ({"tasks": [task("a", "c"), task("b", "a"), task("c", "b")]}, "cycle: a -> c -> b -> a"),
        ({"tasks": [Task("a")]}, "has none"),
        ({"tasks": [task("a", notebook_task=NotebookTask("/n"))]}, "exactly one of"),
        ({"tasks": [task("a", job_cluster_key="big")]}, "Job cluster 'big'"),
        ({"tasks": [task("a b")]}, "Invalid task_key 'a b'"),
        ({"tasks": [task("a", existing_cluster_id="x", new_cluster=ClusterSpec())]}, "at most one says where it runs"),
        ({"schedule": CronSchedule("every day", "UTC")}, "Invalid quartz_cron_expression"),
        ({"schedule": CronSchedule("0 0 3 * * ?", "Nowhere")}, "Invalid timezone_id: 'Nowhere'"),
        ({"parameters": [JobParameterDefinition("p", ""), JobParameterDefinition("p", "")]}, "Duplicate parameter: p"),
        ({"tasks": [task("a"), Task("b", depends_on=ON_A, notebook_task=NotebookTask("/n"))]}, "not a condition_task"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_run_is_refused(client: WorkspaceClient, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        client.jobs.create(name="bad", **settings)
    assert list(client.jobs.list()) == []


def test_jobs_are_listed_the_newest_first_over_pages_and_found_by_name(workspace: Workspace) -> None:
    client = workspace.client()
    ids = [client.jobs.create(name=f"job {n % 3}", tasks=[task("a")]).job_id for n in range(7)]
    workspace.state().options.page_size = 2
    assert [job.job_id for job in client.jobs.list()] == ids[::-1]
    assert workspace.calls['GET /api/<any("2.0","2.1","2.2"):_version>/jobs/list'] == 4
    assert [job.job_id for job in client.jobs.list(name="JOB 1")] == [ids[4], ids[1]]
    assert all(job.settings.tasks == [] for job in client.jobs.list())
    assert all(job.settings.tasks for job in client.jobs.list(expand_tasks=True))


def test_more_than_a_hundred_tasks_come_back_over_pages(workspace: Workspace) -> None:
    client = workspace.client()
    keys = [f"task_{n}" for n in range(230)]
    job_id = client.jobs.create(name="wide", tasks=[task(key) for key in keys]).job_id
    assert [each.task_key for each in client.jobs.get(job_id).settings.tasks] == keys
    assert workspace.calls['GET /api/<any("2.0","2.1","2.2"):_version>/jobs/get'] == 3
    (listed,) = client.jobs.list(expand_tasks=True)
    assert [each.task_key for each in listed.settings.tasks] == keys


def test_update_merges_tasks_by_key_and_removes_fields_and_reset_replaces_all(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="a", tags={"x": "1"}, tasks=[task("one"), task("two")]).job_id
    new = JobSettings(timeout_seconds=9, tasks=[task("two", max_retries=3), task("three")])
    client.jobs.update(job_id, new_settings=new, fields_to_remove=["tags", "tasks/one"])
    settings = client.jobs.get(job_id).settings
    assert (settings.name, settings.tags, settings.timeout_seconds) == ("a", None, 9)
    assert [(each.task_key, each.max_retries) for each in settings.tasks] == [("two", 3), ("three", None)]
    client.jobs.reset(job_id, JobSettings(name="b", tasks=[task("four")]))
    settings = client.jobs.get(job_id).settings
    assert (settings.name, settings.timeout_seconds, [each.task_key for each in settings.tasks]) == ("b", 0, ["four"])


def test_an_update_that_would_break_the_job_changes_nothing(client: WorkspaceClient) -> None:
    condition = Task("if", condition_task=ConditionTask(ConditionTaskOp.EQUAL_TO, "1", "1"))
    job_id = client.jobs.create(name="a", tasks=[condition, task("then", "if")]).job_id
    before = client.jobs.get(job_id)
    with pytest.raises(InvalidParameterValue, match="depends on 'if'"):
        client.jobs.update(job_id, fields_to_remove=["tasks/if"])
    assert client.jobs.get(job_id) == before


def test_a_deleted_job_does_not_exist(client: WorkspaceClient) -> None:
    job_id = client.jobs.create(name="a").job_id
    client.jobs.delete(job_id)
    with pytest.raises(ResourceDoesNotExist):
        client.jobs.get(job_id)
    with pytest.raises(InvalidParameterValue, match=f"Job {job_id} does not exist"):
        client.jobs.delete(job_id)


def test_a_job_is_made_with_its_permissions_or_not_at_all(client: WorkspaceClient) -> None:
    client.groups.create(display_name="readers")
    grant = JobAccessControlRequest(group_name="readers", permission_level=JobPermissionLevel.CAN_VIEW)
    job_id = client.jobs.create(name="a", access_control_list=[grant]).job_id
    found = client.jobs.get_permissions(str(job_id)).access_control_list
    assert "readers" in [each.group_name for each in found]
    nobody = JobAccessControlRequest(group_name="nobody", permission_level=JobPermissionLevel.CAN_VIEW)
    with pytest.raises(DatabricksError, match="nobody"):
        client.jobs.create(name="b", access_control_list=[nobody])
    assert [job.settings.name for job in client.jobs.list()] == ["a"]


def test_who_a_job_runs_as_and_empty_notifications_are_read_back(client: WorkspaceClient) -> None:
    principal = client.service_principals.create(display_name="robot")
    run_as = JobRunAs(service_principal_name=principal.application_id)
    settings = JobSettings(
        name="a",
        tasks=[task("a")],
        run_as=run_as,
        email_notifications=JobEmailNotifications(),
        webhook_notifications=WebhookNotifications(),
    )
    job_id = client.jobs.create(**settings.as_shallow_dict()).job_id
    job = client.jobs.get(job_id)
    assert (job.settings.run_as, job.run_as_user_name) == (run_as, principal.application_id)
    assert job.settings.as_dict()["email_notifications"] == job.settings.as_dict()["webhook_notifications"] == {}
    client.jobs.reset(job_id, JobSettings(name="a", tasks=[task("a")]))
    assert (client.jobs.get(job_id).settings.run_as, client.jobs.get(job_id).run_as_user_name) == (
        None,
        "engineer@localhost",
    )


def test_a_relative_notebook_path_needs_a_git_source(client: WorkspaceClient) -> None:
    tasks = [Task("a", notebook_task=NotebookTask("notebooks/a"))]
    with pytest.raises(InvalidParameterValue, match="'notebooks/a' is relative"):
        client.jobs.create(name="a", tasks=tasks)
    with pytest.raises(InvalidParameterValue, match="'notebooks/a' is relative"):
        client.jobs.submit(run_name="a", tasks=[SubmitTask("a", notebook_task=NotebookTask("notebooks/a"))])
    git = GitSource("https://example.com/a.git", GitProvider.GIT_HUB, git_branch="main")
    assert client.jobs.create(name="a", tasks=tasks, git_source=git).job_id


def test_a_git_source_names_its_provider(client: WorkspaceClient) -> None:
    body = {"name": "a", "tasks": [task("a").as_dict()], "git_source": {"git_url": "https://example.com/a.git"}}
    with pytest.raises(InvalidParameterValue, match=r"git_source\.git_provider is missing"):
        client.api_client.do("POST", "/api/2.2/jobs/create", body=body)
