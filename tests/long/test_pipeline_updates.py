"""Updates on the local workspace at length: by jobs, cancelled, continuous, of a specification; what a delete takes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databricks.sdk.service.jobs import PipelineTask, Run, Task
from databricks.sdk.service.pipelines import FileLibrary, PipelineLibrary, UpdateInfo
from databricks.sdk.service.workspace import ImportFormat

from devkit.cli import main
from local_workspace import Workspace
from tests.local_workspace.run_kit import execute, finished, start, update_reached

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

CODE = """
import time
import dlt
from pyspark.sql import functions as F

def files(name):
    return spark.readStream.schema("id INT, amount INT").csv(f"{spark.conf.get('raw')}/{name}")

@dlt.table
def orders():
    return files("orders").where("amount < " + spark.conf.get("below", "1000"))
"""
SLOW = """
@dlt.table
def slow():
    return files("slow").select(F.udf(lambda _: time.sleep(600))("id").alias("never"))
"""
CLASSES = """
from classes.rules import POSITIVE
from spark_utils.pipelines import DLTMetaMixin

class Numbers(DLTMetaMixin):
    def numbers(self):
        return self.spark.range(self.conf["rows"]).where(POSITIVE)
"""
SPECIFICATION = """
dev:
  workflows:
    - name: numbers
      target: sales
      tasks: {items: [{python_file: classes/shop.py, parameters: ["--conf", conf/shop.yml]}]}
"""
ENDED = ("CANCELED", "COMPLETED", "FAILED")


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        yield started


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> WorkspaceClient:
    return workspace.client()


@pytest.fixture(scope="module")
def pipeline(client: WorkspaceClient) -> str:
    client.workspace.upload("/Shared/orders.py", io.BytesIO((CODE + SLOW).encode()), format=ImportFormat.RAW)
    client.files.upload("/Volumes/main/shop/raw/orders/1.csv", io.BytesIO(b"1,5\n2,7\n"))
    client.files.upload("/Volumes/main/shop/raw/slow/1.csv", io.BytesIO(b"1,5\n"))
    return client.pipelines.create(
        name="orders",
        catalog="main",
        schema="shop",
        libraries=[PipelineLibrary(file=FileLibrary("/Workspace/Shared/orders.py"))],
        configuration={"raw": "/Volumes/main/shop/raw"},
    ).pipeline_id


def reached(client: WorkspaceClient, pipeline: str, update: str, wanted: Callable[[UpdateInfo], bool]) -> str:
    return str(update_reached(client, pipeline, update, wanted).state.value)


def rows(client: WorkspaceClient, workspace: Workspace, table: str) -> int:
    warehouse = workspace.state().identity.warehouse_id
    answer = execute(client, f"SELECT count(*) FROM {table}", warehouse)
    return int(answer.result.data_array[0][0])


def run(client: WorkspaceClient, pipeline: str, **options: object) -> Run:
    """Run the pipeline as the one task of a job."""
    task = Task("update", pipeline_task=PipelineTask(pipeline, **options))  # type: ignore[arg-type]  # as given
    return finished(client, start(client, task))


def test_a_task_of_a_job_updates_what_it_selects_and_sql_reads_the_table(
    client: WorkspaceClient, workspace: Workspace, pipeline: str
) -> None:
    assert run(client, pipeline, refresh_selection=["orders"]).state.result_state.value == "SUCCESS"
    (update,) = client.pipelines.list_updates(pipeline).updates
    assert (update.cause.value, update.refresh_selection, update.state.value) == ("JOB_TASK", ["orders"], "COMPLETED")
    assert rows(client, workspace, "main.shop.orders") == 2
    client.files.upload("/Volumes/main/shop/raw/orders/2.csv", io.BytesIO(b"3,9\n"))
    again = run(client, pipeline, full_refresh_selection=["orders"], parameters={"below": "6"})
    assert again.state.result_state.value == "SUCCESS"
    assert rows(client, workspace, "main.shop.orders") == 1


def test_an_update_that_fails_fails_the_task_with_its_reason(client: WorkspaceClient, pipeline: str) -> None:
    failed = run(client, pipeline, refresh_selection=["ordres"])
    assert failed.state.result_state.value == "FAILED"
    error = client.jobs.get_run_output(failed.tasks[0].run_id).error
    assert "ended FAILED" in error
    assert "'ordres'" in error


def test_a_running_update_is_cancelled_and_the_pipeline_is_idle_again(client: WorkspaceClient, pipeline: str) -> None:
    update = client.pipelines.start_update(pipeline, refresh_selection=["slow"]).update_id
    reached(client, pipeline, update, lambda found: found.state.value == "RUNNING")
    client.pipelines.stop(pipeline)
    assert reached(client, pipeline, update, lambda found: found.state.value in ENDED) == "CANCELED"
    assert client.pipelines.get(pipeline).state.value == "IDLE"


def test_a_continuous_pipeline_starts_by_itself_and_takes_what_is_new_until_it_is_stopped(
    client: WorkspaceClient, workspace: Workspace
) -> None:
    code = CODE.replace("orders", "followed").encode()
    client.workspace.upload("/Shared/followed.py", io.BytesIO(code), format=ImportFormat.RAW)
    client.files.upload("/Volumes/main/shop/raw/followed/1.csv", io.BytesIO(b"1,5\n"))
    pipeline = client.pipelines.create(
        name="followed",
        catalog="main",
        schema="shop",
        continuous=True,
        libraries=[PipelineLibrary(file=FileLibrary("/Workspace/Shared/followed.py"))],
        configuration={"raw": "/Volumes/main/shop/raw"},
    ).pipeline_id
    update = client.pipelines.get(pipeline).latest_updates[0].update_id
    log = workspace.state().folder / "warehouse" / "main" / "shop" / "followed" / "_delta_log"
    reached(client, pipeline, update, lambda found: found.state.value == "RUNNING" and any(log.glob("*1.json")))
    commits = len([*log.glob("*.json")])
    client.files.upload("/Volumes/main/shop/raw/followed/2.csv", io.BytesIO(b"4,1\n"))
    reached(client, pipeline, update, lambda _: len([*log.glob("*.json")]) > commits)
    client.pipelines.stop(pipeline)
    assert reached(client, pipeline, update, lambda found: found.state.value in ENDED) == "CANCELED"


def test_a_deployed_specification_runs(
    client: WorkspaceClient, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "classes/shop.py": CLASSES,
        "classes/rules.py": "POSITIVE = 'id > 1'\n",
        "conf/shop.yml": "rows: 3\ndlt: [{func_name: numbers, kind: table}]\n",
        "shop.yml": SPECIFICATION,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    assert main(["pipeline", "deploy", "--deployment-file", "shop.yml", "--environment", "dev"]) == 0
    (number,) = [each.pipeline_id for each in client.pipelines.list_pipelines() if each.name == "numbers"]
    update = client.pipelines.start_update(number).update_id
    assert reached(client, number, update, lambda found: found.state.value in ENDED) == "COMPLETED"
    assert rows(client, workspace, "main.sales.numbers") == 1


def test_the_tables_of_a_deleted_pipeline_are_gone_with_it(
    client: WorkspaceClient, workspace: Workspace, pipeline: str
) -> None:
    assert workspace.state().path("warehouse", "main", "shop", "orders", "_delta_log").is_dir()
    client.pipelines.delete(pipeline)
    assert not (workspace.state().folder / "warehouse" / "main" / "shop" / "orders").exists()
