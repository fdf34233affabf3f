"""SQL warehouses, by the official client."""

from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist
from databricks.sdk.service.sql import EndpointTagPair, EndpointTags, State

from local_workspace import Workspace
from local_workspace.services.warehouses import Warehouses


def create(client: WorkspaceClient, name: str = "small") -> str:
    return str(client.warehouses.create(name=name, cluster_size="Small").id)


def test_a_created_warehouse_runs_with_the_defaults_of_the_service(client: WorkspaceClient) -> None:
    tags = EndpointTags(custom_tags=[EndpointTagPair(key="Team", value="a")])
    made = client.warehouses.create(name="small", cluster_size="Small", tags=tags).result()
    assert (made.name, made.state, made.num_clusters, made.cluster_size) == ("small", State.RUNNING, 1, "Small")
    assert (made.auto_stop_mins, made.max_num_clusters, made.enable_photon) == (120, 1, True)
    assert (made.creator_name, made.tags) == ("engineer@localhost", tags)
    assert made.odbc_params is not None
    assert made.odbc_params.path == f"/sql/1.0/warehouses/{made.id}"


def test_a_warehouse_stops_and_starts(client: WorkspaceClient) -> None:
    warehouse_id = create(client)
    assert client.warehouses.stop(warehouse_id).result().state is State.STOPPED
    assert client.warehouses.stop(warehouse_id).result().num_clusters == 0
    assert client.warehouses.start(warehouse_id).result().state is State.RUNNING
    assert client.warehouses.start(warehouse_id).result().state is State.RUNNING


def test_a_warehouse_is_starting_until_its_time_has_come(workspace: Workspace, client: WorkspaceClient) -> None:
    workspace.state().options.cluster_start_seconds = 1
    warehouse_id = create(client)
    assert client.warehouses.get(warehouse_id).state is State.STARTING
    workspace.state().service(Warehouses).ensure_running(warehouse_id)
    assert client.warehouses.get(warehouse_id).state is State.RUNNING


def test_an_edit_changes_what_it_names_and_leaves_the_state(client: WorkspaceClient) -> None:
    warehouse_id = create(client)
    client.warehouses.edit(warehouse_id, name="large", cluster_size="Large").result()
    client.warehouses.edit(warehouse_id, auto_stop_mins=30)
    found = client.warehouses.get(warehouse_id)
    assert (found.name, found.cluster_size, found.auto_stop_mins) == ("large", "Large", 30)
    client.warehouses.stop(warehouse_id).result()
    client.warehouses.edit(warehouse_id, auto_stop_mins=20)
    assert client.warehouses.get(warehouse_id).state is State.STOPPED


def test_a_deleted_warehouse_is_gone(client: WorkspaceClient) -> None:
    warehouse_id = create(client)
    client.warehouses.delete(warehouse_id)
    for call in (client.warehouses.get, client.warehouses.delete, client.warehouses.start, client.warehouses.stop):
        with pytest.raises(ResourceDoesNotExist, match=warehouse_id):
            call(warehouse_id)
    with pytest.raises(ResourceDoesNotExist):
        client.warehouses.edit(warehouse_id, name="a")


def test_warehouses_are_listed_in_pages_with_the_one_that_every_workspace_has(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    names = [f"warehouse-{number}" for number in range(4)]
    for name in names:
        create(client, name)
    assert [each.name for each in client.warehouses.list(page_size=2)] == ["default", *names]
    assert workspace.calls["GET /api/2.0/sql/warehouses"] == 3
    assert client.warehouses.get("0000000000default").state is State.STOPPED


def test_the_name_of_a_warehouse_is_taken_once(client: WorkspaceClient) -> None:
    create(client, "small")
    other = create(client, "large")
    with pytest.raises(ResourceAlreadyExists, match="small"):
        create(client, "small")
    with pytest.raises(ResourceAlreadyExists, match="small"):
        client.warehouses.edit(other, name="small")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cluster_size": "Huge"}, "Huge is not a valid cluster_size"),
        ({"name": ""}, "name"),
        ({"auto_stop_mins": 5}, "auto_stop_mins"),
        ({"min_num_clusters": 3, "max_num_clusters": 2}, "min_num_clusters"),
    ],
)
def test_a_warehouse_that_cannot_be_is_refused(client: WorkspaceClient, wrong: dict[str, object], message: str) -> None:
    right: dict[str, object] = {"name": "small", "cluster_size": "Small"}
    with pytest.raises(InvalidParameterValue, match=message):
        client.warehouses.create(**(right | wrong))  # type: ignore[arg-type]
