"""Tokens, by the official client: each opens the workspace that it was made in."""

from __future__ import annotations

from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist, Unauthenticated
from databricks.sdk.service.settings import PublicTokenInfo

from local_workspace import Workspace
from tests.local_workspace.cluster_kit import StoppedClock


def test_a_token_opens_the_workspace_that_it_was_made_in(workspace: Workspace, client: WorkspaceClient) -> None:
    other = workspace.client(workspace.add_workspace())
    other.secrets.create_scope("other")
    client.secrets.create_scope("mine")
    made = client.tokens.create(comment="for a test")
    opened = workspace.client(made.token_value)
    assert [scope.name for scope in opened.secrets.list_scopes()] == ["mine"]


def test_a_deleted_token_opens_nothing(workspace: Workspace, client: WorkspaceClient) -> None:
    made = client.tokens.create()
    opened = workspace.client(made.token_value)
    assert opened.current_user.me().user_name == "engineer@localhost"
    assert made.token_info is not None
    client.tokens.delete(str(made.token_info.token_id))
    with pytest.raises(Unauthenticated):
        opened.current_user.me()
    with pytest.raises(ResourceDoesNotExist):
        client.tokens.delete(str(made.token_info.token_id))


def test_an_expired_token_opens_nothing_and_is_not_listed(workspace: Workspace, client: WorkspaceClient) -> None:
    clock = workspace.state().clock = StoppedClock()
    made = client.tokens.create(lifetime_seconds=60, comment="short")
    client.tokens.create(comment="long")
    opened = workspace.client(made.token_value)
    clock.now += 59
    assert opened.current_user.me().active
    assert [token.comment for token in client.tokens.list()] == ["long", "short"]
    clock.now += 1
    with pytest.raises(Unauthenticated):
        opened.current_user.me()
    assert [token.comment for token in client.tokens.list()] == ["long"]


def test_a_token_opens_the_workspace_after_a_restart_though_it_is_not_kept(tmp_path: Path) -> None:
    with Workspace(tmp_path) as first:
        value = str(first.client().tokens.create(comment="kept").token_value)
    texts = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert any("kept" in text for text in texts)
    assert not any(value in text for text in texts)
    with Workspace(tmp_path) as second:
        assert second.client(value).current_user.me().active


def test_a_listing_shows_no_token(client: WorkspaceClient) -> None:
    made = client.tokens.create(comment="a")
    (listed,) = client.tokens.list()
    assert listed == made.token_info
    assert str(made.token_value) not in str(listed.as_dict())


def test_the_comment_of_a_token_can_change(client: WorkspaceClient) -> None:
    made = client.tokens.create(comment="a")
    assert made.token_info is not None
    path = f"/api/2.0/token/{made.token_info.token_id}"
    change = {"token": PublicTokenInfo(comment="b").as_dict(), "update_mask": "comment"}
    client.api_client.do("PATCH", path, body=change)
    assert [token.comment for token in client.tokens.list()] == ["b"]


def test_an_administrator_sees_and_revokes_tokens(workspace: Workspace, client: WorkspaceClient) -> None:
    made = client.tokens.create(comment="a")
    (info,) = client.token_management.list(created_by_username="engineer@localhost")
    assert (info.comment, info.created_by_username) == ("a", "engineer@localhost")
    assert client.token_management.get(str(info.token_id)).token_info == info
    assert [*client.token_management.list(created_by_username="nobody@localhost")] == []
    client.token_management.delete(str(info.token_id))
    with pytest.raises(Unauthenticated):
        workspace.client(made.token_value).current_user.me()
    with pytest.raises(ResourceDoesNotExist):
        client.token_management.get(str(info.token_id))


def test_a_lifetime_that_is_none_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="lifetime_seconds"):
        client.tokens.create(lifetime_seconds=-1)
