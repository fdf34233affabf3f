"""What is known of runs: job runs, the runs of their tasks (each attempt, each iteration), outputs and task values."""

from __future__ import annotations

from typing import Any, Final

from databricks.sdk.service.jobs import (
    JobParameter,
    JobSettings,
    RepairHistoryItem,
    Run,
    RunOutput,
    RunParameters,
    RunTask,
    RunType,
    Task,
    TriggerType,
)

from local_workspace.runs import states
from local_workspace.runs.states import Life, Outcome
from local_workspace.server.state import Service

STOPPED: Final = "The local workspace was stopped while this run was active"


class Records:
    """The tables of runs; every method is called with the workspace's lock held, or takes it.

    Args:
        service: The service that keeps them.
    """

    def __init__(self, service: Service) -> None:
        self._state = service.state
        self.closed = False  # the server stops: what is active stays so, and the next server says why it ended
        self.runs = service.table("runs", Run)
        self.settings = service.table("settings", JobSettings)
        self.tasks = service.table("tasks", RunTask)
        self.places = service.table("places", dict[str, Any])
        self.outputs = service.table("outputs", RunOutput)
        self.values = service.table("values", dict[str, Any])

    def add(
        self,
        settings: JobSettings,
        *,
        job_id: int | None,
        run_type: RunType,
        trigger: TriggerType,
        parameters: list[JobParameter],
        overriding: RunParameters,
    ) -> Run:
        """Keep a new run with a run of each of its tasks."""
        run_id = self._state.number()
        now = self._state.now()
        run = Run(
            run_id=run_id,
            job_id=job_id if job_id is not None else self._state.number(),
            run_name=settings.name,
            run_type=run_type,
            trigger=trigger,
            number_in_job=run_id,
            original_attempt_run_id=run_id,
            creator_user_name=self._state.identity.user_name,
            start_time=now,
            setup_duration=0,
            job_clusters=settings.job_clusters,
            job_parameters=parameters or None,
            overriding_parameters=overriding if overriding.as_dict() else None,
            schedule=settings.schedule,
        )
        run.run_page_url = self._page(run)
        states.show(run, Life.PENDING)
        self.runs[str(run_id)] = run
        self.settings[str(run_id)] = settings
        for task in settings.tasks or []:
            self.add_task(run, task)
        return run

    def add_task(
        self, run: Run, task: Task, *, attempt: int = 0, iteration_of: int | None = None, index: int | None = None
    ) -> RunTask:
        """Keep a new run of a task: an attempt, an iteration, or one of a repair."""
        run_id = self._state.number()
        record = RunTask.from_dict(task.as_dict())
        record.run_id = run_id
        record.attempt_number = attempt
        record.start_time = self._state.now()
        record.setup_duration = 0
        record.run_page_url = self._page(run, record)
        states.show(record, Life.BLOCKED if task.depends_on else Life.PENDING)
        self.tasks[str(run_id)] = record
        self.places[str(run_id)] = {"run": run.run_id, "iteration_of": iteration_of, "index": index}
        return record

    def _page(self, run: Run, task: RunTask | None = None) -> str:
        """Return the address at which a browser shows a run, in the form that the service has."""
        shown = f"job/{run.job_id}/run/{task.run_id if task else run.run_id}"
        return f"{self._state.host}/?o={self._state.identity.workspace_id}#{shown}"

    def all_tasks(self, run_id: int, iteration_of: int | None = None) -> list[RunTask]:
        """Return the runs of a run's tasks, every attempt; or those of the iterations of one of them."""
        found = [key for key, at in self.places.items() if (at["run"], at["iteration_of"]) == (run_id, iteration_of)]
        return [self.tasks[key] for key in found]

    def latest_tasks(self, run_id: int, iteration_of: int | None = None) -> list[RunTask]:
        """Return the latest run of each task; of an iteration, each input is one."""
        found: dict[Any, RunTask] = {}
        for task in self.all_tasks(run_id, iteration_of):
            found[task.task_key, self.places[str(task.run_id)]["index"]] = task
        return list(found.values())

    def end_task(self, record: RunTask, outcome: Outcome) -> None:
        """Keep how the run of a task ended."""
        with self._state.lock:
            if self.closed:
                return
            states.end(record, outcome, self._state.now())
            if record.condition_task and outcome.condition:
                record.condition_task.outcome = outcome.condition
            content: dict[str, Any] = {**(outcome.output or {})}
            content |= {"error": outcome.error} if outcome.error else {}
            content |= {"error_trace": outcome.trace} if outcome.trace else {}
            self.outputs[str(record.run_id)] = RunOutput.from_dict(content)
            place = self.places.get(str(record.run_id))
            if outcome.values and place:
                self.values.setdefault(str(place["run"]), {})[record.task_key] = outcome.values

    def finish_stopped(self) -> list[int]:
        """End what a stopped server left active; return the runs of tasks whose processes may still be there."""
        outcome = states.Outcome(
            states.Result.FAILED, STOPPED, states.Code.INTERNAL_ERROR, error=STOPPED, internal_error=True
        )
        left = [task for task in self.tasks.values() if not states.is_ended(task)]
        for task in left:
            self.end_task(task, outcome)
        for run in self.runs.values():
            if not states.is_ended(run):
                states.end(run, outcome, self._state.now())
        return [task.run_id or 0 for task in left]

    def forget(self, run_id: int) -> None:
        """Delete a run with its tasks."""
        for key in [key for key, place in self.places.items() if place["run"] == run_id]:
            del self.tasks[key], self.places[key]
            self.outputs.pop(key, None)
        for table in (self.runs, self.settings, self.values):
            table.pop(str(run_id), None)

    def view(self, run: Run, *, history: bool = False) -> dict[str, Any]:
        """Return a job run as the API shows it."""
        content = run.as_dict()
        tasks = self.all_tasks(run.run_id or 0) if history else self.latest_tasks(run.run_id or 0)
        content["tasks"] = [task.as_dict() for task in tasks]
        if not history:
            content.pop("repair_history", None)
        if len(tasks) == 1 and tasks[0].cluster_instance:
            content["cluster_instance"] = tasks[0].cluster_instance.as_dict()
        return content

    def task_view(self, record: RunTask) -> dict[str, Any]:
        """Return the run of a task as a run of its own; of a for-each task with its iterations."""
        place = self.places[str(record.run_id)]
        content = self.runs[str(place["run"])].as_dict()
        for name in ("repair_history", "end_time", "execution_duration", "run_duration"):
            content.pop(name, None)
        task = record.as_dict()
        taken = ("run_id", "state", "status", "start_time", "end_time", "execution_duration", "attempt_number",
                 "run_page_url", "cluster_instance", "setup_duration", "cleanup_duration")  # fmt: skip
        content |= {name: task[name] for name in taken if name in task}
        content |= {"run_name": record.task_key, "job_run_id": place["run"], "tasks": [task]}
        iterations = self.latest_tasks(place["run"], record.run_id)
        return content | ({"iterations": [each.as_dict() for each in iterations]} if iterations else {})

    def note_repair(self, run: Run, repair_id: int, tasks: list[RunTask], *, original: bool = False) -> None:
        """Add a line to a run's history."""
        kind = "ORIGINAL" if original else "REPAIR"
        content = {"id": repair_id, "type": kind, "start_time": run.start_time if original else self._state.now()}
        item = RepairHistoryItem.from_dict(content | {"task_run_ids": [task.run_id for task in tasks]})
        item.state, item.status, item.end_time = run.state, run.status, run.end_time if original else None
        run.repair_history = [*(run.repair_history or []), item]
