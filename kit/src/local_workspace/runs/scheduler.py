"""One run of a job: its tasks in the order of their graph, with conditions, retries, time-outs and cancel.

The run has a thread of its own, and so has each of its tasks; none holds the workspace's lock while it waits.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from databricks.sdk.service.jobs import Run, RunResultState, RunTask, Task

from local_workspace.runs import graph, states
from local_workspace.runs.execution import Attempt, Execution
from local_workspace.runs.launching import Stop
from local_workspace.runs.machines import Compute
from local_workspace.runs.states import Life, Outcome

logger = logging.getLogger(__name__)
Result = RunResultState


class JobRun:
    """Drives one run to its end.

    Args:
        execution: Runs a single task.
        run: The run, whose tasks have records already.
        rerun: The keys of the tasks to run; the others keep what they came to. All by default.
        ended: Told when it is over.
    """

    def __init__(
        self, execution: Execution, run: Run, ended: Callable[[Run], None], *, rerun: set[str] | None = None
    ) -> None:
        self._execution = execution
        self._state, self._records = execution.state, execution.records
        self._run = run
        self._ended = ended
        self.stop = Stop()
        settings = self._records.settings[str(run.run_id)]
        self._timeout = settings.timeout_seconds or None
        self._tasks = {task.task_key: task for task in settings.tasks or []}
        self._needed = {key: [each.task_key for each in task.depends_on or []] for key, task in self._tasks.items()}
        self._compute = Compute(self._state, settings, f"job-{run.job_id}-run-{run.run_id}")
        self._latest = {task.task_key: task for task in self._records.latest_tasks(run.run_id or 0)}
        kept = set(self._tasks) - (rerun if rerun is not None else set(self._tasks))
        self._results = {key: states.result_of(self._latest[key]) or Result.FAILED for key in kept}
        conditions = ((key, self._latest[key].condition_task) for key in kept)
        self._conditions = {key: condition.outcome if condition else None for key, condition in conditions}
        self._messages: list[str] = []
        self._waiting = {key: None for key in self._tasks if key not in kept}
        self._running: set[str] = set()
        self._done: queue.Queue[tuple[str, Outcome]] = queue.Queue()
        self.over = threading.Event()

    def start(self) -> None:
        """Begin, and return at once."""
        threading.Thread(target=self._drive, name=f"run-{self._run.run_id}", daemon=True).start()

    def _drive(self) -> None:
        with self._state.lock:
            states.show(self._run, Life.RUNNING)
        timer = None
        try:
            if self._timeout:
                timer = threading.Timer(self._timeout, self.stop.ask, [Result.TIMEDOUT])
                timer.daemon = True
                timer.start()
            while self._waiting or self._running:
                self._start_ready()
                if self._running:
                    key, outcome = self._done.get()
                    self._running.discard(key)
                    self._note(key, outcome)
        finally:
            if timer:
                timer.cancel()
            try:
                self._finish()
            finally:
                self.over.set()

    def _start_ready(self) -> None:
        """Start what has nothing left to wait for, until nothing changes any more."""
        changed = True
        while changed:
            ready = [key for key in self._waiting if all(each in self._results for each in self._needed[key])]
            changed = bool(ready)
            for key in ready:
                del self._waiting[key]
                verdict = self._verdict(self._tasks[key])
                if verdict is None:
                    self._running.add(key)
                    threading.Thread(target=self._run_task, args=(key,), daemon=True).start()
                else:
                    outcome = states.not_run(verdict)
                    self._records.end_task(self._latest[key], outcome)
                    self._note(key, outcome)

    def _verdict(self, task: Task) -> Result | None:
        if self.stop.result is not None:
            return self.stop.result
        if task.disabled:
            return Result.DISABLED
        depends_on = task.depends_on or []
        results = [
            graph.result_of_dependency(each, self._results[each.task_key], self._conditions.get(each.task_key))
            for each in depends_on
        ]
        return graph.verdict(task.run_if, results)

    def _run_task(self, key: str) -> None:
        try:
            outcome = self.attempts(self._tasks[key], self._latest[key], self.stop)
        except Exception as error:  # a task must end, whatever happens
            logger.exception("task %s of run %s", key, self._run.run_id)
            outcome = states.refused(f"{type(error).__name__}: {error}", states.Code.INTERNAL_ERROR)
            self._records.end_task(self._latest[key], outcome)
        self._done.put((key, outcome))

    def attempts(
        self, task: Task, record: RunTask, stop: Stop, *, given: object = None, index: int | None = None
    ) -> Outcome:
        """Run a task until it succeeds or has no retry left.

        Args:
            task: As it was defined.
            record: Of its first attempt.
            stop: When to stop.
            given: The input, of an iteration.
            index: Which iteration it is.
        """
        attempt = record.attempt_number or 0
        last = attempt + (task.max_retries or 0) if (task.max_retries or 0) >= 0 else None
        while True:
            outcome = self._attempt(task, record, Stop(stop), given)
            self._records.end_task(record, outcome)
            retried = outcome.failed and (outcome.result is not Result.TIMEDOUT or bool(task.retry_on_timeout))
            if not retried or (last is not None and attempt >= last) or stop.result is not None:
                return outcome
            attempt += 1
            with self._state.lock:
                iteration_of = self._records.places[str(record.run_id)]["iteration_of"]
                record = self._records.add_task(
                    self._run, task, attempt=attempt, iteration_of=iteration_of, index=index
                )
                states.show(record, Life.WAITING_FOR_RETRY, "Waiting for the retry")
                if iteration_of is None:
                    self._latest[task.task_key] = record
            if stop.wait((task.min_retry_interval_millis or 0) / 1000):
                outcome = states.not_run(stop.result or Result.CANCELED)
                self._records.end_task(record, outcome)
                return outcome

    def _attempt(self, task: Task, record: RunTask, stop: Stop, given: object) -> Outcome:
        timer = None
        if task.timeout_seconds:
            timer = threading.Timer(task.timeout_seconds, stop.ask, [Result.TIMEDOUT])
            timer.daemon = True
            timer.start()
        try:
            with self._state.lock:
                record.start_time = self._state.now()
                states.show(record, Life.PENDING, "Waiting for cluster")
            attempt = Attempt(self._run, task, record, self._compute, stop, given, self.attempts)
            return self._execution.run(attempt)
        finally:
            if timer:
                timer.cancel()

    def _note(self, key: str, outcome: Outcome) -> None:
        self._results[key] = outcome.result
        self._conditions[key] = outcome.condition
        if outcome.failed:
            self._messages.append(f"Task {key} failed with message: {outcome.message}.")

    def _finish(self) -> None:
        self._compute.end()
        with self._state.lock:
            if self._records.closed:
                return
            if self.stop.result is not None:
                outcome = states.not_run(self.stop.result)
            else:
                outcome = Outcome(graph.result_of_run(self._results, self._needed), " ".join(self._messages))
                outcome.internal_error = outcome.result is Result.FAILED
            if any(result is Result.UPSTREAM_FAILED for result in self._results.values()):
                outcome.message += " This caused all downstream tasks to get skipped."
            states.end(self._run, outcome, self._state.now())
            if self._run.repair_history:
                item = self._run.repair_history[-1]
                item.state, item.status, item.end_time = self._run.state, self._run.status, self._run.end_time
            self._ended(self._run)
