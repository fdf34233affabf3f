"""Clusters: all of their life but the machines.

Source: https://docs.databricks.com/api/azure/workspace/clusters
"""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

from databricks.sdk.service.compute import (
    ClusterDetails,
    ClusterEvent,
    ClusterLibraryStatuses,
    ClusterSource,
    ClusterSpec,
    EventType,
)
from databricks.sdk.service.compute import State as ClusterState

from local_workspace.compute import catalog, policy_rules, specs
from local_workspace.compute.cluster_libraries import ClusterLibraries
from local_workspace.compute.lifecycle import ENDED, Lifecycle
from local_workspace.errors import invalid, invalid_state
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service
from local_workspace.services.instance_pools import InstancePools
from local_workspace.services.policies import Policies
from local_workspace.services.scim import Scim

NO_MACHINES: Final = "starts no machines, ends none that idles, runs no init scripts: a missing one ends the cluster"
POLL_SECONDS: Final = 0.1
EDITABLE: Final = (ClusterState.RUNNING, ClusterState.TERMINATED)


class Clusters(Service):
    """Clusters by id."""

    name = "clusters"
    permission_kinds: ClassVar[tuple[str, ...]] = ("clusters",)

    def prepare(self) -> None:
        """Make the tables and the default cluster, which is not running."""
        self.clusters = self.table("clusters", ClusterDetails)
        self.events = self.table("events", ClusterEvent)
        self.pins = self.table("pins", dict[str, Any])
        self.tokens = self.table("tokens", dict[str, Any])
        self.libraries = ClusterLibraries(self.table("libraries", ClusterLibraryStatuses))
        self._lifecycle = Lifecycle(self.state, self.table("due", dict[str, Any]), self.events)
        asked = {
            "cluster_name": "default",
            "spark_version": "17.3.x-scala2.13",
            "node_type_id": "Standard_DS3_v2",
            "num_workers": 1,
            "autotermination_minutes": 60,
        }
        around = specs.Surroundings({}, {}, "all-purpose", self.state.identity.user_name)
        default = specs.details(specs.checked(asked, around), self.state.identity.cluster_id, around)
        default.state = ClusterState.TERMINATED
        self.clusters[self.state.identity.cluster_id] = default

    def resume(self) -> None:
        """End the clusters of jobs, whose runs ended with the last server."""
        for cluster in self.clusters.values():
            if cluster.cluster_source is ClusterSource.JOB and cluster.state not in ENDED:
                self._lifecycle.end(cluster, "JOB_FINISHED", "SUCCESS")

    # What the runner of jobs asks for; it holds no lock meanwhile.

    def find(self, cluster_id: str) -> ClusterDetails:
        """Return a cluster as it is now.

        Raises:
            ApiError: 400 when there is none of this id.
        """
        if cluster_id not in self.clusters:
            raise invalid(f"Cluster {cluster_id} does not exist")
        return self._lifecycle.settle(self.clusters[cluster_id])

    def ensure_running(self, cluster_id: str) -> None:
        """Start a cluster if it is not running, and wait until it is.

        Raises:
            ApiError: 400 when there is no such cluster, or it ends while it starts.
        """
        started = False
        while True:
            with self.state.lock:
                cluster = self.find(cluster_id)
                if cluster.state is ClusterState.RUNNING:
                    return
                if cluster.state is ClusterState.TERMINATED:
                    if started or cluster.cluster_source is ClusterSource.JOB:
                        raise invalid_state(f"Cluster {cluster_id} does not start: {cluster.state_message}")
                    self._start(cluster)
                    started = True
                    continue
            self.state.clock.sleep(POLL_SECONDS)

    def add_job_cluster(self, new_cluster_spec: ClusterSpec | dict[str, Any], run_name: str) -> str:
        """Make the cluster of a run, which begins to start, and return its id.

        Raises:
            ApiError: 400 when the specification is impossible or breaks its policy.
        """
        asked = new_cluster_spec if isinstance(new_cluster_spec, dict) else new_cluster_spec.as_dict()
        with self.state.lock:
            return self._add({**asked, "cluster_name": run_name, "autotermination_minutes": 0}, "job")

    def terminate(self, cluster_id: str) -> None:
        """End a cluster whose run is over; one that is gone or has ended stays as it is."""
        with self.state.lock:
            cluster = self.clusters.get(cluster_id)
            if cluster is not None and self._lifecycle.settle(cluster).state not in ENDED:
                self._lifecycle.end(cluster, "JOB_FINISHED", "SUCCESS")

    # The API.

    @route("POST", "*/clusters/create", differs=NO_MACHINES)
    def create(self, request: Request) -> object:
        """Make a cluster; the same idempotency token gives the same one while it is not terminated."""
        token = request.get("idempotency_token")
        if token and len(token) > 64:
            raise invalid(f"idempotency_token has at most 64 characters, not {len(token)}")
        made = str(self.tokens[token]["cluster_id"]) if token in self.tokens else ""
        if made in self.clusters and self.find(made).state not in ENDED:
            return {"cluster_id": made}
        clone_from = (request.get("clone_from") or {}).get("source_cluster_id")
        libraries = self.libraries.of(clone_from) if clone_from and self.find(clone_from) else []
        cluster_id = self._add(request.json, "all-purpose")
        self.libraries.add(cluster_id, libraries)
        if token:
            self.tokens[token] = {"cluster_id": cluster_id}
        return {"cluster_id": cluster_id}

    @route("GET", "*/clusters/get", differs=NO_MACHINES)
    def get(self, request: Request) -> object:
        """Return a cluster."""
        return self.of(request)

    @route("GET", "*/clusters/list", differs="keeps terminated clusters for ever, not for 30 days")
    def list(self, request: Request) -> object:
        """Return the clusters, pinned ones first, in pages."""
        found = [
            cluster for cluster in map(self._lifecycle.settle, self.clusters.values()) if self._is(cluster, request)
        ]
        if request.get("sort_by.field") == "CLUSTER_NAME":
            found.sort(key=lambda cluster: str(cluster.cluster_name))
        else:
            found.sort(key=lambda cluster: cluster.cluster_id not in self.pins)
        if request.get("sort_by.direction") == "DESC":
            found.reverse()
        return request.listing("clusters", found)

    @route("POST", "*/clusters/edit", differs=NO_MACHINES)
    def edit(self, request: Request) -> object:
        """Replace what a cluster is; a running one restarts, and one that is changing state cannot be edited."""
        self._change(self.of(request), request.json)
        return None

    @route("POST", "*/clusters/update", differs=NO_MACHINES)
    def update(self, request: Request) -> object:
        """Replace the fields of a cluster that the mask names; a running one restarts."""
        cluster = self.of(request)
        spec = cluster.spec.as_dict() if cluster.spec else {}
        mask = str(request.required("update_mask"))
        self._change(cluster, specs.masked(spec, request.get("cluster") or {}, mask))
        return None

    @route("POST", "*/clusters/resize", differs=NO_MACHINES)
    def resize(self, request: Request) -> object:
        """Give a running cluster another number of workers."""
        cluster = self._in(self.of(request), ClusterState.RUNNING)
        size = {key: request.json[key] for key in ("num_workers", "autoscale") if request.get(key) is not None}
        asked = specs.masked((cluster.spec or ClusterSpec()).as_dict(), size, ",".join(size) or "num_workers")
        before = specs.workers(cluster)
        self._replace(cluster, asked)
        cluster = self.clusters[str(cluster.cluster_id)]
        counts = {"current_num_workers": before, "target_num_workers": specs.workers(cluster)}
        self._lifecycle.begin(cluster, ClusterState.RESIZING, EventType.RESIZING, cause="USER_REQUEST", **counts)
        return None

    @route("POST", "*/clusters/start", differs=NO_MACHINES)
    def start(self, request: Request) -> object:
        """Start a terminated cluster; 400 INVALID_STATE in any other state."""
        self._start(self._in(self.of(request, of_jobs=False), ClusterState.TERMINATED))
        return None

    @route("POST", "*/clusters/restart", differs=NO_MACHINES)
    def restart(self, request: Request) -> object:
        """Restart a running cluster; 400 INVALID_STATE in any other state."""
        self._restart(self._in(self.of(request), ClusterState.RUNNING))
        return None

    @route("POST", "*/clusters/delete", differs=NO_MACHINES)
    def delete(self, request: Request) -> object:
        """Terminate a cluster; nothing happens to one that is terminated."""
        cluster = self.of(request)
        if cluster.state not in ENDED:
            self._lifecycle.end(cluster, "USER_REQUEST", "SUCCESS", username=self.state.identity.user_name)
        return None

    @route("POST", "*/clusters/permanent-delete")
    def permanent_delete(self, request: Request) -> object:
        """Forget a cluster; 400 INVALID_STATE while it is pinned."""
        cluster_id = str(self.of(request).cluster_id)
        if cluster_id in self.pins:
            raise invalid_state(f"Cluster {cluster_id} is pinned: unpin the cluster first")
        del self.clusters[cluster_id]
        self._lifecycle.forget(cluster_id)
        self.libraries.forget(cluster_id)
        return None

    @route("POST", "*/clusters/pin")
    def pin(self, request: Request) -> object:
        """Pin a cluster: it comes first in listings, and cannot be deleted permanently."""
        cluster_id = str(self.of(request).cluster_id)
        if cluster_id not in self.pins:
            self.pins[cluster_id] = {"at": self.state.now()}
            self._lifecycle.record(cluster_id, EventType.PINNED, user=self.state.identity.user_name)
        return None

    @route("POST", "*/clusters/unpin")
    def unpin(self, request: Request) -> object:
        """Unpin a cluster."""
        cluster_id = str(self.of(request).cluster_id)
        if self.pins.pop(cluster_id, None) is not None:
            self._lifecycle.record(cluster_id, EventType.UNPINNED, user=self.state.identity.user_name)
        return None

    @route("POST", "*/clusters/change-owner")
    def change_owner(self, request: Request) -> object:
        """Give a terminated cluster another owner, who must exist."""
        cluster = self._in(self.of(request), ClusterState.TERMINATED)
        owner = str(request.required("owner_username"))
        self.state.service(Scim).require("user_name", owner)
        cluster.creator_user_name = owner
        cluster.default_tags = {**(cluster.default_tags or {}), "Creator": owner}
        return None

    @route("POST", "*/clusters/events", differs="reports requests only, nothing about machines")
    def list_events(self, request: Request) -> object:
        """Return what happened to a cluster, newest first, in pages by token or by offset."""
        cluster_id = str(self.of(request).cluster_id)
        until = int(request.get("end_time") or self.state.now())
        kinds, since = request.many("event_types"), int(request.get("start_time") or 0)
        found = [event for key, event in self.events.items() if key.startswith(f"{cluster_id}/")]
        found = [event for event in found if since <= (event.timestamp or 0) <= until]
        found = [event for event in found if event.type and (not kinds or event.type.value in kinds)]
        if request.get("order", "DESC") == "DESC":
            found.reverse()
        offset = int(request.get("offset") or 0)
        by_token = "page_size" in request.json or "page_token" in request.json
        size = "page_size" if by_token else "limit"
        page, token = request.page(found[offset:], size=size, default=50, maximum=500)
        answer: dict[str, Any] = {"events": [event.as_dict() for event in page], "total_count": len(found)}
        if token:
            position = {"page_token": token} if by_token else {"offset": offset + len(page)}
            answer["next_page"] = {**request.json, "end_time": until, **position}
            answer["next_page_token"] = token
        return answer

    @route(
        "GET", "*/clusters/spark-versions", differs="lists some of the runtimes; takes every key that looks like one"
    )
    def spark_versions(self, _request: Request) -> object:
        """Return the runtimes."""
        return {"versions": [version.as_dict() for version in catalog.SPARK_VERSIONS]}

    @route(
        "GET",
        "*/clusters/list-node-types",
        differs="lists some of Azure's machines; takes every name of Azure, AWS and Google Cloud",
    )
    def list_node_types(self, _request: Request) -> object:
        """Return the machines."""
        return {"node_types": [kind.as_dict() for kind in catalog.NODE_TYPES.values()]}

    @route("GET", "*/clusters/list-zones")
    def list_zones(self, _request: Request) -> object:
        """Return the zones."""
        return {"zones": [*catalog.ZONES], "default_zone": catalog.ZONES[0]}

    def of(self, request: Request, *, of_jobs: bool = True) -> ClusterDetails:
        """Return the cluster that a request names.

        Raises:
            ApiError: 400 when there is none of this id, or it is a job's and only others are wanted.
        """
        cluster = self.find(str(request.required("cluster_id")))
        if cluster.cluster_source is ClusterSource.JOB and not of_jobs:
            raise invalid(f"Cluster {cluster.cluster_id} was launched by the Jobs service to run a job")
        return cluster

    @staticmethod
    def _in(cluster: ClusterDetails, *states: ClusterState) -> ClusterDetails:
        if cluster.state not in states:
            now = cluster.state.value.capitalize() if cluster.state else "Unknown"
            raise invalid_state(f"Cluster {cluster.cluster_id} is in unexpected state {now}.")
        return cluster

    def _is(self, cluster: ClusterDetails, request: Request) -> bool:
        """Return whether a cluster fits the filter of a listing."""
        sources, states = request.many("filter_by.cluster_sources"), request.many("filter_by.cluster_states")
        policy, pinned = request.get("filter_by.policy_id"), request.get("filter_by.is_pinned", "")
        return (
            (not sources or (cluster.cluster_source is not None and cluster.cluster_source.value in sources))
            and (not states or (cluster.state is not None and cluster.state.value in states))
            and (policy is None or cluster.policy_id == policy)
            and (not pinned or (cluster.cluster_id in self.pins) == request.flag("filter_by.is_pinned"))
        )

    def _around(self, asked: dict[str, Any], cluster_type: str) -> specs.Surroundings:
        policy: policy_rules.Definition = {}
        if asked.get("policy_id"):
            policy = self.state.service(Policies).definition(asked["policy_id"])
        pools = self.state.service(InstancePools).pools
        return specs.Surroundings(pools, policy, cluster_type, self.state.identity.user_name)

    def _add(self, asked: dict[str, Any], cluster_type: str) -> str:
        around = self._around(asked, cluster_type)
        spec = specs.checked(asked, around)
        made = time.strftime("%m%d-%H%M%S", time.gmtime(self.state.clock.time()))
        cluster_id = f"{made}-local{self.state.number():05d}"
        cluster = self.clusters[cluster_id] = specs.details(spec, cluster_id, around)
        self._lifecycle.begin(
            cluster, ClusterState.PENDING, EventType.CREATING, user=around.user_name, attributes=cluster.as_dict()
        )
        return cluster_id

    def _change(self, cluster: ClusterDetails, asked: dict[str, Any]) -> None:
        if cluster.cluster_source is ClusterSource.JOB:
            raise invalid(f"Cluster {cluster.cluster_id} was launched by the Jobs service and cannot be edited")
        self._in(cluster, *EDITABLE)
        before = cluster.as_dict()
        self._replace(cluster, asked)
        changed = self.clusters[str(cluster.cluster_id)]
        self._lifecycle.record(
            str(cluster.cluster_id),
            EventType.EDITED,
            user=self.state.identity.user_name,
            attributes=changed.as_dict(),
            previous_attributes=before,
        )
        if changed.state is ClusterState.RUNNING:
            self._restart(changed)

    def _replace(self, cluster: ClusterDetails, asked: dict[str, Any]) -> None:
        """Give a cluster another specification; its state and its owner stay."""
        around = self._around(asked, "all-purpose")
        made = specs.details(specs.checked(asked, around), str(cluster.cluster_id), around)
        for name in ClusterSpec.__dataclass_fields__:
            if name in ClusterDetails.__dataclass_fields__:
                setattr(cluster, name, getattr(made, name))
        cluster.spec = made.spec
        cluster.default_tags = {**(cluster.default_tags or {}), "ClusterName": str(made.cluster_name)}

    def _start(self, cluster: ClusterDetails) -> None:
        self.libraries.restarted(str(cluster.cluster_id))
        self._lifecycle.begin(cluster, ClusterState.PENDING, EventType.STARTING, user=self.state.identity.user_name)

    def _restart(self, cluster: ClusterDetails) -> None:
        self.libraries.restarted(str(cluster.cluster_id))
        self._lifecycle.begin(
            cluster, ClusterState.RESTARTING, EventType.RESTARTING, user=self.state.identity.user_name
        )
