"""Clusters, by the official client: their states, their defaults and what is refused."""

from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, InvalidState, OperationFailed, ResourceDoesNotExist
from databricks.sdk.service.compute import (
    AutoScale,
    ClusterSource,
    DataSecurityMode,
    EventType,
    InitScriptInfo,
    Kind,
    RuntimeEngine,
    State,
    UpdateClusterResource,
    WorkspaceStorageInfo,
)

from local_workspace import Workspace
from local_workspace.services.clusters import Clusters
from tests.local_workspace.cluster_kit import NODE, RUNTIME, StoppedClock, create, kinds, slow, state

MISSING = "0101-000000-nothing0"


@pytest.fixture
def clock(workspace: Workspace) -> StoppedClock:
    return slow(workspace)


def test_a_created_cluster_runs_with_the_defaults_of_the_service(client: WorkspaceClient) -> None:
    cluster = client.clusters.create(
        RUNTIME, cluster_name="small", node_type_id=NODE, num_workers=2, custom_tags={"Team": "a"}
    ).result()
    assert (cluster.state, cluster.cluster_source) == (State.RUNNING, ClusterSource.API)
    assert cluster.creator_user_name == "engineer@localhost"
    assert cluster.driver_node_type_id == NODE
    assert cluster.custom_tags == {"Team": "a"}
    assert cluster.default_tags == {
        "Vendor": "Databricks",
        "Creator": "engineer@localhost",
        "ClusterName": "small",
        "ClusterId": cluster.cluster_id,
    }
    assert cluster.spark_env_vars is None
    assert cluster.runtime_engine is None
    assert cluster.azure_attributes is not None
    assert cluster.azure_attributes.first_on_demand == 1
    assert (cluster.cluster_cores, cluster.enable_elastic_disk) == (12.0, True)
    assert cluster.spec is not None
    assert cluster.spec.custom_tags == {"Team": "a"}
    assert cluster.spec.driver_node_type_id is None


def test_a_cluster_is_pending_until_its_time_has_come(client: WorkspaceClient, clock: StoppedClock) -> None:
    cluster_id = create(client)
    assert state(client, cluster_id) is State.PENDING
    clock.now += 59
    assert state(client, cluster_id) is State.PENDING
    clock.now += 1
    assert state(client, cluster_id) is State.RUNNING
    assert kinds(client, cluster_id) == [EventType.CREATING, EventType.RUNNING]


def test_edit_is_refused_while_a_cluster_is_pending(client: WorkspaceClient, clock: StoppedClock) -> None:
    cluster_id = create(client)
    with pytest.raises(InvalidState, match="unexpected state Pending"):
        client.clusters.edit(cluster_id, RUNTIME, node_type_id=NODE, num_workers=3)
    assert client.clusters.get(cluster_id).num_workers == 2


def test_edit_restarts_a_running_cluster(client: WorkspaceClient, clock: StoppedClock) -> None:
    cluster_id = create(client)
    clock.now += 60
    client.clusters.edit(cluster_id, RUNTIME, cluster_name="other", node_type_id=NODE, num_workers=3)
    cluster = client.clusters.get(cluster_id)
    assert (cluster.state, cluster.cluster_name, cluster.num_workers) == (State.RESTARTING, "other", 3)
    assert (cluster.default_tags or {})["ClusterName"] == "other"
    clock.now += 60
    assert state(client, cluster_id) is State.RUNNING
    assert kinds(client, cluster_id)[-3:] == [EventType.EDITED, EventType.RESTARTING, EventType.RUNNING]


def test_edit_forgets_what_it_does_not_name_and_leaves_a_terminated_cluster_terminated(client: WorkspaceClient) -> None:
    made = client.clusters.create(RUNTIME, node_type_id=NODE, num_workers=1, spark_conf={"a": "b"}).result()
    cluster_id = str(made.cluster_id)
    client.clusters.delete(cluster_id).result()
    client.clusters.edit(cluster_id, RUNTIME, node_type_id=NODE, autoscale=AutoScale(min_workers=1, max_workers=4))
    cluster = client.clusters.get(cluster_id)
    assert (cluster.state, cluster.spark_conf, cluster.num_workers) == (State.TERMINATED, None, None)
    assert cluster.autoscale == AutoScale(min_workers=1, max_workers=4)


def test_update_changes_the_fields_of_its_mask_alone(client: WorkspaceClient) -> None:
    cluster_id = create(client)
    change = UpdateClusterResource(autoscale=AutoScale(min_workers=1, max_workers=3), cluster_name="ignored")
    client.clusters.update(cluster_id, "autoscale,custom_tags", cluster=change).result()
    cluster = client.clusters.get(cluster_id)
    assert (cluster.cluster_name, cluster.num_workers) == ("small", None)
    assert cluster.autoscale == AutoScale(min_workers=1, max_workers=3)
    client.clusters.update(
        cluster_id, "autoscale.max_workers", cluster=UpdateClusterResource(autoscale=AutoScale(max_workers=9))
    )
    assert client.clusters.get(cluster_id).autoscale == AutoScale(min_workers=1, max_workers=9)


def test_update_refuses_a_field_that_no_cluster_has(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="colour"):
        client.clusters.update(create(client), "colour", cluster=UpdateClusterResource())


def test_a_deleted_cluster_is_terminated_and_starts_again_as_it_was(client: WorkspaceClient) -> None:
    cluster_id = create(client)
    ended = client.clusters.delete(cluster_id).result()
    assert ended.termination_reason is not None
    assert ended.termination_reason.code is not None
    assert ended.termination_reason.code.value == "USER_REQUEST"
    client.clusters.delete(cluster_id).result()  # nothing happens
    again = client.clusters.start(cluster_id).result()
    assert (again.num_workers, again.termination_reason, again.terminated_time) == (2, None, None)
    happened = [EventType.CREATING, EventType.RUNNING, EventType.TERMINATING, EventType.STARTING, EventType.RUNNING]
    assert kinds(client, cluster_id) == happened


def test_start_and_restart_are_refused_in_the_wrong_state(client: WorkspaceClient) -> None:
    cluster_id = create(client)
    with pytest.raises(InvalidState, match="unexpected state Running"):
        client.clusters.start(cluster_id)
    client.clusters.restart(cluster_id).result()
    client.clusters.delete(cluster_id).result()
    with pytest.raises(InvalidState, match="unexpected state Terminated"):
        client.clusters.restart(cluster_id)
    client.clusters.ensure_cluster_is_running(cluster_id)
    assert state(client, cluster_id) is State.RUNNING


def test_resize_gives_a_running_cluster_more_workers(client: WorkspaceClient, clock: StoppedClock) -> None:
    cluster_id = create(client)
    with pytest.raises(InvalidState):
        client.clusters.resize(cluster_id, num_workers=5)
    clock.now += 60
    client.clusters.resize(cluster_id, num_workers=5)
    assert state(client, cluster_id) is State.RESIZING
    clock.now += 60
    cluster = client.clusters.get(cluster_id)
    assert (cluster.state, cluster.num_workers, cluster.cluster_cores) == (State.RUNNING, 5, 24.0)
    assert kinds(client, cluster_id)[-2:] == [EventType.RESIZING, EventType.UPSIZE_COMPLETED]


def test_a_resize_to_a_number_ends_autoscaling(client: WorkspaceClient) -> None:
    size = AutoScale(min_workers=1, max_workers=4)
    made = client.clusters.create(RUNTIME, node_type_id=NODE, autoscale=size).result()
    cluster = client.clusters.resize(str(made.cluster_id), num_workers=3).result()
    assert (cluster.num_workers, cluster.autoscale) == (3, None)


def test_a_permanently_deleted_cluster_is_gone(workspace: Workspace, client: WorkspaceClient) -> None:
    cluster_id = create(client)
    client.clusters.permanent_delete(cluster_id)
    assert not workspace.state().service(Clusters).events
    with pytest.raises(ResourceDoesNotExist, match=f"Cluster {cluster_id} does not exist"):
        client.clusters.get(cluster_id)
    assert cluster_id not in [cluster.cluster_id for cluster in client.clusters.list()]


def test_every_verb_refuses_a_cluster_that_does_not_exist(client: WorkspaceClient) -> None:
    api = client.clusters
    calls = [
        lambda: api.delete(MISSING),
        lambda: api.permanent_delete(MISSING),
        lambda: api.start(MISSING),
        lambda: api.restart(MISSING),
        lambda: api.resize(MISSING, num_workers=1),
        lambda: api.pin(MISSING),
        lambda: api.unpin(MISSING),
        lambda: api.change_owner(MISSING, "engineer@localhost"),
        lambda: [*api.events(MISSING)],
        lambda: api.edit(MISSING, RUNTIME, node_type_id=NODE, num_workers=1),
        lambda: api.update(MISSING, "num_workers", cluster=UpdateClusterResource(num_workers=1)),
    ]
    for call in calls:
        with pytest.raises(InvalidParameterValue, match=f"Cluster {MISSING} does not exist"):
            call()


def test_names_need_not_be_unique_but_one_idempotency_token_makes_one_cluster(client: WorkspaceClient) -> None:
    body = {"spark_version": RUNTIME, "node_type_id": NODE, "num_workers": 1, "cluster_name": "small"}
    post = client.api_client.do
    first = post("POST", "/api/2.1/clusters/create", body={**body, "idempotency_token": "one"})
    second = post("POST", "/api/2.1/clusters/create", body={**body, "idempotency_token": "one"})
    third = post("POST", "/api/2.1/clusters/create", body={**body, "idempotency_token": "two"})
    assert first == second
    assert first != third
    assert [cluster.cluster_name for cluster in client.clusters.list()].count("small") == 2


def test_an_idempotency_token_of_a_terminated_cluster_makes_another(client: WorkspaceClient) -> None:
    body = {"spark_version": RUNTIME, "node_type_id": NODE, "num_workers": 1, "idempotency_token": "one"}
    first = client.api_client.do("POST", "/api/2.1/clusters/create", body=body)
    client.clusters.delete(first["cluster_id"]).result()
    assert client.api_client.do("POST", "/api/2.1/clusters/create", body=body) != first


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spark_version": "1.0.x-scala2.9"}, "Invalid spark version 1.0.x-scala2.9"),
        ({"node_type_id": "huge"}, "Node type huge is not supported"),
        ({"num_workers": None}, "Exactly 1 of"),
        ({"num_workers": -1}, "num_workers must not be negative"),
        ({"num_workers": 0}, "not declared as a single node"),
        ({"autoscale": AutoScale(min_workers=1, max_workers=2)}, "Exactly 1 of"),
        ({"num_workers": None, "autoscale": AutoScale(min_workers=3, max_workers=2)}, "min_workers"),
        ({"autotermination_minutes": 5}, "autotermination_minutes"),
        ({"instance_pool_id": "none"}, "Can't find an instance pool"),
        ({"driver_node_type_id": "big"}, "Node type big is not supported"),
        ({"init_scripts": [InitScriptInfo()]}, "one destination"),
        ({"custom_tags": {f"tag{number}": "x" for number in range(46)}}, "at most 45"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(client: WorkspaceClient, wrong: dict[str, object], message: str) -> None:
    right: dict[str, object] = {"spark_version": RUNTIME, "node_type_id": NODE, "num_workers": 1}
    with pytest.raises(InvalidParameterValue, match=message):
        client.clusters.create(**(right | wrong))  # type: ignore[arg-type]


def test_autotermination_is_kept(client: WorkspaceClient) -> None:
    made = client.clusters.create(RUNTIME, node_type_id=NODE, num_workers=1, autotermination_minutes=30)
    assert client.clusters.get(made.cluster_id).autotermination_minutes == 30


def test_a_cluster_of_a_pool_has_the_node_type_of_the_pool(client: WorkspaceClient) -> None:
    pool = client.instance_pools.create("warm", "Standard_E4ds_v5").instance_pool_id
    cluster = client.clusters.create(RUNTIME, instance_pool_id=pool, num_workers=1).result()
    assert (cluster.node_type_id, cluster.driver_node_type_id) == ("Standard_E4ds_v5", "Standard_E4ds_v5")
    with pytest.raises(InvalidParameterValue, match="node_type_id"):
        client.clusters.create(RUNTIME, instance_pool_id=pool, node_type_id=NODE, num_workers=1)


def test_a_missing_init_script_ends_the_cluster_with_its_name(client: WorkspaceClient) -> None:
    script = InitScriptInfo(workspace=WorkspaceStorageInfo(destination="/Shared/init.sh"))
    waiter = client.clusters.create(RUNTIME, node_type_id=NODE, num_workers=1, init_scripts=[script])
    with pytest.raises(OperationFailed, match=r"Init script /Shared/init\.sh does not exist"):
        waiter.result()
    reason = client.clusters.get(waiter.cluster_id).termination_reason
    assert reason is not None
    assert reason.code is not None
    assert reason.code.value == "INIT_SCRIPT_FAILURE"


def test_the_owner_of_a_terminated_cluster_can_change(client: WorkspaceClient) -> None:
    cluster_id = create(client)
    client.users.create(user_name="other@localhost")
    with pytest.raises(InvalidState):
        client.clusters.change_owner(cluster_id, "other@localhost")
    client.clusters.delete(cluster_id).result()
    with pytest.raises(ResourceDoesNotExist):
        client.clusters.change_owner(cluster_id, "nobody@localhost")
    client.clusters.change_owner(cluster_id, "other@localhost")
    assert client.clusters.get(cluster_id).creator_user_name == "other@localhost"


def test_a_single_node_has_no_workers_and_spark_of_its_own(client: WorkspaceClient) -> None:
    made = client.clusters.create(RUNTIME, node_type_id=NODE, is_single_node=True, kind=Kind.CLASSIC_PREVIEW)
    cluster = client.clusters.get(made.cluster_id)
    assert (cluster.num_workers, cluster.custom_tags) == (0, {"ResourceClass": "SingleNode"})
    assert (cluster.spark_conf or {})["spark.master"] == "local[*]"


def test_a_single_node_can_be_said_by_its_settings(client: WorkspaceClient) -> None:
    conf = {"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"}
    made = client.clusters.create(RUNTIME, node_type_id=NODE, num_workers=0, spark_conf=conf)
    assert client.clusters.get(made.cluster_id).num_workers == 0


def test_a_cluster_is_not_made_smaller_than_one_worker(client: WorkspaceClient) -> None:
    cluster_id = create(client)
    with pytest.raises(InvalidParameterValue, match="not declared as a single node"):
        client.clusters.resize(cluster_id, num_workers=0)


@pytest.mark.parametrize(
    ("node", "version"),
    [
        ("i3.xlarge", "16.4.x-aarch64-scala2.12"),
        ("n2-highmem-4", "15.4.x-gpu-ml-scala2.12"),
        ("Standard_M8ms", "9.1.x-scala2.12"),
    ],
)
def test_machines_and_runtimes_of_any_cloud_are_taken(client: WorkspaceClient, node: str, version: str) -> None:
    cluster = client.clusters.create(version, node_type_id=node, num_workers=1).result()
    assert (cluster.node_type_id, cluster.spark_version, cluster.cluster_cores) == (node, version, 8.0)
    assert (cluster.azure_attributes is not None) == node.startswith("Standard_")


def test_a_cluster_reads_back_with_the_variables_and_the_engine_that_it_was_given(client: WorkspaceClient) -> None:
    variables, engine = {"A": "b"}, RuntimeEngine.PHOTON
    made = client.clusters.create(
        RUNTIME, node_type_id=NODE, num_workers=1, spark_env_vars=variables, runtime_engine=engine
    )
    cluster = client.clusters.get(made.cluster_id)
    assert (cluster.spark_env_vars, cluster.runtime_engine) == (variables, engine)


def test_a_cluster_for_one_user_is_for_who_made_it(client: WorkspaceClient) -> None:
    mode = DataSecurityMode.SINGLE_USER
    made = client.clusters.create(RUNTIME, node_type_id=NODE, num_workers=1, data_security_mode=mode)
    assert client.clusters.get(made.cluster_id).single_user_name == "engineer@localhost"
