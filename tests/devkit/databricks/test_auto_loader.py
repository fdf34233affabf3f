"""`cloudFiles` in a job: Spark's own file source in the place of Databricks' Auto Loader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException, StreamingQueryException, UnsupportedOperationException
from pyspark.sql import DataFrame, SparkSession

from spark_utils import get_dbutils

JOB = {"cloudFiles.format": "json", "cloudFiles.schemaEvolutionMode": "rescue"}


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """A folder that files land in."""
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def loaded(spark: SparkSession, path: Path | str, schema: str | None = None, **options: Any) -> DataFrame:
    """Return a stream of Auto Loader's; of its own options the prefix is left out."""
    reader = spark.readStream.format("cloudFiles")
    for key, value in options.items():
        reader = reader.option(
            key if key in {"header", "multiLine", "rescuedDataColumn"} else f"cloudFiles.{key}", value
        )
    return (reader.schema(schema) if schema else reader).load(str(path))


def written(frame: DataFrame, folder: Path) -> list[dict[str, Any]]:
    """Run the stream until it has read what is there, and return its table."""
    query = frame.writeStream.option("checkpointLocation", str(folder / "checkpoint")).option("mergeSchema", True)
    query.trigger(availableNow=True).start(str(folder / "table"), format="delta").awaitTermination()
    rows = frame.sparkSession.read.format("delta").load(str(folder / "table")).collect()
    return sorted((row.asDict(recursive=True) for row in rows), key=str)


def failure(frame: DataFrame, folder: Path) -> str:
    """Run a stream that fails, and return the reason: of a task, so that it stands at the end of the causes."""
    with pytest.raises(StreamingQueryException) as caught:
        written(frame, folder)
    reason: Any = caught.value
    while getattr(reason, "_cause", None) is not None:
        reason = reason._cause
    return str(reason)


def rescued(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was rescued, without the file that it comes from."""
    text = row["_rescued_data"]
    return text and {key: value for key, value in json.loads(text).items() if key != "_file_path"}


@pytest.mark.slow
def test_files_of_a_volume_are_read_once_and_what_does_not_fit_is_rescued(
    each_spark: SparkSession, tmp_path: Path
) -> None:
    put = get_dbutils(each_spark).fs.put
    folder = f"/Volumes/main/shop/landing/{tmp_path.name}-{type(each_spark).__module__}"
    put(f"{folder}/1.json", '{"id": 1}\n{"id": "x", "more": {"c": 2}}\nnope\n', True)

    def run() -> list[dict[str, Any]]:
        frame = loaded(each_spark, folder, "id INT", format="json", rescuedDataColumn="_rescued_data")
        return written(frame.select("*", "_metadata.file_name"), tmp_path)

    assert [(row["id"], rescued(row), row["file_name"]) for row in run()] == [
        (1, None, "1.json"),
        (None, {"_corrupt_record": "nope"}, "1.json"),
        (None, {"id": "x", "more": '{"c":2}'}, "1.json"),
    ]
    put(f"{folder}/2.json", '{"id": 2}\n', True)
    assert sorted(row["id"] for row in run() if row["id"]) == [1, 2]


@pytest.mark.slow
def test_a_schema_is_inferred_as_texts_hinted_and_kept(each_spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    (landing / "1.json").write_text('{"id": 1, "b": {"c": 2}}\n')
    options = JOB | {"cloudFiles.schemaHints": "id LONG", "cloudFiles.schemaLocation": str(tmp_path / "checkpoint")}
    frame = each_spark.readStream.format("cloudFiles").options(**options).load(str(landing))
    assert frame.schema.simpleString() == "struct<b:string,id:bigint,_rescued_data:string>"
    assert written(frame, tmp_path) == [{"id": 1, "b": '{"c":2}', "_rescued_data": None}]
    (landing / "2.json").write_text('{"id": 2, "new": 3}\n')
    frame = each_spark.readStream.format("cloudFiles").options(**options).load(str(landing))
    assert [(row["id"], rescued(row)) for row in written(frame, tmp_path)] == [(1, None), (2, {"new": "3"})]


def test_a_new_column_ends_the_stream_and_the_next_start_adds_it(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    def load() -> DataFrame:
        return loaded(spark, landing, format="json", inferColumnTypes=True, schemaLocation=tmp_path / "checkpoint")

    (landing / "1.json").write_text('{"id": 1}\n')
    frame = load()
    (landing / "2.json").write_text('{"id": 2, "new": 3}\n')
    assert re.search(r"new columns in .*2\.json: new; start the stream again", failure(frame.select("id"), tmp_path))
    assert {(row["id"], row["new"]) for row in written(load(), tmp_path)} == {(1, None), (2, 3)}
    (landing / "1.json").unlink()
    (landing / "2.json").unlink()
    assert load().columns == ["id", "new", "_rescued_data"]  # kept, though no file is there to infer it from


def test_a_stream_with_a_schema_ends_at_a_new_column_where_it_shall(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    (landing / "1.json").write_text('{"id": 1, "new": 3}\n')
    frame = loaded(spark, landing, "id INT", format="json", schemaEvolutionMode="failOnNewColumns")
    assert "1.json: new; add them to the schema" in failure(frame, tmp_path)
    assert written(loaded(spark, landing, "id INT", format="json"), tmp_path) == [{"id": 1}]


def test_json_of_several_lines_is_rescued_too(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    (landing / "1.json").write_text('[{"id": 1},\n {"id": "x"}]')
    (landing / "2.json").write_text('{"id": 3,\n "more": true}')
    frame = loaded(spark, landing, "id INT", format="json", multiLine=True, rescuedDataColumn="_rescued_data")
    found = [(row["id"], rescued(row)) for row in written(frame, tmp_path)]
    assert found == [(1, None), (3, {"more": "true"}), (None, {"id": "x"})]


def test_values_of_csv_that_do_not_fit_are_rescued(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    (landing / "1.csv").write_text("id,name\n1,a\nx,b\n")
    frame = loaded(spark, landing, "id INT, name STRING", format="csv", header=True, rescuedDataColumn="_rescued_data")
    found = [(row["id"], row["name"], rescued(row)) for row in written(frame, tmp_path)]
    assert found == [(1, "a", None), (None, "b", {"id": "x"})]


def test_folders_in_folders_are_read_and_their_names_may_be_columns(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    for name in ("plain/2026/11", "parts/day=1", "parts/day=2"):
        (landing / name).mkdir(parents=True)
        (landing / name / "1.json").write_text('{"id": 1}\n')
    plain = loaded(spark, landing / "plain", "id INT", format="json")
    assert written(plain, tmp_path / "plain") == [{"id": 1}]
    parts = loaded(spark, landing / "parts", "id INT, day INT", format="json", rescuedDataColumn="_rescued_data")
    found = [(row["id"], row["day"], row["_rescued_data"]) for row in written(parts, tmp_path / "parts")]
    assert found == [(1, 1, None), (1, 2, None)]
    without = loaded(spark, landing / "parts", format="json", partitionColumns="", schemaLocation=tmp_path / "schema")
    assert without.columns == ["id", "_rescued_data"]


def test_a_batch_takes_as_many_files_as_it_may(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    for number in range(3):
        (landing / f"{number}.json").write_text(f'{{"id": {number}}}\n')
    for name, limit in [("maxFilesPerTrigger", "1"), ("maxBytesPerTrigger", "10b")]:
        folder = tmp_path / name
        assert len(written(loaded(spark, landing, "id INT", format="json", **{name: limit}), folder)) == 3
        assert len([*(folder / "checkpoint/commits").glob("[0-9]")]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"cloudFiles.maxFilePerTrigger": "1"},
            "unknown option of cloudFiles: 'maxFilePerTrigger'; .*'maxFilesPerTrigger'",
        ),
        ({"cloudFiles.rescuedDataColumn": "r"}, r"cloudFiles\.rescuedDataColumn; did you mean 'rescuedDataColumn'"),
        ({"cloudFiles.format": "jsn"}, "cloudFiles.format: 'jsn'; did you mean 'json'"),
        ({"cloudFiles.schemaEvolutionMode": "rescued"}, "schemaEvolutionMode: 'rescued'; did you mean 'rescue'"),
        ({}, r"needs the option cloudFiles\.schemaLocation to infer"),
        ({"cloudFiles.includeExistingFiles": "false"}, "includeExistingFiles=false cannot be followed here: each file"),
        ({"cloudFiles.allowOverwrites": "true"}, "allowOverwrites=true cannot be followed here: each file"),
        ({"cloudFiles.schemaLocation": "dbfs:/s"}, "cannot infer a schema: .*landing holds no file; put a file there"),
    ],
)
def test_what_cannot_be_read_says_why(
    each_spark: SparkSession, landing: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises((IllegalArgumentException, UnsupportedOperationException), match=message):
        each_spark.readStream.format("cloudFiles").options(**JOB | options).load(str(landing)).schema  # noqa: B018 - Connect asks here


def test_auto_loader_reads_no_batch(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(
        UnsupportedOperationException, match=r"use spark\.readStream, with trigger\(availableNow=True\)"
    ):
        spark.read.format("cloudFiles").options(**JOB).load(str(landing))
