"""Permissions of every kind of object, by the official client."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service.iam import AccessControlRequest, ObjectPermissions, PermissionLevel
from databricks.sdk.service.jobs import JobAccessControlRequest, JobPermissionLevel
from databricks.sdk.service.workspace import ImportFormat

ME = "engineer@localhost"
L = PermissionLevel


def direct(answer: ObjectPermissions) -> dict[str | None, str]:
    return {
        entry.user_name or entry.group_name or entry.service_principal_name: permission.permission_level.value
        for entry in answer.access_control_list or []
        for permission in entry.all_permissions or []
        if permission.permission_level and not permission.inherited
    }


def inherited(answer: ObjectPermissions) -> list[tuple[str | None, list[str] | None]]:
    return [
        (entry.group_name, permission.inherited_from_object)
        for entry in answer.access_control_list or []
        for permission in entry.all_permissions or []
        if permission.inherited
    ]


@pytest.fixture
def cluster_id(client: WorkspaceClient) -> str:
    return client.clusters.create(
        spark_version="17.3.x-scala2.13", node_type_id="Standard_D4s_v5", num_workers=1
    ).cluster_id


@pytest.fixture
def job_id(client: WorkspaceClient) -> str:
    return str(client.jobs.create(name="nightly").job_id)


def test_who_made_a_cluster_manages_it_and_administrators_inherit_that(
    client: WorkspaceClient, cluster_id: str
) -> None:
    answer = client.permissions.get("clusters", cluster_id)
    assert (answer.object_id, answer.object_type) == (f"/clusters/{cluster_id}", "cluster")
    assert direct(answer) == {ME: "CAN_MANAGE"}
    assert inherited(answer) == [("admins", ["/clusters/"])]


def test_put_replaces_what_was_granted_and_leaves_what_is_inherited(client: WorkspaceClient, cluster_id: str) -> None:
    client.groups.create(display_name="readers")
    grant = [AccessControlRequest(group_name="users", permission_level=L.CAN_RESTART)]
    client.permissions.set("clusters", cluster_id, access_control_list=grant)
    grant = [AccessControlRequest(group_name="readers", permission_level=L.CAN_ATTACH_TO)]
    answer = client.permissions.set("clusters", cluster_id, access_control_list=grant)
    assert direct(answer) == {"readers": "CAN_ATTACH_TO"}
    assert inherited(answer) == [("admins", ["/clusters/"])]
    assert client.permissions.get("clusters", cluster_id) == answer


def test_put_of_nothing_takes_all_direct_grants_away(client: WorkspaceClient, cluster_id: str) -> None:
    assert direct(client.permissions.set("clusters", cluster_id, access_control_list=[])) == {}


def test_patch_adds_to_what_was_granted_and_changes_the_level_of_who_had_one(
    client: WorkspaceClient, cluster_id: str
) -> None:
    for level in (L.CAN_ATTACH_TO, L.CAN_RESTART):
        grant = [AccessControlRequest(group_name="users", permission_level=level)]
        answer = client.permissions.update("clusters", cluster_id, access_control_list=grant)
    assert direct(answer) == {ME: "CAN_MANAGE", "users": "CAN_RESTART"}


def test_a_job_belongs_to_who_made_it(client: WorkspaceClient, job_id: str) -> None:
    assert direct(client.permissions.get("jobs", job_id)) == {ME: "IS_OWNER"}


def test_put_on_a_job_without_its_owner_is_refused_and_changes_nothing(client: WorkspaceClient, job_id: str) -> None:
    grant = [AccessControlRequest(group_name="users", permission_level=L.CAN_VIEW)]
    with pytest.raises(InvalidParameterValue, match=r"The job must have exactly one owner\."):
        client.permissions.set("jobs", job_id, access_control_list=grant)
    assert direct(client.permissions.get("jobs", job_id)) == {ME: "IS_OWNER"}


def test_a_new_owner_of_a_job_leaves_the_old_one_as_a_manager(client: WorkspaceClient, job_id: str) -> None:
    principal = client.service_principals.create(display_name="deployer")
    owner = JobAccessControlRequest(
        service_principal_name=principal.application_id, permission_level=JobPermissionLevel.IS_OWNER
    )
    answer = client.jobs.update_permissions(job_id, access_control_list=[owner])
    levels = {
        entry.user_name or entry.service_principal_name: permission.permission_level
        for entry in answer.access_control_list or []
        for permission in entry.all_permissions or []
        if not permission.inherited
    }
    assert levels == {ME: JobPermissionLevel.CAN_MANAGE, principal.application_id: JobPermissionLevel.IS_OWNER}


def test_two_owners_are_refused(client: WorkspaceClient, job_id: str) -> None:
    client.users.create(user_name="other@localhost")
    names = (ME, "other@localhost")
    grant = [AccessControlRequest(user_name=name, permission_level=L.IS_OWNER) for name in names]
    with pytest.raises(InvalidParameterValue, match="exactly one owner"):
        client.permissions.set("jobs", job_id, access_control_list=grant)


def test_put_on_a_warehouse_without_its_owner_keeps_it(client: WorkspaceClient) -> None:
    warehouse_id = str(client.warehouses.create(name="small", cluster_size="Small").id)
    grant = [AccessControlRequest(group_name="users", permission_level=L.CAN_USE)]
    answer = client.permissions.set("warehouses", warehouse_id, access_control_list=grant)
    assert answer.object_id == f"/sql/warehouses/{warehouse_id}"
    assert direct(answer) == {"users": "CAN_USE", ME: "IS_OWNER"}


def test_objects_of_the_other_services_have_permissions(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/folder")
    client.workspace.upload("/Shared/folder/note.py", b"# Databricks notebook source", format=ImportFormat.AUTO)
    client.workspace.upload("/Shared/folder/file.txt", b"text", format=ImportFormat.RAW)
    ids = {
        "directories": client.workspace.get_status("/Shared/folder").object_id,
        "notebooks": client.workspace.get_status("/Shared/folder/note").object_id,
        "files": client.workspace.get_status("/Shared/folder/file.txt").object_id,
        "pipelines": client.pipelines.create(name="flow", allow_duplicate_names=True).pipeline_id,
    }
    grant = [AccessControlRequest(group_name="users", permission_level=L.CAN_RUN)]
    for kind, object_id in ids.items():
        answer = client.permissions.update(kind, str(object_id), access_control_list=grant)
        assert answer.object_id == f"/{kind}/{object_id}"
        assert direct(answer)["users"] == "CAN_RUN"
    with pytest.raises(ResourceDoesNotExist):
        client.permissions.get("notebooks", str(ids["directories"]))


def test_an_entry_names_one_principal(client: WorkspaceClient, cluster_id: str) -> None:
    for entry in (AccessControlRequest(), AccessControlRequest(user_name=ME, group_name="users")):
        entry.permission_level = L.CAN_RESTART
        with pytest.raises(InvalidParameterValue, match="exactly one of"):
            client.permissions.update("clusters", cluster_id, access_control_list=[entry])


def test_a_group_cannot_own_a_job(client: WorkspaceClient, job_id: str) -> None:
    grant = [AccessControlRequest(group_name="admins", permission_level=L.IS_OWNER)]
    with pytest.raises(InvalidParameterValue, match="Groups can not be owners"):
        client.permissions.set("jobs", job_id, access_control_list=grant)


def test_a_principal_that_does_not_exist_is_refused(client: WorkspaceClient, cluster_id: str) -> None:
    grant = [AccessControlRequest(user_name="nobody@localhost", permission_level=L.CAN_RESTART)]
    with pytest.raises(ResourceDoesNotExist, match=r"Principal: UserName\(nobody@localhost\) does not exist"):
        client.permissions.update("clusters", cluster_id, access_control_list=grant)


def test_a_level_of_another_kind_of_object_is_refused(client: WorkspaceClient, cluster_id: str) -> None:
    grant = [AccessControlRequest(group_name="users", permission_level=L.CAN_MANAGE_RUN)]
    with pytest.raises(InvalidParameterValue, match="CAN_ATTACH_TO"):
        client.permissions.update("clusters", cluster_id, access_control_list=grant)


@pytest.mark.parametrize(
    ("kind", "object_id"),
    [
        ("clusters", "0101-000000-nothing0"),
        ("cluster-policies", "ABC"),
        ("instance-pools", "abc"),
        ("warehouses", "abc"),
        ("jobs", "99"),
        ("pipelines", "99"),
        ("notebooks", "99"),
        ("directories", "99"),
        ("files", "99"),
        ("repos", "99"),
        ("authorization", "wishes"),
    ],
)
def test_an_object_that_does_not_exist_has_no_permissions(client: WorkspaceClient, kind: str, object_id: str) -> None:
    with pytest.raises(ResourceDoesNotExist):
        client.permissions.get(kind, object_id)


def test_a_kind_that_has_no_permissions_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="not a supported object type"):
        client.permissions.get("lamps", "1")


def test_the_levels_of_each_kind_are_those_of_the_service(
    client: WorkspaceClient, cluster_id: str, job_id: str
) -> None:
    pool = client.instance_pools.create("warm", "Standard_DS3_v2").instance_pool_id
    policy = client.cluster_policies.create(name="small", definition="{}").policy_id
    answers: dict[str, Any] = {
        "cluster": client.clusters.get_permission_levels(cluster_id),
        "job": client.jobs.get_permission_levels(job_id),
        "pool": client.instance_pools.get_permission_levels(str(pool)),
        "policy": client.cluster_policies.get_permission_levels(str(policy)),
        "tokens": client.token_management.get_permission_levels(),
    }
    levels = {
        kind: [level.permission_level.value for level in found.permission_levels] for kind, found in answers.items()
    }
    assert levels == {
        "cluster": ["CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"],
        "job": ["CAN_VIEW", "CAN_MANAGE_RUN", "IS_OWNER", "CAN_MANAGE"],
        "pool": ["CAN_ATTACH_TO", "CAN_MANAGE"],
        "policy": ["CAN_USE"],
        "tokens": ["CAN_USE"],
    }


def test_the_use_of_tokens_is_granted_to_all(client: WorkspaceClient) -> None:
    grant = [AccessControlRequest(group_name="users", permission_level=L.CAN_USE)]
    answer = client.permissions.update("authorization", "tokens", access_control_list=grant)
    assert (answer.object_id, answer.object_type) == ("/authorization/tokens", "tokens")
    assert direct(answer) == {"users": "CAN_USE"}


def test_a_warehouse_has_its_permissions_at_the_path_of_sql_too(client: WorkspaceClient) -> None:
    warehouse = str(client.warehouses.create(name="small", cluster_size="Small").id)
    path = f"/api/2.0/permissions/sql/warehouses/{warehouse}"
    grant = {"access_control_list": [{"group_name": "users", "permission_level": "CAN_USE"}]}
    answer = client.api_client.do("PATCH", path, body=grant)
    assert answer["object_id"] == f"/sql/warehouses/{warehouse}"
    assert client.api_client.do("GET", path) == answer == client.permissions.get("warehouses", warehouse).as_dict()
    assert (
        client.api_client.do("GET", f"{path}/permissionLevels")["permission_levels"][0]["permission_level"] == "CAN_USE"
    )
    with pytest.raises(ResourceDoesNotExist):
        client.api_client.do("GET", "/api/2.0/permissions/sql/warehouses/none")
