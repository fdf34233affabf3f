"""Jobs; the ownership tag is a tag. Active runs are recorded too: what they use is in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from devkit.deploy.declaration.model import Desired, Json
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Service, gone

RUN_FIELDS: Final = ("run_id", "tasks", "state", "status")  # what a plan needs of a run


class Jobs(Service):
    """Jobs."""

    kind = "jobs"
    identity = "job_id"
    tags = "tags"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the jobs with their tasks and active runs, and the active runs that belong to no job."""
        client = recording.client
        active: dict[int, list[dict[str, Any]]] = {}
        for run in client.jobs.list_runs(active_only=True, expand_tasks=True):
            described = {name: value for name, value in run.as_dict().items() if name in RUN_FIELDS}
            active.setdefault(int(run.job_id or 0), []).append(described)
        for job in client.jobs.list(expand_tasks=True):
            settings = job.settings.as_dict() if job.settings else {}
            owner, runs = self.read_owner(settings), active.pop(int(job.job_id or 0), [])
            extra = {"active_runs": runs} if runs else {}
            yield Actual(self.kind, str(job.job_id), str(settings.get("name", "")), settings, owner, extra)
        for one in (run for runs in active.values() for run in runs):
            yield Actual("runs", str(one["run_id"]), "", one)

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Reset a job, so that what is no longer declared is gone."""
        from databricks.sdk.service.jobs import JobSettings

        settings = self.with_owner(context, desired, body)
        context.client.jobs.reset(int(actual.id), JobSettings.from_dict(settings))

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a job."""
        gone(lambda: context.client.jobs.delete(int(actual.id)))
