"""Every mistake of all files at once, with file and line, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local_pipelines import DefinitionError
from local_pipelines.testing import PipelineTester

WRONG = """from pyspark import pipelines as dp
import dlt
@dp.materialized_view
def missing_input():
    return spark.read.table("evnts")
@dp.materialized_view
def missing_column():
    return spark.read.table("events").select("idd")
@dp.materialized_view
def counts_itself():
    return spark.range(spark.read.table("events").count())
@dp.materialized_view
def first():
    return spark.read.table("second")
@dp.materialized_view
def second():
    return spark.read.table("first")
@dp.materialized_view
def forgot():
    spark.read.table("events")
@dp.materialized_view
def streams():
    return spark.readStream.table("events")
@dp.materialized_view
@dp.expect("typo", "idx > 0")
def ruled():
    return spark.read.table("events")
@dp.materialized_view
def pivots():
    return spark.read.table("events").groupBy("id").pivot("id").count()
@dp.materialized_view
def sets():
    spark.conf.set("a", "b")
    return spark.read.table("events")
@dp.materialized_view(partition_cols=["idd"])
def parted():
    return spark.read.table("events")
dp.create_streaming_table("target")
@dp.append_flow(target="target")
def batch_into_stream():
    return spark.read.table("events")
from pyspark.sql.functions import col, udf
odd = spark.udf.register("odd", lambda number: number % 2 == 1, "boolean")
@dp.temporary_view
@dp.expect("by_column", odd(col("id")))
@dp.expect("by_name", "odd(id)")
def calls_python():
    return spark.read.table("events")
@dp.table
def new_files():
    options = {"cloudFiles.format": "text", "cloudFiles.includeExistingFiles": False}
    return spark.readStream.format("cloudFiles").options(**options).load("/in")
"""


def problems(pipeline: PipelineTester, *sources: Path, **options: Any) -> dict[int, str]:
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(*sources, **options)
    assert not (pipeline.storage / "event_log.jsonl").exists()
    return {problem.place.line if problem.place else 0: problem.message for problem in caught.value.problems}


def test_all_mistakes_of_queries_come_at_once_and_nothing_is_written(pipeline: PipelineTester) -> None:
    pipeline.given("events", [(1,)], "id int")
    found = problems(pipeline, pipeline.file("wrong.py", WRONG))
    expected = {
        5: "table 'evnts' is not found",
        8: "cannot be resolved",
        11: "count() is not allowed",
        12: "first -> second -> first",
        18: "is a `return` missing?",
        21: "is a materialized view, but its query is a stream",
        25: "expectation 'typo' of 'ruled'",
        30: "pivot() is not allowed",
        33: "set() is not allowed",
        35: "unknown column 'idd'; did you mean 'id'?",
        39: "is no stream: use spark.readStream, or once=True",
        45: "expectation 'by_column' of 'calls_python': a condition cannot call a Python function",
        46: "expectation 'by_name' of 'calls_python': a condition cannot call a Python function",
        52: "cloudFiles.includeExistingFiles=false cannot be followed here",
    }
    assert {line: text for line, text in expected.items() if text not in found.get(line, "")} == {}, found
    assert set(found) == set(expected)
    assert [path.name for path in (pipeline.storage / "tables/main/default").iterdir()] == ["events"]


def test_all_mistakes_of_declarations_come_at_once(pipeline: PipelineTester) -> None:
    one = pipeline.file(
        "one.py",
        """import dlt
@dlt.table(coment="x")
def a():
    return spark.range(1)
@dlt.table("b")
def b():
    return spark.range(1)
@dlt.append_flow(target="nowhere")
def c():
    return spark.range(1)
@dlt.expect("r", "id > 0")
def no_table():
    return spark.range(1)
dlt.create_auto_cdc_flow(target="x", source="a", keys=[], sequence_by="id", column_list=["a"],
    except_column_list=["b"], apply_as_truncates="true", stored_as_scd_type=2)
@dlt.table(partition_cols=["id"], cluster_by=["id"])
def d():
    return spark.range(1)
@dlt.table(spark_conf={"pipelines.trigger.interval": "soon"}, table_properties={"pipelines.reset.alowed": "false"})
def e():
    return spark.range(1)
""",
    )
    two = pipeline.file("two.py", "import dlt\n@dlt.table\ndef a():\n    return spark.range(1)\n")
    three = pipeline.file("three.py", "import dlt\ndef broken(:\n")
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(one, two, three)
    text = str(caught.value)
    for expected in (
        "one.py:2: table: unknown keyword 'coment'; did you mean 'comment'?",
        "one.py:5: table: the first positional argument is the query function, not 'b'; use name=",
        "flow 'c' writes to 'nowhere', which is not declared",
        "'no_table' has expectations but is no table or view",
        "create_auto_cdc_flow: column_list and except_column_list exclude each other",
        "create_auto_cdc_flow: apply_as_truncates needs stored_as_scd_type=1",
        "create_auto_cdc_flow: keys must name at least one column",
        "partition_cols and cluster_by exclude each other",
        "dataset 'a' is declared twice, first at",
        "one.py:19: pipelines.trigger.interval: invalid interval 'soon'; write a number and a unit: 10 seconds",
        "one.py:19: unknown setting 'pipelines.reset.alowed'; did you mean 'pipelines.reset.allowed'?",
        "three.py:2: invalid syntax",
    ):
        assert expected in text


def test_flows_that_wait_for_nothing_or_for_each_other_are_refused(pipeline: PipelineTester) -> None:
    code = """import dlt
dlt.create_streaming_table("a")
dlt.create_streaming_table("b")
@dlt.append_flow(target="a", depends_on=["into_b"])
def into_a():
    return spark.readStream.format("rate").load()
@dlt.append_flow(target="b")
def into_b():
    return spark.readStream.table("a")
"""
    assert "flows wait for each other: into_" in " ".join(problems(pipeline, pipeline.file("p.py", code)).values())
    found = problems(pipeline, pipeline.file("p.py", code.replace('["into_b"]', '["int_b"]')))
    assert found == {4: "depends_on of flow 'into_a': there is no flow 'int_b'; did you mean 'into_b'?"}


def test_a_package_that_a_notebook_installs_must_be_here(pipeline: PipelineTester) -> None:
    pipeline.file("needed.txt", "pyspark>=4  # is here\nnowhere-2\n")
    source = pipeline.file(
        "p.py",
        """# Databricks notebook source
# MAGIC %pip install --quiet pyspark==9 /Volumes/a/spark_streaming_devkit-0.1-py3-none-any.whl no-such-package>=1
# MAGIC %pip install -r needed.txt
# MAGIC %run ./helpers
import dlt
@dlt.table
def t():
    return spark.range(1)
""",
    )
    missing = "%pip installs nothing here, and '{}' is not installed: install it in this environment"
    told = {2: missing.format("no-such-package>=1"), 3: missing.format("nowhere-2")}
    with pytest.warns(UserWarning, match="p.py:4: a pipeline ignores the cell %run ./helpers"):
        assert problems(pipeline, source) == told


def test_names_that_are_not_in_the_code_are_refused(pipeline: PipelineTester) -> None:
    source = pipeline.file("p.py", "import dlt\n@dlt.table\ndef silver():\n    return spark.range(1)\n")
    found = problems(pipeline, source, full_refresh=["slver"])
    assert found == {0: "'slver' is not a table of this pipeline; did you mean 'silver'?"}
    assert "'gold' is not a table" in problems(pipeline, source, refresh=["gold"])[0]


@pytest.mark.slow
def test_a_type_that_changes_needs_a_full_refresh(pipeline: PipelineTester) -> None:
    code = "import dlt\n@dlt.table\ndef t():\n    return spark.readStream.table('events').selectExpr('{}')\n"
    pipeline.given("events", [(1,)], "id int")
    pipeline.run(pipeline.file("p.py", code.format("id")))
    changed = pipeline.file("p.py", code.format("cast(id as string) id"))
    with pytest.raises(DefinitionError, match="needs a full refresh"):
        pipeline.run(changed)
    assert pipeline.run(changed, full_refresh=["t"]).state == "COMPLETED"
    assert pipeline.rows("t") == [("1",)]
    forbidden = pipeline.file(
        "p.py",
        code.replace("@dlt.table", "@dlt.table(table_properties={{'pipelines.reset.allowed':'false'}})").format("id"),
    )
    with pytest.raises(DefinitionError, match="forbids a full refresh"):
        pipeline.run(forbidden, full_refresh=["t"])


def test_validation_alone_writes_nothing(pipeline: PipelineTester) -> None:
    source = pipeline.file("p.py", "import dlt\n@dlt.table\ndef t():\n    return spark.range(1)\n")
    assert pipeline.run(source, validate_only=True).state == "COMPLETED"
    assert not pipeline.storage.exists()


def test_old_names_work_with_a_warning(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "old.py",
        """import dlt
@dlt.create_table
def t():
    return dlt.read("v")
@dlt.create_view
def v():
    return spark.range(2)
""",
    )
    with (
        pytest.warns(DeprecationWarning, match="create_table is deprecated: use table"),
        pytest.warns(DeprecationWarning, match="create_view is deprecated: use temporary_view"),
    ):
        assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.rows("t") == [(0,), (1,)]
    said = [event["message"] for event in pipeline.log("deprecation")]
    assert said == ["create_table is deprecated: use table", "create_view is deprecated: use temporary_view"]


CALLS = ("df.collect()", "df.toPandas()", "df.first()", "df.write.save('x')", "df.write.saveAsTable('x')")
CALLS += ("df.write.parquet('x')", "df.writeStream.start('x')", "df.writeStream.toTable('x')", "df.show()")
CALLS += ("df.writeTo('x')", "DeltaTable.forPath(spark, '{path}').delete()")
CALLS += ("df.rdd.collect()", "df.approxQuantile('id', [0.5], 0.1)", "df.stat.crosstab('id', 'id')")
CALLS += ("spark.catalog.createTable('x', source='delta', schema=df.schema)",)


def test_every_call_that_computes_or_writes_is_refused(pipeline: PipelineTester) -> None:
    code = ["import dlt", "from delta.tables import DeltaTable"]
    for number, call in enumerate(call.format(path=pipeline.path("events")) for call in CALLS):
        read = "spark.readStream" if "Stream" in call else "spark.read"
        code.append(f"@dlt.table\ndef t{number}():\n    df = {read}.table('events')\n    {call}\n    return df")
    pipeline.given("events", [(1,)], "id int")
    found = problems(pipeline, pipeline.file("calls.py", "\n".join(code)))
    names = [re.findall(r"(\w+)\(", call)[-1] for call in CALLS]
    assert [message.split("() is")[0].split()[-1] for message in found.values()] == names


def test_a_statement_in_a_query_function_is_refused_and_not_run(pipeline: PipelineTester) -> None:
    pipeline.given("events", [(1,)], "id int")
    table = f"delta.`{pipeline.path('events')}`"
    statements = (f"INSERT INTO {table} VALUES (2)", f"WITH w AS (SELECT 2 AS id) INSERT INTO {table} SELECT * FROM w")
    statements += ("SET a.b = c", f"DELETE FROM {table}", "CREATE VOLUME main.default.mine")
    code = [f'@dlt.table\ndef t{number}(): return spark.sql("{each}")' for number, each in enumerate(statements)]
    found = problems(pipeline, pipeline.file("statements.py", "\n".join(["import dlt", *code])))
    assert [message.partition("statement '")[2].split()[0] for message in found.values()] == [
        *("INSERT", "WITH", "SET", "DELETE", "CREATE")
    ]
    assert pipeline.rows("events") == [(1,)]


def test_what_is_declared_twice_is_refused(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "twice.py",
        """from pyspark import pipelines as dp
dp.create_streaming_table("t")
for _ in range(2):
    @dp.append_flow(target="t", name="f")
    def rows():
        return spark.readStream.table("events")
    dp.create_sink("s", "noop", {})
dp.create_streaming_table("empty", expect_all={"a": "x > 0"})
@dp.update_flow(target="t")
def updates():
    return spark.readStream.table("events")
@dp.table
@dp.expect("a", "id > 0")
@dp.expect("a", "id > 1")
def ruled():
    return spark.range(1)
""",
    )
    found = "\n".join(problems(pipeline, source).values())
    for expected in (
        "flow 'f' is declared twice",
        "sink 's' is declared twice",
        "update_flow 'updates' cannot write to 't': it takes a sink, not of Delta",
        "expectation 'a' occurs twice in 'ruled'",
    ):
        assert expected in found


def test_a_once_flow_whose_files_are_gone_is_not_fully_refreshed(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "once.py",
        f"""from pyspark import pipelines as dp
dp.create_streaming_table("t")
@dp.append_flow(target="t", once=True)
def old():
    return spark.read.schema("id int").json("{pipeline.folder}/in")
""",
    )
    file = pipeline.file("in/1.json", '{"id": 1}')
    pipeline.file("in/2.json", '{"id": 2}')
    assert pipeline.run(source).state == "COMPLETED"
    file.unlink()
    with pytest.raises(DefinitionError, match=r"flow 'old' runs once, and .*/in/1.json, which it read, is gone"):
        pipeline.run(source, full_refresh=True)
    assert pipeline.rows("t") == [(1,), (2,)]
