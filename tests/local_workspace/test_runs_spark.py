"""The real thing: this repository's wheel deployed and run, streams stopped, notebooks with Spark, spark-submit."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.compute import ClusterSpec, Library
from databricks.sdk.service.jobs import (
    JobCluster,
    NotebookTask,
    PythonWheelTask,
    RunLifeCycleState,
    SparkSubmitTask,
    Task,
    TaskDependency,
)
from databricks.sdk.service.workspace import ImportFormat

from devkit.live import reading
from local_workspace import Workspace
from tests.local_workspace.run_kit import finished, logs, put, python, reached, results, start
from tests.local_workspace.test_notebooks import cells, put_notebook
from tests.patience import wait_for

VOLUME = "/Volumes/main/default/shop"
ORDERS = """{"order_id": "A-1", "amount": 2}
{"order_id": "A-2", "amount": 1.5}
{"order_id": "A-3", "amount": 4}
"""


@pytest.fixture(scope="module")
def workspace(built_wheel: Path) -> Iterator[Workspace]:
    """One for all tests here, with the wheel, its schema and some orders deployed."""
    with Workspace() as started:
        client = started.client()
        client.files.upload(f"{VOLUME}/{built_wheel.name}", io.BytesIO(built_wheel.read_bytes()))
        client.files.upload(f"{VOLUME}/in/orders.ndjson", io.BytesIO(ORDERS.encode()))
        schema = b"order_id STRING NOT NULL, amount INT"
        client.workspace.upload("/Shared/orders.ddl", io.BytesIO(schema), format=ImportFormat.AUTO)
        yield started


def stream(wheel: Path, output: str, trigger: str) -> Task:
    arguments = {"source": "files", "source-path": f"{VOLUME}/in", "schema": "/Workspace/Shared/orders.ddl",
                 "output-path": f"{VOLUME}/{output}", "trigger": trigger}  # fmt: skip
    task = PythonWheelTask("spark-streaming-devkit", "streaming-job", named_parameters=arguments)
    library = Library(whl=f"{VOLUME}/{wheel.name}")
    return Task("stream", python_wheel_task=task, libraries=[library], job_cluster_key="small")


def cluster(client: WorkspaceClient) -> JobCluster:
    node = client.clusters.list_node_types().node_types[0].node_type_id
    version = client.clusters.select_spark_version(latest=True)
    spec = ClusterSpec(
        num_workers=1, spark_version=version, node_type_id=node, spark_conf={"spark.shop.name": "corner"}
    )
    return JobCluster("small", spec)


@pytest.mark.slow
def test_the_streaming_jobs_wheel_writes_tables_that_a_notebook_with_the_same_wheel_reads(
    workspace: Workspace, built_wheel: Path
) -> None:
    client = workspace.client()
    client.secrets.create_scope("shop")
    client.secrets.put_secret("shop", "key", string_value="sesame-open")
    notebook = put_notebook(
        client,
        "/Shared/report",
        cells(
            f"orders = spark.read.format('delta').load('{VOLUME}/orders/events'); display(orders)",
            "orders.selectExpr('order_id', 'amount').write.saveAsTable('default.orders')",
            "# MAGIC %sql\n# MAGIC CREATE OR REPLACE TEMP VIEW big AS SELECT * FROM orders WHERE amount > ${least};\n"
            "# MAGIC SELECT order_id AS best FROM big WHERE amount > :least ORDER BY 1",
            "best = [row.best for row in _sqldf.collect()]",
            "double = spark.udf.register('double', lambda x: 2 * x, 'int')",
            "total = spark.sql('SELECT sum(double(amount)) FROM orders').first()[0]",
            "from spark_utils.configuration.secrets import Secret; import spark_utils",
            "secret = Secret('{{secrets/shop/key}}').reveal(); print('the secret is', secret)",
            f"rejected = spark.table('delta.`{VOLUME}/orders/rejected`').first()['reason']",
            "right = secret == 'sesame' + '-open'; ours = 'libraries' in spark_utils.__file__",
            "dbutils.notebook.exit([best, total, rejected, right, spark.conf.get('spark.shop.name'), ours])",
        ),
    )
    report = Task("report", notebook_task=NotebookTask(notebook, base_parameters={"least": "3"}),
                  depends_on=[TaskDependency("stream")], libraries=[Library(whl=f"{VOLUME}/{built_wheel.name}")],
                  job_cluster_key="small")  # fmt: skip
    run_id = start(client, stream(built_wheel, "orders", "available-now"), report, job_clusters=[cluster(client)])
    run = finished(client, run_id)
    outputs = {task.task_key: client.jobs.get_run_output(task.run_id) for task in run.tasks}
    assert results(run) == {"stream": "SUCCESS", "report": "SUCCESS"}, {k: v.error_trace for k, v in outputs.items()}
    assert outputs["report"].notebook_output.result == "[['A-3'], 12, 'lossy_number', True, 'corner', True]"
    exported = client.jobs.export_run(run.tasks[1].run_id).views[0].content
    assert "the secret is [REDACTED]" in exported
    assert ">best<br>" in exported
    (told,) = [each for each in reading.runs() if each["output"].endswith("/shop/orders")]
    assert (told["state"], told["last"]["total_events"]) == ("stopped", 3)  # for `devkit page`
    made = client.clusters.get(run.tasks[0].cluster_instance.cluster_id)
    assert made.state.value == "TERMINATED"


@pytest.mark.slow
def test_a_stream_runs_until_it_is_cancelled_and_finishes_its_batch(workspace: Workspace, built_wheel: Path) -> None:
    client = workspace.client()
    run_id = start(client, stream(built_wheel, "forever", "1 second"), job_clusters=[cluster(client)])
    log = workspace.state().path("volumes") / "main/default/shop/forever/events/_delta_log"
    wait_for(lambda: list(log.glob("*.json")) or client.jobs.get_run(run_id).state.result_state)
    run = client.jobs.get_run(run_id)
    assert not run.state.result_state, client.jobs.get_run_output(run.tasks[0].run_id).error_trace
    reached(client, run_id, lambda run: run.tasks[0].state.life_cycle_state is RunLifeCycleState.RUNNING)
    client.jobs.cancel_run(run_id)
    run = finished(client, run_id)
    assert results(run) == {"stream": "CANCELED"}
    assert "Traceback" not in logs(client, run, "stream")
    commits = workspace.state().path("volumes") / "main/default/shop/forever/checkpoint"
    assert len(list(commits.rglob("commits/[0-9]*"))) == len(list(commits.rglob("offsets/[0-9]*")))


def test_spark_submit_runs_a_python_file(workspace: Workspace) -> None:
    client = workspace.client()
    file = put(client, "dbfs:/submit.py", """
        import sys
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.appName("submitted").getOrCreate()
        print(spark.conf.get("spark.shop.name"), sys.argv[1:], spark.range(3).count())
        """)  # fmt: skip
    parameters = ["--conf", "spark.shop.name=corner", file, "a"]
    jar = Task("jar", spark_submit_task=SparkSubmitTask(["--class", "x.Y", "dbfs:/a.jar"]))
    run = finished(client, start(client, Task("submit", spark_submit_task=SparkSubmitTask(parameters)), jar))
    assert results(run) == {"submit": "SUCCESS", "jar": "FAILED"}, logs(client, run, "submit")
    assert "corner ['a'] 3" in logs(client, run, "submit")


@pytest.mark.slow
def test_python_functions_run_on_an_existing_cluster_whose_python_is_not_here(workspace: Workspace) -> None:
    client = workspace.client()
    cluster = client.clusters.create(
        spark_version=client.clusters.select_spark_version(latest=True),
        node_type_id=client.clusters.list_node_types().node_types[0].node_type_id,
        num_workers=1,
        cluster_name="functions",
        spark_env_vars={"PYSPARK_PYTHON": "/databricks/python3/bin/python3"},
    ).response.cluster_id  # type: ignore[attr-defined]  # the client names a function as its type
    text = """
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        print(spark.sparkContext.parallelize([1, 2], 1).map(lambda number: number + 1).collect())
        """
    task = python(client, "a", text, existing_cluster_id=cluster)
    run = finished(client, start(client, task))
    assert results(run) == {"a": "SUCCESS"}, logs(client, run, "a")
    assert logs(client, run, "a").endswith("[2, 3]\n")


@pytest.mark.slow
def test_a_module_beside_a_notebook_has_the_session_of_the_task(workspace: Workspace) -> None:
    client = workspace.client()
    helper = b"""from databricks.sdk.runtime import *
from databricks.sdk.runtime import dbutils, display, spark
def found():
    display(sql('SELECT 7 AS seven'))
    names = [each.name for each in dbutils.fs.ls('/')]
    return spark.range(3).count(), 'here/' in names, spark is sqlContext.sparkSession
"""
    client.workspace.mkdirs("/Shared/helped")
    client.workspace.upload("/Shared/helped/helper.py", io.BytesIO(helper), format=ImportFormat.AUTO)
    client.dbfs.mkdirs("dbfs:/here")
    text = cells("import helper", "dbutils.notebook.exit([*helper.found(), helper.spark is spark])")
    notebook = put_notebook(client, "/Shared/helped/notebook", text)
    script = python(client, "script", "from databricks.sdk.runtime import display, spark; display(spark.range(1))")
    dedicated = workspace.state().identity.cluster_id
    task = Task("a", notebook_task=NotebookTask(notebook), existing_cluster_id=dedicated)
    run = finished(client, start(client, task, script))
    outputs = {task.task_key: client.jobs.get_run_output(task.run_id) for task in run.tasks}
    assert results(run) == {"a": "SUCCESS", "script": "SUCCESS"}, {k: v.error_trace for k, v in outputs.items()}
    assert outputs["a"].notebook_output.result == "[3, True, True, True]"
    assert ">7</td>" in client.jobs.export_run(run.tasks[0].run_id).views[0].content
    assert "id" in outputs["script"].logs
