"""Pipelines: stored, listed, edited, and updated on this machine, each update in a process of its own.

Source: https://docs.databricks.com/api/azure/workspace/pipelines
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from databricks.sdk.service.jobs import RunResultState
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
from local_workspace.runs import launching, updates
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service
from local_workspace.services.pipeline_filters import event_filter, pipeline_filter

logger = logging.getLogger(__name__)
RUNS_HERE: Final = (
    "runs on this machine, two updates at once unless told otherwise; in parameters, paths of the workspace are those "
    "of this machine, since Python's open() knows no /Volumes and /Workspace; a wheel's dependencies must be installed "
    "where the server runs"
)
STOP_SECONDS: Final = 5.0
LATEST: Final = 5
ENDED: Final = frozenset({UpdateInfoState.COMPLETED, UpdateInfoState.FAILED, UpdateInfoState.CANCELED})
FINAL: Final = frozenset(each.value for each in ENDED)
DEFAULTS: Final = {
    "channel": "CURRENT",
    "edition": "ADVANCED",
    "continuous": False,
    "development": False,
    "photon": False,
    "libraries": [],
}


@dataclass
class Running:
    """An update that runs: how it is stopped, its conditions by flow (`updates.conditions_of`), whether it is over."""

    stop: launching.Stop = field(default_factory=launching.Stop)
    conditions: dict[str, str] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)


class Pipelines(Service):
    """Pipelines by id; updates and events by their own ids, oldest first."""

    name = "pipelines"
    permission_kinds = ("pipelines",)

    def prepare(self) -> None:
        """Make the tables."""
        self.pipelines = self.table("pipelines", GetPipelineResponse)
        self.updates = self.table("updates", UpdateInfo)
        self.events = self.table("events", dict[str, Any])  # the SDK's type has no `details`
        self._processes = launching.Processes(self.state.options.processes)
        self._running: dict[str, Running] = {}

    def resume(self) -> None:
        """End the updates that a stopped server left active, and the processes that it left behind."""
        for update in self.updates.values():
            if update.state not in ENDED:
                launching.kill_leftover(updates.folder_of(self.state, update))
                ending = updates.Ending(UpdateInfoState.FAILED, ["The local workspace was stopped meanwhile"])
                self._end(update, ending)

    def stop(self) -> None:
        """Kill what runs."""
        for running in list(self._running.values()):
            running.stop.ask(RunResultState.CANCELED)
        self._processes.close()
        for running in list(self._running.values()):
            running.over.wait(STOP_SECONDS)

    @route("POST", "2.0/pipelines", differs="the settings are kept, but not checked against compute or catalog")
    def create(self, request: Request) -> object:
        """Keep a pipeline; 409 when its name is taken, unless ``allow_duplicate_names``; a continuous one starts."""
        pipeline = self._described(str(uuid.uuid4()), request)
        if request.flag("dry_run"):
            return {"effective_settings": pipeline.spec.as_dict() if pipeline.spec else {}}
        pipeline.creator_user_name = self.state.identity.user_name
        self._keep(pipeline)
        return {"pipeline_id": pipeline.pipeline_id}

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
        by = "pipeline_id" if order[0] == "id" else "name"
        found.sort(key=lambda each: str(getattr(each, by)), reverse=order[1:] == ["desc"])
        statuses = [self._status(self.pipeline(each.pipeline_id)) for each in found]
        return request.listing("statuses", statuses, size="max_results", default=25) if statuses else {}

    @route("GET", "2.0/pipelines/<pipeline_id>")
    def get(self, request: Request) -> object:
        """Return a pipeline with its settings and its latest updates."""
        return self.pipeline(request.path["pipeline_id"])

    @route("PUT", "2.0/pipelines/<pipeline_id>")
    def edit(self, request: Request) -> object:
        """Replace a pipeline's settings; an update that runs goes on by the old ones."""
        pipeline_id = str(request.path["pipeline_id"])
        before = self.pipeline(pipeline_id)
        expected = request.json.get("expected_last_modified")
        if expected is not None and int(expected) != before.last_modified:
            raise conflict(f"Pipeline {pipeline_id} was modified at {before.last_modified}, not at {expected}")
        pipeline = self._described(pipeline_id, request)
        pipeline.creator_user_name, pipeline.latest_updates = before.creator_user_name, before.latest_updates
        pipeline.health, pipeline.state = before.health, before.state
        self._keep(pipeline)
        return None

    def _keep(self, pipeline: GetPipelineResponse) -> None:
        """Keep a pipeline, and start a continuous one that is idle, as the platform does at once."""
        pipeline_id = str(pipeline.pipeline_id)
        self.pipelines[pipeline_id] = pipeline
        if pipeline.spec and pipeline.spec.continuous and self._active(pipeline_id) is None:
            self.start(pipeline_id, UpdateInfo(cause=UpdateInfoCause.USER_ACTION))

    @route("DELETE", "2.0/pipelines/<pipeline_id>", locked=False)
    def delete(self, request: Request) -> object:
        """Delete a pipeline with its updates and events and, unless ``cascade=false``, the tables that it wrote."""
        with self.state.lock:
            pipeline_id = str(self.pipeline(request.path["pipeline_id"]).pipeline_id)
            active = self._active(pipeline_id)
            running = self._running.get(str(active.update_id)) if active else None
        if running:
            running.stop.ask(RunResultState.CANCELED)
            running.over.wait()
        with self.state.lock:
            self.pipelines.pop(pipeline_id, None)
            self.updates.forget(lambda _, update: update.pipeline_id == pipeline_id)
            self.events.forget(lambda _, event: event["origin"]["pipeline_id"] == pipeline_id)
        updates.forget(self.state, pipeline_id, cascade=request.flag("cascade", default=True))
        return None

    @route("POST", "2.0/pipelines/<pipeline_id>/updates", differs=RUNS_HERE)
    def start_update(self, request: Request) -> object:
        """Start an update, or a validation when ``validate_only``; 409 while another one is active.

        Of the selections, those of tables are followed: any other is refused. So is an override without its condition.
        """
        updates.refuse_selections(request.json)
        running = Running(conditions=updates.conditions_of(request.json))
        cause = str(request.json.get("cause") or StartUpdateCause.API_CALL.value)
        if cause not in UpdateInfoCause.__members__:
            raise invalid(f"cause must be one of {', '.join(UpdateInfoCause.__members__)}, not {cause!r}")
        wanted = typed(UpdateInfo, {**request.json, "cause": cause})
        return {"update_id": self.start(str(request.path["pipeline_id"]), wanted, running).update_id}

    @route("GET", "2.0/pipelines/<pipeline_id>/updates")
    def list_updates(self, request: Request) -> object:
        """Return a page of updates, newest first, down to ``until_update_id``."""
        found = self._updates(str(self.pipeline(request.path["pipeline_id"]).pipeline_id))
        until = request.get("until_update_id")
        ids = [each.update_id for each in found]
        found = found[: ids.index(until) + 1] if until in ids else found
        return request.listing("updates", found, size="max_results", default=25)

    @route("GET", "2.0/pipelines/<pipeline_id>/updates/<update_id>")
    def get_update(self, request: Request) -> object:
        """Return an update."""
        pipeline = self.pipeline(request.path["pipeline_id"])
        update = self.updates.get(str(request.path["update_id"]))
        if update is None or update.pipeline_id != pipeline.pipeline_id:
            raise not_found(f"The specified update {request.path['update_id']} was not found.")
        return {"update": update.as_dict()}

    @route("GET", "2.0/pipelines/<pipeline_id>/events")
    def list_events(self, request: Request) -> object:
        """Return a page of events with their ``details``, newest first unless ``order_by`` says otherwise."""
        pipeline_id = self.pipeline(request.path["pipeline_id"]).pipeline_id
        wanted = event_filter(request.get("filter"))
        order = (request.many("order_by") or ["timestamp desc"])[0].split()
        if order not in (["timestamp"], ["timestamp", "asc"], ["timestamp", "desc"]):
            raise invalid(f"order_by is 'timestamp asc' or 'timestamp desc', not {' '.join(order)!r}")
        of_it = (each for each in self.events.values() if each["origin"]["pipeline_id"] == pipeline_id)
        events = [each for each in of_it if wanted(PipelineEvent.from_dict(each))]
        events = events[::-1] if order[1:] == ["desc"] else events
        return request.listing("events", events, size="max_results", default=25, maximum=250) if events else {}

    @route("POST", "2.0/pipelines/<pipeline_id>/stop")
    def stop_update(self, request: Request) -> object:
        """Cancel the active update; without one, nothing is changed."""
        pipeline = self.pipeline(request.path["pipeline_id"])
        if active := self._active(str(pipeline.pipeline_id)):
            pipeline.state, active.state = PipelineState.STOPPING, UpdateInfoState.STOPPING
            self._running[str(active.update_id)].stop.ask(RunResultState.CANCELED)
        return None

    def pipeline(self, pipeline_id: object) -> GetPipelineResponse:
        """Return a pipeline, its active update as far as its events tell.

        Raises:
            ApiError: 404 when there is none of this id.
        """
        pipeline = self.pipelines.existing(str(pipeline_id), f"The specified pipeline {pipeline_id} was not found.")
        if active := self._active(str(pipeline_id)):
            self._collect(active)
            self._show(active)
        return pipeline

    def start(self, pipeline_id: str, wanted: UpdateInfo, running: Running | None = None) -> UpdateInfo:
        """Start an update, and return it at once.

        Args:
            pipeline_id: Of the pipeline.
            wanted: What to refresh, whether to validate only, and the cause.
            running: When to cancel it, for a task of a job, and conditions for this update alone.

        Raises:
            ApiError: 404 when there is no pipeline of this id, 409 while another update is active.
        """
        pipeline = self.pipeline(pipeline_id)
        if active := self._active(pipeline_id):
            raise conflict(f"An active update {active.update_id} already exists.")
        update = typed(UpdateInfo, wanted.as_dict())
        update.update_id, update.pipeline_id = str(uuid.uuid4()), pipeline_id
        update.creation_time, update.config = self.state.now(), pipeline.spec
        update.full_refresh, update.validate_only = bool(wanted.full_refresh), bool(wanted.validate_only)
        self.updates[update.update_id] = update
        cause = update.cause.value if update.cause else UpdateInfoCause.API_CALL.value
        self._tell(update, "create_update", f"Update {update.update_id[:6]} started by {cause}.", {"cause": cause})
        self._progress(update, UpdateInfoState.WAITING_FOR_RESOURCES)
        running = self._running[update.update_id] = running or Running()
        self._show(update)
        threading.Thread(target=self._drive, args=(update, running), daemon=True).start()
        return update

    def wait(self, update: UpdateInfo) -> str:
        """Wait for an update to be over, and return why it failed."""
        if running := self._running.get(str(update.update_id)):
            running.over.wait()
        with self.state.lock:
            errors = [event["error"] for event in self._events(update) if event.get("error")]
        return "; ".join(each["message"] for each in errors[-1]["exceptions"]) if errors else ""

    def _drive(self, update: UpdateInfo, running: Running) -> None:
        try:
            try:
                ending = updates.run(self.state, update, running.stop, self._processes, running.conditions)
            except Exception as error:  # an update must end, whatever happens
                logger.exception("update %s", update.update_id)
                ending = updates.Ending(UpdateInfoState.FAILED, [f"{type(error).__name__}: {error}"])
            with self.state.lock:
                self._end(update, ending)
                del self._running[str(update.update_id)]
        finally:
            running.over.set()

    def _end(self, update: UpdateInfo, ending: updates.Ending) -> None:
        """Let an update be over, and say so in an event unless the engine has."""
        self._collect(update)
        last = [event for event in self._events(update) if event["event_type"] == "update_progress"][-1]
        if last["details"]["update_progress"]["state"] != ending.state.value:
            self._progress(update, ending.state, ending.problems)
        update.state = ending.state
        self._show(update)

    def _collect(self, update: UpdateInfo) -> None:
        """Take over what the process has told since; each event once."""
        for event in updates.events_of(self.state, update):
            if event["id"] not in self.events:
                event["origin"] |= self._origin(update)
                self.events[event["id"]] = event
                progress = event["details"].get("update_progress", {})
                if update.state is not UpdateInfoState.STOPPING and progress and progress["state"] not in FINAL:
                    update.state = UpdateInfoState(progress["state"])

    def _show(self, update: UpdateInfo) -> None:
        """Let the pipeline tell of its latest updates."""
        pipeline = self.pipelines[str(update.pipeline_id)]
        pipeline.latest_updates = [_brief(each) for each in self._updates(str(update.pipeline_id))[:LATEST]]
        if update.state in ENDED:
            health = "UNHEALTHY" if update.state is UpdateInfoState.FAILED else "HEALTHY"
            pipeline.state, pipeline.health = PipelineState.IDLE, GetPipelineResponseHealth(health)
        elif update.state is not UpdateInfoState.STOPPING:
            pipeline.state = PipelineState.RUNNING

    def _active(self, pipeline_id: str) -> UpdateInfo | None:
        found = (each for each in self.updates.values() if each.pipeline_id == pipeline_id)
        return next((each for each in found if each.state not in ENDED), None)

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

    def _events(self, update: UpdateInfo) -> list[dict[str, Any]]:
        return [each for each in self.events.values() if each["origin"].get("update_id") == update.update_id]

    def _origin(self, update: UpdateInfo) -> dict[str, Any]:
        name = self.pipelines[str(update.pipeline_id)].name
        of_pipeline = Origin(pipeline_id=update.pipeline_id, pipeline_name=name, update_id=update.update_id)
        return {**of_pipeline.as_dict(), "org_id": self.state.identity.workspace_id}

    def _progress(self, update: UpdateInfo, state: UpdateInfoState, problems: Sequence[str] = ()) -> None:
        update.state = state
        message = f"Update {str(update.update_id)[:6]} is {state.value}."
        self._tell(update, "update_progress", message, {"state": state.value}, problems)

    def _tell(
        self, update: UpdateInfo, kind: str, message: str, details: Mapping[str, Any], problems: Sequence[str] = ()
    ) -> None:
        event: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "origin": self._origin(update),
            "timestamp": _timestamp(self.state.now()),
            "message": message,
            "level": (EventLevel.ERROR if problems else EventLevel.INFO).value,
            "maturity_level": MaturityLevel.STABLE.value,
            "details": {kind: dict(details)},
            "event_type": kind,
        }
        if problems:
            exceptions = [SerializedException(class_name="PipelineError", message=each) for each in problems]
            event["error"] = ErrorDetail(fatal=True, exceptions=exceptions).as_dict()
        self.events[event["id"]] = event


def _brief(update: UpdateInfo) -> UpdateStateInfo:
    state = UpdateStateInfoState(update.state.value) if update.state else None
    return UpdateStateInfo(update_id=update.update_id, state=state, creation_time=_timestamp(update.creation_time or 0))


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
