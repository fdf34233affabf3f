"""The state of a run or a task, in both forms that the API gives: ``state``, and ``status`` of version 2.2.

Source: https://docs.databricks.com/api/azure/workspace/jobs/getrun
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from databricks.sdk.service.jobs import (
    Run,
    RunLifeCycleState,
    RunLifecycleStateV2State,
    RunResultState,
    RunState,
    RunStatus,
    RunTask,
    TerminationCodeCode,
    TerminationDetails,
    TerminationTypeType,
)

from local_workspace.runs import graph

Life = RunLifeCycleState
Result = RunResultState
Code = TerminationCodeCode
ENDED: Final = frozenset({Life.TERMINATED, Life.SKIPPED, Life.INTERNAL_ERROR})
V2: Final = {Life.WAITING_FOR_RETRY: "WAITING", Life.SKIPPED: "TERMINATED", Life.INTERNAL_ERROR: "TERMINATED"}
NOT_RUN: Final = {
    Result.UPSTREAM_FAILED: "An upstream task failed.",
    Result.UPSTREAM_CANCELED: "An upstream task was canceled.",
    Result.EXCLUDED: "The conditions of this task were not met.",
    Result.CANCELED: "Run cancelled.",
    Result.TIMEDOUT: "Timed out",
    Result.DISABLED: "This task is disabled.",
}
WORKLOAD_FAILED: Final = "Workload failed, see run output for details"
CODES: Final = {
    Result.SUCCESS: Code.SUCCESS,
    Result.SUCCESS_WITH_FAILURES: Code.SUCCESS_WITH_FAILURES,
    Result.FAILED: Code.RUN_EXECUTION_ERROR,
    Result.TIMEDOUT: Code.CANCELED,
    Result.CANCELED: Code.USER_CANCELED,
    Result.MAXIMUM_CONCURRENT_RUNS_REACHED: Code.MAX_CONCURRENT_RUNS_EXCEEDED,
    Result.DISABLED: Code.DISABLED,
}


@dataclass
class Outcome:
    """How a task or a run ended.

    Attributes:
        result: SUCCESS, FAILED …
        message: Of the state: one sentence.
        code: Why, as version 2.2 of the API says it; by default what follows from the result.
        error: For ``get-output``: what went wrong.
        trace: For ``get-output``: the stack trace.
        internal_error: Whether the life cycle ends INTERNAL_ERROR: a task that could not even start (a file is missing,
            a cluster does not start), a run with a failed task.
        output: More for ``get-output``, such as ``notebook_output``.
        condition: What a condition came to: ``true`` or ``false``.
        values: What other tasks can refer to.
    """

    result: Result
    message: str = ""
    code: Code | None = None
    error: str = ""
    trace: str = ""
    internal_error: bool = False
    output: dict[str, Any] | None = None
    condition: str | None = None
    values: dict[str, Any] | None = None

    @property
    def life(self) -> Life:
        """The life cycle state that belongs to it."""
        if self.result is Result.MAXIMUM_CONCURRENT_RUNS_REACHED:
            return Life.SKIPPED
        return Life.INTERNAL_ERROR if self.internal_error else Life.TERMINATED

    @property
    def failed(self) -> bool:
        """Whether a retry may help."""
        return self.result in (Result.FAILED, Result.TIMEDOUT)


def refused(problem: str, code: Code = Code.INVALID_RUN_CONFIGURATION) -> Outcome:
    """Return the outcome of a task that could not start, with the reason."""
    return Outcome(Result.FAILED, problem, code, error=problem, internal_error=True)


def not_run(result: Result) -> Outcome:
    """Return the outcome of what did not run, or not to its end."""
    return Outcome(result, NOT_RUN[result])


def is_ended(target: Run | RunTask) -> bool:
    """Return whether a run or task is over."""
    return target.state is not None and target.state.life_cycle_state in ENDED


def result_of(target: Run | RunTask) -> Result | None:
    """Return the result, if there is one yet."""
    return target.state.result_state if target.state else None


def show(target: Run | RunTask, life: Life, message: str = "") -> None:
    """Let a run or task be in a state that is not its last."""
    target.state = RunState(life_cycle_state=life, state_message=message, user_cancelled_or_timedout=False)
    target.status = RunStatus(state=RunLifecycleStateV2State(V2.get(life, life.value)))


def end(target: Run | RunTask, outcome: Outcome, now: int) -> None:
    """Let a run or task be over."""
    by_hand = outcome.result in (Result.CANCELED, Result.TIMEDOUT)
    target.state = RunState(
        life_cycle_state=outcome.life,
        result_state=outcome.result,
        state_message=outcome.message,
        user_cancelled_or_timedout=by_hand,
    )
    code = outcome.code or CODES.get(outcome.result, Code.SKIPPED)
    details = TerminationDetails(code=code, type=_type(outcome, code), message=outcome.message)
    target.status = RunStatus(state=RunLifecycleStateV2State.TERMINATED, termination_details=details)
    target.end_time = now
    started = target.start_time or now
    target.execution_duration = max(0, now - started - (target.setup_duration or 0))
    target.cleanup_duration = 0
    if isinstance(target, Run):
        target.run_duration = now - started


def _type(outcome: Outcome, code: Code) -> TerminationTypeType:
    if code is Code.INTERNAL_ERROR:
        return TerminationTypeType.INTERNAL_ERROR
    fine = outcome.result in graph.SUCCEEDED | graph.NOT_RUN
    return TerminationTypeType.SUCCESS if fine else TerminationTypeType.CLIENT_ERROR
