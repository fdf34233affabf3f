"""The graph of a job's tasks, decided purely: what depends on what, and whether a task runs at all.

Sources: https://docs.databricks.com/jobs/run-if and https://docs.databricks.com/jobs/conditional-tasks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final

from databricks.sdk.service.jobs import ConditionTaskOp, RunIf, RunResultState, TaskDependency

Result = RunResultState
SUCCEEDED: Final = frozenset({Result.SUCCESS, Result.SUCCESS_WITH_FAILURES})
NOT_RUN: Final = frozenset({Result.EXCLUDED, Result.DISABLED})
CANCELED: Final = frozenset({Result.CANCELED, Result.UPSTREAM_CANCELED})


def cycle(dependencies: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the tasks of a cycle, in order, or nothing.

    Args:
        dependencies: The keys that each task depends on, all of them known.
    """
    try:
        TopologicalSorter(dependencies).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))  # it names what is depended on first
    return []


def with_dependents(keys: Sequence[str], dependencies: Mapping[str, Sequence[str]]) -> set[str]:
    """Return tasks together with all that depend on them, however far."""
    wanted = set(keys)
    while more := {key for key, needed in dependencies.items() if wanted & set(needed)} - wanted:
        wanted |= more
    return wanted


def result_of_dependency(dependency: TaskDependency, result: Result, outcome: str | None) -> Result:
    """Return what a dependency counts as: the branch of a condition that was not taken counts as excluded."""
    if dependency.outcome and result in SUCCEEDED and outcome != dependency.outcome.lower():
        return Result.EXCLUDED
    return result


def verdict(run_if: RunIf | None, results: Sequence[Result]) -> Result | None:
    """Return whether a task runs, once all that it depends on has ended.

    Args:
        run_if: The task's condition; ALL_SUCCESS when it says none.
        results: Of its dependencies.

    Returns:
        None when it runs, else the result that it gets without running.
    """
    if not results:
        return None
    if all(result in NOT_RUN for result in results):
        return Result.EXCLUDED
    succeeded = sum(result in SUCCEEDED for result in results)
    not_run = sum(result in NOT_RUN for result in results)
    failed = len(results) - succeeded - not_run
    condition = run_if or RunIf.ALL_SUCCESS
    runs = {
        RunIf.ALL_SUCCESS: succeeded == len(results),
        RunIf.AT_LEAST_ONE_SUCCESS: succeeded > 0,
        RunIf.NONE_FAILED: failed == 0,
        RunIf.ALL_DONE: True,
        RunIf.AT_LEAST_ONE_FAILED: failed > 0,
        RunIf.ALL_FAILED: failed == len(results),
    }
    if runs[condition]:
        return None
    if failed == 0 or condition in (RunIf.AT_LEAST_ONE_FAILED, RunIf.ALL_FAILED):
        return Result.EXCLUDED
    only_canceled = all(result in CANCELED or result in SUCCEEDED | NOT_RUN for result in results)
    return Result.UPSTREAM_CANCELED if only_canceled else Result.UPSTREAM_FAILED


def result_of_run(results: Mapping[str, Result], dependencies: Mapping[str, Sequence[str]]) -> Result:
    """Return the result of a run from those of its tasks: its leaves decide.

    Args:
        results: Of each task.
        dependencies: The keys that each task depends on.
    """
    inner = {needed for keys in dependencies.values() for needed in keys}
    leaves = [result for key, result in results.items() if key not in inner]
    if any(result not in SUCCEEDED | NOT_RUN for result in leaves):
        failed = [result for result in results.values() if result not in SUCCEEDED | NOT_RUN]
        for kind in (Result.FAILED, Result.TIMEDOUT, Result.CANCELED):
            if kind in failed:
                return kind
        return Result.FAILED
    spotless = all(result is Result.SUCCESS or result in NOT_RUN for result in results.values())
    return Result.SUCCESS if spotless else Result.SUCCESS_WITH_FAILURES


def compare(operator: ConditionTaskOp, left: str, right: str) -> bool:
    """Evaluate a condition: equality of texts, and the order of numbers.

    Raises:
        ValueError: When an order is asked for and a side is no number.
    """
    if operator in (ConditionTaskOp.EQUAL_TO, ConditionTaskOp.NOT_EQUAL):
        return (left == right) is (operator is ConditionTaskOp.EQUAL_TO)
    orders: dict[ConditionTaskOp, Callable[[float, float], bool]] = {
        ConditionTaskOp.GREATER_THAN: lambda a, b: a > b,
        ConditionTaskOp.GREATER_THAN_OR_EQUAL: lambda a, b: a >= b,
        ConditionTaskOp.LESS_THAN: lambda a, b: a < b,
        ConditionTaskOp.LESS_THAN_OR_EQUAL: lambda a, b: a <= b,
    }
    return orders[operator](_number(left), _number(right))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"The condition compares numbers, and {text!r} is not a number") from None
