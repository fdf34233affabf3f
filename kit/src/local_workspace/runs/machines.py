"""Where a task runs: its cluster, which must exist and start, and the cluster's libraries and settings.

Every task runs on this machine all the same.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from databricks.sdk.service.compute import ClusterDetails, ClusterSpec, Library
from databricks.sdk.service.jobs import JobSettings, Task

from local_workspace.compute.connect_servers import is_standard
from local_workspace.runs import libraries
from local_workspace.server.state import State
from local_workspace.services.clusters import Clusters


@dataclass
class Machine:
    """What a task finds on its cluster.

    Attributes:
        cluster_id: Of the cluster, None for serverless compute.
        libraries: What to make importable.
        spark_conf: Settings of the cluster.
        variables: Environment variables of the cluster.
        is_standard: Spark Connect is all of Spark that there is: standard access mode, serverless compute.
    """

    cluster_id: str | None = None
    libraries: list[Library] = field(default_factory=list)
    spark_conf: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    is_standard: bool = False


class Compute:
    """The clusters of one run.

    Args:
        state: The workspace.
        settings: Of the job.
        name: Of the run, which names its clusters.
    """

    def __init__(self, state: State, settings: JobSettings, name: str) -> None:
        self._state = state
        self._settings = settings
        self._name = name
        self._made: dict[str, str] = {}
        self._lock = threading.Lock()

    def machine(self, task: Task) -> Machine:
        """Start what a task runs on.

        Raises:
            ApiError: The cluster does not exist or does not start.
        """
        own = [*(task.libraries or [])]
        if task.environment_key:
            own += self._of_environment(task.environment_key)
        specs = {each.job_cluster_key: each.new_cluster for each in self._settings.job_clusters or []}
        spec = task.new_cluster or (specs.get(task.job_cluster_key) if task.job_cluster_key else None)
        if spec is not None:
            return self._on_job_cluster(task.job_cluster_key or f"task {task.task_key}", spec, own)
        if task.existing_cluster_id:
            return self._on_existing_cluster(task.existing_cluster_id, own)
        return Machine(libraries=own, is_standard=True)

    def end(self) -> None:
        """Terminate the clusters that were made for this run."""
        for cluster_id in self._made.values():
            self._state.service(Clusters).terminate(cluster_id)

    def _on_job_cluster(self, key: str, spec: ClusterSpec, own: list[Library]) -> Machine:
        clusters = self._state.service(Clusters)
        with self._lock:
            if key not in self._made:
                self._made[key] = clusters.add_job_cluster(spec, self._name)
        clusters.ensure_running(self._made[key])
        return _machine(self._made[key], own, spec)

    def _on_existing_cluster(self, cluster_id: str, own: list[Library]) -> Machine:
        self._state.service(Clusters).ensure_running(cluster_id)
        with self._state.lock:
            cluster = self._state.service(Clusters).find(cluster_id)
            installed = self._state.service(Clusters).libraries.of(cluster_id)
        return _machine(cluster_id, [*own, *installed], cluster)

    def _of_environment(self, key: str) -> list[Library]:
        found = [each for each in self._settings.environments or [] if each.environment_key == key]
        spec = found[0].spec if found else None
        return libraries.of_environment((spec.dependencies or []) if spec else [])


def _machine(cluster_id: str, found: list[Library], cluster: ClusterSpec | ClusterDetails) -> Machine:
    settings, variables = cluster.spark_conf or {}, cluster.spark_env_vars or {}
    return Machine(cluster_id, found, {**settings}, {**variables}, is_standard(cluster))
