"""One task, whatever its kind: a process, a condition, a loop, another job, SQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from databricks.sdk.service.jobs import (
    ForEachStats,
    ForEachTaskTaskRunStats,
    ResolvedValues,
    Run,
    RunResultState,
    RunTask,
    Task,
)
from databricks.sdk.service.pipelines import UpdateInfo, UpdateInfoCause, UpdateInfoState

from local_workspace.compute.connect_servers import ConnectServers
from local_workspace.errors import ApiError
from local_workspace.runs import graph, parameters, process_tasks, references, sql_tasks, states, updates, validation
from local_workspace.runs.launching import Processes, Stop
from local_workspace.runs.machines import Compute
from local_workspace.runs.records import Records
from local_workspace.runs.states import Code, Life, Outcome
from local_workspace.server.state import State
from local_workspace.services.pipelines import Pipelines, Running

Result = RunResultState
PROCESSES: Final = ("notebook_task", "spark_python_task", "python_wheel_task", "spark_submit_task")
MAXIMUM_CONCURRENCY: Final = 100


@dataclass(frozen=True)
class OtherJobs:
    """What a task that runs another job needs of the service of runs.

    Attributes:
        start: Starts a job: its id and parameters in, the run out.
        wait: Waits for a run to be over; a wish to stop is handed on to it.
    """

    start: Callable[[int, dict[str, Any]], Run]
    wait: Callable[[Run, Stop], None]


@dataclass(frozen=True)
class Attempt:
    """One attempt of a task.

    Attributes:
        run: The run of the job.
        task: As it was defined.
        record: Of this attempt.
        compute: The run's clusters.
        stop: When to stop.
        given: The input, of an iteration.
        iterate: Runs the task of a loop for one input, with its retries.
    """

    run: Run
    task: Task
    record: RunTask
    compute: Compute
    stop: Stop
    given: object
    iterate: Callable[..., Outcome]


class Execution:
    """Runs single tasks of one workspace.

    Args:
        state: The workspace.
        records: Of its runs.
        processes: Where processes run.
        servers: The Spark of tasks on standard access mode and serverless compute.
        jobs: How it starts other jobs.
    """

    def __init__(
        self,
        state: State,
        records: Records,
        processes: Processes,
        servers: ConnectServers,
        jobs: OtherJobs,
    ) -> None:
        self.state = state
        self.records = records
        self._processes, self._servers = processes, servers
        self._jobs = jobs

    def run(self, attempt: Attempt) -> Outcome:
        """Run one attempt of a task and say how it ended."""
        run, record = attempt.run, attempt.record
        try:
            with self.state.lock:
                known = parameters.known_to(self.state, self.records, run, record, attempt.task, attempt.given)
                attempt = replace(attempt, task=parameters.resolved(attempt.task, run, known))
                _show_resolved(record, attempt.task)
        except references.UnknownReferenceError as error:
            return states.refused(str(error))
        kinds: dict[str, Callable[[Attempt], Outcome]] = {
            **dict.fromkeys(PROCESSES, self._process),
            "for_each_task": self._for_each,
            "condition_task": self._condition,
            "run_job_task": self._run_job,
            "pipeline_task": self._pipeline,
            "sql_task": lambda attempt: sql_tasks.run(self.state, attempt.task, record, attempt.stop),
        }
        kind = validation.kind_of(attempt.task)
        if kind in kinds:
            return kinds[kind](attempt)
        reason = process_tasks.NOT_LOCAL.get(kind, f"A {kind} does not run in the local workspace")
        return states.refused(reason, Code.FEATURE_DISABLED)

    def _process(self, attempt: Attempt) -> Outcome:
        try:
            machine = attempt.compute.machine(attempt.task)
        except ApiError as error:
            return states.refused(str(error), Code.CLUSTER_ERROR)
        with self.state.lock:
            values = dict(self.records.values.get(str(attempt.run.run_id), {}))
        job = process_tasks.Job(self.state, attempt.task, attempt.record, machine, values, attempt.stop)
        return process_tasks.run(job, self._processes, self._servers)

    def _condition(self, attempt: Attempt) -> Outcome:
        condition, record = attempt.task.condition_task, attempt.record
        if condition is None:
            raise NotImplementedError(attempt.task.task_key)
        if record.condition_task:
            record.condition_task.left, record.condition_task.right = condition.left, condition.right
        try:
            holds = graph.compare(condition.op, condition.left, condition.right)
        except ValueError as error:
            return states.refused(str(error))
        return Outcome(Result.SUCCESS, condition=str(holds).lower())

    def _run_job(self, attempt: Attempt) -> Outcome:
        """Run another job, with what it is given, and end as it ends."""
        wanted, stop = attempt.task.run_job_task, attempt.stop
        if wanted is None:
            raise NotImplementedError(attempt.task.task_key)
        given = wanted.as_dict()
        try:
            with self.state.lock:
                run = self._jobs.start(int(given.pop("job_id")), given)
                states.show(attempt.record, Life.RUNNING)
        except ApiError as error:
            return states.refused(str(error), Code.RESOURCE_NOT_FOUND)
        self._jobs.wait(run, stop)
        output = {"run_job_output": {"run_id": run.run_id}}
        result = states.result_of(run) or Result.FAILED
        if stop.result is not None:
            return replace(states.not_run(stop.result), output=output)
        if result in graph.SUCCEEDED:
            return Outcome(Result.SUCCESS, output=output)
        message = f"The run {run.run_id} of job {run.job_id} ended {result.value}"
        return Outcome(Result.FAILED, message, error=message, output=output)

    def _pipeline(self, attempt: Attempt) -> Outcome:
        """Update a pipeline, and end as the update ends."""
        wanted, stop = attempt.task.pipeline_task, attempt.stop
        if wanted is None:
            raise NotImplementedError(attempt.task.task_key)
        pipelines = self.state.service(Pipelines)
        try:
            updates.refuse_selections(wanted.as_dict())
            with self.state.lock:
                asked = UpdateInfo.from_dict({**wanted.as_dict(), "cause": UpdateInfoCause.JOB_TASK.value})
                update = pipelines.start(wanted.pipeline_id, asked, Running(Stop(stop)))
                states.show(attempt.record, Life.RUNNING)
        except ApiError as error:
            return states.refused(str(error), Code.RESOURCE_NOT_FOUND)
        problem = pipelines.wait(update)
        if stop.result is not None:
            return states.not_run(stop.result)
        if update.state is UpdateInfoState.COMPLETED:
            return Outcome(Result.SUCCESS)
        ended = update.state.value if update.state else "without a state"
        message = f"The update {update.update_id} of the pipeline {wanted.pipeline_id} ended {ended}: {problem}"
        return Outcome(Result.FAILED, message, error=message)

    def _for_each(self, attempt: Attempt) -> Outcome:
        """Run the nested task once for each input, so many at once."""
        loop, record, stop = attempt.task.for_each_task, attempt.record, attempt.stop
        if loop is None:
            raise NotImplementedError(attempt.task.task_key)
        try:
            inputs = json.loads(loop.inputs)
        except ValueError:
            inputs = None
        if not isinstance(inputs, list):
            return states.refused(f"The inputs of the for-each task are not a JSON array: {loop.inputs!r}")
        with self.state.lock:
            states.show(record, Life.RUNNING)
            records = [
                self.records.add_task(attempt.run, loop.task, iteration_of=record.run_id, index=index)
                for index in range(len(inputs))
            ]
        counted = _Counted(record, self.state, len(inputs))

        def iterate(index: int) -> Outcome:
            if stop.result is not None:
                outcome = states.not_run(stop.result)
                self.records.end_task(records[index], outcome)
                return outcome
            counted.change(active=1)
            outcome = attempt.iterate(loop.task, records[index], stop, given=inputs[index], index=index)
            counted.change(active=-1, outcome=outcome)
            return outcome

        with ThreadPoolExecutor(min(loop.concurrency or 1, MAXIMUM_CONCURRENCY)) as pool:
            outcomes = list(pool.map(iterate, range(len(inputs))))
        if stop.result is not None:
            return states.not_run(stop.result)
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
