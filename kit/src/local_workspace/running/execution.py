"""One task, whatever its kind: a process, a condition, a loop, another job, SQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from databricks.sdk.service.jobs import ForEachStats, ForEachTaskTaskRunStats, Run, RunResultState, RunTask, Task

from local_workspace.errors import ApiError
from local_workspace.running import (
    graph,
    parameters,
    process_tasks,
    references,
    scheduler,
    sql_tasks,
    states,
    validation,
)
from local_workspace.running.compute import Compute
from local_workspace.running.launching import Processes, Stop
from local_workspace.running.records import Records
from local_workspace.running.states import Code, Life, Outcome
from local_workspace.state import State

if TYPE_CHECKING:
    from local_workspace.running.scheduler import JobRun

Result = RunResultState
PROCESSES: Final = ("notebook_task", "spark_python_task", "python_wheel_task", "spark_submit_task")
MAXIMUM_CONCURRENCY: Final = 100
QUEUE_SECONDS: Final = 0.05


@dataclass(frozen=True)
class OtherJobs:
    """What a task that runs another job needs of the service of runs.

    Attributes:
        start: Starts a job: its id and parameters in, the run out.
        driver: The driver of a run; None while it is queued and once it is over.
        cancel: Ends a run, queued or driven; called with the workspace's lock held.
    """

    start: Callable[[int, dict[str, Any]], Run]
    driver: Callable[[Run], JobRun | None]
    cancel: Callable[[Run], None]


class Execution:
    """Runs single tasks of one workspace.

    Args:
        state: The workspace.
        records: Of its runs.
        processes: Where processes run.
        jobs: How it starts other jobs.
    """

    def __init__(
        self,
        state: State,
        records: Records,
        processes: Processes,
        jobs: OtherJobs,
    ) -> None:
        self.state = state
        self.records = records
        self._processes = processes
        self._jobs = jobs

    def run(
        self, job: JobRun, run: Run, task: Task, record: RunTask, compute: Compute, stop: Stop, given: object
    ) -> Outcome:
        """Run one attempt of a task and say how it ended.

        Args:
            job: The run's driver.
            run: The run of the job.
            task: As it was defined.
            record: Of this attempt.
            compute: The run's clusters.
            stop: When to stop.
            given: The input, of an iteration.
        """
        try:
            with self.state.lock:
                known = parameters.known_to(self.state, self.records, run, record, task, given)
                task = parameters.resolved(task, run, known)
                _show_resolved(record, task)
        except references.UnknownReferenceError as error:
            return states.refused(str(error))
        kind = validation.kind_of(task)
        if kind in PROCESSES:
            return self._process(run, task, record, compute, stop)
        if kind == "for_each_task":
            return self._for_each(job, run, task, record, stop)
        simple: dict[str, Callable[[Task, RunTask, Stop], Outcome]] = {
            "condition_task": self._condition,
            "run_job_task": self._run_job,
            "sql_task": lambda task, record, stop: sql_tasks.run(self.state, task, record, stop),
        }
        if kind in simple:
            return simple[kind](task, record, stop)
        reason = process_tasks.NOT_LOCAL.get(kind, f"A {kind} does not run in the local workspace")
        return states.refused(reason, Code.FEATURE_DISABLED)

    def _process(self, run: Run, task: Task, record: RunTask, compute: Compute, stop: Stop) -> Outcome:
        try:
            machine = compute.machine(task)
        except ApiError as error:
            return states.refused(str(error), Code.CLUSTER_ERROR)
        with self.state.lock:
            values = dict(self.records.values.get(str(run.run_id), {}))
        return process_tasks.run(process_tasks.Job(self.state, task, record, machine, values, stop), self._processes)

    def _condition(self, task: Task, record: RunTask, _stop: Stop) -> Outcome:
        condition = task.condition_task
        if condition is None:
            raise NotImplementedError(task.task_key)
        if record.condition_task:
            record.condition_task.left, record.condition_task.right = condition.left, condition.right
        try:
            holds = graph.compare(condition.op, condition.left, condition.right)
        except ValueError as error:
            return states.refused(str(error))
        return Outcome(Result.SUCCESS, condition=str(holds).lower())

    def _run_job(self, task: Task, record: RunTask, stop: Stop) -> Outcome:
        """Run another job, with what it is given, and end as it ends."""
        if task.run_job_task is None:
            raise NotImplementedError(task.task_key)
        given = task.run_job_task.as_dict()
        try:
            with self.state.lock:
                run = self._jobs.start(int(given.pop("job_id")), given)
                states.show(record, Life.RUNNING, "In run")
        except ApiError as error:
            return states.refused(str(error), Code.RESOURCE_NOT_FOUND)
        self._wait_for(run, stop)
        output = {"run_job_output": {"run_id": run.run_id}}
        result = states.result_of(run) or Result.FAILED
        if stop.result is not None:
            return Outcome(stop.result, scheduler.NOT_RUN[stop.result], output=output)
        if result in graph.SUCCEEDED:
            return Outcome(Result.SUCCESS, output=output)
        message = f"The run {run.run_id} of job {run.job_id} ended {result.value}"
        return Outcome(Result.FAILED, message, error=message, output=output)

    def _wait_for(self, run: Run, stop: Stop) -> None:
        """Wait for a run of another job to be over; one that is queued has no driver until its turn comes."""
        while not (states.is_ended(run) or self.records.closed):
            driver = self._jobs.driver(run)
            if driver is not None:
                scheduler.wait_for(driver, stop)
            elif stop.wait(QUEUE_SECONDS):
                with self.state.lock:
                    if not self.records.closed:
                        self._jobs.cancel(run)

    def _for_each(self, job: JobRun, run: Run, task: Task, record: RunTask, stop: Stop) -> Outcome:
        """Run the nested task once for each input, so many at once."""
        loop = task.for_each_task
        if loop is None:
            raise NotImplementedError(task.task_key)
        try:
            inputs = json.loads(loop.inputs)
        except ValueError:
            inputs = None
        if not isinstance(inputs, list):
            return states.refused(f"The inputs of the for-each task are no JSON array: {loop.inputs!r}")
        with self.state.lock:
            states.show(record, Life.RUNNING, "In run")
            records = [
                self.records.add_task(run, loop.task, iteration_of=record.run_id, index=index)
                for index in range(len(inputs))
            ]
        counted = _Counted(record, self.state, len(inputs))

        def iterate(index: int) -> Outcome:
            if stop.result is not None:
                outcome = Outcome(stop.result, scheduler.NOT_RUN[stop.result])
                self.records.end_task(records[index], outcome)
                return outcome
            counted.change(active=1)
            outcome = job.attempts(loop.task, records[index], stop, given=inputs[index], index=index)
            counted.change(active=-1, outcome=outcome)
            return outcome

        with ThreadPoolExecutor(min(loop.concurrency or 1, MAXIMUM_CONCURRENCY)) as pool:
            outcomes = list(pool.map(iterate, range(len(inputs))))
        if stop.result is not None:
            return Outcome(stop.result, scheduler.NOT_RUN[stop.result])
        failed = [outcome for outcome in outcomes if outcome.result not in graph.SUCCEEDED]
        if failed:
            message = f"{len(failed)} of {len(inputs)} iterations failed: {failed[0].message}"
            return Outcome(Result.FAILED, message, error=message)
        return Outcome(Result.SUCCESS)


class _Counted:
    """The statistics of a for-each task."""

    def __init__(self, record: RunTask, state: State, total: int) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._stats = ForEachTaskTaskRunStats(0, 0, 0, 0, 0, total)
        if record.for_each_task:
            record.for_each_task.stats = ForEachStats(task_run_stats=self._stats)

    def change(self, *, active: int, outcome: Outcome | None = None) -> None:
        with self._state.lock:
            stats = self._stats
            stats.active_iterations = (stats.active_iterations or 0) + active
            stats.scheduled_iterations = (stats.scheduled_iterations or 0) + max(0, active)
            if outcome:
                stats.completed_iterations = (stats.completed_iterations or 0) + 1
                good = outcome.result in graph.SUCCEEDED
                stats.succeeded_iterations = (stats.succeeded_iterations or 0) + good
                stats.failed_iterations = (stats.failed_iterations or 0) + (not good)


def _show_resolved(record: RunTask, task: Task) -> None:
    """Let the record say what the parameters came to: ``resolved_values``."""
    from databricks.sdk.service.jobs import ResolvedValues

    content: dict[str, Any] = {}
    if task.notebook_task:
        content = {"notebook_task": {"base_parameters": task.notebook_task.base_parameters or {}}}
    elif task.spark_python_task:
        content = {"spark_python_task": {"parameters": task.spark_python_task.parameters or []}}
    elif task.python_wheel_task:
        wheel = task.python_wheel_task.as_dict()
        content = {
            "python_wheel_task": {name: wheel[name] for name in ("parameters", "named_parameters") if name in wheel}
        }
    elif task.condition_task:
        content = {"condition_task": {"left": task.condition_task.left, "right": task.condition_task.right}}
    record.resolved_values = ResolvedValues.from_dict(content) if content else None
