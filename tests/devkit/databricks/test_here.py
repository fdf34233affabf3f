"""`dbutils` and `display` without a workspace: in a job, a cell or a test of this machine."""

from __future__ import annotations

import importlib

import pytest
from pyspark.sql import SparkSession

from devkit.databricks.here import display
from spark_utils import ConfigurationError, get_dbutils


def test_secrets_come_from_where_references_are_looked_up(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_SHOP__KEY", "sesame")
    secrets = get_dbutils(spark).secrets
    assert (secrets.get("shop", "key"), secrets.getBytes("shop", "key")) == ("sesame", b"sesame")
    with pytest.raises(ConfigurationError, match=r"'none' of scope 'shop' was not found.*SECRET_SHOP__NONE"):
        secrets.get("shop", "none")


def test_widgets_have_their_defaults_and_task_values_their_debug_values(spark: SparkSession) -> None:
    dbutils = get_dbutils(spark)
    dbutils.widgets.text("day", "monday")
    dbutils.jobs.taskValues.set("rows", 1)
    assert dbutils.widgets.get("day") == "monday"
    assert dbutils.jobs.taskValues.get("first", "rows", debugValue=7) == 7
    with pytest.raises(TypeError, match="outside of a job"):
        dbutils.jobs.taskValues.get("first", "rows", default=1)


def test_a_notebook_cannot_be_run_without_a_workspace_and_the_error_names_the_way(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match=r"'/Shared/other' .*dbutils\.notebook\.run\).*`devkit workspace up`"):
        get_dbutils(spark).notebook.run("/Shared/other")


@pytest.mark.slow
def test_display_shows_a_batch_and_what_a_stream_has(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    display(spark.range(30))
    assert "20 rows, there are more" in capsys.readouterr().out
    spark.range(3).write.format("delta").save("dbfs:/shown")
    display(spark.readStream.format("delta").load("dbfs:/shown"), [1])
    shown = capsys.readouterr().out
    assert "3 rows" in shown
    assert shown.endswith("[1]\n")


def test_modules_get_them_by_the_official_sdk_while_a_clients_own_stay_remote(spark: SparkSession) -> None:
    runtime = importlib.import_module("databricks.sdk.runtime")
    assert runtime.display is display
    assert runtime.spark.range(2).count() == 2
    assert runtime.dbutils.fs.mkdirs("dbfs:/runtime")
    with pytest.raises(ImportError):  # by which a client knows that its own are its workspace's
        importlib.import_module("dbruntime")
