"""What is to be installed on each cluster, and what is to leave it at its next start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from databricks.sdk.service.compute import ClusterLibraryStatuses, Library, LibraryFullStatus, LibraryInstallStatus

from local_workspace.server.state import Table

LEAVING: Final = LibraryInstallStatus.UNINSTALL_ON_RESTART


class ClusterLibraries:
    """Libraries by cluster id; a cluster without any is not in the table.

    Args:
        table: Where they are kept.
    """

    def __init__(self, table: Table[ClusterLibraryStatuses]) -> None:
        self._table = table

    def clusters(self) -> list[str]:
        """Return the ids of the clusters that have libraries."""
        return list(self._table)

    def of(self, cluster_id: str) -> list[Library]:
        """Return the libraries of a cluster, in the order in which they were added."""
        return [status.library for status in self.statuses(cluster_id) if status.library is not None]

    def statuses(self, cluster_id: str) -> list[LibraryFullStatus]:
        """Return what is known of each library of a cluster."""
        return list(self._table[cluster_id].library_statuses or []) if cluster_id in self._table else []

    def add(self, cluster_id: str, libraries: Iterable[Library]) -> None:
        """Let libraries be installed on a cluster; one that it has already stays."""
        statuses = self.statuses(cluster_id)
        for library in libraries:
            known = next((status for status in statuses if status.library == library), None)
            if known is None:
                statuses.append(LibraryFullStatus(library=library, status=LibraryInstallStatus.PENDING))
            elif known.status is LEAVING:
                known.status = LibraryInstallStatus.PENDING
        self._keep(cluster_id, statuses)

    def remove(self, cluster_id: str, libraries: list[Library], *, at_once: bool) -> None:
        """Uninstall libraries now, or at the cluster's next start; a library that is not there is no error."""
        statuses = self.statuses(cluster_id)
        for status in statuses:
            if status.library in libraries:
                status.status = LEAVING
        self._keep(cluster_id, [each for each in statuses if not (at_once and each.status is LEAVING)])

    def restarted(self, cluster_id: str) -> None:
        """Take away what was to be uninstalled at the next start."""
        self.remove(cluster_id, [], at_once=True)

    def forget(self, cluster_id: str) -> None:
        """Forget the libraries of a cluster that is gone."""
        self._table.pop(cluster_id, None)

    def _keep(self, cluster_id: str, statuses: list[LibraryFullStatus]) -> None:
        if statuses:
            self._table[cluster_id] = ClusterLibraryStatuses(cluster_id=cluster_id, library_statuses=statuses)
        else:
            self._table.pop(cluster_id, None)
