"""Updates: what is written, what is counted, what the next update does."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from local_pipelines import UpdateRefusedError, run_update
from local_pipelines.declaring.python_source import importing_from
from local_pipelines.process import ended_by_signal
from local_pipelines.storage import Storage
from local_pipelines.testing import PipelineTester

MEDALLION = """
import dlt
from pyspark.sql import functions as F

@dlt.table(comment="as they came")
def bronze():
    return spark.readStream.table("main.default.events")

@dlt.view
@dlt.expect("has_id", "id is not null")
def clean():
    df = dlt.read_stream("bronze")
    return df.select([c for c in df.columns if c != "junk"])

@dlt.expect_or_drop("positive", "v > 0")
@dlt.table
@dlt.expect_all({"small": F.col("v") < 100})
def silver():
    return dlt.read_stream("clean")

@dlt.table
def gold():
    return spark.sql("select k, sum(v) as total from LIVE.silver group by k")
"""
EVENTS = [(1, "a", 5, "x"), (2, "a", None, "x"), (None, "b", -1, "x"), (4, "b", 200, "x")]
COLUMNS = "id int, k string, v int, junk string"


def test_a_second_update_reads_only_what_is_new_and_counts_it_exactly(pipeline: PipelineTester) -> None:
    source = pipeline.file("medallion.py", MEDALLION)
    pipeline.given("events", EVENTS, COLUMNS)
    first = pipeline.run(source).report()
    assert first["state"] == "COMPLETED"
    assert first["flows"] == {"bronze": "COMPLETED", "silver": "COMPLETED", "gold": "COMPLETED"}
    silver = first["datasets"]["silver"]
    assert (silver["rows_written"], silver["dropped_records"]) == (2, 2)
    assert silver["expectations"] == {"positive": {"passed": 2, "failed": 2}, "small": {"passed": 2, "failed": 2}}
    assert first["datasets"]["clean"]["expectations"] == {"has_id": {"passed": 3, "failed": 1}}
    pipeline.given("events", [(5, "a", 7, "y")], COLUMNS)
    second = pipeline.run(source).report()
    assert {name: counts["rows_written"] for name, counts in second["datasets"].items()} == {
        "bronze": 1,
        "clean": 1,
        "silver": 1,
        "gold": 2,
    }
    assert pipeline.rows("silver") == [(1, "a", 5), (4, "b", 200), (5, "a", 7)]
    assert pipeline.rows("gold") == [("a", 12), ("b", 200)]


@pytest.mark.slow
def test_the_log_says_what_happened_and_has_a_table_of_the_same_events(pipeline: PipelineTester) -> None:
    source = pipeline.file("medallion.py", MEDALLION)
    pipeline.given("events", EVENTS, COLUMNS)
    heard: list[str] = []
    pipeline.run(source, listener=lambda event: heard.append(event["event_type"]))
    events = pipeline.log()
    assert [event["event_type"] for event in events] == heard
    states = [event["details"]["update_progress"]["state"] for event in pipeline.log("update_progress")]
    assert states == ["INITIALIZING", "SETTING_UP_TABLES", "RUNNING", "COMPLETED"]
    progress = [event["details"]["flow_progress"] for event in events if event["level"] == "METRICS"]
    quality = {rule["name"]: rule for details in progress for rule in details["data_quality"]["expectations"]}
    assert quality["has_id"] == {"name": "has_id", "dataset": "clean", "passed_records": 3, "failed_records": 1}
    flow = {e["origin"]["flow_name"]: e["details"]["flow_definition"] for e in pipeline.log("flow_definition")}
    assert flow["gold"]["input_datasets"] == ["silver"]
    assert (flow["gold"]["output_dataset"], flow["gold"]["flow_type"]) == ("gold", "COMPLETE")
    stored = pipeline.spark.read.format("delta").load(str(pipeline.storage / "event_log")).collect()
    assert sorted(row.id for row in stored) == sorted(event["id"] for event in events)
    assert {type(json.loads(row.details)) for row in stored} == {dict}


def test_a_failed_flow_skips_what_reads_it_and_the_rest_goes_on(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "failing.py",
        """
from pyspark import pipelines as dp
@dp.table
@dp.expect_or_fail("small", "v < 100")
def strict():
    return spark.readStream.table("events")
@dp.materialized_view
def behind():
    return spark.read.table("strict")
@dp.materialized_view
def beside():
    return spark.read.table("events")
""",
    )
    pipeline.given("events", EVENTS, COLUMNS)
    result = pipeline.run(source)
    assert result.state == "FAILED"
    assert result.flows == {"strict": "FAILED", "behind": "SKIPPED", "beside": "COMPLETED"}
    assert "expectation 'small' (v < 100)" in result.errors["strict"]
    assert pipeline.rows("strict") == []
    assert len(pipeline.rows("beside")) == 4


@pytest.mark.slow
def test_appending_flows_share_a_target_and_once_runs_once(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "flows.py",
        """
from pyspark import pipelines as dp
dp.create_streaming_table("all", expect_all_or_drop={"even": "n % 2 = 0"}, table_properties={"quality": "silver"})
for number in (1, 2):
    @dp.append_flow(target="all", name=f"from_{number}")
    def flow(number=number):
        return spark.readStream.table(f"in_{number}")
@dp.append_flow(target="all", once=True)
def history():
    return spark.read.table("old")
""",
    )
    for name, rows in {"in_1": [(1,), (2,)], "in_2": [(4,)], "old": [(8,), (9,)]}.items():
        pipeline.given(name, rows, "n int")
    assert pipeline.run(source).counts["all"].dropped == 2
    pipeline.given("in_2", [(6,)], "n int")
    pipeline.given("old", [(10,)], "n int")
    pipeline.run(source)
    assert pipeline.rows("all") == [(2,), (4,), (6,), (8,)]
    pipeline.run(source, full_refresh=True)
    assert pipeline.rows("all") == [(2,), (4,), (6,), (8,), (10,)]


@pytest.mark.slow
def test_a_flow_starts_after_those_that_it_depends_on(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "ordered.py",
        """
from pyspark import pipelines as dp
dp.create_streaming_table("all")
@dp.append_flow(target="all", depends_on="backfill")
def live():
    return spark.readStream.table("new")
@dp.append_flow(target="all", once=True)
def backfill():
    return spark.read.table("old").selectExpr(spark.conf.get("columns"))
""",
    )
    for name, rows in {"new": [(1,)], "old": [(8,)]}.items():
        pipeline.given(name, rows, "n int")
    failed = pipeline.run(source, parameters={"columns": "int(raise_error('no')) AS n"})
    assert failed.flows == {"backfill": "FAILED", "live": "SKIPPED"}
    assert pipeline.run(source, parameters={"columns": "n"}).state == "COMPLETED"
    assert pipeline.rows("all") == [(1,), (8,)]
    said = [event["message"] for event in pipeline.log("flow_progress")]
    assert said.index("Flow 'backfill' is COMPLETED") < said.index("Flow 'live' is RUNNING")


def test_sinks_get_each_row_once(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "sinks.py",
        f"""
from pyspark import pipelines as dp
dp.create_sink("out", "delta", {{"path": "{pipeline.folder}/out", "api_token": "abcdef"}})
@dp.append_flow(target="out")
def to_out():
    return spark.readStream.table("events").select("id")
@dp.foreach_batch_sink(name="mine")
def handler(df, batch_id):
    df.write.format("json").mode("append").save("{pipeline.folder}/json")
@dp.append_flow(target="mine")
def to_mine():
    return spark.readStream.table("events").select("id")
""",
    )
    pipeline.given("events", EVENTS, COLUMNS)
    for _ in range(2):
        assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.spark.read.format("delta").load(f"{pipeline.folder}/out").count() == 4
    assert pipeline.spark.read.json(f"{pipeline.folder}/json").count() == 4
    defined = [event["details"]["sink_definition"] for event in pipeline.log("sink_definition")][:2]
    options = {"path": f"{pipeline.folder}/out", "api_token": "***"}
    assert defined == [{"format": "delta", "options": options}, {"format": "foreachBatch", "options": {}}]


def test_a_quarantine_is_one_line_and_no_row_is_lost(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "quarantine.py",
        """
import dlt
from spark_utils.pipelines import DLTMetaMixin, broken_rows
RULES = {row.name: row.rule for row in spark.read.table("rules").collect()}
@dlt.table
@dlt.expect_all_or_drop(RULES)
def good():
    return spark.read.table("raw")
@dlt.table
def quarantine():
    return broken_rows(spark.read.table("raw"), RULES)
output = {"func_name": "configured", "source": {"table": "raw"}, "steps": [{"broken_rows": RULES}]}
DLTMetaMixin(spark, {"dlt": [output]})
""",
    )
    pipeline.given("raw", [(1, "a", 5), (2, None, -1), (3, "b", None)], "id int, k string, v int")
    pipeline.given("rules", [("positive", "v > 0"), ("known", "k is not null")], "name string, rule string")
    assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.rows("good") == [(1, "a", 5)]
    broken = [(2, None, -1, ["positive", "known"]), (3, "b", None, ["positive"])]
    assert pipeline.rows("quarantine") == pipeline.rows("configured") == broken


def test_flows_that_do_not_need_each_other_run_side_by_side(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "parallel.py",
        """
import threading
from pyspark import pipelines as dp
both = threading.Barrier(2)
for name in ("left", "right"):
    @dp.foreach_batch_sink(name=name)
    def handler(df, batch_id):
        both.wait(timeout=300)
    @dp.append_flow(target=name, name=f"to_{name}")
    def rows():
        return spark.readStream.table("events")
""",
    )
    pipeline.given("events", EVENTS, COLUMNS)
    assert pipeline.run(source).state == "COMPLETED"


@pytest.mark.slow
def test_a_refresh_of_some_leaves_the_others(pipeline: PipelineTester) -> None:
    source = pipeline.file("medallion.py", MEDALLION)
    pipeline.given("events", EVENTS, COLUMNS)
    pipeline.run(source)
    pipeline.given("events", [(5, "a", 7, "y")], COLUMNS)
    result = pipeline.run(source, refresh=["bronze"])
    assert result.flows == {"bronze": "COMPLETED", "silver": "EXCLUDED", "gold": "EXCLUDED"}
    assert (len(pipeline.rows("bronze")), len(pipeline.rows("silver"))) == (5, 2)
    again = pipeline.run(source, full_refresh=["bronze", "silver"])
    assert again.flows["gold"] == "EXCLUDED"
    assert len(pipeline.rows("silver")) == 3


@pytest.mark.slow
def test_a_table_that_forbids_its_reset_keeps_its_rows_and_the_log_says_so(pipeline: PipelineTester) -> None:
    code = MEDALLION.replace(
        '@dlt.table(comment="as they came")', '@dlt.table(table_properties={"pipelines.reset.allowed": "false"})'
    )
    source = pipeline.file("kept.py", code)
    pipeline.given("events", EVENTS, COLUMNS)
    pipeline.run(source)
    version = pipeline.spark.read.format("delta").load(pipeline.path("bronze"))
    pipeline.run(source, full_refresh=True)
    assert version.count() == 4
    assert "reset.allowed" in pipeline.log("user_action")[0]["message"]
    assert len(pipeline.rows("silver")) == 2


@pytest.mark.slow
def test_an_interrupted_update_is_cancelled_and_the_next_one_goes_on(pipeline: PipelineTester) -> None:
    source = pipeline.file("medallion.py", MEDALLION)
    pipeline.given("events", EVENTS, COLUMNS)

    def interrupt(event: dict[str, Any]) -> None:
        if event["level"] == "METRICS" and event["origin"]["flow_name"] == "bronze":
            os.kill(os.getpid(), signal.SIGINT)

    result = pipeline.run(source, listener=interrupt)
    assert (result.state, result.flows["gold"]) == ("CANCELED", "STOPPED")
    assert pipeline.log("update_progress")[-1]["details"]["update_progress"]["state"] == "CANCELED"
    assert pipeline.run(source).state == "COMPLETED"
    assert len(pipeline.rows("bronze")) == 4
    assert pipeline.rows("gold") == [("a", 5), ("b", 200)]


def test_a_second_interrupt_does_not_wait_for_the_update() -> None:
    cancelled = threading.Event()
    with ended_by_signal(cancelled):
        signal.raise_signal(signal.SIGINT)
        assert cancelled.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_one_update_at_a_time(pipeline: PipelineTester) -> None:
    source = pipeline.file("medallion.py", MEDALLION)
    pipeline.given("events", EVENTS, COLUMNS)
    with Storage(pipeline.storage).exclusively(), pytest.raises(UpdateRefusedError, match="another update runs"):
        pipeline.run(source)


def test_spark_connect_is_refused_with_the_remedy(connect: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UpdateRefusedError, match=r"needs a classic Spark session.*where SPARK_REMOTE is not set"):
        run_update("p.py", connect, tmp_path)


@pytest.mark.slow
def test_options_of_a_table_reach_delta(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "options.py",
        """
import dlt
@dlt.table(
    name="shop.orders",
    comment="orders",
    partition_cols=["day"],
    table_properties={"quality": "gold", "delta.appendOnly": "true"},
    schema="id INT NOT NULL COMMENT 'key', at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE)), "
    "CONSTRAINT pk PRIMARY KEY (id)",
)
def orders():
    return spark.readStream.table("main.default.raw")
@dlt.table(name="lake.shop.copy", cluster_by=["id"], temporary=True)
def copy():
    return spark.read.table("shop.orders")
@dlt.table(path="PLACED")
def placed():
    return spark.read.table("shop.orders")
@dlt.table
def last():
    return spark.sql("select c.id, (select max(id) from placed) m from lake.shop.copy c")
""".replace("PLACED", f"file:{pipeline.folder}/placed"),
    )
    pipeline.given("raw", [(1, None)], "id int, at timestamp")
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    detail = pipeline.spark.sql(f"DESCRIBE DETAIL delta.`{pipeline.path('shop.orders')}`").collect()[0]
    assert (detail.description, detail.partitionColumns) == ("orders", ["day"])
    assert detail.properties["quality"] == "gold"
    assert pipeline.rows("shop.orders") == [(1, None, None)]
    assert pipeline.rows("last") == [(1, 1)]
    assert not Path(pipeline.path("lake.shop.copy")).exists()
    assert (pipeline.storage / "private/lake/shop/copy/_delta_log").is_dir()
    assert (pipeline.folder / "placed/_delta_log").is_dir()


@pytest.mark.slow
def test_a_target_and_its_flow_have_settings_of_their_own(pipeline: PipelineTester) -> None:
    heard = pipeline.folder / "heard"
    source = pipeline.file(
        "settings.py",
        f"""
from pyspark import pipelines as dp
from pyspark.sql import functions as F
@dp.on_event_hook(max_allowable_consecutive_failures=0)
def hook(event):
    with open({str(heard)!r}, "a") as file:
        file.write(event["event_type"] + " ")
    raise ValueError
dp.create_streaming_table(
    "t", expect_all_or_fail={{"known": "id > 0"}}, private=True, cluster_by_auto=True,
    row_filter="ROW FILTER f ON (id)", spark_conf={{"spark.sql.session.timeZone": "UTC", "mine": "yes"}},
)
@dp.append_flow(target="t", spark_conf={{"spark.sql.session.timeZone": "Asia/Tokyo"}})
def rows():
    mine = F.lit(spark.conf.get("mine", "no"))
    return spark.readStream.table("raw").select("id", F.current_timezone().alias("zone"), mine.alias("mine"))
@dp.materialized_view
def beside():
    return spark.range(1)
@dp.materialized_view
def zones():
    return spark.read.table("t").select("zone", "mine")
""",
    )
    pipeline.given("raw", [(1,)], "id int")
    with pytest.warns(UserWarning, match="'t': a row filter needs Unity Catalog"):
        result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert (pipeline.rows("zones"), Path(pipeline.path("t")).exists()) == ([("Asia/Tokyo", "yes")], False)
    said = [event["message"] for event in pipeline.log("flow_progress")]
    alone = said[said.index("Flow 'rows' is STARTING") : said.index("Flow 'rows' is COMPLETED")]
    assert {message.split()[1] for message in alone} == {"'rows'"}
    assert heard.read_text(encoding="utf-8") == "create_update "
    pipeline.given("raw", [(-1,)], "id int")
    with pytest.warns(UserWarning, match="row filter"):
        assert "known" in pipeline.run(source).errors["rows"]


def test_parameters_are_given_and_taken_back(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "parameters.py",
        """
import dlt
@dlt.table
def t():
    return spark.range(int(spark.conf.get("rows"))).selectExpr(f"'{spark.conf.get('no', 'default')}' as d")
""",
    )
    pipeline.run(source, parameters={"rows": "2", "spark.sql.shuffle.partitions": "auto"})
    assert pipeline.rows("t") == [("default",), ("default",)]
    assert pipeline.spark.conf.get("rows", "gone") == "gone"
    assert "dlt" not in sys.modules


def test_a_file_has_dbutils_and_what_it_sets_ends_with_the_update(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "notebook.py",
        f"""
import dlt
spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
spark.conf.set("mine", "yes")
NAMES = [each.name for each in dbutils.fs.ls("file:{pipeline.folder}/in")]
@dlt.table
def t():
    return spark.sql(f"select '{{NAMES[0]}}' as name, current_timezone() as zone")
""",
    )
    pipeline.file("in/a.json", "")
    before = pipeline.spark.conf.get("spark.sql.session.timeZone")
    assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.rows("t") == [("a.json", "Asia/Tokyo")]
    assert pipeline.spark.conf.get("spark.sql.session.timeZone") == before
    assert pipeline.spark.conf.get("mine", "gone") == "gone"


@pytest.mark.slow
def test_a_stream_of_an_aggregate_is_kept_complete(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "aggregate.py",
        """
import dlt
@dlt.table
def by_key():
    return dlt.read_stream("events_in").groupBy("k").count()
@dlt.table
def events_in():
    return spark.readStream.table("events")
""",
    )
    pipeline.given("events", EVENTS, COLUMNS)
    pipeline.run(source)
    pipeline.given("events", EVENTS, COLUMNS)
    assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.rows("by_key") == [("a", 4), ("b", 4)]


@pytest.mark.slow
def test_names_are_found_in_the_storage_first_and_then_in_sparks_catalog(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "names.py",
        """
import dlt
@dlt.table
def streamed():
    return spark.readStream.table("main.beside.numbers")
@dlt.table
def counted():
    return spark.sql("select count(*) from main.beside.numbers").toDF("n")
""",
    )
    pipeline.spark.sql("CREATE SCHEMA IF NOT EXISTS main.beside")
    pipeline.spark.range(3).write.mode("overwrite").saveAsTable("main.beside.numbers")
    try:
        result = pipeline.run(source)
        assert result.state == "COMPLETED", result.errors
        assert pipeline.rows("streamed") == [(0,), (1,), (2,)]
        assert pipeline.rows("counted") == [(3,)]
        pipeline.given("main.beside.numbers", [(7,)], "id bigint")
        assert pipeline.run(source, full_refresh=True).state == "COMPLETED"
        assert pipeline.rows("streamed") == [(7,)]
        assert pipeline.rows("counted") == [(1,)]
    finally:
        pipeline.spark.sql("DROP SCHEMA main.beside CASCADE")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:cloudFiles.schemaEvolutionMode")
def test_cloud_files_are_read_once_and_misfits_are_rescued(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "files.py",
        f"""
import dlt
@dlt.table
def inferred():
    return (spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
        .option("cloudFiles.schemaEvolutionMode", "rescue").load("{pipeline.folder}/in"))
@dlt.table
def typed():
    return (spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
        .option("rescuedDataColumn", "_rescued_data").schema("a INT").load("{pipeline.folder}/in"))
""",
    )
    pipeline.file("in/1.json", '{"a": 1, "b": {"c": 2}}\n{"a": "x", "b": null}\n')
    with pytest.warns(UserWarning, match="schemaEvolutionMode=rescue cannot be followed here: the next update adds"):
        assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.rows("inferred", "a", "b", "_rescued_data") == [("1", '{"c":2}', None), ("x", None, None)]
    typed = pipeline.rows("typed", "a", "_rescued_data")
    assert [row[0] for row in typed] == [None, 1]
    rescued = [json.loads(row[1]) for row in typed]
    assert [{key: value for key, value in r.items() if key != "_file_path"} for r in rescued] == [
        {"a": "x"},
        {"b": '{"c":2}'},
    ]
    pipeline.file("in/2.json", '{"a": 3, "b": null}\n')
    pipeline.run(source)
    assert len(pipeline.rows("inferred")) == 3


@pytest.mark.slow
def test_misfits_of_csv_are_rescued(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "csv.py",
        f"""
import dlt
@dlt.table
def typed():
    return (spark.readStream.format("cloudFiles").option("cloudFiles.format", "csv").option("header", True)
        .option("rescuedDataColumn", "_rescued_data").schema("a INT, b STRING").load("{pipeline.folder}/in"))
@dlt.table
def inferred():
    return (spark.readStream.format("cloudFiles").option("cloudFiles.format", "csv").option("header", True)
        .option("cloudFiles.inferColumnTypes", True).option("cloudFiles.schemaHints", "a BIGINT")
        .load("{pipeline.folder}/in"))
""",
    )
    pipeline.file("in/1.csv", "a,b,c\n1,x,1.5\nfoo,y,2.5\n,z,\n")
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    typed = {b: (a, json.loads(rescued or "{}")) for a, b, rescued in pipeline.rows("typed", "a", "b", "_rescued_data")}
    file = f"file:{pipeline.folder}/in/1.csv"
    assert typed == {"x": (1, {}), "y": (None, {"a": "foo", "_file_path": file}), "z": (None, {})}
    inferred = {b: (a, c) for a, b, c in pipeline.rows("inferred", "a", "b", "c")}
    assert inferred == {"x": (1, 1.5), "y": (None, 2.5), "z": (None, None)}


def test_an_update_flow_gives_a_sink_what_changed(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "update.py",
        f"""
from pyspark import pipelines as dp
@dp.foreach_batch_sink(name="mine")
def handler(df, batch_id):
    df.write.format("json").mode("append").save("{pipeline.folder}/json")
@dp.update_flow(target="mine")
def counts():
    return spark.readStream.table("events").groupBy("k").count()
""",
    )
    pipeline.given("events", EVENTS, COLUMNS)
    pipeline.run(source)
    pipeline.given("events", [(5, "a", 7, "y")], COLUMNS)
    assert pipeline.run(source).state == "COMPLETED"
    sent = pipeline.spark.read.json(f"{pipeline.folder}/json").collect()
    assert sorted((row.k, row["count"]) for row in sent) == [("a", 2), ("a", 3), ("b", 2)]


@pytest.mark.slow
def test_a_continuous_update_goes_on_with_what_is_new_until_it_is_cancelled(pipeline: PipelineTester) -> None:
    source = pipeline.file("medallion.py", MEDALLION)
    pipeline.given("events", EVENTS, COLUMNS)
    cancelled, written = threading.Event(), []

    def hear(event: dict[str, Any]) -> None:
        if event["level"] == "METRICS" and event["origin"]["flow_name"] == "gold":
            written.append(pipeline.rows("gold"))
            if len(written) == 1:
                pipeline.given("events", [(5, "a", 7, "y")], COLUMNS)
            else:
                cancelled.set()

    result = pipeline.run(source, listener=hear, cancelled=cancelled, continuous=True)
    assert result.state == "CANCELED"
    assert written == [[("a", 5), ("b", 200)], [("a", 12), ("b", 200)]]
    said = [event["details"]["flow_progress"]["status"] for event in pipeline.log("flow_progress")]
    assert said.count("COMPLETED") == 3  # of the first pass; later ones are not told


@pytest.mark.slow
def test_a_flow_of_a_continuous_update_waits_for_its_interval(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "intervals.py",
        """
import dlt
@dlt.table(spark_conf={"pipelines.trigger.interval": "1 hour"})
def rarely():
    return spark.readStream.table("events").select("id")
@dlt.table
def often():
    return spark.readStream.table("events").select("id")
@dlt.table(table_properties={"pipelines.trigger.interval": "1 hour", "pipelines.autoOptimize.managed": "true"})
def counted():
    return spark.read.table("often").groupBy().count()
@dlt.table
def last():
    return spark.sql("select count(*) as n from often, counted where exists (select 1 from rarely)")
""",
    )
    pipeline.given("events", EVENTS, COLUMNS)
    cancelled = threading.Event()

    def hear(event: dict[str, Any]) -> None:
        if event["level"] == "METRICS" and event["origin"]["flow_name"] == "last":
            cancelled.set() if pipeline.rows("last") == [(5,)] else pipeline.given("events", EVENTS[:1], COLUMNS)

    with pytest.warns(UserWarning, match=r"without effect on this machine: pipelines\.autoOptimize\.managed"):
        pipeline.run(source, listener=hear, cancelled=cancelled, continuous=True)
    assert (len(pipeline.rows("rarely")), pipeline.rows("counted")) == (4, [(4,)])


def test_helpers_are_read_anew_and_what_is_installed_beside_them_is_not(tmp_path: Path) -> None:
    installed = tmp_path / ".venv/lib/python3/site-packages"
    installed.mkdir(parents=True)
    (installed / "installed_there.py").touch()
    (tmp_path / "helper_there.py").touch()
    with importing_from([tmp_path, installed]):
        import helper_there  # type: ignore[import-not-found]  # noqa: F401
        import installed_there  # type: ignore[import-not-found]  # noqa: F401
    assert "helper_there" not in sys.modules
    assert sys.modules.pop("installed_there")
