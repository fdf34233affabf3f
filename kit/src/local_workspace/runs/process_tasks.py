"""Tasks that are processes: notebooks, Python files, wheels and spark-submit.

Each gets a folder of its own beneath ``runs/``, an environment in which Spark is the workspace's, and a request that
`main` reads. What is missing is found before a process is started.
"""

from __future__ import annotations

import base64
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from databricks.sdk.service.jobs import ClusterInstance, RunResultState, RunTask, Task

from local_workspace.compute import connect_servers, spark_environment
from local_workspace.errors import ApiError
from local_workspace.runs import launching, libraries, states
from local_workspace.runs.machines import Machine
from local_workspace.runs.states import Code, Outcome
from local_workspace.server.paths import BARE, is_remote, local_path, roots_of
from local_workspace.server.state import State
from local_workspace.services.secrets import Secrets
from local_workspace.services.workspace_objects import WorkspaceObjects
from local_workspace.task import context, redaction, session
from spark_utils.configuration.secrets import parse_reference
from spark_utils.errors import SparkUtilsError
from spark_utils.session import LOG_VARIABLE

# Paths that an ordinary argument of a program may well begin with, and that Spark would not take for the workspace's.
RESULT_CHARACTERS: Final = 5 * 1024 * 1024
NOT_HERE: Final = {"PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"}  # paths on a machine of Databricks'
NO_SUBMIT: Final = "spark-submit tasks do not run on a cluster of standard access mode: give it a dedicated one"
NOT_LOCAL: Final = {
    "spark_jar_task": "A JAR task does not run in the local workspace: it runs Python and SQL",
    "dbt_task": "A dbt task does not run in the local workspace",
}


@dataclass
class Job:
    """One process to be run.

    Attributes:
        state: The workspace.
        task: What is to be run, its references replaced.
        record: Of the task's run.
        machine: Where it runs.
        values: The values that tasks before it left.
        stop: When to stop it.
    """

    state: State
    task: Task
    record: RunTask
    machine: Machine
    values: dict[str, Any]
    stop: launching.Stop

    @property
    def folder(self) -> Path:
        """Where the process finds its request and leaves its result."""
        return folder_of(self.state, self.record.run_id or 0)


def folder_of(state: State, run_id: int) -> Path:
    """Return the folder of a task's run, which may not exist."""
    return state.folder / "runs" / str(run_id)


def run(job: Job, processes: launching.Processes, servers: connect_servers.ConnectServers) -> Outcome:
    """Run a task in a process and say how it ended."""
    try:
        command, variables, lease = _prepare(job, servers)
    except (ApiError, SparkUtilsError) as error:
        return states.refused(str(error), Code.RESOURCE_NOT_FOUND)
    except libraries.LibraryError as error:
        return states.refused(str(error), Code.LIBRARY_INSTALLATION_ERROR)
    status = processes.run(command, job.folder, variables, job.stop, lambda: _show_running(job), lease.look)
    lease.end(ended=launching.read(job.folder, "result.json") is not None)
    shutil.rmtree(job.folder / "spark", ignore_errors=True)  # its settings may hold secrets
    return _outcome(job, status)


def _prepare(
    job: Job, servers: connect_servers.ConnectServers
) -> tuple[list[str], dict[str, str], connect_servers.Lease]:
    """Write the request, and return the command, its environment and its claim on a Spark Connect server.

    Raises:
        ApiError: A file or notebook is missing.
        LibraryError: A library is missing.
        SparkUtilsError: Spark cannot be had on this machine.
    """
    state, folder = job.state, job.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    conf = {key: revealed(state, value) for key, value in job.machine.spark_conf.items()}
    own = {key: revealed(state, value) for key, value in job.machine.variables.items() if key not in NOT_HERE}
    folders = {f"WORKSPACE_{name.upper()}": str(state.path(name)) for name in ("files", "volumes", "dbfs")}
    variables = launching.environment(state.host, state.token, folders, own)
    imported = [] if job.task.spark_submit_task else libraries.prepare(state, job.machine.libraries)
    paths = filter(None, [*imported, variables.get("PYTHONPATH")])
    variables["PYTHONPATH"] = os.pathsep.join(paths)  # Spark's Python workers import libraries too
    wanted = connect_servers.Wanted(conf, {**variables})
    lease = connect_servers.Lease(servers, wanted, folder)
    if job.task.spark_submit_task or not job.machine.is_standard:
        variables |= spark_environment.variables(state, folder / "spark", conf, f"run-{job.record.run_id}")
    else:
        variables |= {session.REMOTE: session.UNKNOWN, LOG_VARIABLE: str(servers.log(wanted))}
        variables |= {} if job.machine.cluster_id else {"IS_SERVERLESS": "true"}
    if job.task.spark_submit_task:
        return _spark_submit(job), variables, lease
    request = {**_request(job), "libraries": imported, "values": job.values}
    return launching.task_command(state, folder, request, roots_of(state, but=BARE)), variables, lease


def _request(job: Job) -> dict[str, Any]:
    task = job.task
    if task.notebook_task:
        path = task.notebook_task.notebook_path.removeprefix("/Workspace")
        with job.state.lock:
            text, language, _ = job.state.service(WorkspaceObjects).notebook(path)
        widgets = task.notebook_task.base_parameters or {}
        return {"kind": "notebook", "path": path, "source": text, "language": language, "parameters": widgets}
    if task.spark_python_task:
        path = task.spark_python_task.python_file
        file = local_path(job.state, path)
        if not file.is_file():
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"The Python file {path} does not exist")
        return {"kind": "python", "path": str(file), "parameters": task.spark_python_task.parameters or []}
    wheel = task.python_wheel_task
    if wheel is None:
        raise NotImplementedError(task.task_key)
    named = [f"--{name}={value}" for name, value in (wheel.named_parameters or {}).items()]
    parameters = wheel.parameters or named
    return {"kind": "wheel", "package": wheel.package_name, "entry_point": wheel.entry_point, "parameters": parameters}


def _spark_submit(job: Job) -> list[str]:
    """Return the command of a task that is a plain spark-submit of a Python file."""
    parameters = (job.task.spark_submit_task.parameters or []) if job.task.spark_submit_task else []
    if job.machine.is_standard and job.machine.cluster_id:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", NO_SUBMIT)
    if "--class" in parameters or not any(each.endswith(".py") for each in parameters):
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"{NOT_LOCAL['spark_jar_task']}: give a .py file")
    for each in parameters:
        if is_remote(each) and each.endswith((".py", ".zip", ".whl")) and not local_path(job.state, each).is_file():
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"The file {each} does not exist")
    given = context.local_arguments(parameters, roots_of(job.state, but=BARE))
    submit = spark_environment.prepared().spark_home / "bin" / "spark-submit"
    return [str(submit), "--properties-file", str(job.folder / "spark" / "spark-defaults.conf"), *given]


def _show_running(job: Job) -> None:
    with job.state.lock:
        record = job.record
        record.setup_duration = max(0, job.state.now() - (record.start_time or 0))
        if job.machine.cluster_id:
            record.cluster_instance = ClusterInstance(job.machine.cluster_id, str(record.run_id))
        states.show(record, states.Life.RUNNING)


def _outcome(job: Job, status: int | None) -> Outcome:
    _clean_log(job)
    stopped = job.stop.result
    found = launching.read(job.folder, "result.json")
    values = launching.read(job.folder, "values.json")
    if stopped is not None:
        outcome = states.not_run(stopped)
        return replace(outcome, error=outcome.message, values=values, output=_output(job, {}))
    if job.task.spark_submit_task:
        found = {"succeeded": status == 0, "error": f"spark-submit ended with status {status}"}
    elif found is None:
        problem = f"The Python process exited with status {status} before the task had ended"
        found = {"succeeded": False, "error": problem}
    if found["succeeded"]:
        return Outcome(RunResultState.SUCCESS, values=values, output=_output(job, found))
    return Outcome(
        RunResultState.FAILED,
        states.WORKLOAD_FAILED,
        error=_cleaned(job, found["error"]),
        trace=_cleaned(job, found.get("trace", "")),
        values=values,
        output=_output(job, {}),
    )


def _output(job: Job, found: dict[str, Any]) -> dict[str, Any]:
    if not job.task.notebook_task:
        return {}
    result = _cleaned(job, found.get("result", ""))
    return {"notebook_output": {"result": result[:RESULT_CHARACTERS], "truncated": len(result) > RESULT_CHARACTERS}}


def _clean_log(job: Job) -> None:
    """Take secrets out of what programs below the task's Python printed."""
    log = job.folder / launching.LOG
    if log.is_file() and (values := _secrets(job)):
        text = log.read_text(encoding="utf-8", errors="replace")
        log.write_text(redaction.redact(text, values), encoding="utf-8")


def _cleaned(job: Job, text: str) -> str:
    return redaction.redact(text, _secrets(job))


def _secrets(job: Job) -> list[str]:
    """Return the values of the secrets that the task has read."""
    names = launching.read(job.folder, "secrets.json") or []
    return [value for value in (_secret(job.state, name) for name in names) if value]


def revealed(state: State, value: str) -> str:
    """Return a setting of a cluster; one that is a reference to a secret is looked up in the workspace."""
    reference = parse_reference(value, origin="a cluster's settings")
    if reference is None:
        return value
    secret = _secret(state, f"{reference.scope}/{reference.key}")
    if secret is None:
        problem = f"The secret {reference} of the cluster's settings does not exist"
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", problem)
    return secret


def _secret(state: State, name: str) -> str | None:
    with state.lock:
        kept = state.service(Secrets).values.get(name)
    return base64.b64decode(kept["value"]).decode("utf-8", errors="replace") if kept else None
