"""Jobs: their settings, checked before they are kept. What runs is in `runs`.

Source: https://docs.databricks.com/api/azure/workspace/jobs
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from databricks.sdk.service.jobs import Job, JobRunAs, JobSettings

from local_workspace.errors import invalid
from local_workspace.runs import validation
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service
from local_workspace.services.permissions import Permissions

# Arrays of a job that `update` merges by a key and that `get` gives in pages.
KEYED: Final = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "parameters": "name",
    "environments": "environment_key",
}
PAGE: Final = 100
WRITE_ONLY: Final = frozenset({"job_id", "idempotency_token", "access_control_list"})


class Jobs(Service):
    """Jobs by their id."""

    name = "jobs"
    permission_kinds = ("jobs",)

    def prepare(self) -> None:
        """Make the tables."""
        self.jobs = self.table("jobs", Job)
        self.tokens = self.table("create_tokens", dict[str, Any])
        self.on_delete: Callable[[int], None] = lambda _: None

    @route(
        "POST",
        "*/jobs/create",
        differs="schedules, triggers and `continuous` are kept and never start a run; nobody is notified",
    )
    def create(self, request: Request) -> object:
        """Keep a new job and return its id; the same idempotency token gives the same job."""
        token = request.get("idempotency_token")
        if token and token in self.tokens:
            return self.tokens[token]
        settings = _settings(request.json)
        settings.name = settings.name or "Untitled"
        job_id = self.state.number()
        user = self.state.identity.user_name
        self.jobs[str(job_id)] = Job(
            job_id=job_id,
            settings=settings,
            created_time=self.state.now(),
            creator_user_name=user,
            run_as_user_name=_run_as(request.json) or user,
        )
        if request.get("access_control_list"):
            self._grant(request, job_id)
        if token:
            self.tokens[token] = {"job_id": job_id}
        return {"job_id": job_id}

    @route("GET", "*/jobs/get")
    def get(self, request: Request) -> object:
        """Return a job; its long arrays come in pages."""
        content = self.job(request.number("job_id")).as_dict()
        return paged(request, content, content["settings"], list(KEYED))

    @route("GET", "*/jobs/list")
    def list(self, request: Request) -> object:
        """Return jobs, the newest first."""
        wanted = str(request.get("name") or "").lower()
        jobs = [job for job in self.jobs.values() if not wanted or _name(job) == wanted]
        jobs = sorted(jobs, key=lambda job: job.job_id or 0, reverse=True)[request.count("offset") :]
        page, token = request.page(jobs, size="limit")
        listed = [_listed(job.as_dict(), expand=request.flag("expand_tasks")) for job in page]
        return {"jobs": listed, "has_more": token is not None} | ({"next_page_token": token} if token else {})

    @route("POST", "*/jobs/reset")
    def reset(self, request: Request) -> object:
        """Replace all settings of a job."""
        job = self.job(request.number("job_id"))
        new = dict(request.required("new_settings"))
        job.settings, run_as = _settings(new), _run_as(new)
        job.run_as_user_name = run_as or job.creator_user_name
        return None

    @route("POST", "*/jobs/update")
    def update(self, request: Request) -> object:
        """Replace some settings of a job; arrays with keys are merged by them."""
        job = self.job(request.number("job_id"))
        settings: dict[str, Any] = job.settings.as_dict() if job.settings else {}
        for name in request.get("fields_to_remove") or []:
            _remove(settings, name)
        for name, value in (request.get("new_settings") or {}).items():
            settings[name] = _merge(settings.get(name) or [], value, KEYED[name]) if name in KEYED else value
        job.settings, run_as = _settings(settings), _run_as(settings)
        job.run_as_user_name = run_as or job.run_as_user_name
        return None

    @route("POST", "*/jobs/delete")
    def delete(self, request: Request) -> object:
        """Forget a job; its active runs are cancelled."""
        job_id = request.number("job_id")
        self.job(job_id)
        self.on_delete(job_id)
        del self.jobs[str(job_id)]
        return None

    def job(self, job_id: int) -> Job:
        """Return a job.

        Raises:
            ApiError: 400 with the message that the official client turns into ResourceDoesNotExist.
        """
        found = self.jobs.get(str(job_id))
        if found is None:
            raise invalid(f"Job {job_id} does not exist.")
        return found

    def _grant(self, request: Request, job_id: int) -> None:
        """Give the permissions that a new job came with; a job whose permissions are wrong is not kept."""
        try:
            permissions = self.state.service(Permissions)
            permissions.update(replace(request, path={"kind": "jobs", "object_id": str(job_id)}))
        except Exception:
            del self.jobs[str(job_id)]
            raise


def paged(request: Request, content: dict[str, Any], holder: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Cut the long arrays of an answer, all at the same place, as version 2.2 of the API does."""
    tokens = []
    for name in (name for name in names if holder.get(name)):
        holder[name], token = request.page(holder[name], size="", default=PAGE, maximum=PAGE)
        tokens.append(token)
    following = next(filter(None, tokens), None)
    return content | ({"has_more": True, "next_page_token": following} if following else {})


def _listed(content: dict[str, Any], *, expand: bool) -> dict[str, Any]:
    settings = content["settings"]
    for name in KEYED:
        if not expand and name != "parameters":
            settings.pop(name, None)
        elif len(settings.get(name, [])) > PAGE:
            settings[name] = settings[name][:PAGE]
            content["has_more"] = True
    content.pop("run_as_user_name", None)
    return content


def _settings(content: dict[str, Any]) -> JobSettings:
    """Read and check settings, with what the service adds: the defaults that it shows."""
    given = {key: value for key, value in content.items() if key not in WRITE_ONLY}
    content = {"max_concurrent_runs": 1, "timeout_seconds": 0, **given, "format": "MULTI_TASK"}
    for name in KEYED:
        if not isinstance(content.get(name, []), list):
            raise invalid(f"{name} must be a list")
    tasks = [{"run_if": "ALL_SUCCESS", "timeout_seconds": 0, **_with_source(task)} for task in content.get("tasks", [])]
    content["tasks"] = tasks
    settings = typed(JobSettings, content)
    validation.check(settings)
    return settings


def _with_source(task: dict[str, Any]) -> dict[str, Any]:
    notebook = task.get("notebook_task")
    if isinstance(notebook, dict) and str(notebook.get("notebook_path", "")).startswith("/"):
        return {**task, "notebook_task": {"source": "WORKSPACE", **notebook}}
    return task


def _remove(settings: dict[str, Any], name: str) -> None:
    field, _, key = name.partition("/")
    if key and field in KEYED:
        settings[field] = [each for each in settings.get(field, []) if each.get(KEYED[field]) != key]
    else:
        settings.pop(field, None)


def _merge(existing: list[dict[str, Any]], new: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    replacing = {each.get(key): each for each in new}
    kept = [replacing.pop(each.get(key), each) for each in existing]
    return [*kept, *replacing.values()]


def _run_as(content: dict[str, Any]) -> str | None:
    run_as = typed(JobRunAs, content.get("run_as") or {})
    return run_as.user_name or run_as.service_principal_name


def _name(job: Job) -> str:
    return ((job.settings and job.settings.name) or "").lower()
