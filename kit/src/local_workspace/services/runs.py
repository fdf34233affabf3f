"""Runs of jobs: start, watch, stop, repair, and read what came out. Every run really runs, on this machine.

Source: https://docs.databricks.com/api/azure/workspace/jobs
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from databricks.sdk.service.jobs import (
    JobSettings,
    QueueSettings,
    Run,
    RunParameters,
    RunTask,
    RunType,
    SubmitTask,
    TriggerType,
)

from local_workspace.compute.connect_servers import ConnectServers
from local_workspace.errors import ApiError, invalid, invalid_state
from local_workspace.runs import export, graph, launching, process_tasks, requests, scheduler, states, validation
from local_workspace.runs.execution import Execution, OtherJobs
from local_workspace.runs.records import Records
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service
from local_workspace.services.jobs import Jobs, paged

STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05
TOKEN_LENGTH: Final = 64
RUNS_HERE: Final = (
    "runs tasks on this machine, two processes at once unless told otherwise, others wait as PENDING; in arguments, "
    "paths of the workspace are those of this machine, since Python's open() knows no /Volumes, /Workspace and /dbfs "
    "(WORKSPACE_VOLUMES, WORKSPACE_FILES and WORKSPACE_DBFS name the folders); "
    "on standard access mode and serverless compute Spark Connect's messages are open Spark's; "
    "a wheel's dependencies must be installed where the server runs; dbutils.notebook.run has no time-out, and a "
    "spark-submit task no dbutils"
)
TOO_MANY: Final = "Skipping this run because the limit of {} maximum concurrent runs has been reached."


class Runs(Service):
    """Runs by their id; the ones that are active have a driver."""

    name = "runs"

    def prepare(self) -> None:
        """Make the tables and the machinery."""
        self.records = Records(self)
        self.tokens = self.table("tokens", dict[str, Any])
        self.processes = launching.Processes(self.state.options.processes)
        jobs = OtherJobs(self._start_from_task, self._wait_for)
        self.servers = ConnectServers(self.state)
        self._execution = Execution(self.state, self.records, self.processes, self.servers, jobs)
        self._drivers: dict[int, scheduler.JobRun] = {}

    def resume(self) -> None:
        """End the runs that a stopped server left active, and the processes that it left behind."""
        for run_id in self.records.finish_stopped():
            launching.kill_leftover(process_tasks.folder_of(self.state, run_id))
        self.servers.kill_leftovers()
        self.state.service(Jobs).on_delete = self._cancel_all_of

    def stop(self) -> None:
        """Kill what runs."""
        with self.state.lock:
            self.records.closed = True
        self.processes.close()
        for driver in list(self._drivers.values()):
            driver.stop.ask(states.Result.CANCELED)
        for driver in list(self._drivers.values()):
            driver.over.wait(STOP_SECONDS)
        self.servers.close()

    @route("POST", "*/jobs/run-now", differs=RUNS_HERE)
    def run_now(self, request: Request) -> object:
        """Start a run of a job; the same idempotency token gives the same run."""
        known = self._known(request)
        if known is None:
            job_id = request.number("job_id")
            run = self._start_job(job_id, request.json, TriggerType.ONE_TIME)
            known = self._remember(request, {"run_id": run.run_id, "number_in_job": run.run_id})
        return known

    @route("POST", "*/jobs/runs/submit", differs=RUNS_HERE)
    def submit(self, request: Request) -> object:
        """Start a run that belongs to no job."""
        known = self._known(request)
        if known is None:
            tasks = [validation.as_task(typed(SubmitTask, each)) for each in request.required("tasks")]
            content = {"name": request.get("run_name") or "Untitled", "timeout_seconds": request.get("timeout_seconds")}
            content |= {name: request.get(name) for name in ("environments", "git_source")}
            settings = typed(JobSettings, {key: value for key, value in content.items() if value is not None})
            settings.tasks = tasks
            validation.check(settings)
            run = self.records.add(
                settings, job_id=None, run_type=RunType.SUBMIT_RUN, trigger=TriggerType.ONE_TIME, parameters=[],
                overriding=RunParameters(),
            )  # fmt: skip
            self._drive(run)
            known = self._remember(request, {"run_id": run.run_id})
        return known

    @route(
        "GET",
        "*/jobs/runs/get",
        differs="earlier attempts of a task are listed with include_history, else only the last",
    )
    def get(self, request: Request) -> object:
        """Return the run of a job, or of a task."""
        found = self._find(request.number("run_id"))
        if isinstance(found, RunTask):
            content = self.records.task_view(found)
        else:
            content = self.records.view(found, history=request.flag("include_history"))
        tasks = [*content.get("tasks", []), *content.get("iterations", [])]
        if not request.flag("include_resolved_values"):
            for task in tasks:
                task.pop("resolved_values", None)
        longest = "iterations" if "iterations" in content else "tasks"
        return paged(request, content, content, [longest, "job_clusters"])

    @route("GET", "*/jobs/runs/list")
    def list(self, request: Request) -> object:
        """Return runs of jobs, the newest first."""
        wanted = list(self._filtered(request))[request.count("offset") :]
        page, token = request.page(wanted, size="limit", default=20, maximum=25)
        listed = [self.records.view(run) for run in page]
        for content in listed:
            if not request.flag("expand_tasks"):
                content.pop("tasks", None)
                content.pop("job_clusters", None)
        return {"runs": listed, "has_more": token is not None} | ({"next_page_token": token} if token else {})

    @route("GET", "*/jobs/runs/get-output", differs="gives the log of spark-submit tasks too")
    def get_output(self, request: Request) -> object:
        """Return what a task left: result, log, error."""
        record = self._single(request.number("run_id"))
        output = self.records.outputs.get(str(record.run_id))
        content: dict[str, Any] = output.as_dict() if output else {}
        content["metadata"] = self.records.task_view(record)
        if record.notebook_task and states.is_ended(record):
            content.setdefault("notebook_output", {})
        log = process_tasks.folder_of(self.state, record.run_id or 0) / launching.LOG
        if not record.notebook_task and log.is_file():
            content["logs"], content["logs_truncated"] = launching.end_of(log)
        return content

    @route("GET", "*/jobs/runs/export")
    def export_run(self, request: Request) -> object:
        """Return the run of a notebook as HTML."""
        record = self._single(request.number("run_id"))
        if record.notebook_task is None:
            raise invalid(f"Run {record.run_id} is not a notebook run; only notebook runs can be exported")
        cells = launching.read(process_tasks.folder_of(self.state, record.run_id or 0), "cells.json") or []
        name = record.notebook_task.notebook_path.rpartition("/")[2]
        content = export.page(name, cells, code_only=request.get("views_to_export") == "CODE")
        return {"views": [{"content": content, "name": name, "type": "NOTEBOOK"}]}

    @route("POST", "*/jobs/runs/cancel")
    def cancel(self, request: Request) -> object:
        """Ask a run to end; what has ended already stays as it is."""
        found = self._find(request.number("run_id"))
        run_id = found.run_id if isinstance(found, Run) else self.records.places[str(found.run_id)]["run"]
        self._cancel(self.records.runs[str(run_id)])
        return None

    @route("POST", "*/jobs/runs/cancel-all")
    def cancel_all(self, request: Request) -> object:
        """Ask all active runs of a job to end, or all queued ones of the workspace."""
        if request.get("job_id") is not None:
            self.state.service(Jobs).job(request.number("job_id"))
            self._cancel_all_of(request.number("job_id"))
        elif request.flag("all_queued_runs"):
            for run in [run for run in self.records.runs.values() if _life(run) is states.Life.QUEUED]:
                self._cancel(run)
        else:
            raise invalid("Either job_id or all_queued_runs must be given")
        return None

    @route("POST", "*/jobs/runs/delete")
    def delete(self, request: Request) -> object:
        """Forget a run that is over."""
        run = self._job_run(request.number("run_id"))
        if not states.is_ended(run):
            raise invalid_state(f"Run {run.run_id} is active: cancel it first")
        self.records.forget(run.run_id or 0)
        return None

    @route("POST", "*/jobs/runs/repair")
    def repair(self, request: Request) -> object:
        """Run tasks of an ended run again; the others keep what they came to."""
        run = self._job_run(request.number("run_id"))
        if not states.is_ended(run):
            raise invalid_state(f"Run {run.run_id} is active: only a run that is over can be repaired")
        last = run.repair_history[-1].id if run.repair_history else None
        given = request.get("latest_repair_id")
        if last is not None and (given is None or request.number("latest_repair_id") != last):
            raise invalid(f"latest_repair_id must be {last}, the id of the latest repair, not {given}")
        job = self.state.service(Jobs).jobs.get(str(run.job_id))
        settings = (job.settings if job else None) or self.records.settings[str(run.run_id)]
        rerun = self._to_rerun(run, settings, request)
        self._override(run, settings, request.json)
        self.records.settings[str(run.run_id)] = settings
        if not run.repair_history:
            self.records.note_repair(run, run.run_id or 0, self.records.latest_tasks(run.run_id or 0), original=True)
        attempts = {task.task_key: task.attempt_number or 0 for task in self.records.latest_tasks(run.run_id or 0)}
        tasks = [task for task in settings.tasks or [] if task.task_key in rerun]
        added = [self.records.add_task(run, task, attempt=attempts.get(task.task_key, -1) + 1) for task in tasks]
        states.show(run, states.Life.PENDING)
        run.end_time = None
        repair_id = self.state.number()
        self.records.note_repair(run, repair_id, added)
        self._drive(run, rerun)
        return {"repair_id": repair_id}

    def _to_rerun(self, run: Run, settings: JobSettings, request: Request) -> set[str]:
        """Return the tasks to run: those wanted, and those that the job was given since, which never ran."""
        needed = {task.task_key: [each.task_key for each in task.depends_on or []] for task in settings.tasks or []}
        latest = self.records.latest_tasks(run.run_id or 0)
        wanted = set(request.get("rerun_tasks") or [])
        if unknown := wanted - set(needed):
            raise invalid(f"The run has no task {', '.join(sorted(unknown))}")
        if request.flag("rerun_all_failed_tasks"):
            wanted |= {
                task.task_key for task in latest if states.result_of(task) not in graph.SUCCEEDED | graph.NOT_RUN
            }
        if request.flag("rerun_dependent_tasks"):
            wanted = graph.with_dependents(sorted(wanted), needed)
        wanted &= set(needed)
        if not wanted:
            raise invalid("A repair needs rerun_tasks, or rerun_all_failed_tasks of a run with failed tasks")
        return wanted | (set(needed) - {task.task_key for task in latest})

    def _start_job(self, job_id: int, given: dict[str, Any], trigger: TriggerType) -> Run:
        """Start a run of a job, unless it has too many: then it waits or is skipped, as its queue says."""
        settings = self.state.service(Jobs).job(job_id).settings or JobSettings()
        settings = requests.only(JobSettings.from_dict(settings.as_dict()), given.get("only"))
        requests.check(settings, given)
        queue = given.get("queue")
        wants_queue = typed(QueueSettings, queue).enabled if queue is not None else False
        active = [run for run in self.records.runs.values() if run.job_id == job_id and not states.is_ended(run)]
        run = self.records.add(
            settings, job_id=job_id, run_type=RunType.JOB_RUN, trigger=trigger,
            parameters=requests.job_parameters(settings, given), overriding=requests.overriding(given),
        )  # fmt: skip
        limit = settings.max_concurrent_runs if settings.max_concurrent_runs is not None else 1
        queued = wants_queue or (settings.queue and settings.queue.enabled)
        if len(active) < limit:
            self._drive(run)
            return run
        if queued and limit:
            states.show(run, states.Life.QUEUED, f"Queued: the job has {len(active)} active runs")
        else:
            outcome = states.Outcome(states.Result.MAXIMUM_CONCURRENT_RUNS_REACHED, TOO_MANY.format(limit))
            states.end(run, outcome, self.state.now())
            for task in self.records.latest_tasks(run.run_id or 0):
                self.records.end_task(task, outcome)
        return run

    def _start_from_task(self, job_id: int, given: dict[str, Any]) -> Run:
        return self._start_job(job_id, given, TriggerType.RUN_JOB_TASK)

    def _drive(self, run: Run, rerun: set[str] | None = None) -> None:
        driver = scheduler.JobRun(self._execution, run, self._ended, rerun=rerun)
        self._drivers[run.run_id or 0] = driver
        driver.start()

    def _driver(self, run: Run) -> scheduler.JobRun | None:
        return self._drivers.get(run.run_id or 0)

    def _wait_for(self, run: Run, stop: launching.Stop) -> None:
        """Wait for a run to be over; a wish to stop is handed on. A queued one has no driver until its turn comes."""
        while not (states.is_ended(run) or self.records.closed):
            driver = self._driver(run)
            if driver is None:
                if stop.wait(LOOK_SECONDS):
                    with self.state.lock:
                        if not self.records.closed:
                            self._cancel(run)
            elif not driver.over.wait(LOOK_SECONDS) and stop.result is not None:
                driver.stop.ask(stop.result)
                driver.over.wait()

    def _ended(self, run: Run) -> None:
        """Let the next queued run of the job begin."""
        self._drivers.pop(run.run_id or 0, None)
        waiting = [
            each
            for each in self.records.runs.values()
            if each.job_id == run.job_id and _life(each) is states.Life.QUEUED
        ]
        if waiting:
            self._drive(waiting[0])

    def _cancel(self, run: Run) -> None:
        driver = self._driver(run)
        if driver is not None:
            states.show(run, states.Life.TERMINATING, "Canceling")
            driver.stop.ask(states.Result.CANCELED)
        elif not states.is_ended(run):
            outcome = states.Outcome(states.Result.CANCELED, "Run cancelled.")
            states.end(run, outcome, self.state.now())
            for task in self.records.latest_tasks(run.run_id or 0):
                self.records.end_task(task, outcome)

    def _cancel_all_of(self, job_id: int) -> None:
        mine = [run for run in self.records.runs.values() if run.job_id == job_id]
        for run in [run for run in mine if _life(run) is states.Life.QUEUED] + mine:
            self._cancel(run)

    def _filtered(self, request: Request) -> Iterator[Run]:
        active, completed = request.flag("active_only"), request.flag("completed_only")
        if active and completed:
            raise invalid("active_only and completed_only cannot both be true")
        first, last = request.get("start_time_from"), request.get("start_time_to")
        for run in sorted(self.records.runs.values(), key=lambda run: run.run_id or 0, reverse=True):
            ended = states.is_ended(run)
            started = run.start_time or 0
            wanted = [
                not (active and ended),
                not (completed and not ended),
                request.get("job_id") is None or run.job_id == request.number("job_id"),
                request.get("run_type") in (None, run.run_type and run.run_type.value),
                first is None or started >= int(first),
                last is None or started <= int(last),
            ]
            if all(wanted):
                yield run

    def _find(self, run_id: int) -> Run | RunTask:
        """Return a run.

        Raises:
            ApiError: 400 with the message that the official client turns into ResourceDoesNotExist.
        """
        found = self.records.runs.get(str(run_id)) or self.records.tasks.get(str(run_id))
        if found is None:
            raise invalid(f"Run {run_id} does not exist.")
        return found

    def _job_run(self, run_id: int) -> Run:
        found = self._find(run_id)
        if not isinstance(found, Run):
            raise invalid(f"Run {run_id} is the run of a task: give that of its job")
        return found

    def _single(self, run_id: int) -> RunTask:
        found = self._find(run_id)
        if isinstance(found, RunTask):
            return found
        tasks = self.records.latest_tasks(run_id)
        if len(tasks) != 1:
            raise invalid(
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead."
            )
        return tasks[0]

    def _override(self, run: Run, settings: JobSettings, given: dict[str, Any]) -> None:
        requests.check(settings, given)
        overriding = requests.overriding(given)
        if given.get("job_parameters"):
            run.job_parameters = requests.job_parameters(settings, given)
        if overriding.as_dict():
            run.overriding_parameters = overriding

    def _known(self, request: Request) -> dict[str, Any] | None:
        token = request.get("idempotency_token")
        if token and len(token) > TOKEN_LENGTH:
            raise invalid(f"idempotency_token has at most {TOKEN_LENGTH} characters")
        known = self.tokens.get(token) if token else None
        if known is not None and str(known["run_id"]) not in self.records.runs:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", "The run of this idempotency_token has been deleted")
        return known

    def _remember(self, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        if request.get("idempotency_token"):
            self.tokens[request.get("idempotency_token")] = answer
        return answer


def _life(run: Run) -> states.Life | None:
    return run.state.life_cycle_state if run.state else None
