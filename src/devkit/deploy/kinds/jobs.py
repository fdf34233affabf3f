"""Jobs and pipelines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devkit.deploy.kinds.base import Context, Operations, Recording, call, each, gone, owner_in, tagged, without_tag
from devkit.deploy.model import Action, Found, Json, Wanted


class Jobs(Operations):
    """Jobs; the ownership tag is a tag. Of streams the active runs are told too."""

    kind = "jobs"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the jobs with their tasks, and the active runs of those that are declared as streams."""
        client = recording.client
        streams = {one.key for one in recording.wanted if one.stream}
        for listed in client.jobs.list(expand_tasks=True):
            settings: dict[str, Any] = listed.settings.as_dict() if listed.settings else {}
            owner = owner_in(settings.get("tags"))
            settings["tags"] = without_tag(settings.get("tags"))
            ours = owner and recording.declaration and owner.project == recording.declaration.project
            runs = []
            if ours and owner and owner.key in streams:
                active = client.jobs.list_runs(job_id=listed.job_id, active_only=True, expand_tasks=True)
                runs = [_run(run.as_dict()) for run in active]
            extra = {"active_runs": runs} if runs else {}
            yield Found(self.kind, str(listed.job_id), str(settings.get("name", "")), settings, owner, extra)

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
