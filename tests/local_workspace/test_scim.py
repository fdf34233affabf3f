"""Users, groups and service principals, by the official client."""

from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceConflict
from databricks.sdk.service.iam import ComplexValue, Group, ListSortOrder, Patch, PatchOp, PatchSchema

from local_workspace import Workspace

SCHEMAS = [PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
ME = "1000000000000001"


def members(group: Group) -> list[str | None]:
    return [member.display for member in group.members or []]


def patch(op: PatchOp, path: str | None, value: object = None) -> list[Patch]:
    return [Patch(op=op, path=path, value=value)]


def test_who_asks_is_one_of_the_users_and_an_administrator(workspace: Workspace, client: WorkspaceClient) -> None:
    me = client.current_user.me()
    assert me == client.users.get(str(me.id))
    assert (me.id, me.user_name, me.active) == (ME, "engineer@localhost", True)
    assert [group.display for group in me.groups or []] == ["admins", "users"]
    assert client.get_workspace_id() == workspace.state().identity.workspace_id


def test_a_created_user_is_active_and_one_of_all_users(client: WorkspaceClient) -> None:
    made = client.users.create(user_name="a@localhost", display_name="A")
    found = client.users.get(str(made.id))
    assert (found.user_name, found.display_name, found.active) == ("a@localhost", "A", True)
    assert [group.display for group in found.groups or []] == ["users"]


def test_names_are_taken_once(client: WorkspaceClient) -> None:
    client.users.create(user_name="a@localhost")
    with pytest.raises(ResourceConflict, match=r"A@localhost already exists"):
        client.users.create(user_name="A@localhost")
    client.groups.create(display_name="readers")
    with pytest.raises(ResourceConflict):
        client.groups.create(display_name="readers")
    other = client.groups.create(display_name="writers")
    with pytest.raises(ResourceConflict):
        client.groups.patch(str(other.id), operations=patch(PatchOp.REPLACE, "displayName", "readers"), schemas=SCHEMAS)
    principal = client.service_principals.create(display_name="deployer")
    with pytest.raises(ResourceConflict):
        client.service_principals.create(application_id=principal.application_id)


def test_what_does_not_exist_is_not_found(client: WorkspaceClient) -> None:
    for api in (client.users, client.groups, client.service_principals):
        for call in (api.get, api.delete):
            with pytest.raises(NotFound, match="with id 99 not found"):
                call("99")
    with pytest.raises(NotFound):
        client.groups.patch("99", operations=patch(PatchOp.REPLACE, "displayName", "x"), schemas=SCHEMAS)


def test_filters_find_by_name(client: WorkspaceClient) -> None:
    for name in ("team-a", "team-b", "other"):
        client.groups.create(display_name=name)
    client.users.create(user_name="a@localhost", display_name="A")

    def found(text: str) -> list[str | None]:
        return [group.display_name for group in client.groups.list(filter=text)]

    assert found('displayName eq "team-a"') == ["team-a"]
    assert found("displayName eq 'TEAM-A'") == ["team-a"]
    assert found("displayName sw team") == ["team-a", "team-b"]
    assert found('displayName co "am-" and displayName ew "b"') == ["team-b"]
    assert found('displayName sw "team" and displayName ne "team-a"') == ["team-b"]
    assert found('displayName eq "other" or displayName eq "team-b" and displayName sw "x"') == ["other"]
    assert found('displayName eq "nothing"') == []
    assert [user.id for user in client.users.list(filter='userName eq "engineer@localhost"')] == [ME]
    assert [user.user_name for user in client.users.list(filter='groups.display eq "admins"')] == ["engineer@localhost"]


def test_a_malformed_filter_is_refused(client: WorkspaceClient) -> None:
    for text in ("displayName", 'displayName is "a"', 'displayName eq "a" nor displayName eq "b"'):
        with pytest.raises(BadRequest, match="invalidFilter"):
            [*client.groups.list(filter=text)]


def test_all_are_listed_over_several_pages(workspace: Workspace, client: WorkspaceClient) -> None:
    names = [f"group-{number}" for number in range(5)]
    for name in names:
        client.groups.create(display_name=name)
        client.users.create(user_name=f"{name}@localhost")
        client.service_principals.create(display_name=name)
    workspace.state().options.page_size = 2
    assert [group.display_name for group in client.groups.list()] == ["admins", "users", *names]
    assert [group.display_name for group in client.groups.list(count=3)] == ["admins", "users", *names]
    assert [user.user_name for user in client.users.list()][1:] == [f"{name}@localhost" for name in names]
    assert [each.display_name for each in client.service_principals.list()] == names
    sent = client.api_client.do("GET", "/api/2.0/preview/scim/v2/Groups", query={"startIndex": 3, "count": 4})
    assert isinstance(sent, dict)
    assert (sent["totalResults"], sent["startIndex"], sent["itemsPerPage"]) == (7, 3, 2)  # the workspace's own limit
    assert [each["displayName"] for each in sent["Resources"]] == names[:2]


def test_a_listing_is_sorted_on_request(client: WorkspaceClient) -> None:
    for name in ("b", "a"):
        client.service_principals.create(display_name=name)
    listed = client.service_principals.list(sort_by="displayName", sort_order=ListSortOrder.DESCENDING)
    assert [each.display_name for each in listed] == ["b", "a"]
    listed = client.service_principals.list(sort_by="displayName")
    assert [each.display_name for each in listed] == ["a", "b"]


def test_only_the_attributes_that_were_asked_for_are_shown(client: WorkspaceClient) -> None:
    def shown(**query: str) -> list[str]:
        answer = client.api_client.do("GET", "/api/2.0/preview/scim/v2/Groups", query=query)
        assert isinstance(answer, dict)
        return sorted(answer["Resources"][0])

    assert shown(attributes="displayName") == ["displayName", "id"]
    assert shown(excludedAttributes="members,groups") == ["displayName", "id", "meta", "schemas"]


def test_members_are_added_and_removed_by_patches(client: WorkspaceClient) -> None:
    user = client.users.create(user_name="a@localhost", display_name="A")
    principal = client.service_principals.create(display_name="deployer")
    group = client.groups.create(display_name="team", members=[ComplexValue(value=user.id)] * 2)
    group_id = str(group.id)
    assert members(group) == ["A"]
    add = patch(PatchOp.ADD, "members", [{"value": principal.id}, {"value": user.id}])
    client.groups.patch(group_id, operations=add, schemas=SCHEMAS)
    assert members(client.groups.get(group_id)) == ["A", "deployer"]
    remove = patch(PatchOp.REMOVE, f'members[value eq "{user.id}"]')
    client.groups.patch(group_id, operations=remove, schemas=SCHEMAS)
    assert members(client.groups.get(group_id)) == ["deployer"]
    without_path = patch(PatchOp.ADD, None, {"members": [{"value": user.id}]})
    client.groups.patch(group_id, operations=without_path, schemas=SCHEMAS)
    assert members(client.groups.get(group_id)) == ["deployer", "A"]
    replace = patch(PatchOp.REPLACE, "members", [{"value": user.id}])
    client.groups.patch(group_id, operations=replace, schemas=SCHEMAS)
    assert members(client.groups.get(group_id)) == ["A"]
    client.groups.patch(group_id, operations=patch(PatchOp.REMOVE, "members"), schemas=SCHEMAS)
    assert members(client.groups.get(group_id)) == []


def test_groups_can_hold_groups(client: WorkspaceClient) -> None:
    inner = client.groups.create(display_name="inner")
    outer = client.groups.create(display_name="outer", members=[ComplexValue(value=inner.id)])
    assert members(client.groups.get(str(outer.id))) == ["inner"]
    assert [group.display for group in client.groups.get(str(inner.id)).groups or []] == ["outer"]


def test_a_member_that_does_not_exist_is_refused_and_changes_nothing(client: WorkspaceClient) -> None:
    group = client.groups.create(display_name="team")
    add = patch(PatchOp.ADD, "members", [{"value": "99"}])
    with pytest.raises(NotFound, match="member with id 99"):
        client.groups.patch(str(group.id), operations=add, schemas=SCHEMAS)
    assert members(client.groups.get(str(group.id))) == []


def test_entitlements_and_activity_of_a_user_are_patched(client: WorkspaceClient) -> None:
    user_id = str(client.users.create(user_name="a@localhost").id)
    operations = [
        *[Patch(op=PatchOp.ADD, path="entitlements", value=[{"value": "allow-cluster-create"}])] * 2,
        Patch(op=PatchOp.REPLACE, value={"active": False}),  # the client leaves a plain False out
        Patch(op=PatchOp.REPLACE, path="displayName", value="A"),
    ]
    client.users.patch(user_id, operations=operations, schemas=SCHEMAS)
    user = client.users.get(user_id)
    assert ([each.value for each in user.entitlements or []], user.active) == (["allow-cluster-create"], False)
    assert user.display_name == "A"


def test_an_operation_that_is_none_is_refused(client: WorkspaceClient) -> None:
    path = f"/api/2.0/preview/scim/v2/Users/{ME}"
    for operation in ({"op": "twist", "path": "active"}, {"op": "remove"}, {"op": "replace", "path": "active"}):
        with pytest.raises(BadRequest):
            client.api_client.do("PATCH", path, body={"schemas": [SCHEMAS[0].value], "Operations": [operation]})


def test_an_update_replaces_the_whole(client: WorkspaceClient) -> None:
    user = client.users.create(user_name="a@localhost")
    group = client.groups.create(display_name="team", members=[ComplexValue(value=user.id)])
    client.groups.update(str(group.id), display_name="crew")
    found = client.groups.get(str(group.id))
    assert (found.display_name, members(found)) == ("crew", [])


def test_a_deleted_user_leaves_its_groups(client: WorkspaceClient) -> None:
    user = client.users.create(user_name="a@localhost", display_name="A")
    group = client.groups.create(display_name="team", members=[ComplexValue(value=user.id)])
    client.users.delete(str(user.id))
    assert members(client.groups.get(str(group.id))) == []
    with pytest.raises(NotFound):
        client.users.get(str(user.id))


def test_who_asks_and_the_groups_of_every_workspace_are_not_to_be_deleted(client: WorkspaceClient) -> None:
    with pytest.raises(PermissionDenied):
        client.users.delete(ME)
    (admins,) = client.groups.list(filter='displayName eq "admins"')
    with pytest.raises(PermissionDenied):
        client.groups.delete(str(admins.id))


def test_a_service_principal_is_given_an_application_id_or_keeps_its_own(client: WorkspaceClient) -> None:
    given = client.service_principals.create(display_name="deployer")
    own = client.service_principals.create(application_id="11111111-2222-3333-4444-555555555555")
    assert given.application_id != own.application_id
    found = client.service_principals.list(filter=f"applicationId eq {own.application_id}")
    assert [each.id for each in found] == [own.id]
    client.service_principals.delete(str(given.id))
    assert [each.id for each in client.service_principals.list()] == [own.id]
