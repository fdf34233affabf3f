"""Tasks of dedicated clusters run on classic Spark, those of standard ones and serverless compute on Spark Connect."""

from __future__ import annotations

import io
from collections.abc import Iterator

import psutil
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.compute import ClusterSpec, DataSecurityMode, Environment, Library
from databricks.sdk.service.jobs import (
    JobCluster,
    JobEnvironment,
    NotebookTask,
    PythonWheelTask,
    SparkSubmitTask,
    SqlTask,
    SqlTaskFile,
    Task,
    TaskDependency,
)

from devkit.spark.server_state import MAIN_CLASS
from local_workspace import Workspace
from tests.local_workspace.run_kit import finished, logs, put, python, results, start
from tests.local_workspace.test_notebooks import cells, put_notebook
from tests.local_workspace.wheel_kit import wheel

VOLUME = "/Volumes/main/default/shop"
SHOP = """
def double(number):
    return 2 * number

def run():
    import sys
    from pyspark.sql import SparkSession, functions as F
    rows = SparkSession.builder.getOrCreate().range(3)
    rows.select(F.udf(double, "long")("id").alias("n")).write.saveAsTable(sys.argv[1])
"""
SCRIPT = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
orders = spark.readStream.schema("n long").json("/Volumes/main/default/shop/in")
query = orders.writeStream.trigger(availableNow=True).option("checkpointLocation", sys.argv[2]).toTable(sys.argv[1])
query.awaitTermination()
print(type(spark).__module__, spark.conf.get("spark.shop.name"))
"""


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        client = started.client()
        content = wheel("shop", entry_points="[shop]\nrun = shop:run\n", shop=SHOP)
        client.files.upload(f"{VOLUME}/shop-1.0-py3-none-any.whl", io.BytesIO(content))
        client.files.upload(f"{VOLUME}/in/orders.json", io.BytesIO(b'{"n": 5}\n{"n": 6}\n'))
        yield started
    assert not servers_of(started)


def servers_of(workspace: Workspace) -> list[str]:
    """The command lines of the Spark Connect servers that run for a workspace."""
    lines = (" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    return [line for line in lines if MAIN_CLASS in line and str(workspace.folder) in line]


def cluster(client: WorkspaceClient, mode: DataSecurityMode | None, **settings: str) -> JobCluster:
    node = client.clusters.list_node_types().node_types[0].node_type_id
    version = client.clusters.select_spark_version(latest=True)
    spec = ClusterSpec(
        num_workers=1, spark_version=version, node_type_id=node, data_security_mode=mode, spark_conf=settings
    )
    return JobCluster("c", spec)


@pytest.mark.slow
def test_each_kind_of_task_runs_on_a_standard_cluster(workspace: Workspace) -> None:
    check_each_kind_of_task(workspace, DataSecurityMode.USER_ISOLATION)


def check_each_kind_of_task(workspace: Workspace, mode: DataSecurityMode) -> None:
    """Run a notebook, a wheel, a file and SQL; tests/long does it on a dedicated cluster, with three JVMs."""
    client = workspace.client()
    schema = f"main.{mode.value.lower()}"
    text = cells(
        f"# MAGIC %sql\n# MAGIC CREATE SCHEMA {schema}",
        f"spark.range(2).selectExpr('id AS n').write.saveAsTable('{schema}.notebook')",
        f"# MAGIC %sql\n# MAGIC SELECT sum(n) AS total FROM {schema}.notebook WHERE n >= :least",
        "dbutils.notebook.exit(_sqldf.first()['total'])",
    )
    notebook = NotebookTask(put_notebook(client, f"/Shared/{mode.value}", text), base_parameters={"least": "1"})
    after = [TaskDependency("notebook")]
    packaged = PythonWheelTask("shop", "run", parameters=[f"{schema}.wheel"])
    library = Library(whl=f"{VOLUME}/shop-1.0-py3-none-any.whl")
    sql = put(client, "dbfs:/total.sql", f"SELECT sum(n) AS total FROM (SELECT * FROM {schema}.notebook UNION ALL "
              f"SELECT * FROM {schema}.wheel UNION ALL SELECT * FROM {schema}.script)")  # fmt: skip
    warehouse = workspace.state().identity.warehouse_id
    tasks = [
        Task("notebook", notebook_task=notebook, job_cluster_key="c"),
        Task("wheel", python_wheel_task=packaged, libraries=[library], job_cluster_key="c", depends_on=after),
        python(client, "script", SCRIPT, f"{schema}.script", f"{VOLUME}/{mode.value}", after="notebook wheel",
               job_cluster_key="c"),
        Task("sql", sql_task=SqlTask(warehouse, file=SqlTaskFile(sql)), depends_on=[TaskDependency("script")]),
        python(client, "told", "import sys; print(sys.argv[1:])", "{{tasks.sql.output.first_row.total}}", after="sql"),
    ]  # fmt: skip
    job_clusters = [cluster(client, mode, **{"spark.shop.name": "corner"})]
    run = finished(client, start(client, *tasks, job_clusters=job_clusters))
    outputs = {task.task_key: client.jobs.get_run_output(task.run_id) for task in run.tasks}
    assert set(results(run).values()) == {"SUCCESS"}, {k: v.error_trace for k, v in outputs.items()}
    assert outputs["notebook"].notebook_output.result == "1"
    assert outputs["told"].logs == "['18']\n"  # 0 + 1, 0 + 2 + 4, 5 + 6
    kind, name = outputs["script"].logs.splitlines()[-1].split()
    assert name == "corner"
    assert (kind == "pyspark.sql.connect.session") == (mode is DataSecurityMode.USER_ISOLATION)


@pytest.mark.slow
def test_what_needs_the_jvm_fails_on_standard_clusters_and_on_serverless_compute(workspace: Workspace) -> None:
    client = workspace.client()
    text = """
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        print(spark.range(3).count(), flush=True)
        spark.sparkContext
        """
    task = put_notebook(client, "/Shared/jvm", cells("spark.range(1).count()", "sc.parallelize([1])"))
    submit = SparkSubmitTask([put(client, "dbfs:/submit.py", "print(1)")])
    run = finished(client, start(
        client,
        python(client, "standard", text, job_cluster_key="c"),
        python(client, "serverless", text, environment_key="e"),
        Task("notebook", notebook_task=NotebookTask(task)),
        Task("submit", spark_submit_task=submit, job_cluster_key="c"),
        job_clusters=[cluster(client, DataSecurityMode.DATA_SECURITY_MODE_STANDARD)],
        environments=[JobEnvironment("e", Environment(client="2"))],
    ))  # fmt: skip
    errors = {task.task_key: client.jobs.get_run_output(task.run_id).error for task in run.tasks}
    assert "standard access mode" in errors.pop("submit")
    for key, error in errors.items():
        assert "[JVM_ATTRIBUTE_NOT_SUPPORTED] Attribute `sparkContext` is not supported" in error, key
    assert logs(client, run, "serverless").startswith("3\n")


@pytest.mark.slow
def test_a_stream_ends_with_the_task_that_started_it_however_that_ends(workspace: Workspace) -> None:
    client = workspace.client()
    text = f"""
        import os
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        rows = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 1).load()
        query = rows.writeStream.option("checkpointLocation", "{VOLUME}/forever").toTable("main.default.forever")
        while query.lastProgress is None:
            pass
        os._exit(3)
        """
    run = finished(client, start(client, python(client, "a", text)))
    assert results(run) == {"a": "FAILED"}
    assert not list((workspace.state().folder / "connect").glob("*"))
