"""What the tests of clusters share: a small cluster, its state and events, and time that a test moves."""

from __future__ import annotations

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.compute import EventType, GetEventsOrder, State

from local_workspace import Workspace

RUNTIME = "17.3.x-scala2.13"
NODE = "Standard_DS3_v2"


class StoppedClock:
    """Time that passes only when somebody sleeps, or a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def create(client: WorkspaceClient, name: str = "small", workers: int = 2) -> str:
    made = client.clusters.create(RUNTIME, cluster_name=name, node_type_id=NODE, num_workers=workers)
    return str(made.cluster_id)


def state(client: WorkspaceClient, cluster_id: str) -> State | None:
    return client.clusters.get(cluster_id).state


def kinds(client: WorkspaceClient, cluster_id: str) -> list[EventType | None]:
    return [event.type for event in client.clusters.events(cluster_id, order=GetEventsOrder.ASC)]


def slow(workspace: Workspace) -> StoppedClock:
    """Let clusters take a minute to start, by a clock that the test moves."""
    workspace.state().clock = clock = StoppedClock()
    workspace.state().options.cluster_start_seconds = 60
    return clock
