"""Libraries of clusters, by the official client."""

from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue
from databricks.sdk.service.compute import Library, LibraryInstallStatus, MavenLibrary, PythonPyPiLibrary

from local_workspace import Workspace
from local_workspace.services.clusters import Clusters

PYTHON = Library(pypi=PythonPyPiLibrary(package="simplejson==3.19.3"))
MAVEN = Library(maven=MavenLibrary(coordinates="a:b:1"))
WHEEL = Library(whl="/Volumes/main/default/raw/a-1-py3-none-any.whl")


@pytest.fixture
def cluster_id(client: WorkspaceClient) -> str:
    made = client.clusters.create("17.3.x-scala2.13", node_type_id="Standard_DS3_v2", num_workers=1).result()
    return str(made.cluster_id)


def statuses(client: WorkspaceClient, cluster_id: str) -> list[tuple[Library | None, LibraryInstallStatus | None]]:
    return [(each.library, each.status) for each in client.libraries.cluster_status(cluster_id)]


def test_libraries_are_installed_once_in_their_order(
    workspace: Workspace, client: WorkspaceClient, cluster_id: str
) -> None:
    client.libraries.install(cluster_id, [PYTHON, MAVEN])
    client.libraries.install(cluster_id, [PYTHON])
    installed = LibraryInstallStatus.INSTALLED
    assert statuses(client, cluster_id) == [(PYTHON, installed), (MAVEN, installed)]
    assert workspace.state().service(Clusters).libraries.of(cluster_id) == [PYTHON, MAVEN]


def test_a_wheel_that_is_not_there_fails_and_one_that_is_does_not(
    workspace: Workspace, client: WorkspaceClient, cluster_id: str
) -> None:
    client.libraries.install(cluster_id, [WHEEL])
    (failed,) = client.libraries.cluster_status(cluster_id)
    assert failed.status is LibraryInstallStatus.FAILED
    assert failed.messages == [f"Library {WHEEL.whl} does not exist"]
    folder = workspace.state().path("volumes", "main", "default", "raw")
    (folder / "a-1-py3-none-any.whl").write_bytes(b"a wheel")
    assert statuses(client, cluster_id) == [(WHEEL, LibraryInstallStatus.INSTALLED)]


def test_a_library_of_a_terminated_cluster_waits_for_its_start(client: WorkspaceClient, cluster_id: str) -> None:
    client.clusters.delete(cluster_id).result()
    client.libraries.install(cluster_id, [PYTHON])
    assert statuses(client, cluster_id) == [(PYTHON, LibraryInstallStatus.PENDING)]
    client.clusters.start(cluster_id).result()
    assert statuses(client, cluster_id) == [(PYTHON, LibraryInstallStatus.INSTALLED)]


def test_a_running_cluster_keeps_a_library_until_it_restarts(
    workspace: Workspace, client: WorkspaceClient, cluster_id: str
) -> None:
    client.libraries.install(cluster_id, [PYTHON, MAVEN])
    client.libraries.uninstall(cluster_id, [PYTHON])
    assert statuses(client, cluster_id)[0] == (PYTHON, LibraryInstallStatus.UNINSTALL_ON_RESTART)
    client.clusters.restart(cluster_id).result()
    assert statuses(client, cluster_id) == [(MAVEN, LibraryInstallStatus.INSTALLED)]
    assert workspace.state().service(Clusters).libraries.of(cluster_id) == [MAVEN]


def test_a_library_installed_again_before_the_restart_stays(client: WorkspaceClient, cluster_id: str) -> None:
    client.libraries.install(cluster_id, [PYTHON])
    client.libraries.uninstall(cluster_id, [PYTHON])
    client.libraries.install(cluster_id, [PYTHON])
    assert statuses(client, cluster_id) == [(PYTHON, LibraryInstallStatus.INSTALLED)]


def test_a_terminated_cluster_gives_a_library_up_at_once(client: WorkspaceClient, cluster_id: str) -> None:
    client.libraries.install(cluster_id, [PYTHON])
    client.clusters.delete(cluster_id).result()
    client.libraries.uninstall(cluster_id, [PYTHON, MAVEN])
    assert statuses(client, cluster_id) == []


def test_all_clusters_with_libraries_are_listed(client: WorkspaceClient, cluster_id: str) -> None:
    assert [*client.libraries.all_cluster_statuses()] == []
    client.libraries.install(cluster_id, [PYTHON])
    client.libraries.install("0101-000000-default0", [MAVEN])
    listed = {each.cluster_id: each.library_statuses for each in client.libraries.all_cluster_statuses()}
    assert [*listed] == [cluster_id, "0101-000000-default0"]
    client.clusters.permanent_delete(cluster_id)
    assert [each.cluster_id for each in client.libraries.all_cluster_statuses()] == ["0101-000000-default0"]


def test_a_cluster_that_does_not_exist_has_no_libraries(client: WorkspaceClient) -> None:
    for call in (
        lambda: client.libraries.install("none", [PYTHON]),
        lambda: client.libraries.uninstall("none", [PYTHON]),
        lambda: client.libraries.cluster_status("none"),
    ):
        with pytest.raises(InvalidParameterValue, match="Cluster none does not exist"):
            call()


def test_a_library_of_no_kind_or_of_two_is_refused(client: WorkspaceClient, cluster_id: str) -> None:
    for library in (Library(), Library(whl="/Workspace/a.whl", jar="dbfs:/a.jar")):
        with pytest.raises(InvalidParameterValue, match="invalid library"):
            client.libraries.install(cluster_id, [library])
