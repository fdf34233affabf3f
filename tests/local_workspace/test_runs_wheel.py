"""Wheels are what is deployed: found by their content, run by entry point or function, and refused when missing."""

from __future__ import annotations

import base64
import io
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.compute import Environment, Library, PythonPyPiLibrary
from databricks.sdk.service.jobs import (
    JobEnvironment,
    JobParameterDefinition,
    PythonWheelTask,
    RunResultState,
    Task,
)
from databricks.sdk.service.workspace import ImportFormat

from tests.local_workspace.run_kit import finished, logs, python, results, start
from tests.local_workspace.wheel_kit import wheel

VOLUME = "/Volumes/main/default/wheels"
MAIN = """import sys
VERSION = {!r}

def run():
    print(VERSION, *sys.argv[1:], sys.argv[0])

def fail():
    raise KeyError('x')
"""
POINTS = "[console_scripts]\nstart = my_job:run\n"


def put_wheel(client: WorkspaceClient, version: str) -> Library:
    path = f"{VOLUME}/my_job-{version}-py3-none-any.whl"
    content = wheel("my_job", version, entry_points=POINTS, my_job=MAIN.format(version))
    client.files.upload(path, io.BytesIO(content), overwrite=True)
    return Library(whl=path)


def task(key: str, entry_point: str, *libraries: Library, **settings: Any) -> Task:
    parameters = {name: settings.pop(name) for name in ("parameters", "named_parameters") if name in settings}
    return Task(
        key, python_wheel_task=PythonWheelTask("my-job", entry_point, **parameters), libraries=[*libraries], **settings
    )


def test_each_task_runs_the_wheel_that_it_names(client: WorkspaceClient) -> None:
    one, two = put_wheel(client, "1.0"), put_wheel(client, "2.0")
    dbfs = "dbfs:/wheels/my_job-3.0-py3-none-any.whl"
    content = wheel("my_job", "3.0", my_job=MAIN.format("3.0"))
    client.dbfs.put(dbfs, contents=base64.b64encode(content).decode())
    client.workspace.upload("/Shared/my_job-4.0-py3-none-any.whl", wheel("my_job", "4.0", my_job=MAIN.format("4.0")),
                            format=ImportFormat.AUTO)  # fmt: skip
    files = Library(whl="/Workspace/Shared/my_job-4.0-py3-none-any.whl")
    tasks = [
        task("point", "start", one, parameters=["--a", "b"]),
        task("named", "start", two, named_parameters={"day": "{{job.parameters.day}}"}),
        task("function", "run", Library(whl=dbfs)),
        task("files", "run", files),
        task("serverless", "run", environment_key="default"),
    ]
    environments = [JobEnvironment("default", Environment(client="1", dependencies=[one.whl, "pyspark>=4"]))]
    run_id = start(client, *tasks, environments=environments, parameters=[JobParameterDefinition("day", "mon")])
    run = finished(client, run_id)
    said = {each.task_key: logs(client, run, each.task_key).strip() for each in run.tasks}
    assert said == {
        "point": "1.0 --a b my-job", "named": "2.0 --day=mon my-job", "function": "3.0 my-job",
        "files": "4.0 my-job", "serverless": "1.0 my-job",
    }  # fmt: skip


def test_a_cluster_brings_its_libraries_settings_and_variables(client: WorkspaceClient) -> None:
    client.secrets.create_scope("s")
    client.secrets.put_secret("s", "k", string_value="hidden")
    cluster = client.clusters.create(
        spark_version=client.clusters.select_spark_version(latest=True),
        node_type_id=client.clusters.list_node_types().node_types[0].node_type_id,
        num_workers=1,
        cluster_name="c",
        spark_env_vars={"A": "b", "S": "{{secrets/s/k}}"},
    ).response.cluster_id  # type: ignore[attr-defined]  # the client names a function as its type
    client.libraries.install(cluster, [put_wheel(client, "1.0")])
    text = "import os, my_job; print(my_job.VERSION, os.environ['A'], os.environ['S'] == 'hid' + 'den')"
    run = finished(client, start(client, python(client, "a", text, existing_cluster_id=cluster)))
    assert logs(client, run, "a") == "1.0 b True\n"
    assert run.tasks[0].cluster_instance.cluster_id == cluster


def test_a_wheel_that_is_missing_or_none_is_an_error_and_never_a_success(client: WorkspaceClient) -> None:
    client.files.upload(f"{VOLUME}/broken.whl", io.BytesIO(b"no zip"))
    library = put_wheel(client, "1.0")
    tasks = {
        "none": (task("none", "start"), "Python wheel with name my-job could not be found"),
        "here": (
            Task("here", python_wheel_task=PythonWheelTask("pytest", "main")),
            "with name pytest could not be found",
        ),
        "gone": (
            task("gone", "start", Library(whl=f"{VOLUME}/gone.whl")),
            f"the file {VOLUME}/gone.whl does not exist",
        ),
        "broken": (task("broken", "start", Library(whl=f"{VOLUME}/broken.whl")), "is not a zip file, so not a wheel"),
        "point": (task("point", "nothing", library), "neither an entry point nor a function 'nothing'"),
        "fail": (task("fail", "fail", library), "KeyError: 'x'"),
        "jar": (task("jar", "start", Library(jar="dbfs:/a.jar")), "of kind jar is not installed"),
        "pypi": (task("pypi", "start", Library(pypi=PythonPyPiLibrary("no-such-package==1"))), "'no-such-package==1'"),
    }
    run = finished(client, start(client, *(each for each, _ in tasks.values())))
    assert set(results(run).values()) == {"FAILED"}
    for record in run.tasks:
        assert tasks[record.task_key][1] in client.jobs.get_run_output(record.run_id).error
    assert run.state.result_state is RunResultState.FAILED
