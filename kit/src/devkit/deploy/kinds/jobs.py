"""Jobs and pipelines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devkit.deploy.kinds.base import Context, Operations, Recording, call, each, gone, owner_in, tagged, without_tag
from devkit.deploy.model import Action, Found, Json, Wanted


class Jobs(Operations):
    """Jobs; the ownership tag is a tag. Active runs are told too: what they use is in use."""

    kind = "jobs"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the jobs with their tasks and their active runs, and the active runs that belong to no job."""
        client = recording.client
        active: dict[int, list[dict[str, Any]]] = {}
        for run in client.jobs.list_runs(active_only=True, expand_tasks=True):
            active.setdefault(int(run.job_id or 0), []).append(_run(run.as_dict()))
        for listed in client.jobs.list(expand_tasks=True):
            settings: dict[str, Any] = listed.settings.as_dict() if listed.settings else {}
            owner = owner_in(settings.get("tags"))
            settings["tags"] = without_tag(settings.get("tags"))
            runs = active.pop(int(listed.job_id or 0), [])
            extra = {"active_runs": runs} if runs else {}
            yield Found(self.kind, str(listed.job_id), str(settings.get("name", "")), settings, owner, extra)
        for one in (run for runs in active.values() for run in runs):
            yield Found("runs", str(one["run_id"]), "", one)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a job."""
        sent = {**body, "tags": tagged(body.get("tags"), context.owner(wanted))}
        return str(context.client.jobs.create(**call("jobs:JobsAPI.create", sent)).job_id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Reset a job: what is declared no longer is gone."""
        from databricks.sdk.service.jobs import JobSettings

        assert action.wanted is not None and action.found is not None  # noqa: S101, PT018  # an update has both
        settings = {**body, "tags": tagged(body.get("tags"), context.owner(action.wanted))}
        context.client.jobs.reset(int(action.found.id), JobSettings.from_dict(settings))

    def delete(self, context: Context, found: Found) -> None:
        """Delete a job."""
        gone(lambda: context.client.jobs.delete(int(found.id)))


class Pipelines(Operations):
    """Pipelines; the ownership tag is a tag, which only their settings tell."""

    kind = "pipelines"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the pipelines with their settings."""
        api = recording.client.pipelines
        for pipeline in each(lambda listed: api.get(str(listed.pipeline_id)), api.list_pipelines()):
            body = pipeline.spec.as_dict() if pipeline.spec else {}
            owner = owner_in(body.get("tags"))
            body["tags"] = without_tag(body.get("tags"))
            yield Found(self.kind, str(pipeline.pipeline_id), str(pipeline.name), body, owner)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a pipeline."""
        sent = {**body, "tags": tagged(body.get("tags"), context.owner(wanted))}
        return str(context.client.pipelines.create(**call("pipelines:PipelinesAPI.create", sent)).pipeline_id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Edit a pipeline."""
        assert action.wanted is not None and action.found is not None  # noqa: S101, PT018  # an update has both
        sent = {**body, "tags": tagged(body.get("tags"), context.owner(action.wanted))}
        known = call("pipelines:PipelinesAPI.update", sent)
        context.client.pipelines.update(**{**known, "pipeline_id": action.found.id})

    def delete(self, context: Context, found: Found) -> None:
        """Delete a pipeline."""
        gone(lambda: context.client.pipelines.delete(found.id))


def _run(run: dict[str, Any]) -> dict[str, Any]:
    """Return what a plan needs of a run."""
    return {name: run[name] for name in ("run_id", "tasks", "state", "status") if name in run}
