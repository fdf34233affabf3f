"""Libraries of clusters: what is to be installed, and what became of it.

Source: https://docs.databricks.com/api/azure/workspace/libraries
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from databricks.sdk.service.compute import ClusterLibraryStatuses, Library, LibraryFullStatus, LibraryInstallStatus
from databricks.sdk.service.compute import State as ClusterState

from local_workspace.errors import invalid
from local_workspace.paths import is_remote, local_path
from local_workspace.routing import Request, route, typed
from local_workspace.state import Service

if TYPE_CHECKING:
    from local_workspace.services.clusters import Clusters

KINDS: Final = ("jar", "egg", "whl", "pypi", "maven", "cran", "requirements")
FILES: Final = ("jar", "egg", "whl", "requirements")
LEAVING: Final = LibraryInstallStatus.UNINSTALL_ON_RESTART
NOTHING_INSTALLED: Final = "looks whether a file is there, and installs nothing on a cluster; the runs of tasks do"


class Libraries(Service):
    """Libraries by cluster id; the status is found when it is asked for."""

    name = "libraries"

    def prepare(self) -> None:
        """Make the table."""
        self.libraries = self.table("libraries", ClusterLibraryStatuses)

    def of(self, cluster_id: str) -> list[Library]:
        """Return the libraries of a cluster, in the order in which they were added."""
        return [status.library for status in self._statuses(cluster_id) if status.library is not None]

    def add(self, cluster_id: str, libraries: Iterable[Library]) -> None:
        """Let libraries be installed on a cluster; one that it has already stays."""
        statuses = self._statuses(cluster_id)
        for library in libraries:
            known = next((status for status in statuses if status.library == library), None)
            if known is None:
                statuses.append(LibraryFullStatus(library=library, status=LibraryInstallStatus.PENDING))
            elif known.status is LEAVING:
                known.status = LibraryInstallStatus.PENDING
        if statuses:
            self.libraries[cluster_id] = ClusterLibraryStatuses(cluster_id=cluster_id, library_statuses=statuses)

    def restarted(self, cluster_id: str) -> None:
        """Take away what was to be uninstalled at the next start."""
        kept = [status for status in self._statuses(cluster_id) if status.status is not LEAVING]
        self._keep(cluster_id, kept)

    def forget(self, cluster_id: str) -> None:
        """Forget the libraries of a cluster that is gone."""
        self.libraries.pop(cluster_id, None)

    @route("POST", "2.0/libraries/install", differs=NOTHING_INSTALLED)
    def install(self, request: Request) -> object:
        """Install libraries on a cluster, at its start if it is not running."""
        cluster_id = str(request.required("cluster_id"))
        self._clusters().find(cluster_id)
        self.add(cluster_id, _libraries(request))
        return None

    @route("POST", "2.0/libraries/uninstall")
    def uninstall(self, request: Request) -> object:
        """Uninstall libraries: at the next start if the cluster is running; one that it does not have is no error."""
        cluster_id = str(request.required("cluster_id"))
        ended = self._clusters().find(cluster_id).state is ClusterState.TERMINATED
        leaving, statuses = _libraries(request), self._statuses(cluster_id)
        for status in [status for status in statuses if status.library in leaving]:
            status.status = LEAVING
        self._keep(cluster_id, [status for status in statuses if not (ended and status.status is LEAVING)])
        return None

    @route("GET", "2.0/libraries/cluster-status", differs=NOTHING_INSTALLED)
    def cluster_status(self, request: Request) -> object:
        """Return the status of each library of a cluster."""
        return self._answer(str(request.required("cluster_id")))

    @route("GET", "2.0/libraries/all-cluster-statuses", differs=NOTHING_INSTALLED)
    def all_cluster_statuses(self, _request: Request) -> object:
        """Return the status of each library of each cluster that has one; this listing has no pages."""
        return {"statuses": [self._answer(cluster_id) for cluster_id in self.libraries]}

    def _statuses(self, cluster_id: str) -> list[LibraryFullStatus]:
        return list(self.libraries[cluster_id].library_statuses or []) if cluster_id in self.libraries else []

    def _keep(self, cluster_id: str, statuses: list[LibraryFullStatus]) -> None:
        if statuses:
            self.libraries[cluster_id] = ClusterLibraryStatuses(cluster_id=cluster_id, library_statuses=statuses)
        else:
            self.libraries.pop(cluster_id, None)

    def _answer(self, cluster_id: str) -> dict[str, object]:
        running = self._clusters().find(cluster_id).state is ClusterState.RUNNING
        found = [self._status(status, running=running) for status in self._statuses(cluster_id)]
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

    def _clusters(self) -> Clusters:
        from local_workspace.services.clusters import Clusters  # which needs this module

        return self.state.service(Clusters)


def _libraries(request: Request) -> list[Library]:
    """Return the libraries of a request, each of exactly one kind."""
    asked = request.required("libraries")
    for each in asked:
        if not isinstance(each, dict) or len(set(each) & set(KINDS)) != 1:
            raise invalid(f"A library is one of {', '.join(KINDS)}, and not {each}")
    return [typed(Library, each) for each in asked]
