"""Clusters, by the official client: listings, events and choices; and what the runner of jobs asks for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, InvalidState
from databricks.sdk.service.compute import (
    ClusterSource,
    ClusterSpec,
    EventType,
    InitScriptInfo,
    Library,
    ListClustersFilterBy,
    ListClustersSortBy,
    ListClustersSortByDirection,
    ListClustersSortByField,
    State,
    WorkspaceStorageInfo,
)

from local_workspace import Workspace
from local_workspace.errors import ApiError
from local_workspace.services.clusters import Clusters
from tests.local_workspace.cluster_kit import NODE, RUNTIME, StoppedClock, create, kinds, slow, state


@pytest.fixture
def clock(workspace: Workspace) -> StoppedClock:
    return slow(workspace)


def test_a_pinned_cluster_comes_first_and_is_not_to_be_deleted_permanently(client: WorkspaceClient) -> None:
    create(client, "first")
    last = create(client, "last")
    client.clusters.pin(last)
    client.clusters.pin(last)
    assert next(cluster.cluster_id for cluster in client.clusters.list()) == last
    pinned = client.clusters.list(filter_by=ListClustersFilterBy(is_pinned=True))
    assert [cluster.cluster_id for cluster in pinned] == [last]
    with pytest.raises(InvalidState, match="unpin the cluster first"):
        client.clusters.permanent_delete(last)
    client.clusters.unpin(last)
    client.clusters.permanent_delete(last)
    assert "last" not in [cluster.cluster_name for cluster in client.clusters.list()]


def test_clusters_are_listed_in_pages_of_which_none_is_lost(workspace: Workspace, client: WorkspaceClient) -> None:
    workspace.state().options.page_size = 3
    made = [create(client, f"cluster-{number}") for number in range(7)]
    listed = [cluster.cluster_id for cluster in client.clusters.list()]
    assert listed[1:] == made  # the first is the workspace's own
    assert workspace.calls['GET /api/<any("2.0","2.1","2.2"):_version>/clusters/list'] == 3
    assert [cluster.cluster_id for cluster in client.clusters.list(page_size=2)] == listed


def test_clusters_are_listed_by_name_state_and_source(workspace: Workspace, client: WorkspaceClient) -> None:
    names = [create(client, name) and name for name in ("b", "c", "a")]
    by_name = ListClustersSortBy(field=ListClustersSortByField.CLUSTER_NAME, direction=ListClustersSortByDirection.DESC)
    listed = [cluster.cluster_name for cluster in client.clusters.list(sort_by=by_name)]
    assert listed == ["default", *sorted(names, reverse=True)]
    service = workspace.state().service(Clusters)
    service.add_job_cluster({"spark_version": RUNTIME, "node_type_id": NODE, "num_workers": 1}, "run")
    both = ListClustersFilterBy(cluster_sources=[ClusterSource.JOB, ClusterSource.UI])
    assert [cluster.cluster_name for cluster in client.clusters.list(filter_by=both)] == ["run"]
    states = ListClustersFilterBy(cluster_states=[State.PENDING, State.TERMINATED])
    assert [cluster.cluster_name for cluster in client.clusters.list(filter_by=states)] == ["default"]


def test_events_are_paged_newest_first_by_token_and_by_offset(workspace: Workspace, client: WorkspaceClient) -> None:
    cluster_id = create(client)
    for _ in range(4):
        client.clusters.pin(cluster_id)
        client.clusters.unpin(cluster_id)
    client.clusters.get(cluster_id)
    expected = [EventType.UNPINNED, EventType.PINNED] * 3
    newest = [event.type for event in client.clusters.events(cluster_id, page_size=3)]
    assert newest[:6] == expected
    assert len(newest) == 10
    assert [event.type for event in client.clusters.events(cluster_id, limit=4)] == newest
    assert [event.type for event in client.clusters.events(cluster_id, limit=4, offset=2)] == newest[2:]
    workspace.state().options.page_size = 2
    assert [event.type for event in client.clusters.events(cluster_id)] == newest
    pins = client.clusters.events(cluster_id, event_types=[EventType.PINNED])
    assert [event.type for event in pins] == [EventType.PINNED] * 4


def test_what_can_be_chosen_is_listed_and_can_be_selected(client: WorkspaceClient) -> None:
    assert client.clusters.select_spark_version(long_term_support=True, scala="2.13") == "18.2.x-scala2.13"
    assert client.clusters.select_spark_version(spark_version="4.0", scala="2.13") == "17.3.x-scala2.13"
    assert client.clusters.select_node_type(min_memory_gb=30, local_disk=True, category="Memory Optimized")
    assert {NODE, "Standard_D4s_v5"} <= {
        kind.node_type_id for kind in client.clusters.list_node_types().node_types or []
    }
    assert client.clusters.list_zones().default_zone == "1"


def test_the_default_cluster_is_the_same_in_every_workspace(client: WorkspaceClient) -> None:
    cluster = client.clusters.get("0101-000000-default0")
    assert (cluster.cluster_name, cluster.state) == ("default", State.TERMINATED)


def test_the_runner_waits_for_a_cluster_without_holding_the_lock(workspace: Workspace, client: WorkspaceClient) -> None:
    workspace.state().options.cluster_start_seconds = 1
    service = workspace.state().service(Clusters)
    waiting = threading.Thread(target=service.ensure_running, args=["0101-000000-default0"])
    waiting.start()
    assert client.clusters.get("0101-000000-default0").state in (State.TERMINATED, State.PENDING)
    waiting.join()
    assert state(client, "0101-000000-default0") is State.RUNNING


def test_the_cluster_of_a_run_is_a_job_cluster_until_the_run_ends(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    service = workspace.state().service(Clusters)
    spec = ClusterSpec(spark_version=RUNTIME, node_type_id=NODE, num_workers=1, custom_tags={"a": "b"})
    cluster_id = service.add_job_cluster(spec, "job-1-run-2")
    service.ensure_running(cluster_id)
    cluster = client.clusters.get(cluster_id)
    assert (cluster.cluster_source, cluster.cluster_name) == (ClusterSource.JOB, "job-1-run-2")
    with pytest.raises(InvalidParameterValue, match="cannot be edited"):
        client.clusters.edit(cluster_id, RUNTIME, node_type_id=NODE, num_workers=3)
    service.terminate(cluster_id)
    service.terminate(cluster_id)
    ended = client.clusters.get(cluster_id)
    assert ended.state is State.TERMINATED
    assert ended.termination_reason is not None
    assert ended.termination_reason.code is not None
    assert ended.termination_reason.code.value == "JOB_FINISHED"
    with pytest.raises(InvalidParameterValue, match="Jobs service"):
        client.clusters.start(cluster_id)


def test_a_clone_has_the_libraries_of_its_source(client: WorkspaceClient) -> None:
    source = create(client)
    client.libraries.install(source, [Library(whl="/Workspace/Shared/a.whl")])
    body = {
        "spark_version": RUNTIME,
        "node_type_id": NODE,
        "num_workers": 1,
        "clone_from": {"source_cluster_id": source},
    }
    made = client.api_client.do("POST", "/api/2.1/clusters/create", body=body)
    found = client.libraries.cluster_status(made["cluster_id"])
    assert [status.library for status in found] == [Library(whl="/Workspace/Shared/a.whl")]


def test_a_start_waits_for_a_cluster_whose_init_script_is_missing_no_longer_than_it_takes(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    script = InitScriptInfo(workspace=WorkspaceStorageInfo(destination="/Shared/init.sh"))
    made = client.clusters.create(RUNTIME, node_type_id=NODE, num_workers=1, init_scripts=[script])
    service = workspace.state().service(Clusters)
    with pytest.raises(ApiError, match=r"does not start: Init script /Shared/init\.sh does not exist"):
        service.ensure_running(made.cluster_id)
    (workspace.state().path("files", "Shared") / "init.sh").write_text("echo hello")
    service.ensure_running(made.cluster_id)
    assert state(client, made.cluster_id) is State.RUNNING


def test_events_are_those_of_the_time_asked_for(client: WorkspaceClient, clock: StoppedClock) -> None:
    cluster_id = create(client)
    clock.now += 60
    client.clusters.get(cluster_id)
    started = int(clock.now * 1000)
    clock.now += 60
    client.clusters.pin(cluster_id)
    late = client.clusters.events(cluster_id, start_time=started + 1)
    early = client.clusters.events(cluster_id, end_time=started - 1)
    assert [event.type for event in late] == [EventType.PINNED]
    assert [event.type for event in early] == [EventType.CREATING]


def test_clusters_outlive_the_server_and_those_of_runs_end_with_it(tmp_path: Path) -> None:
    with Workspace(tmp_path) as first:
        client = first.client()
        kept = create(client)
        before = client.clusters.get(kept)
        happened = kinds(client, kept)
        spec = {"spark_version": RUNTIME, "node_type_id": NODE, "num_workers": 1}
        of_run = first.state().service(Clusters).add_job_cluster(spec, "run")
        assert state(client, of_run) is State.RUNNING
        token = first.token
    with Workspace(tmp_path, token=token) as second:
        client = second.client()
        assert client.clusters.get(kept) == before
        assert kinds(client, kept) == happened
        assert state(client, of_run) is State.TERMINATED
        assert int(create(client)[-5:]) > int(of_run[-5:])
