"""Runs: starting them once, waiting for them, and restarting a stream until it is healthy."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.declaration.model import Declaration, Desired
from devkit.deploy.errors import DeploymentError, WaitEnded
from devkit.deploy.workspace.client import wait_until

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.clock import Clock
    from databricks.sdk.service.jobs import Run

    from devkit.deploy.resources.base import Context

ENDED: Final = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
UPDATE_ENDED: Final = ("COMPLETED", "FAILED", "CANCELED")
POLL_SECONDS: Final = 5.0
STOP_SECONDS: Final = 600.0
SERVICE_SECONDS: Final = 90.0


def start_run(client: WorkspaceClient, job_id: int, parameters: Mapping[str, str] | None = None) -> int:
    """Start a job exactly once, though the call may be sent twice: the token identifies the run."""
    given = dict(parameters) if parameters else None
    waiting: Any = client.jobs.run_now(job_id, idempotency_token=uuid.uuid4().hex, job_parameters=given)
    return int(waiting.response.run_id or 0)


def wait_for_run(
    client: WorkspaceClient,
    run_id: int,
    clock: Clock,
    *,
    interval: float = POLL_SECONDS,
    limit: float = 3600.0,
    must_succeed: bool = True,
) -> Run:
    """Wait until a run has ended.

    Raises:
        WaitEnded: If it did not end in time, or ended without success.
    """
    run = wait_until(
        lambda: client.jobs.get_run(run_id),
        lambda got: life_cycle(got) in ENDED,
        what=f"the end of run {run_id}",
        clock=clock,
        interval=interval,
        limit=limit,
    )
    result = run.state.result_state.value if run.state and run.state.result_state else life_cycle(run)
    if must_succeed and result not in ("SUCCESS", "SUCCESS_WITH_FAILURES"):
        reason = run.state.state_message if run.state and run.state.state_message else "no message"
        raise WaitEnded(f"run {run_id} ended {result}: {reason}", remedy=f"See {run.run_page_url}.")
    return run


def restart_stream(context: Context, desired: Desired) -> None:
    """Stop the active runs of a stream, start it again, and wait until it is healthy.

    The service itself starts a continuous job as soon as its run is cancelled.
    """
    client, clock = context.client, context.clock
    job_id = int(context.ids[desired.address])
    before = observe(client, None, desired)
    for run in list(client.jobs.list_runs(job_id=job_id, active_only=True)):
        client.jobs.cancel_run(int(run.run_id or 0))
        wait_for_run(client, int(run.run_id or 0), clock, limit=STOP_SECONDS, must_succeed=False)
    continuous = desired.body.get("continuous")
    paused = continuous is None or continuous.get("pause_status") == "PAUSED"
    run_id = (None if paused else _run_of_the_service(client, clock, job_id)) or start_run(client, job_id)
    wait_until_healthy(client, clock, desired, run_id, before)


def wait_until_healthy(
    client: WorkspaceClient, clock: Clock, desired: Desired, run_id: int, before: int | None = None
) -> int:
    """Wait until a stream runs and its micro-batches advance.

    Args:
        client: The workspace.
        clock: The clock that pauses are taken on.
        desired: The job, with what shows the progress of its stream.
        run_id: The run.
        before: The newest micro-batch before it was started, if a checkpoint shows it; it has to be passed.

    Returns:
        The micro-batch that was seen.

    Raises:
        WaitEnded: If it ended, or made no progress in time.
    """
    seen: list[int] = [] if before is None else [before]

    def probe() -> tuple[str, int | None]:
        return life_cycle(client.jobs.get_run(run_id)), observe(client, run_id, desired)

    def healthy(answer: tuple[str, int | None]) -> bool:
        state, batch = answer
        if state in ENDED:
            problem = f"the stream {desired.name!r} ended ({state}) before it made progress; it is run {run_id}"
            raise WaitEnded(problem, remedy=f"Read the output of run {run_id} in the workspace.")
        if batch is None or state != "RUNNING":
            return False
        if not seen:
            seen.append(batch)
        return batch > seen[0]

    limit = float((desired.stream or {}).get("within_seconds") or STOP_SECONDS)
    what = f"progress of the stream {desired.name!r} (state and micro-batch)"
    answer = wait_until(probe, healthy, what=what, clock=clock, interval=POLL_SECONDS, limit=limit)
    return int(answer[1] or 0)


def observe(client: WorkspaceClient, run_id: int | None, desired: Desired) -> int | None:
    """Return the newest micro-batch of a stream, from its checkpoint's commits or its run's log; None if unknown."""
    from databricks.sdk.core import DatabricksError

    stream = desired.stream or {}
    checkpoint = str(stream.get("checkpoint") or "")
    try:
        if checkpoint:
            return last_commit(_names_in(client, f"{checkpoint.rstrip('/')}/commits"))
        return progress_in(_log(client, run_id), str(stream.get("batch_pattern") or "")) if run_id else None
    except DatabricksError:
        return None  # no checkpoint yet, or no output yet


def progress_in(text: str, pattern: str) -> int | None:
    """Return the last number of a micro-batch in a text, or None."""
    numbers = [int(match) for match in re.findall(pattern, text)]
    return numbers[-1] if numbers else None


def last_commit(names: Iterable[str]) -> int | None:
    """Return the newest micro-batch of a checkpoint from the names in its folder ``commits``, or None."""
    return max((int(name) for name in names if name.isdigit()), default=None)


def life_cycle(run: Run) -> str:
    """Return the life cycle of a run."""
    return _state(run.state.life_cycle_state if run.state else None)


def output_of(client: WorkspaceClient, run_id: int) -> str:
    """Return what the tasks of a run printed or returned, and how they failed."""
    lines = []
    for task in client.jobs.get_run(run_id).tasks or []:
        output = client.jobs.get_run_output(int(task.run_id or 0))
        result = output.notebook_output.result if output.notebook_output else None
        text = "\n".join(part for part in (output.logs, result, output.error) if part)
        lines.append(f"--- {task.task_key}\n{text}".rstrip())
    return "\n".join(lines)


def wait_for_cluster(client: WorkspaceClient, name: str, clock: Clock, *, interval: float, limit: float) -> str:
    """Wait until a cluster runs, and return its id.

    Raises:
        DeploymentError: If there is not exactly one of that name.
        WaitEnded: If it does not run in time, or has terminated.
    """
    cluster_id = _only(
        "clusters", name, (each.cluster_id for each in client.clusters.list() if each.cluster_name == name)
    )

    def running(state: str) -> bool:
        if state in ("ERROR", "TERMINATED", "TERMINATING"):
            raise WaitEnded(f"the cluster {name!r} is {state}", remedy="Start it, and look at its events.")
        return state == "RUNNING"

    probe: Callable[[], str] = lambda: _state(client.clusters.get(cluster_id).state)  # noqa: E731  # it is passed on
    wait_until(probe, running, what=f"the cluster {name!r} to run", clock=clock, interval=interval, limit=limit)
    return cluster_id


def wait_for_update(client: WorkspaceClient, name: str, clock: Clock, *, interval: float, limit: float) -> str:
    """Wait until the latest update of a pipeline has ended, and return its state.

    Raises:
        DeploymentError: If there is not exactly one of that name, or it has no update.
        WaitEnded: If it did not end in time, or ended without success.
    """
    listed = (each.pipeline_id for each in client.pipelines.list_pipelines() if each.name == name)
    pipeline_id = _only("pipelines", name, listed)
    updates = client.pipelines.list_updates(pipeline_id, max_results=1).updates or []
    if not updates:
        raise DeploymentError(f"the pipeline {name!r} has no update yet", remedy="Start one.")
    update_id = str(updates[0].update_id)

    def probe() -> str:
        update = client.pipelines.get_update(pipeline_id, update_id).update
        return _state(update.state if update else None)

    what = f"the end of update {update_id} of {name!r}"
    state = wait_until(probe, lambda got: got in UPDATE_ENDED, what=what, clock=clock, interval=interval, limit=limit)
    if state != "COMPLETED":
        reason = _why(client, pipeline_id, update_id)
        raise WaitEnded(f"update {update_id} of the pipeline {name!r} ended {state}{reason}", remedy="Read its events.")
    return state


def _why(client: WorkspaceClient, pipeline_id: str, update_id: str) -> str:
    """Return the reason that the last error of an update's events gives."""
    condition = f"update_id = '{update_id}' AND level = 'ERROR'"
    last = next(iter(client.pipelines.list_pipeline_events(pipeline_id, filter=condition)), None)
    told = (last.error.exceptions if last and last.error else None) or []
    return "".join(f"\n{each.message}" for each in told)


def declared_stream(declaration: Declaration, key: str) -> Desired:
    """Return a declared stream.

    Raises:
        DeploymentError: If there is none of that key.
    """
    for each in declaration.of("jobs"):
        if each.key == key and each.stream:
            return each
    raise DeploymentError(f"no stream {key!r} is declared", remedy="A stream is a job with `stream: true`.")


def active_run(client: WorkspaceClient, job_id: int) -> int:
    """Return the id of a job's active run.

    Raises:
        DeploymentError: If it has none.
    """
    for run in client.jobs.list_runs(job_id=job_id, active_only=True):
        return int(run.run_id or 0)
    raise DeploymentError(f"job {job_id} has no active run", remedy="Start it with `devkit deploy run`.")


def find_job(client: WorkspaceClient, name: str) -> int:
    """Return the id of the one job of a name.

    Raises:
        DeploymentError: If there is none, or more than one.
    """
    return int(_only("jobs", name, (job.job_id for job in client.jobs.list(name=name))))


def _only(kind: str, name: str, ids: Iterable[Any]) -> str:
    found = [str(each) for each in ids]
    if len(found) != 1:
        remedy = "`devkit deploy plan` shows what is declared, and under which name."
        raise DeploymentError(f"{len(found) or 'no'} {kind} are called {name!r}; exactly one is needed", remedy=remedy)
    return found[0]


def _run_of_the_service(client: WorkspaceClient, clock: Clock, job_id: int) -> int | None:
    """Return the run of a continuous job that the service starts itself, or None if it starts none."""
    probe: Callable[[], list[Any]] = lambda: list(client.jobs.list_runs(job_id=job_id, active_only=True))  # noqa: E731
    what = f"the next run of job {job_id}"
    try:
        runs = wait_until(probe, bool, what=what, clock=clock, interval=POLL_SECONDS, limit=SERVICE_SECONDS)
    except WaitEnded:
        return None
    return int(runs[0].run_id)


def _names_in(client: WorkspaceClient, folder: str) -> list[str]:
    if folder.startswith("/Volumes/"):
        return [str(entry.name) for entry in client.files.list_directory_contents(folder)]
    return [str(entry.path).rpartition("/")[2] for entry in client.dbfs.list(folder.removeprefix("dbfs:"))]


def _log(client: WorkspaceClient, run_id: int) -> str:
    """Return what the tasks of a run have printed so far."""
    tasks = client.jobs.get_run(run_id).tasks or []
    outputs = [client.jobs.get_run_output(int(task.run_id)) for task in tasks if task.run_id]
    return "\n".join(output.logs or "" for output in outputs)


def _state(state: Any) -> str:
    return str(getattr(state, "value", state or "UNKNOWN"))
