"""Paths of Databricks lie in folders of this machine, for Spark of both kinds and for `dbutils`."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.sql import SparkSession

from devkit.databricks.paths import PREFIXES, ROOT_VARIABLE, local, roots_of
from devkit.spark import catalog
from spark_utils import get_dbutils

PLACES = {
    "dbfs:/shop-{}": "dbfs/shop-{}",
    "/Volumes/main/shop/shop-{}": "volumes/main/shop/shop-{}",
    "dbfs:/Volumes/main/shop/shop-{}": "volumes/main/shop/shop-{}",
    "/dbfs/shop-{}": "dbfs/shop-{}",
    "abfss://lake@shop.dfs.core.windows.net/{}": "abfss/lake@shop.dfs.core.windows.net/{}",
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A path of Databricks that no other test has, and its folder."""
    own, place = uuid4().hex, PLACES[request.param]
    root = catalog.root().parent if place.startswith("volumes/") else Path(os.environ[ROOT_VARIABLE])
    return request.param.format(own), root / place.format(own)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("each_spark", "place"),
    [*(("classic", each) for each in PLACES), ("connect", "dbfs:/shop-{}")],  # the file systems are the JVM's on both
    indirect=True,
)
def test_a_stream_writes_a_delta_table_and_its_checkpoint_there(
    each_spark: SparkSession, place: tuple[str, Path]
) -> None:
    path, folder = place
    each_spark.range(3).write.format("delta").save(f"{path}/in")
    read = each_spark.readStream.format("delta").load(f"{path}/in").writeStream.format("delta")
    query = read.trigger(availableNow=True).option("checkpointLocation", f"{path}/checkpoint").start(f"{path}/out")
    query.awaitTermination()
    assert each_spark.read.format("delta").load(f"{path}/out").count() == 3
    assert sorted(each.name for each in folder.iterdir()) == ["checkpoint", "in", "out"]
    assert (folder / "out/_delta_log/00000000000000000000.json").exists()


def test_files_are_told_by_the_path_that_was_asked_for(spark: SparkSession, place: tuple[str, Path]) -> None:
    path, folder = place
    (folder / "a=1").mkdir(parents=True)
    (folder / "a=1" / "x.json").write_text('{"b": 2}\n')
    (row,) = spark.read.json(path).selectExpr("a", "b", "_metadata.file_path AS file").collect()
    whole = path if ":" in path else f"file://{path}"
    assert (row.a, row.b, row.file.replace(":///", ":/")) == (1, 2, f"{whole.replace(':///', ':/')}/a=1/x.json")


def test_dbutils_sees_the_same_files(each_spark: SparkSession, place: tuple[str, Path]) -> None:
    path, folder = place
    files = get_dbutils(each_spark).fs
    files.put(f"{path}/in/a.txt", "three")
    assert (folder / "in/a.txt").read_text() == "three"
    assert files.cp(f"{path}/in", f"{path}/copy", recurse=True)
    assert [(each.path, each.size) for each in files.ls(f"{path}/copy")] == [(f"{path}/copy/a.txt", 5)]
    assert [row.value for row in each_spark.read.text(f"{path}/copy").collect()] == ["three"]


def test_a_session_that_signs_in_to_an_account_means_the_account(spark: SparkSession) -> None:
    path = f"abfss://lake@real-{uuid4().hex}.dfs.core.windows.net/a"
    settings = {"fs.azure.account.auth.type": "SharedKey", "fs.azure.account.key": "bm8ga2V5"}
    for name, value in (settings | {"fs.azure.io.retry.max.retries": "0"}).items():
        spark.conf.set(name, value)
    try:
        with pytest.raises(Exception, match=r"UnknownHost|ConnectException|Abfs"):
            spark.read.text(path).count()
    finally:
        for name in (*settings, "fs.azure.io.retry.max.retries"):
            spark.conf.unset(name)


def test_a_path_that_this_machine_has_itself_stays(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("own")
    assert [row.value for row in spark.read.text(str(tmp_path)).collect()] == ["own"]


def test_a_path_without_a_scheme_is_of_dbfs_for_dbutils_and_one_without_a_folder_is_refused(
    spark: SparkSession,
) -> None:
    name = uuid4().hex
    files = get_dbutils(spark).fs
    files.mkdirs(f"/{name}/a")
    assert files.ls(f"dbfs:/{name}")[0].path == f"dbfs:/{name}/a/"
    with pytest.raises(ValueError, match=r"'s3://x' has no folder here: it must begin with file:/ or dbfs:/Volumes/"):
        files.ls("s3://x")


def test_python_and_spark_have_the_same_roots(spark: SparkSession) -> None:
    assert [prefix for prefix, _ in roots_of(spark)] == [prefix for prefix, _ in PREFIXES]
    assert local("/Volumes/a/../b", roots_of(spark)) == str(catalog.root().with_name("volumes") / "b")
