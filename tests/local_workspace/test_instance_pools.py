"""Instance pools, by the official client."""

from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist
from databricks.sdk.service.compute import InstancePoolState

NODE = "Standard_DS3_v2"


def test_a_pool_is_active_with_the_defaults_of_the_service(client: WorkspaceClient) -> None:
    made = client.instance_pools.create("warm", NODE, min_idle_instances=2, custom_tags={"Team": "a"})
    pool = client.instance_pools.get(str(made.instance_pool_id))
    assert (pool.instance_pool_name, pool.node_type_id, pool.state) == ("warm", NODE, InstancePoolState.ACTIVE)
    assert (pool.idle_instance_autotermination_minutes, pool.enable_elastic_disk) == (60, True)
    assert pool.custom_tags == {"Team": "a"}
    assert (pool.default_tags or {})["DatabricksInstancePoolId"] == made.instance_pool_id
    assert pool.stats is not None
    assert (pool.stats.idle_count, pool.stats.used_count) == (2, 0)


def test_an_edit_changes_what_may_change_and_forgets_what_it_does_not_name(client: WorkspaceClient) -> None:
    made = client.instance_pools.create("warm", NODE, max_capacity=5, preloaded_spark_versions=["17.3.x-scala2.13"])
    pool_id = str(made.instance_pool_id)
    client.instance_pools.edit(pool_id, "hot", NODE, min_idle_instances=1)
    pool = client.instance_pools.get(pool_id)
    assert (pool.instance_pool_name, pool.min_idle_instances, pool.max_capacity) == ("hot", 1, None)
    assert pool.preloaded_spark_versions == ["17.3.x-scala2.13"]


def test_the_node_type_of_a_pool_stays(client: WorkspaceClient) -> None:
    pool_id = str(client.instance_pools.create("warm", NODE).instance_pool_id)
    with pytest.raises(InvalidParameterValue, match="cannot be changed"):
        client.instance_pools.edit(pool_id, "warm", "Standard_D4s_v5")


def test_pools_are_listed_with_the_one_that_every_workspace_has(client: WorkspaceClient) -> None:
    client.instance_pools.create("warm", NODE)
    assert [pool.instance_pool_name for pool in client.instance_pools.list()] == ["default", "warm"]
    assert client.instance_pools.get("0101-000000-pool0-pool-default0").instance_pool_name == "default"


def test_the_name_of_a_pool_is_taken_once(client: WorkspaceClient) -> None:
    client.instance_pools.create("warm", NODE)
    other = str(client.instance_pools.create("hot", NODE).instance_pool_id)
    with pytest.raises(ResourceAlreadyExists, match="warm"):
        client.instance_pools.create("warm", NODE)
    with pytest.raises(ResourceAlreadyExists, match="warm"):
        client.instance_pools.edit(other, "warm", NODE)


def test_a_deleted_pool_is_gone(client: WorkspaceClient) -> None:
    pool_id = str(client.instance_pools.create("warm", NODE).instance_pool_id)
    client.instance_pools.delete(pool_id)
    with pytest.raises(ResourceDoesNotExist, match=pool_id):
        client.instance_pools.get(pool_id)
    with pytest.raises(ResourceDoesNotExist):
        client.instance_pools.delete(pool_id)
    with pytest.raises(ResourceDoesNotExist):
        client.instance_pools.edit(pool_id, "warm", NODE)


def test_a_pool_that_cannot_be_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match=r"huge is not supported"):
        client.instance_pools.create("warm", "huge")
    with pytest.raises(InvalidParameterValue, match="max_capacity 1"):
        client.instance_pools.create("warm", NODE, min_idle_instances=2, max_capacity=1)
    with pytest.raises(InvalidParameterValue, match="Invalid spark version"):
        client.instance_pools.create("warm", NODE, preloaded_spark_versions=["1"])
