"""Clusters that people share, with their libraries; those that jobs and pipelines create are not ours."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final

from devkit.deploy.declaration.kinds import KINDS
from devkit.deploy.declaration.model import Desired, Json
from devkit.deploy.plan.differences import differences
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Service, gone
from devkit.deploy.workspace.client import create_once, wait_until

SETTLED: Final = ("RUNNING", "TERMINATED", "ERROR", "UNKNOWN")
CREATED_BY_SERVICES: Final = ("JOB", "PIPELINE", "PIPELINE_MAINTENANCE", "SQL")


class Clusters(Service):
    """Clusters; the ownership tag is a custom tag."""

    kind = "clusters"
    identity = "cluster_id"

    def listed(self, recording: Recording) -> Iterable[dict[str, Any]]:
        """Return the clusters, each with its libraries."""
        installed = {
            str(status.cluster_id): [lib.as_dict()["library"] for lib in status.library_statuses or [] if _kept(lib)]
            for status in recording.client.libraries.all_cluster_statuses()
        }
        for body in super().listed(recording):
            if body.get("cluster_source") not in CREATED_BY_SERVICES:
                yield {**body, "libraries": installed.get(str(body["cluster_id"]), [])}

    def with_owner(self, context: Context, desired: Desired, body: dict[str, Json]) -> dict[str, Json]:
        """Return a body with the ownership tag and without the libraries, which are a call of their own."""
        sent = super().with_owner(context, desired, body)
        return {name: value for name, value in sent.items() if name != "libraries"}

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Create a cluster; a token makes the service give the same cluster to the same call."""
        sent = {**self.with_owner(context, desired, body), "idempotency_token": uuid.uuid4().hex}

        def make() -> str:
            made: Any = context.client.api_client.do("POST", "/api/2.1/clusters/create", body=sent)
            return str(made["cluster_id"])

        identity = create_once(make, lambda: self.look(context, desired), context.clock)
        self._install(context, identity, body.get("libraries") or [], [])
        return identity

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Edit a cluster if more than its libraries differ, because an edit restarts it."""
        left_out = {"libraries", *KINDS[self.kind].unreported}
        settings = {name: value for name, value in body.items() if name not in left_out}
        if differences(settings, actual.body) or actual.owner != context.owner(desired):
            self._settle(context, actual)
            super().update(context, desired, actual, body)
        self._install(context, actual.id, body.get("libraries") or [], actual.body.get("libraries") or [])

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a cluster permanently."""
        gone(lambda: context.client.clusters.permanent_delete(actual.id))

    def _settle(self, context: Context, actual: Actual) -> None:
        """Wait until a cluster can be edited: the service refuses it while one starts or terminates."""
        if str(actual.body.get("state")) in SETTLED:
            return
        wait_until(
            lambda: context.client.clusters.get(actual.id),
            lambda cluster: cluster.state is not None and cluster.state.value in SETTLED,
            what=f"the cluster {actual.name!r} to settle",
            clock=context.clock,
        )

    def _install(self, context: Context, identity: str, desired: list[Json], installed: list[Json]) -> None:
        from databricks.sdk.service.compute import Library

        more = [Library.from_dict(library) for library in desired if library not in installed]
        fewer = [Library.from_dict(library) for library in installed if library not in desired]
        if fewer:
            context.client.libraries.uninstall(identity, fewer)
        if more:
            context.client.libraries.install(identity, more)


def _kept(library: Any) -> bool:
    return str(getattr(library.status, "value", library.status)) != "UNINSTALL_ON_RESTART"
