"""What an update would only fail with later is told before, with its line: sinks, streams, names, arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_pipelines import DefinitionError
from local_pipelines.testing import PipelineTester

RAW = ([(1, "a", 5), (2, "b", -1)], "id int, k string, v int")
HEAD = "from pyspark import pipelines as dp\nfrom pyspark.sql import functions as F\n"


def problems(pipeline: PipelineTester, code: str, **options: Any) -> list[str]:
    pipeline.given("raw", *RAW)
    source: Path = pipeline.file("wrong.py", HEAD + code)
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(source, **options)
    assert not (pipeline.storage / "event_log.jsonl").exists()
    return [f"{problem.place.line if problem.place else 0}: {problem.message}" for problem in caught.value.problems]


def test_mistakes_of_declarations_and_of_queries_come_together(pipeline: PipelineTester) -> None:
    found = problems(
        pipeline,
        """@dp.table(nmae="w")
def misspelt(): return spark.read.table("raw").select("idd")
@dp.table
def missing(): return spark.read.table("raww")
dp.create_streaming_table("t")
dp.create_auto_cdc_flow(target="t", source="raw", keys=["id"], sequence_by="v", stored_as_scd_type=3)
@dp.table
def reads_what_is_wrong(): return spark.read.table("t").select("id")
""",
        refresh=["nope"],
    )
    said = [
        "0: 'nope' is not a table of this pipeline",
        "3: table: unknown keyword 'nmae'; did you mean 'name'?",
        "4: 'misspelt': [UNRESOLVED_COLUMN",
        "6: 'missing': table 'raww' is not found",
        "8: create_auto_cdc_flow: stored_as_scd_type must be 1, 2 or 'bitemporal', not 3",
    ]
    assert [text[: len(expected)] for text, expected in zip(found, said, strict=True)] == said


def test_what_a_mistake_kept_from_being_declared_is_not_missing_too(pipeline: PipelineTester) -> None:
    found = problems(
        pipeline,
        """@dp.table
def early(): return spark.read.table("later")
@dp.table
def other(): return spark.read.table("raw").select("idd")
boom()
@dp.table
def later(): return spark.read.table("raw")
""",
        refresh=["later"],
    )
    assert [text.split("[")[0] for text in found] == ["6: 'other': ", "7: NameError: name 'boom' is not defined"]


SINKS = """
dp.create_sink("typo", "kafak", {"topic": "x"})
@dp.append_flow(target="typo")
def f1(): return spark.readStream.table("raw")
dp.create_sink("option", "kafka", {"topicc": "x", "kafka.bootstrap.servers": "h:1"})
@dp.append_flow(target="option")
def f2(): return spark.readStream.table("raw")
dp.create_sink("nowhere", "kafka", {})
@dp.append_flow(target="nowhere")
def f3(): return spark.readStream.table("raw").selectExpr("id AS value")
dp.create_sink("valueless", "kafka", {"kafka.bootstrap.servers": "h:1", "topic": "x"})
@dp.append_flow(target="valueless")
def f4(): return spark.readStream.table("raw")
dp.create_sink("pathless", "delta", {"pth": "/x"})
dp.create_sink("bare", "delta"); dp.create_sink("small", "delta", {"tablename": "x"})
dp.create_sink("raw2", "noop")
@dp.table
def raw2(): return spark.readStream.table("raw")
dp.create_sink("own", "delta", {"tableName": "raw2"})
dp.create_auto_cdc_flow(target="bare", source="raw", keys=["id"], sequence_by="v")
@dp.replace_flow(target="bare", replace_using=["id"], sequence_by="v")
def f5(): return spark.readStream.table("raw")
@dp.foreach_batch_sink
def handler(df): pass
dp.create_sink(5, "noop")
"""


def test_sinks_are_checked_before_anything_is_written(pipeline: PipelineTester) -> None:
    expected = [
        "4: sink 'typo': unknown format 'kafak'; did you mean 'kafka'?; it must be kafka, delta or a data source",
        "7: sink 'option': unknown option 'topicc'; did you mean 'topic'?",
        "10: sink 'nowhere': a Kafka sink needs the option kafka.bootstrap.servers",
        "11: flow 'f3' into the Kafka sink 'nowhere': neither the option topic nor a column topic says where rows go",
        "11: flow 'f3' into the Kafka sink 'nowhere': the column value is int, and Kafka takes string or binary; "
        "use to_json(struct(…)) or a cast",
        "14: flow 'f4' into the Kafka sink 'valueless': the column value is missing; Kafka takes value, and key, "
        "topic, headers",
        "16: sink 'pathless': unknown option 'pth'; did you mean 'path'?",
        "17: sink 'bare': a Delta sink needs either the option path or tableName",
        "17: sink 'small': a Delta sink needs either the option path or tableName",
        "18: sink 'raw2' has the name of the table declared at",
        "21: sink 'own' writes to the table declared at",
        "22: an AUTO CDC flow cannot write to 'bare', a sink: it takes a streaming table",
        "23: a replace flow cannot write to 'bare', a sink: it takes a streaming table",
        "25: foreach_batch_sink: the handler takes two arguments, the batch's frame and number",
        "27: create_sink: name and format must be strings, not 5, 'noop'",
    ]
    found = problems(pipeline, SINKS)
    assert [text[: len(said)] for text, said in zip(found, expected, strict=True)] == expected


def test_what_spark_cannot_do_with_a_stream_is_told_before(pipeline: PipelineTester) -> None:
    found = problems(
        pipeline,
        """@dp.table
def sorts(): return spark.readStream.table("raw").orderBy("id")
@dp.table
def mixes(): return spark.readStream.table("raw").union(spark.read.table("raw"))
dp.create_sink("out", "noop")
@dp.append_flow(target="out")
def counts(): return spark.readStream.table("raw").groupBy("k").count()
@dp.table
def may_count(): return spark.readStream.table("raw").groupBy("k").count()
""",
    )
    places = ["3: flow 'sorts'", "5: flow 'mixes'", "8: flow 'counts'"]
    assert [text.rpartition("': ")[0] + "'" for text in found] == places


def test_names_that_differ_in_case_alone_are_one(pipeline: PipelineTester) -> None:
    query = "spark.read.table('raw')"
    code = "".join(
        f"@dp.table(name='{name}')\ndef f{n}(): return {query}\n" for n, name in enumerate(("a", "A", "main.default.a"))
    )
    found = problems(pipeline, code)
    assert [text.split(",")[0] for text in found] == [
        "5: dataset 'A' is declared twice",
        "7: dataset 'main.default.a' is declared twice",
    ]


def test_other_flows_cannot_write_to_the_target_of_changes(pipeline: PipelineTester) -> None:
    found = problems(
        pipeline,
        """dp.create_streaming_table("t")
dp.create_auto_cdc_flow(target="t", source="raw", keys=["id"], sequence_by="v")
@dp.append_flow(target="t")
def more(): return spark.readStream.table("raw")
""",
    )
    assert found == ["5: 't' is the target of AUTO CDC flows, which exclude flow 'more'"]


def test_a_flow_with_a_condition_is_alone(pipeline: PipelineTester) -> None:
    found = problems(
        pipeline,
        """@dp.table(replace_where="n > 1")
def t(): return spark.range(3).toDF("n")
@dp.append_flow(target="t")
def more(): return spark.readStream.table("raw")
""",
    )
    assert found == ["5: flow 't' with replace_where must be the only one into 't', not beside 'more'"]


def test_arguments_of_a_wrong_type_are_named(pipeline: PipelineTester) -> None:
    found = problems(
        pipeline,
        """dp.create_streaming_table("t")
dp.create_auto_cdc_flow(target="t", source=5, keys=["id", "ID"], sequence_by=7, where=True, columns_to_update=["k"])
dp.create_streaming_table("u")
dp.create_auto_cdc_flow(target="u", source="raw", keys=["id"], sequence_by="map(id, v)")
dp.create_streaming_table("w")
dp.create_auto_cdc_from_snapshot_flow(target="w", source=lambda version: 5, keys=["id"])
@dp.table(comment=5, path=7)
def p(): return spark.readStream.table("raw")
@dp.table
def needs(): return spark.read.table(spark.conf.get("nokey"))
@dp.table
def loads(): return spark.read.format("jsn").load("/x")
""",
    )
    assert found == [
        "4: create_auto_cdc_flow: columns_to_update must be a column's name, not ['k']",
        "4: create_auto_cdc_flow: keys names 'ID' twice",
        "4: create_auto_cdc_flow: sequence_by must be SQL text or a Column, not 7",
        "4: create_auto_cdc_flow: source must be a dataset's name, not 5",
        "4: create_auto_cdc_flow: where must be SQL text or a Column, not True",
        "6: flow 'u': sequence_by must have an order, and map<int,int> has none",
        "8: 'w': the function of 'w' must give (DataFrame, version) or None, not int.",
        "9: table: comment must be a string, not 5",
        "9: table: path must be a string, not 7",
        "12: 'needs': parameter 'nokey' is not set: write it into `configuration`, or give --set nokey=VALUE",
        "14: 'loads': [DATA_SOURCE_NOT_FOUND] Failed to find the data source: jsn. Make sure the provider name is "
        "correct and the package is properly registered and compatible with your Spark version. SQLSTATE: 42K02",
    ]


def test_the_reason_of_a_failed_handler_is_its_own(pipeline: PipelineTester) -> None:
    pipeline.given("raw", *RAW)
    code = """@dp.foreach_batch_sink
def mine(df, number): raise ValueError("boom")
@dp.append_flow(target="mine")
def f(): return spark.readStream.table("raw")
"""
    assert pipeline.run(pipeline.file("handler.py", HEAD + code)).errors == {"f": "ValueError: boom"}


@pytest.mark.slow
def test_code_outside_of_queries_reads_the_storages_tables_by_name(pipeline: PipelineTester) -> None:
    pipeline.given("raw", *RAW)
    code = """[(highest,)] = spark.sql("SELECT max(v) FROM main.default.raw").collect()
def snapshots(version):
    version = (version or 0) + 1
    if version < 3:
        return (spark.read.table("raw") if version == 1 else spark.sql("SELECT * FROM raw WHERE v > 0"), version)
dp.create_streaming_table("t")
dp.create_auto_cdc_from_snapshot_flow(target="t", source=snapshots, keys=["id"], stored_as_scd_type=2)
@dp.table
def top(): return spark.range(highest)
"""
    assert pipeline.run(pipeline.file("outside.py", HEAD + code)).state == "COMPLETED"
    assert pipeline.rows("t") == [(1, "a", 5, 1, None), (2, "b", -1, 1, 2)]
    assert len(pipeline.rows("top")) == 5


@pytest.mark.slow
def test_a_column_goes_by_the_name_of_its_table(pipeline: PipelineTester) -> None:
    pipeline.given("raw", *RAW)
    pipeline.given("dim", [("a", "x")], "k string, name string")
    text = """CREATE STREAMING TABLE t AS SELECT raw.id, dim.name FROM STREAM(raw) JOIN main.default.dim
ON raw.k = dim.k;
CREATE MATERIALIZED VIEW u AS SELECT raw.*, EXISTS (SELECT 1 FROM t WHERE t.id = raw.id) AS e FROM raw;
CREATE MATERIALIZED VIEW w AS SELECT r.id FROM raw r, raw TABLESAMPLE (100 PERCENT) AS s WHERE r.id = s.id;
CREATE MATERIALIZED VIEW x AS TABLE raw;
"""
    assert pipeline.run(pipeline.file("named.sql", text)).state == "COMPLETED"
    assert pipeline.rows("t") == [(1, "x")]
    assert pipeline.rows("u") == [(1, "a", 5, True), (2, "b", -1, False)]
    assert pipeline.rows("x") == [(1, "a", 5), (2, "b", -1)]


def test_sql_says_what_it_takes(pipeline: PipelineTester) -> None:
    pipeline.given("raw", *RAW)
    text = """CREATE MATERIALIZED VIEW a AS SELECT * FROM raw PIVOT (sum(v) FOR k IN ('a'));
CREATE STREAMING TABLE b (CONSTRAINT c EXPECT (v > 0) ON VIOLATION DROP) AS SELECT * FROM STREAM(raw);
CREATE STREAMING TABLE d AS SELECT * FROM raw;
"""
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(pipeline.file("wrong.sql", text))
    assert [problem.message for problem in caught.value.problems] == [
        "'a': PIVOT is not allowed in a pipeline. "
        "Name the columns: one aggregate with FILTER (WHERE …) for each value.",
        "ON VIOLATION takes DROP ROW or FAIL UPDATE, not 'DROP'.",
        "flow 'd' writes to a streaming table, but is no stream: read STREAM(name), or INSERT INTO ONCE",
    ]
