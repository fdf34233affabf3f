"""Global init scripts, by the official client."""

from __future__ import annotations

import base64

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist

SCRIPT = base64.b64encode(b"echo hello").decode()


def names(client: WorkspaceClient) -> list[tuple[str | None, int | None]]:
    return [(script.name, script.position) for script in client.global_init_scripts.list()]


def test_a_script_is_disabled_and_last_unless_asked_for_otherwise(client: WorkspaceClient) -> None:
    first = client.global_init_scripts.create("first", SCRIPT)
    client.global_init_scripts.create("second", SCRIPT, enabled=True)
    found = client.global_init_scripts.get(str(first.script_id))
    assert (found.name, found.script, found.enabled, found.position) == ("first", SCRIPT, False, 0)
    assert (found.created_by, found.updated_by) == ("engineer@localhost", "engineer@localhost")
    assert names(client) == [("first", 0), ("second", 1)]
    assert [script.enabled for script in client.global_init_scripts.list()] == [False, True]


def test_a_listing_shows_no_contents(client: WorkspaceClient) -> None:
    client.global_init_scripts.create("first", SCRIPT)
    answer = client.api_client.do("GET", "/api/2.0/global-init-scripts")
    assert isinstance(answer, dict)
    assert ["script" in each for each in answer["scripts"]] == [False]


def test_a_position_moves_the_others(client: WorkspaceClient) -> None:
    for name in ("a", "b", "c"):
        client.global_init_scripts.create(name, SCRIPT)
    client.global_init_scripts.create("first", SCRIPT, position=0)
    assert names(client) == [("first", 0), ("a", 1), ("b", 2), ("c", 3)]
    made = client.global_init_scripts.create("last", SCRIPT, position=99)
    assert names(client)[-1] == ("last", 4)
    client.global_init_scripts.update(str(made.script_id), "last", SCRIPT, position=1)
    assert names(client) == [("first", 0), ("last", 1), ("a", 2), ("b", 3), ("c", 4)]
    client.global_init_scripts.delete(str(made.script_id))
    assert names(client) == [("first", 0), ("a", 1), ("b", 2), ("c", 3)]


def test_an_update_changes_the_given_fields(client: WorkspaceClient) -> None:
    script_id = str(client.global_init_scripts.create("first", SCRIPT, enabled=True).script_id)
    other = base64.b64encode(b"echo other").decode()
    client.global_init_scripts.update(script_id, "renamed", other)
    found = client.global_init_scripts.get(script_id)
    assert (found.name, found.script, found.enabled, found.position) == ("renamed", other, True, 0)


def test_a_script_that_does_not_exist_is_not_found(client: WorkspaceClient) -> None:
    with pytest.raises(ResourceDoesNotExist, match="ABC"):
        client.global_init_scripts.get("ABC")
    with pytest.raises(ResourceDoesNotExist):
        client.global_init_scripts.delete("ABC")
    with pytest.raises(ResourceDoesNotExist):
        client.global_init_scripts.update("ABC", "a", SCRIPT)


def test_a_script_that_cannot_be_is_refused(client: WorkspaceClient) -> None:
    for script, message in (("%%%", "not base64"), (base64.b64encode(b"#" * 65537).decode(), "65536 bytes")):
        with pytest.raises(InvalidParameterValue, match=message):
            client.global_init_scripts.create("first", script)
    with pytest.raises(InvalidParameterValue, match="position"):
        client.global_init_scripts.create("first", SCRIPT, position=-1)
    assert names(client) == []
