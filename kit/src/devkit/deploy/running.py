"""Runs: starting them once, waiting for them, and bringing a stream back in health."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.client import wait_until
from devkit.deploy.errors import DeploymentError, WaitEnded
from devkit.deploy.model import Declaration, Wanted
from devkit.deploy.streams import last_commit, progress_in

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.clock import Clock
    from databricks.sdk.service.jobs import Run

    from devkit.deploy.kinds.base import Context

ENDED: Final = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
POLL_SECONDS: Final = 5.0
STOP_SECONDS: Final = 600.0
SERVICE_SECONDS: Final = 90.0


def start_run(client: WorkspaceClient, job_id: int, parameters: Mapping[str, str] | None = None) -> int:
    """Start a job exactly once, though the call may be sent twice: the token makes the second one the first."""
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
        raise WaitEnded(f"run {run_id} ended {result}: {reason}", remedy=f"Look at {run.run_page_url}.")
    return run


def restart_stream(context: Context, wanted: Wanted) -> None:
    """Stop the active runs of a stream, start it anew, and wait until it is healthy.

    A continuous job is started by the service itself as soon as its run was cancelled.
    """
    from databricks.sdk.service.jobs import PauseStatus

    client, clock = context.client, context.clock
    job_id = int(context.ids[wanted.address])
    before = observe(client, None, wanted)
    for run in list(client.jobs.list_runs(job_id=job_id, active_only=True)):
        client.jobs.cancel_run(int(run.run_id or 0))
        wait_for_run(client, int(run.run_id or 0), clock, limit=STOP_SECONDS, must_succeed=False)
    continuous = wanted.body.get("continuous")
    paused = continuous is None or continuous.get("pause_status") == PauseStatus.PAUSED.value
    run_id = (None if paused else _run_of_the_service(client, clock, job_id)) or start_run(client, job_id)
    wait_until_healthy(client, clock, wanted, run_id, before)


def wait_until_healthy(
    client: WorkspaceClient, clock: Clock, wanted: Wanted, run_id: int, before: int | None = None
) -> int:
    """Wait until a stream runs and its micro-batches advance.

    Args:
        client: The workspace.
        clock: What pauses are taken on.
        wanted: The job, with what its stream shows its progress in.
        run_id: The run.
        before: The newest micro-batch before it was started, when a checkpoint tells; it has to be passed.

    Returns:
        The micro-batch that was seen.

    Raises:
        WaitEnded: If it ended, or made no progress in time.
    """
    stream = wanted.stream or {}
    seen: list[int] = [] if before is None else [before]

    def probe() -> tuple[str, int | None]:
        state = life_cycle(client.jobs.get_run(run_id))
        return state, observe(client, run_id, wanted)

    def healthy(answer: tuple[str, int | None]) -> bool:
        state, batch = answer
        if state in ENDED:
            problem = f"the stream {wanted.name!r} ended ({state}) before it made progress; it is run {run_id}"
            raise WaitEnded(problem, remedy="Read the run's output: `devkit deploy wait --run` shows it.")
        if batch is None or state != "RUNNING":
            return False
        if seen and batch > seen[0]:
            return True
        if not seen:
            seen.append(batch)
        return False

    limit = float(stream.get("within_seconds") or STOP_SECONDS)
    what = f"progress of the stream {wanted.name!r} (state and micro-batch)"
    answer = wait_until(probe, healthy, what=what, clock=clock, interval=POLL_SECONDS, limit=limit)
    return int(answer[1] or 0)


def observe(client: WorkspaceClient, run_id: int | None, wanted: Wanted) -> int | None:
    """Return the newest micro-batch of a stream, from its checkpoint's commits or its run's log; None if unknown."""
    from databricks.sdk.core import DatabricksError

    stream = wanted.stream or {}
    checkpoint = str(stream.get("checkpoint") or "")
    try:
        if checkpoint:
            return last_commit(_names_in(client, f"{checkpoint.rstrip('/')}/commits"))
        return progress_in(_log(client, run_id), str(stream.get("batch_pattern") or "")) if run_id else None
    except DatabricksError:
        return None  # there is no checkpoint yet, or no output yet


def life_cycle(run: Run) -> str:
    """Return the life cycle of a run."""
    state = run.state.life_cycle_state if run.state else None
    return state.value if state else "UNKNOWN"


def _run_of_the_service(client: WorkspaceClient, clock: Clock, job_id: int) -> int | None:
    """Return the run that the service starts of a continuous job by itself, or None when it starts none."""
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
        WaitEnded: If it does not run in time, or has ended.
    """
    ids = [str(cluster.cluster_id) for cluster in client.clusters.list() if cluster.cluster_name == name]
    if len(ids) != 1:
        raise DeploymentError(f"{len(ids)} clusters are called {name!r}; one is needed")

    def running(state: str) -> bool:
        if state in ("ERROR", "TERMINATED", "TERMINATING"):
            raise WaitEnded(f"the cluster {name!r} is {state}", remedy="Start it, and look at its events.")
        return state == "RUNNING"

    probe: Callable[[], str] = lambda: _state(client.clusters.get(ids[0]).state)  # noqa: E731  # it is passed on
    wait_until(probe, running, what=f"the cluster {name!r} to run", clock=clock, interval=interval, limit=limit)
    return ids[0]


def wait_for_update(client: WorkspaceClient, name: str, clock: Clock, *, interval: float, limit: float) -> str:
    """Wait until the latest update of a pipeline has ended, and return its state.

    Raises:
        DeploymentError: If there is not exactly one of that name, or it has no update.
        WaitEnded: If it did not end in time, or ended without success.
    """
    ids = [str(one.pipeline_id) for one in client.pipelines.list_pipelines() if one.name == name]
    if len(ids) != 1:
        raise DeploymentError(f"{len(ids)} pipelines are called {name!r}; one is needed")
    updates = client.pipelines.list_updates(ids[0], max_results=1).updates or []
    if not updates:
        raise DeploymentError(f"the pipeline {name!r} has no update yet", remedy="Start one.")
    update_id = str(updates[0].update_id)

    def probe() -> str:
        update = client.pipelines.get_update(ids[0], update_id).update
        return _state(update.state if update else None)

    ended = ("COMPLETED", "FAILED", "CANCELED")
    what = f"the end of update {update_id} of {name!r}"
    state = wait_until(probe, lambda got: got in ended, what=what, clock=clock, interval=interval, limit=limit)
    if state != "COMPLETED":
        raise WaitEnded(f"update {update_id} of the pipeline {name!r} ended {state}", remedy="Read its events.")
    return state


def declared_stream(declaration: Declaration, key: str) -> Wanted:
    """Return a declared stream.

    Raises:
        DeploymentError: If there is none of that key.
    """
    found = [each for each in declaration.resources if each.kind == "jobs" and each.key == key and each.stream]
    if not found:
        raise DeploymentError(f"no stream {key!r} is declared", remedy="A stream is a job with `stream: true`.")
    return found[0]


def active_run(client: WorkspaceClient, job_id: int) -> int:
    """Return the id of a job's active run.

    Raises:
        DeploymentError: If it has none.
    """
    runs = list(client.jobs.list_runs(job_id=job_id, active_only=True))
    if not runs:
        raise DeploymentError(f"job {job_id} has no active run", remedy="Start it: `devkit deploy run`.")
    return int(runs[0].run_id or 0)


def _state(state: Any) -> str:
    return str(getattr(state, "value", state))


def find_job(client: WorkspaceClient, name: str) -> int:
    """Return the id of the one job of a name.

    Raises:
        DeploymentError: If there is none, or more than one.
    """
    jobs = [job.job_id for job in client.jobs.list(name=name)]
    if len(jobs) != 1:
        count = "no job is" if not jobs else f"{len(jobs)} jobs are"
        raise DeploymentError(f"{count} called {name!r}", remedy="`devkit deploy plan` shows what is declared.")
    return int(jobs[0] or 0)
