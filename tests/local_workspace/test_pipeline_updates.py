"""Updates of pipelines really run here, in a process each: states, events with details, tables by name, refusals."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from databricks.sdk.errors import ResourceConflict
from databricks.sdk.service.pipelines import (
    FileLibrary,
    NotebookLibrary,
    PathPattern,
    PipelineLibrary,
    PipelineState,
    ReplaceWhereOverride,
    UpdateInfo,
)
from databricks.sdk.service.workspace import ImportFormat, Language

from local_workspace import Workspace
from tests.local_workspace.run_kit import update_reached

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

CANARY = "canary-of-a-parameter"
CODE = """
import dlt
from helper import positive
@dlt.table
@dlt.expect_or_drop("positive", positive)
@dlt.expect("small", "amount < 100")
def clean():
    assert spark.conf.get("hub") == "canary-of-a-parameter"
    print("read", spark.conf.get("hub"))
    return spark.readStream.table("raw").selectExpr("int(id)", "int(amount)")
@dlt.view
def raw():
    files = spark.readStream.format("cloudFiles").option("cloudFiles.format", "csv").option("header", True)
    return files.load("/Volumes/main/shop/raw")
@dlt.table
def copied():
    return spark.readStream.table("clean")
"""
SQL = """-- Databricks notebook source
CREATE OR REFRESH MATERIALIZED VIEW totals COMMENT 'of ${kind}'
AS SELECT id, sum(amount) AS total FROM clean GROUP BY id

-- COMMAND ----------

CREATE TEMPORARY VIEW large AS SELECT * FROM totals WHERE total > 100
"""
WRONG = """
import dlt
@dlt.table
def a():
    return spark.read.table("nowhere")
@dlt.table
def b():
    return spark.readStream.format("cloudFiles").option("cloudFiles.format", "json").load("/Volumes/main/none")
@dlt.table
def c():
    return spark.read.table(f"raw_{spark.conf.get('hub')}")
"""
DAYS = """-- Databricks notebook source
CREATE STREAMING TABLE late FLOW REPLACE WHERE day >= 2 BY NAME SELECT day FROM days

-- COMMAND ----------

CREATE MATERIALIZED VIEW last AS SELECT max(day) AS day FROM days
"""
JUPYTER = """{"cells": [
 {"cell_type": "markdown", "metadata": {}, "source": ["days"]},
 {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": null, "source": ["import dlt"]},
 {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": null, "source": [
  "@dlt.table\\n", "def %s():\\n", "    return spark.range(1, 4).toDF('day')"]}
], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        yield started


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> WorkspaceClient:
    return workspace.client()


def upload(client: WorkspaceClient, path: str, text: str) -> None:
    client.workspace.upload(path, io.BytesIO(text.encode()), format=ImportFormat.RAW, overwrite=True)


@pytest.fixture(scope="module")
def pipeline(client: WorkspaceClient) -> str:
    client.workspace.mkdirs("/Shared/shop/code")
    upload(client, "/Shared/shop/code/clean.py", CODE)
    upload(client, "/Shared/shop/helper.py", "positive = 'amount > 0'\n")
    client.workspace.upload("/Shared/shop/totals", io.BytesIO(SQL.encode()), language=Language.SQL)
    client.files.upload("/Volumes/main/shop/raw/one.csv", io.BytesIO(b"id,amount\n1,5\n1,200\n2,-1\n"))
    client.secrets.create_scope("shop")
    client.secrets.put_secret("shop", "hub", string_value=CANARY)
    return client.pipelines.create(
        name="shop",
        catalog="main",
        schema="shop",
        root_path="/Workspace/Shared/shop",
        libraries=[
            PipelineLibrary(glob=PathPattern("/Workspace/Shared/shop/code/**")),
            PipelineLibrary(notebook=NotebookLibrary("/Shared/shop/totals")),
        ],
        configuration={"hub": "{{secrets/shop/hub}}", "kind": "orders"},
    ).pipeline_id


def ended(client: WorkspaceClient, pipeline: str, **options: Any) -> UpdateInfo:
    update_id = client.pipelines.start_update(pipeline, **options).update_id
    states = ("COMPLETED", "FAILED", "CANCELED")
    return update_reached(client, pipeline, update_id, lambda update: update.state.value in states)


def events(client: WorkspaceClient, pipeline: str, update: UpdateInfo) -> list[dict[str, Any]]:
    """As REST gives them: the client's own type has no details."""
    query = {"filter": f"update_id = '{update.update_id}'", "max_results": 250, "order_by": "timestamp asc"}
    return client.api_client.do("GET", f"/api/2.0/pipelines/{pipeline}/events", query=query)["events"]


@pytest.mark.slow
def test_an_update_computes_the_tables_that_the_pipeline_names_and_tells_of_it(
    workspace: Workspace, client: WorkspaceClient, pipeline: str
) -> None:
    update_id = client.pipelines.start_update(pipeline).update_id
    with pytest.raises(ResourceConflict, match=f"active update {update_id} already exists"):
        client.pipelines.start_update(pipeline)
    assert client.pipelines.get(pipeline).state is PipelineState.RUNNING
    update = update_reached(client, pipeline, update_id, lambda update: update.state.value in ("COMPLETED", "FAILED"))
    told = events(client, pipeline, update)
    assert update.state.value == "COMPLETED", told[-1]
    states = [each["details"]["update_progress"]["state"] for each in told if each["event_type"] == "update_progress"]
    assert states == ["WAITING_FOR_RESOURCES", "INITIALIZING", "SETTING_UP_TABLES", "RUNNING", "COMPLETED"]
    (quality,) = [
        each["details"]["flow_progress"]
        for each in told
        if each["level"] == "METRICS" and each["origin"]["dataset_name"] == "clean"
    ]
    assert quality["metrics"]["num_output_rows"] == 2
    assert quality["data_quality"] == {
        "dropped_records": 1,
        "expectations": [
            {"name": "positive", "dataset": "clean", "passed_records": 2, "failed_records": 1},
            {"name": "small", "dataset": "clean", "passed_records": 2, "failed_records": 1},
        ],
    }
    assert [each["event_type"] for each in told].count("create_update") == 1
    assert {each["origin"]["pipeline_id"] for each in told} == {pipeline}
    tables = workspace.state().path("warehouse", "main", "shop")
    assert {"clean", "copied", "totals"} == {each.parent.name for each in tables.glob("*/_delta_log")}
    latest = client.pipelines.get(pipeline).latest_updates
    assert [(each.update_id, each.state.value) for each in latest] == [(update_id, "COMPLETED")]
    written = [each for each in workspace.folder.rglob("*") if each.suffix in (".jsonl", ".log", ".json")]
    assert [each for each in written if CANARY in each.read_text(errors="replace")] == []


@pytest.mark.slow
def test_a_validation_names_every_mistake_in_the_paths_of_the_workspace(
    client: WorkspaceClient, workspace: Workspace, pipeline: str
) -> None:
    upload(client, "/Shared/wrong.py", WRONG)
    wrong = client.pipelines.create(
        name="wrong",
        catalog="main",
        libraries=[PipelineLibrary(file=FileLibrary("/Workspace/Shared/wrong.py"))],
        configuration=client.pipelines.get(pipeline).spec.configuration,
    ).pipeline_id
    update = ended(client, wrong, validate_only=True)
    assert (update.state.value, update.validate_only) == ("FAILED", True)
    (error,) = [each["error"] for each in events(client, wrong, update) if each.get("error")]
    table, files, secret = [each["message"] for each in error["exceptions"]]
    assert table.startswith("/Workspace/Shared/wrong.py:5: 'a': table 'nowhere' is not found")
    assert "wrong.py:8: 'b': [PATH_NOT_FOUND] Path does not exist: dbfs:/Volumes/main/none" in files
    assert "table 'raw_***' is not found" in secret
    assert str(workspace.folder) not in json.dumps(error)
    assert not Path(workspace.state().folder, "pipelines", wrong).exists()


@pytest.mark.slow
def test_notebooks_that_a_pattern_matches_are_sources_and_conditions_hold_for_one_update(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    client.workspace.mkdirs("/Shared/days/more")
    client.workspace.upload("/Shared/days/late", io.BytesIO(DAYS.encode()), language=Language.SQL)
    jupyter = io.BytesIO((JUPYTER % "days").encode())
    client.workspace.upload("/Shared/days/more/days", jupyter, format=ImportFormat.JUPYTER)
    upload(client, "/Shared/days/more/other.ipynb", JUPYTER % "others")
    upload(client, "/Shared/days/notes.txt", "not Python")
    number = client.pipelines.create(
        name="days", schema="days", libraries=[PipelineLibrary(glob=PathPattern("/Workspace/Shared/days/**"))]
    ).pipeline_id
    wrong = ended(client, number, replace_where_overrides=[ReplaceWhereOverride("lat", "true")])
    (error,) = [each["error"] for each in events(client, number, wrong) if each.get("error")]
    assert "replace_where_overrides: there is no flow 'lat'; did you mean 'late'?" in str(error)
    for overrides, rows in (([ReplaceWhereOverride("late", "day <= 3")], 3), ([], 2)):
        update = ended(client, number, replace_where_overrides=overrides)
        told = events(client, number, update)
        assert update.state.value == "COMPLETED", told[-1]
        (written,) = [
            each["details"]["flow_progress"]["metrics"]["num_output_rows"]
            for each in told
            if each["level"] == "METRICS" and each["origin"]["dataset_name"] == "late"
        ]
        assert written == rows
    tables = workspace.state().path("warehouse", "main", "days")
    assert {"days", "late", "last", "others"} == {each.parent.name for each in tables.glob("*/_delta_log")}
