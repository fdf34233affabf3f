"""Pipelines: stored, listed, edited; an update ends FAILED with its reason as long as nothing can run it.

Source: https://docs.databricks.com/api/azure/workspace/pipelines
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

from databricks.sdk.service.pipelines import (
    ErrorDetail,
    EventLevel,
    GetPipelineResponse,
    GetPipelineResponseHealth,
    MaturityLevel,
    Origin,
    PipelineEvent,
    PipelineSpec,
    PipelineState,
    PipelineStateInfo,
    PipelineStateInfoHealth,
    RunAs,
    SerializedException,
    StartUpdateCause,
    UpdateInfo,
    UpdateInfoCause,
    UpdateInfoState,
    UpdateStateInfo,
    UpdateStateInfoState,
)

from local_workspace.errors import conflict, invalid, not_found
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service
from local_workspace.services.pipeline_filters import event_filter, pipeline_filter

NO_ENGINE: Final = "The local workspace has no pipeline engine yet, so it cannot run the update: nothing was computed"
LATEST: Final = 5
DEFAULTS: Final = {
    "channel": "CURRENT",
    "edition": "ADVANCED",
    "continuous": False,
    "development": False,
    "photon": False,
    "libraries": [],
}


class Pipelines(Service):
    """Pipelines by id; updates and events by their own ids, oldest first."""

    name = "pipelines"
    permission_kinds = ("pipelines",)

    def prepare(self) -> None:
        """Make the tables."""
        self.pipelines = self.table("pipelines", GetPipelineResponse)
        self.updates = self.table("updates", UpdateInfo)
        self.events = self.table("events", PipelineEvent)

    @route("POST", "2.0/pipelines", differs="the settings are kept, but not checked against compute or catalog")
    def create(self, request: Request) -> object:
        """Keep a pipeline; 409 when its name is taken, unless ``allow_duplicate_names``."""
        pipeline_id = str(uuid.uuid4())
        pipeline = self._described(pipeline_id, request)
        if request.flag("dry_run"):
            return {"effective_settings": pipeline.spec.as_dict() if pipeline.spec else {}}
        pipeline.creator_user_name = self.state.identity.user_name
        self.pipelines[pipeline_id] = pipeline
        return {"pipeline_id": pipeline_id}

    @route("GET", "2.0/pipelines")
    def list_pipelines(self, request: Request) -> object:
        """Return a page of pipelines, by id; ``filter`` is one of name and notebook."""
        if int(request.get("max_results") or 0) > 100:
            raise invalid("max_results must not be greater than 100")
        wanted = pipeline_filter(request.get("filter"))
        order = (request.many("order_by") or ["id asc"])[0].split()
        if order[:1] not in (["id"], ["name"]) or order[1:] not in ([], ["asc"], ["desc"]):
            raise invalid(f"order_by is 'id' or 'name', then 'asc' or 'desc', not {' '.join(order)!r}")
        found = [each for each in self.pipelines.values() if wanted(each)]
        found.sort(key=lambda each: str(each.pipeline_id if order[0] == "id" else each.name))
        found = found[::-1] if order[1:] == ["desc"] else found
        statuses = [self._status(each) for each in found]
        return request.listing("statuses", statuses, size="max_results", default=25) if statuses else {}

    @route("GET", "2.0/pipelines/<pipeline_id>")
    def get(self, request: Request) -> object:
        """Return a pipeline with its settings and its latest updates."""
        return self.pipeline(request.path["pipeline_id"])

    @route("PUT", "2.0/pipelines/<pipeline_id>")
    def edit(self, request: Request) -> object:
        """Replace a pipeline's settings."""
        pipeline_id = str(request.path["pipeline_id"])
        before = self.pipeline(pipeline_id)
        expected = request.json.get("expected_last_modified")
        if expected is not None and int(expected) != before.last_modified:
            raise conflict(f"Pipeline {pipeline_id} was modified at {before.last_modified}, not at {expected}")
        pipeline = self._described(pipeline_id, request)
        pipeline.creator_user_name, pipeline.latest_updates = before.creator_user_name, before.latest_updates
        pipeline.health = before.health
        self.pipelines[pipeline_id] = pipeline
        return None

    @route("DELETE", "2.0/pipelines/<pipeline_id>", differs="tables that the pipeline wrote are left as they are")
    def delete(self, request: Request) -> object:
        """Delete a pipeline with its updates and events."""
        pipeline_id = str(self.pipeline(request.path["pipeline_id"]).pipeline_id)
        del self.pipelines[pipeline_id]
        self.updates.forget(lambda _, update: update.pipeline_id == pipeline_id)
        self.events.forget(lambda _, event: _pipeline_of(event) == pipeline_id)
        return None

    @route("POST", "2.0/pipelines/<pipeline_id>/updates", differs="the update is FAILED at once: no engine runs it")
    def start_update(self, request: Request) -> object:
        """Start an update, or a validation when ``validate_only``."""
        cause = str(request.json.get("cause") or StartUpdateCause.API_CALL.value)
        if cause not in UpdateInfoCause.__members__:
            raise invalid(f"cause must be one of {', '.join(UpdateInfoCause.__members__)}, not {cause!r}")
        wanted = typed(UpdateInfo, {**request.json, "cause": cause})
        return {"update_id": self.start(str(request.path["pipeline_id"]), wanted).update_id}

    @route("GET", "2.0/pipelines/<pipeline_id>/updates")
    def list_updates(self, request: Request) -> object:
        """Return a page of updates, newest first, down to ``until_update_id``."""
        updates = self._updates(str(self.pipeline(request.path["pipeline_id"]).pipeline_id))
        until = request.get("until_update_id")
        ids = [each.update_id for each in updates]
        updates = updates[: ids.index(until) + 1] if until in ids else updates
        return request.listing("updates", updates, size="max_results", default=25)

    @route("GET", "2.0/pipelines/<pipeline_id>/updates/<update_id>")
    def get_update(self, request: Request) -> object:
        """Return an update."""
        update = self.updates.get(str(request.path["update_id"]))
        pipeline = self.pipeline(request.path["pipeline_id"])
        if update is None or update.pipeline_id != pipeline.pipeline_id:
            raise not_found(f"The specified update {request.path['update_id']} was not found.")
        return {"update": update.as_dict()}

    @route("GET", "2.0/pipelines/<pipeline_id>/events")
    def list_events(self, request: Request) -> object:
        """Return a page of events, newest first unless ``order_by`` says otherwise."""
        pipeline_id = self.pipeline(request.path["pipeline_id"]).pipeline_id
        wanted = event_filter(request.get("filter"))
        order = (request.many("order_by") or ["timestamp desc"])[0].split()
        if order not in (["timestamp"], ["timestamp", "asc"], ["timestamp", "desc"]):
            raise invalid(f"order_by is 'timestamp asc' or 'timestamp desc', not {' '.join(order)!r}")
        events = [each for each in self.events.values() if _pipeline_of(each) == pipeline_id and wanted(each)]
        events = events[::-1] if order[1:] == ["desc"] else events
        return request.listing("events", events, size="max_results", default=25, maximum=250) if events else {}

    @route("POST", "2.0/pipelines/<pipeline_id>/stop")
    def stop_update(self, request: Request) -> object:
        """Cancel the active update; there is none here, so nothing is changed."""
        self.pipeline(request.path["pipeline_id"])
        return None

    def pipeline(self, pipeline_id: object) -> GetPipelineResponse:
        """Return a pipeline.

        Raises:
            ApiError: 404 when there is none of this id.
        """
        return self.pipelines.existing(str(pipeline_id), f"The specified pipeline {pipeline_id} was not found.")

    def start(self, pipeline_id: str, wanted: UpdateInfo) -> UpdateInfo:
        """Start an update and return it as it ended: FAILED, since there is no engine.

        Args:
            pipeline_id: Of the pipeline.
            wanted: What to refresh, whether to validate only, and the cause.

        Raises:
            ApiError: 404 when there is no pipeline of this id.
        """
        pipeline = self.pipeline(pipeline_id)
        update = typed(UpdateInfo, wanted.as_dict())
        update.update_id, update.pipeline_id = str(uuid.uuid4()), pipeline_id
        update.creation_time, update.config = self.state.now(), pipeline.spec
        update.state = UpdateInfoState.FAILED
        update.full_refresh, update.validate_only = bool(wanted.full_refresh), bool(wanted.validate_only)
        self.updates[update.update_id] = update
        cause = update.cause.value if update.cause else UpdateInfoCause.API_CALL.value
        short = update.update_id[:6]
        self._tell(update, "create_update", EventLevel.INFO, f"Update {short} started by {cause}.")
        self._tell(update, "update_progress", EventLevel.ERROR, f"Update {short} is FAILED. {NO_ENGINE}.", NO_ENGINE)
        pipeline.latest_updates = [_brief(each) for each in self._updates(pipeline_id)[:LATEST]]
        pipeline.health = GetPipelineResponseHealth.UNHEALTHY
        return update

    def _described(self, pipeline_id: str, request: Request) -> GetPipelineResponse:
        """Return a pipeline as the body describes it."""
        name = str(request.required("name"))
        spec = typed(PipelineSpec, {**DEFAULTS, **request.json})
        if request.json.get("id") not in (None, pipeline_id) and request.method == "PUT":
            raise invalid(f"The id of a pipeline cannot be changed from {pipeline_id} to {request.json['id']}")
        if not request.flag("allow_duplicate_names"):
            self._refuse_taken(name, pipeline_id)
        if not (spec.storage or spec.catalog):
            spec.storage = f"dbfs:/pipelines/{pipeline_id}"
        spec.id = pipeline_id
        run_as = typed(RunAs, request.json.get("run_as") or {"user_name": self.state.identity.user_name})
        return GetPipelineResponse(
            pipeline_id=pipeline_id,
            name=name,
            spec=spec,
            state=PipelineState.IDLE,
            last_modified=self.state.now(),
            run_as=run_as,
            run_as_user_name=run_as.user_name or run_as.service_principal_name,
            parameters=request.json.get("parameters"),
        )

    def _refuse_taken(self, name: str, pipeline_id: str) -> None:
        if any(each.name == name and key != pipeline_id for key, each in self.pipelines.items()):
            remedy = "This check can be skipped by setting `allow_duplicate_names = true` in the request."
            raise conflict(f"The pipeline name '{name}' is already used by another pipeline. {remedy}")

    def _status(self, pipeline: GetPipelineResponse) -> PipelineStateInfo:
        return PipelineStateInfo(
            pipeline_id=pipeline.pipeline_id,
            name=pipeline.name,
            state=pipeline.state,
            creator_user_name=pipeline.creator_user_name,
            run_as_user_name=pipeline.run_as_user_name,
            latest_updates=pipeline.latest_updates,
            health=PipelineStateInfoHealth(pipeline.health.value) if pipeline.health else None,
        )

    def _updates(self, pipeline_id: str) -> list[UpdateInfo]:
        return [each for each in self.updates.values() if each.pipeline_id == pipeline_id][::-1]

    def _tell(self, update: UpdateInfo, kind: str, level: EventLevel, message: str, error: str = "") -> None:
        event = PipelineEvent(
            id=str(uuid.uuid4()),
            event_type=kind,
            level=level,
            message=message,
            timestamp=_timestamp(self.state.now()),
            maturity_level=MaturityLevel.STABLE,
            origin=Origin(
                pipeline_id=update.pipeline_id,
                pipeline_name=self.pipeline(update.pipeline_id).name,
                update_id=update.update_id,
                org_id=self.state.identity.workspace_id,
            ),
        )
        if error:
            exception = SerializedException(class_name="UnsupportedOperation", message=error)
            event.error = ErrorDetail(fatal=True, exceptions=[exception])
        self.events[str(event.id)] = event


def _pipeline_of(event: PipelineEvent) -> str | None:
    return event.origin.pipeline_id if event.origin else None


def _brief(update: UpdateInfo) -> UpdateStateInfo:
    state = UpdateStateInfoState(update.state.value) if update.state else None
    return UpdateStateInfo(update_id=update.update_id, state=state, creation_time=_timestamp(update.creation_time or 0))


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
