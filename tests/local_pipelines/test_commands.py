"""The command, as other programs drive it: verbs, options, report, places, exit status."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devkit.cli import main
from local_pipelines.declaring.notebooks import LANGUAGE
from local_pipelines.storage import is_table
from local_pipelines.testing import PipelineTester
from tests.patience import wait_for

CODE = """
import dlt
@dlt.table
@dlt.expect_or_drop("positive", "id > 0")
def t():
    return spark.readStream.table("events").selectExpr("id", f"'{spark.conf.get('say')}' as said")
"""


@pytest.mark.slow
def test_run_graph_and_events(
    pipeline: PipelineTester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, report = str(pipeline.file("p.py", CODE)), pipeline.folder / "report.json"
    pipeline.given("events", [(1,), (-1,)], "id int")
    storage = ["--storage", str(pipeline.storage)]
    assert main(["pipeline", "run", source, *storage, "--set", "say=hello", "--report", str(report)]) == 0
    written = json.loads(report.read_text())
    assert (written["state"], written["error"], written["flows"]) == ("COMPLETED", None, {"t": "COMPLETED"})
    assert written["datasets"] == {
        "t": {"rows_written": 1, "dropped_records": 1, "expectations": {"positive": {"passed": 1, "failed": 1}}}
    }
    assert pipeline.rows("t") == [(1, "hello")]
    page = pipeline.folder / "graph.html"
    assert main(["pipeline", "graph", source, *storage, "-s", "say=x", "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "t  streaming table  1 rows" in shown
    assert "positive: 1 passed, 1 failed" in shown
    assert "positive: 1 failed" in page.read_text()
    assert main(["pipeline", "events", source, *storage, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event_type"] == "create_update"
    assert main(["pipeline", "run", source, *storage, "--set", "say=hello", "--full-refresh"]) == 0
    assert pipeline.rows("t") == [(1, "hello")]
    capsys.readouterr()
    assert main(["pipeline", "events", source, *storage, "--update", "last", "--json"]) == 0
    (last,) = {json.loads(line)["origin"]["update_id"] for line in capsys.readouterr().out.splitlines()}
    assert last != events[0]["origin"]["update_id"]
    assert main(["pipeline", "run", source, *storage, "--set", "say=hello", "--refresh", "nothing"]) == 1


def test_a_condition_of_one_update_is_taken_from_the_command(
    pipeline: PipelineTester, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "CREATE STREAMING TABLE t FLOW REPLACE WHERE id >= 2 BY NAME SELECT id FROM events"
    source, storage = str(pipeline.file("p.sql", code)), ["--storage", str(pipeline.storage)]
    pipeline.given("events", [(1,), (2,), (3,)], "id int")
    assert main(["pipeline", "run", source, *storage, "--replace-where", "t=id <= 2"]) == 0
    assert pipeline.rows("t") == [(1,), (2,)]
    assert main(["pipeline", "run", source, *storage, "--replace-where", "t"]) == 1
    assert "cannot read 't' (from --replace-where). Write FLOW=CONDITION." in capsys.readouterr().err


FILES = """
import dlt
@dlt.table
def ids():
    reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", "json").schema("id int")
    return reader.load(spark.conf.get("folder"))
"""


@pytest.mark.slow
def test_a_continuous_update_takes_new_files_until_it_is_interrupted(
    pipeline: PipelineTester, capsys: pytest.CaptureFixture[str]
) -> None:
    source, ended = str(pipeline.file("p.py", FILES)), threading.Event()

    def has(*rows: tuple[int]) -> bool:
        return ended.is_set() or (is_table(pipeline.path("ids")) and pipeline.rows("ids") == [*rows])

    def give_and_interrupt() -> None:
        try:
            wait_for(lambda: has((1,)))
            pipeline.file("2.json", '{"id": 2}').rename(pipeline.folder / "in/2.json")  # whole when it is seen
            wait_for(lambda: has((1,), (2,)))
        finally:
            if not ended.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    pipeline.file("in/1.json", '{"id": 1}')
    command = ["pipeline", "run", source, "--storage", str(pipeline.storage), "--continuous"]
    with ThreadPoolExecutor() as other:
        done = other.submit(give_and_interrupt)
        try:
            status = main([*command, "--set", f"folder={pipeline.folder}/in"])
        finally:
            ended.set()
        done.result()
    assert status == 1
    assert pipeline.rows("ids") == [(1,), (2,)]
    states = [event["details"]["update_progress"]["state"] for event in pipeline.log("update_progress")]
    assert states[-2:] == ["RUNNING", "CANCELED"]
    assert "is CANCELED" in capsys.readouterr().out


def test_mistakes_are_in_the_report_too(pipeline: PipelineTester, capsys: pytest.CaptureFixture[str]) -> None:
    source, report = str(pipeline.file("p.py", CODE)), pipeline.folder / "report.json"
    command = ["pipeline", "validate", source, "--storage", str(pipeline.storage), "--set", "say=x"]
    assert main([*command, "--report", str(report)]) == 1
    written = json.loads(report.read_text())
    assert written["state"] == "FAILED"
    assert written["problems"][0]["line"] == 6
    assert f"{source}:6: 't': table 'events' is not found" in capsys.readouterr().err
    assert not (pipeline.storage).exists()


LEAKING = """
from pyspark import pipelines as dp
@dp.table
@dp.expect_or_fail("small", "v < 100")
def strict():
    return spark.readStream.table("events")
@dp.materialized_view
def calls():
    return spark.range(1).selectExpr(f"cast(raise_error('refused: {spark.conf.get('api_token')}') as int) as x")
"""


@pytest.mark.slow
def test_errors_show_no_secret_and_no_whole_row(pipeline: PipelineTester, capsys: pytest.CaptureFixture[str]) -> None:
    source, report = str(pipeline.file("p.py", LEAKING)), pipeline.folder / "report.json"
    pipeline.given("events", [(1, "ann@example.org", 200)], "id int, email string, v int")
    command = ["pipeline", "run", source, "--storage", str(pipeline.storage), "--report", str(report)]
    assert main([*command, "--set", "api_token=hunter2-hunter2"]) == 1
    shown = capsys.readouterr()
    written = report.read_text()
    everything = shown.out + shown.err + written + (pipeline.storage / "event_log.jsonl").read_text()
    assert "hunter2" not in everything
    assert "ann@example.org" not in everything
    assert json.loads(written)["errors"]["calls"] == "refused: ***"
    assert "expectation 'small' (v < 100) of 'strict' failed for a row with v = 200" in written
    pipeline.file("p.py", LEAKING.replace('table("events")', 'table("raw_" + spark.conf.get("api_token"))'))
    assert main([*command, "--set", "api_token=hunter2-hunter2"]) == 1
    shown = capsys.readouterr()
    assert "table 'raw_***' is not found" in shown.err
    assert "hunter2" not in shown.out + shown.err + report.read_text()


@pytest.mark.slow
def test_a_bundles_yaml_names_files_parameters_and_schema(
    pipeline: PipelineTester, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ["%pip install pyspark", CODE.splitlines(keepends=True)]
    pipeline.file("src/p.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": each} for each in cells]}))
    cells = ["%md\n# Totals", "CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM t -- all"]
    sql = {
        "cells": [{"cell_type": "code", "source": each} for each in cells],
        "metadata": {LANGUAGE: {"language": "sql"}},
    }
    pipeline.file("totals.ipynb", json.dumps(sql))
    pipeline.file(
        "databricks.yml",
        """
bundle: {name: shop}
variables: {words: {description: said}, schema: {default: "${bundle.name}_${bundle.target}"}}
targets:
  prod: {variables: {words: bye}}
  dev: {default: true, variables: {words: hello}}
""",
    )
    bundle = pipeline.file(
        "resources/shop.pipeline.yml",
        """
resources:
  pipelines:
    shop:
      name: shop
      catalog: lake
      schema: ${var.schema}
      continuous: true
      libraries: [{glob: {include: ../src/**}}, {notebook: {path: ../totals}}]
      configuration: {say: "${var.words}"}
""",
    )
    pipeline.given("lake.shop_dev.events", [(1,)], "id int")
    assert main(["pipeline", "run", str(bundle), "--storage", str(pipeline.storage)]) == 0
    assert pipeline.rows("lake.shop_dev.t") == [(1, "hello")]
    assert pipeline.rows("lake.shop_dev.n") == [(1,)]
    assert "the pipeline is continuous: this is one update of it" in capsys.readouterr().err
    wrong = Path(pipeline.file("wrong.yml", "librarys: []\ningestion_definition: {connection_name: crm}\n"))
    assert main(["pipeline", "validate", str(wrong)]) == 1
    wrong = pipeline.file("other.yml", "catalog: ${resources.catalogs.lake.name}\n")
    assert main(["pipeline", "validate", str(wrong)]) == 1
    told = capsys.readouterr().err
    assert "unknown key 'librarys'; did you mean 'libraries'?" in told
    assert "'${resources.catalogs.lake.name}' has no value on this machine" in told
    assert "the key 'ingestion_definition' cannot be followed on this machine" in told
