"""How a cluster goes from state to state, by the workspace's clock, and what is recorded of it.

Source: https://docs.databricks.com/api/azure/workspace/clusters/get, field ``state``.
"""

from __future__ import annotations

from typing import Any, Final

from databricks.sdk.service.compute import ClusterDetails, ClusterEvent, EventType
from databricks.sdk.service.compute import State as ClusterState

from local_workspace.compute import catalog, specs
from local_workspace.server.paths import is_remote, local_path
from local_workspace.server.routing import typed
from local_workspace.server.state import State, Table

# What a state becomes when its time has come, and the event that tells of it.
NEXT: Final = {
    ClusterState.PENDING: (ClusterState.RUNNING, EventType.RUNNING),
    ClusterState.RESTARTING: (ClusterState.RUNNING, EventType.RUNNING),
    ClusterState.RESIZING: (ClusterState.RUNNING, EventType.UPSIZE_COMPLETED),
    ClusterState.TERMINATING: (ClusterState.TERMINATED, None),
}
MESSAGES: Final = {
    ClusterState.PENDING: "Finding instances for new nodes, acquiring more instances if necessary",
    ClusterState.RESTARTING: "Restarting",
    ClusterState.RESIZING: "Resizing",
    ClusterState.TERMINATING: "Terminating",
}
ENDED: Final[tuple[ClusterState | None, ...]] = (ClusterState.TERMINATED, ClusterState.TERMINATING)
LOCAL: Final = "127.0.0.1"


class Lifecycle:
    """Moves clusters on, and records their events.

    Args:
        state: The workspace.
        due: When the next state is reached, by cluster id.
        events: What happened, by ``cluster_id/number``.
    """

    def __init__(self, state: State, due: Table[dict[str, Any]], events: Table[ClusterEvent]) -> None:
        self._state = state
        self._due = due
        self._events = events

    def begin(self, cluster: ClusterDetails, step: ClusterState, event: EventType, **details: Any) -> None:
        """Begin to start, restart, resize or end a cluster; it gets there when its time has come."""
        now = self._state.now()
        cluster.state, cluster.state_message = step, MESSAGES[step]
        seconds = 0.0 if step is ClusterState.TERMINATING else self._state.options.cluster_start_seconds
        self._due[str(cluster.cluster_id)] = {"at": now + int(seconds * 1000)}
        if step in (ClusterState.PENDING, ClusterState.RESTARTING):
            cluster.start_time = cluster.start_time or now
            cluster.last_restarted_time = now
            cluster.terminated_time = cluster.termination_reason = None
        self.record(str(cluster.cluster_id), event, **details)

    def end(self, cluster: ClusterDetails, code: str, kind: str, **parameters: str) -> None:
        """Begin to end a cluster, with the reason."""
        reason = {"code": code, "type": kind, "parameters": parameters}
        cluster.termination_reason = typed(ClusterDetails, {"termination_reason": reason}).termination_reason
        self.begin(cluster, ClusterState.TERMINATING, EventType.TERMINATING, reason=reason)

    def settle(self, cluster: ClusterDetails) -> ClusterDetails:
        """Move a cluster on as far as the time says, and return it."""
        cluster_id = str(cluster.cluster_id)
        while cluster_id in self._due and self._due[cluster_id]["at"] <= self._state.now():
            at = self._due.pop(cluster_id)["at"]
            missing = self._missing_script(cluster) if cluster.state is not ClusterState.TERMINATING else None
            if missing is not None:
                self.end(cluster, "INIT_SCRIPT_FAILURE", "CLIENT_ERROR", databricks_error_message=missing)
                continue
            reached, event = NEXT[cluster.state or ClusterState.TERMINATING]
            cluster.state = reached
            if event is not None:
                self.record(cluster_id, event, at, current_num_workers=specs.workers(cluster))
            self._fill(cluster, at, running=reached is ClusterState.RUNNING)
        return cluster

    def record(self, cluster_id: str, event: EventType, at: int | None = None, **details: Any) -> None:
        """Record what happened to a cluster."""
        content: dict[str, Any] = {"cluster_id": cluster_id, "type": event.value, "details": details}
        content["timestamp"] = self._state.now() if at is None else at
        self._events[f"{cluster_id}/{self._state.number()}"] = typed(ClusterEvent, content)

    def forget(self, cluster_id: str) -> None:
        """Forget all of a cluster."""
        self._due.pop(cluster_id, None)
        self._events.forget(lambda key, _: key.startswith(f"{cluster_id}/"))

    def _fill(self, cluster: ClusterDetails, at: int, *, running: bool) -> None:
        cluster.state_message = "" if running else _why(cluster)
        cluster.terminated_time = None if running else at
        if not running:
            cluster.driver = cluster.jdbc_port = cluster.cluster_cores = cluster.cluster_memory_mb = None
            return
        node, driver = catalog.node_type(cluster.node_type_id), catalog.node_type(cluster.driver_node_type_id)
        count = specs.workers(cluster)
        cluster.cluster_cores = driver.num_cores + count * node.num_cores
        cluster.cluster_memory_mb = driver.memory_mb + count * node.memory_mb
        cluster.last_state_loss_time, cluster.jdbc_port = at, 10000
        cluster.spark_context_id = cluster.spark_context_id or self._state.number()
        machine = {"private_ip": LOCAL, "node_id": f"driver-{cluster.cluster_id}", "start_timestamp": at}
        cluster.driver = typed(ClusterDetails, {"driver": machine}).driver

    def _missing_script(self, cluster: ClusterDetails) -> str | None:
        """Return what is wrong with the first init script that is not there."""
        for script in cluster.init_scripts or ():
            places: dict[str, dict[str, str]] = script.as_dict()
            for text in (place.get("destination", "") for place in places.values()):
                known = text.startswith("/") or is_remote(text)
                if known and not local_path(self._state, _in_workspace(text)).is_file():
                    return f"Init script {text} does not exist"
        return None


def _in_workspace(text: str) -> str:
    return text if is_remote(text) else f"/Workspace{text}"


def _why(cluster: ClusterDetails) -> str:
    reason = cluster.termination_reason
    if reason is None or reason.code is None:
        return ""
    message = (reason.parameters or {}).get("databricks_error_message")
    return message or f"Terminated: {reason.code.value}"
