"""Libraries of clusters: what is to be installed, and what became of it.

Source: https://docs.databricks.com/api/azure/workspace/libraries
"""

from __future__ import annotations

from typing import Final

from databricks.sdk.service.compute import Library, LibraryFullStatus, LibraryInstallStatus
from databricks.sdk.service.compute import State as ClusterState

from local_workspace.compute.cluster_libraries import LEAVING
from local_workspace.errors import invalid
from local_workspace.server.paths import is_remote, local_path
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service
from local_workspace.services.clusters import Clusters

KINDS: Final = ("jar", "egg", "whl", "pypi", "maven", "cran", "requirements")
FILES: Final = ("jar", "egg", "whl", "requirements")
NOTHING_INSTALLED: Final = "looks whether a file is there, and installs nothing on a cluster; the runs of tasks do"


class Libraries(Service):
    """Libraries by cluster id; the status is found when it is asked for."""

    name = "libraries"

    def resume(self) -> None:
        """Find the clusters, which keep what is installed on them."""
        self._clusters = self.state.service(Clusters)
        self._libraries = self._clusters.libraries

    @route("POST", "2.0/libraries/install", differs=NOTHING_INSTALLED)
    def install(self, request: Request) -> object:
        """Install libraries on a cluster, at its start if it is not running."""
        cluster = self._clusters.of(request)
        self._libraries.add(str(cluster.cluster_id), _libraries(request))
        return None

    @route("POST", "2.0/libraries/uninstall")
    def uninstall(self, request: Request) -> object:
        """Uninstall libraries: at the next start if the cluster is running; a library that is not there is no error."""
        cluster = self._clusters.of(request)
        ended = cluster.state is ClusterState.TERMINATED
        self._libraries.remove(str(cluster.cluster_id), _libraries(request), at_once=ended)
        return None

    @route("GET", "2.0/libraries/cluster-status", differs=NOTHING_INSTALLED)
    def cluster_status(self, request: Request) -> object:
        """Return the status of each library of a cluster."""
        return self._answer(str(request.required("cluster_id")))

    @route("GET", "2.0/libraries/all-cluster-statuses", differs=NOTHING_INSTALLED)
    def all_cluster_statuses(self, _request: Request) -> object:
        """Return the status of each library of each cluster that has one; this listing has no pages."""
        return {"statuses": [self._answer(cluster_id) for cluster_id in self._libraries.clusters()]}

    def _answer(self, cluster_id: str) -> dict[str, object]:
        running = self._clusters.find(cluster_id).state is ClusterState.RUNNING
        found = [self._status(status, running=running) for status in self._libraries.statuses(cluster_id)]
        return {"cluster_id": cluster_id, "library_statuses": [status.as_dict() for status in found]}

    def _status(self, kept: LibraryFullStatus, *, running: bool) -> LibraryFullStatus:
        status, messages = kept.status, None
        if status is not LEAVING and running:
            missing = self._missing(kept.library or Library())
            status = LibraryInstallStatus.FAILED if missing else LibraryInstallStatus.INSTALLED
            messages = [f"Library {missing} does not exist"] if missing else None
        return LibraryFullStatus(
            library=kept.library, status=status, messages=messages, is_library_for_all_clusters=False
        )

    def _missing(self, library: Library) -> str | None:
        """Return the path of a library that is not where it should be."""
        for text in (getattr(library, kind) for kind in FILES):
            if text and is_remote(text) and not local_path(self.state, text).is_file():
                return str(text)
        return None


def _libraries(request: Request) -> list[Library]:
    """Return the libraries of a request, each of exactly one kind."""
    asked = request.required("libraries")
    for each in asked:
        if not isinstance(each, dict) or len(set(each) & set(KINDS)) != 1:
            raise invalid(f"invalid library {each}: give exactly one of {', '.join(KINDS)}")
    return [typed(Library, each) for each in asked]
