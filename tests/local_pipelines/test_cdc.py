"""AUTO CDC against a plain model, and the examples of Databricks' documentation."""

from __future__ import annotations

from typing import Any

import pytest

from local_pipelines import DefinitionError
from local_pipelines.cdc import flow as cdc_flow
from local_pipelines.storage import load
from local_pipelines.testing import PipelineTester
from tests.local_pipelines.cdc_model import arrivals, check

SCHEMA = "id int, a string, b int, op string, seq int"


@pytest.mark.slow
def test_any_order_of_arrival_gives_the_tables_of_the_model(
    pipeline: PipelineTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdc_flow, "BATCHES", 1)  # outdated events are dropped after each batch
    check(pipeline, *arrivals(seed=1, keys=60))
    kept = load(pipeline.spark, str(pipeline.storage / "cdc/main/default/scd1"))
    assert kept.count() == kept.select("id").distinct().count()


def cdc(arguments: str, sequence: str = "seq") -> str:
    return f"""
import dlt
dlt.create_streaming_table("target")
dlt.create_auto_cdc_flow("target", "changes", ["id"], "{sequence}", {arguments})
@dlt.view
def changes():
    return spark.readStream.table("raw")
"""


DOCUMENTED = [
    (124, "Raul", "Oaxaca", "INSERT", 1),
    (123, "Isabel", "Monterrey", "INSERT", 1),
    (125, "Mercedes", "Tijuana", "INSERT", 2),
    (126, "Lily", "Cancun", "INSERT", 2),
    (123, None, None, "DELETE", 6),
    (125, "Mercedes", "Guadalajara", "UPDATE", 6),
    (125, "Mercedes", "Mexicali", "UPDATE", 5),
    (123, "Isabel", "Chihuahua", "UPDATE", 5),
]
CITIES = "id int, name string, city string, operation string, sequenceNum int"


def test_the_documented_example_of_type_2(pipeline: PipelineTester) -> None:
    flow = "apply_as_deletes=\"operation = 'DELETE'\", except_column_list=['operation', 'sequenceNum'], "
    source = pipeline.file("documented.py", cdc(flow + "stored_as_scd_type='2'", "sequenceNum"))
    pipeline.given("raw", DOCUMENTED, CITIES)
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("target") == [
        (123, "Isabel", "Chihuahua", 5, 6),
        (123, "Isabel", "Monterrey", 1, 5),
        (124, "Raul", "Oaxaca", 1, None),
        (125, "Mercedes", "Guadalajara", 6, None),
        (125, "Mercedes", "Mexicali", 5, 6),
        (125, "Mercedes", "Tijuana", 2, 5),
        (126, "Lily", "Cancun", 2, None),
    ]


@pytest.mark.slow
def test_the_documented_example_of_a_truncation(pipeline: PipelineTester) -> None:
    flow = "apply_as_deletes=\"operation = 'DELETE'\", apply_as_truncates=\"operation = 'TRUNCATE'\", "
    flow += "except_column_list=['operation', 'sequenceNum']"
    source = pipeline.file("documented.py", cdc(flow, "sequenceNum"))
    pipeline.given("raw", DOCUMENTED[:4], CITIES)
    pipeline.run(source)
    pipeline.given("raw", [*DOCUMENTED[4:], (None, None, None, "TRUNCATE", 3)], CITIES)
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("target") == [(125, "Mercedes", "Guadalajara")]
    counts = result.report()["datasets"]["target"]
    assert (counts["upserted"], counts["deleted"]) == (1, 3)
    metrics = [event["details"]["flow_progress"]["metrics"] for event in pipeline.log() if event["level"] == "METRICS"]
    assert metrics == [
        {"num_upserted_rows": 4, "num_deleted_rows": 0},
        {"num_upserted_rows": 1, "num_deleted_rows": 3},
    ]


@pytest.mark.slow
def test_late_events_below_a_delete(pipeline: PipelineTester) -> None:
    flow = "apply_as_deletes=\"op = 'D'\", except_column_list=['op', 'seq', 'b'], stored_as_scd_type={}"
    versions = f"""
dlt.create_streaming_table("versions")
dlt.create_auto_cdc_flow("versions", "changes", ["id"], "seq", {flow.format(2)})
"""
    source = pipeline.file("both.py", cdc(flow.format(1)) + versions)
    for batch in ([(1, "ACTIVE", 0, "U", 17), (1, None, 0, "D", 20)], [(1, "SUSPENDED", 0, "U", 18)]):
        pipeline.given("raw", batch, SCHEMA)
        result = pipeline.run(source)
        assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("target") == []
    assert pipeline.rows("versions") == [(1, "ACTIVE", 17, 18), (1, "SUSPENDED", 18, 20)]


@pytest.mark.slow
def test_untracked_columns_open_no_version(pipeline: PipelineTester) -> None:
    flow = "except_column_list=['op', 'seq'], stored_as_scd_type=2, track_history_except_column_list=['b']"
    source = pipeline.file("tracked.py", cdc(flow))
    pipeline.given("raw", [(1, "x", number, "U", number) for number in range(51)], SCHEMA)
    pipeline.run(source)
    assert pipeline.rows("target") == [(1, "x", 50, 0, None)]


@pytest.mark.slow
def test_columns_to_update_sets_explicit_nulls_and_keeps_the_rest(pipeline: PipelineTester) -> None:
    source = pipeline.file("columns.py", cdc("columns_to_update='set', except_column_list=['seq']"))
    schema = "id int, a string, b int, set array<string>, seq int"
    pipeline.given("raw", [(1, "x", 5, None, 1), (1, None, None, ["a"], 2), (1, "no", 7, ["b"], 3)], schema)
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("target") == [(1, None, 7)]


@pytest.mark.slow
def test_lists_say_whose_nulls_are_ignored(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "lists.py",
        """import dlt
for name in ("column_list", "except_column_list"):
    dlt.create_streaming_table(name)
    flow = {f"ignore_null_updates_{name}": ["a"], "except_column_list": ["seq"], "flow_name": f"of_{name}"}
    dlt.create_auto_cdc_flow(name, "raw", ["id"], "seq", **flow)
""",
    )
    pipeline.given("raw", [(1, "x", 5, 1), (1, None, None, 2)], "id int, a string, b int, seq int")
    assert set(pipeline.run(source).flows) == {"of_column_list", "of_except_column_list"}
    assert pipeline.rows("column_list") == [(1, "x", None)]
    assert pipeline.rows("except_column_list") == [(1, None, 5)]


@pytest.mark.slow
def test_bitemporal_history_keeps_what_was_known_when(pipeline: PipelineTester) -> None:
    flow = "except_column_list=['seq', 'known'], stored_as_scd_type='bitemporal', system_sequence_by='known'"
    source = pipeline.file("bitemporal.py", cdc(flow))
    schema = "id int, a string, seq int, known int"
    for batch in ([(1, "A", 1, 1)], [(1, "B", 3, 2)], [(1, "C", 2, 3)]):
        pipeline.given("raw", batch, schema)
        result = pipeline.run(source)
        assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("target") == [
        (1, "A", 1, None, 1, 2),
        (1, "A", 1, 2, 3, None),
        (1, "A", 1, 3, 2, 3),
        (1, "B", 3, None, 2, None),
        (1, "C", 2, 3, 3, None),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [((1, "x", 1, "U", None), "sequence_by is null"), ((None, "x", 1, "U", 1), "the key 'id' is null")],
)
def test_a_null_key_or_sequence_fails_the_batch(pipeline: PipelineTester, row: tuple[Any, ...], message: str) -> None:
    source = pipeline.file("nulls.py", cdc("except_column_list=['op', 'seq']"))
    pipeline.given("raw", [(2, "y", 1, "U", 1), row], SCHEMA)
    result = pipeline.run(source)
    assert (result.state, result.flows) == ("FAILED", {"target": "FAILED"})
    assert message in result.errors["target"]
    assert pipeline.rows("target") == []


def test_a_target_that_another_program_changed_is_refused(pipeline: PipelineTester) -> None:
    source = pipeline.file("dml.py", cdc("except_column_list=['op', 'seq']"))
    pipeline.given("raw", [(1, "x", 1, "U", 1)], SCHEMA)
    pipeline.run(source)
    pipeline.spark.sql(f"DELETE FROM delta.`{pipeline.path('target')}`")
    result = pipeline.run(source)
    assert "was changed by a DELETE (version 2) that is not the pipeline's" in result.errors["target"]
    assert "--full-refresh target" in result.errors["target"]
    assert pipeline.run(source, full_refresh=["target"]).state == "COMPLETED"
    assert pipeline.rows("target") == [(1, "x", 1)]


@pytest.mark.slow
def test_snapshots_by_function_and_by_name(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "snapshots.py",
        """
import dlt
STATES = [[(1, "a"), (2, "b")], [(1, "a"), (2, "c"), (3, "d")], [(1, "a"), (3, "d")]]
def next_snapshot(latest):
    number = 1 if latest is None else latest + 1
    if number > len(STATES):
        return None
    return spark.createDataFrame(STATES[number - 1], "id int, v string"), number
dlt.create_streaming_table("versions")
dlt.create_auto_cdc_from_snapshot_flow("versions", next_snapshot, ["id"], stored_as_scd_type=2)
dlt.create_streaming_table("current")
dlt.apply_changes_from_snapshot(target="current", snapshot_and_version="state", keys=["id"])
""",
    )
    pipeline.given("state", [(1, "a"), (2, "b")], "id int, v string")
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("versions") == [(1, "a", 1, None), (2, "b", 1, 2), (2, "c", 2, 3), (3, "d", 2, None)]
    pipeline.spark.sql(f"DELETE FROM delta.`{pipeline.path('state')}` WHERE id = 2")
    again = pipeline.run(source)
    assert again.report()["datasets"]["current"]["deleted"] == 1
    assert pipeline.rows("current") == [(1, "a")]
    assert len(pipeline.rows("versions")) == 4


def test_mistakes_against_the_source_are_found_before_anything_is_written(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "wrong.py", cdc("apply_as_deletes='opp = 1', track_history_column_list=['aa'], stored_as_scd_type=2")
    )
    pipeline.given("raw", [(1, "x", 1, "U", 1)], SCHEMA)
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(source)
    assert "track_history_column_list: unknown column 'aa'" in str(caught.value)
    assert "apply_as_deletes: [UNRESOLVED_COLUMN" in str(caught.value)


@pytest.mark.slow
def test_a_replace_flow_puts_whole_keys_in_the_place_of_older_ones(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "replace.py",
        """
from pyspark import pipelines as dp
dp.create_streaming_table("lines")
@dp.replace_flow(target="lines", replace_using=["id"], sequence_by="seq")
def rows():
    return spark.readStream.table("raw")
""",
    )
    schema = "id int, line string, seq int"
    pipeline.given("raw", [(1, "a", 1), (1, "b", 1), (2, "a", 5), (3, "a", 1), (3, "old", 0)], schema)
    pipeline.run(source)
    assert pipeline.rows("lines") == [(1, "a", 1), (1, "b", 1), (2, "a", 5), (3, "a", 1)]
    pipeline.given("raw", [(1, "c", 2), (2, "late", 4), (4, "a", 1)], schema)
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("lines") == [(1, "c", 2), (2, "a", 5), (3, "a", 1), (4, "a", 1)]
    assert (result.upserted["lines"], result.deleted["lines"]) == (2, 2)
    wrong = pipeline.file(
        "replace.py", source.read_text().replace('["id"], sequence_by="seq"', '["ids"], sequence_by="sec"')
    )
    with pytest.raises(DefinitionError, match=r"sequence_by: \[UNRESOLVED") as caught:
        pipeline.run(wrong)
    assert "replace_using: unknown column 'ids'; did you mean 'id'?" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code"),
    [
        (
            "days.py",
            """
import dlt
from pyspark.sql.functions import col
@dlt.table(replace_where=col("day") >= 2)
@dlt.expect_or_drop("positive", "n > 0")
def days():
    return spark.read.table("raw")
""",
        ),
        (
            "days.sql",
            """
CREATE STREAMING TABLE days (CONSTRAINT positive EXPECT (n > 0) ON VIOLATION DROP ROW);
CREATE FLOW days AS INSERT INTO days BY NAME REPLACE WHERE day >= 2 SELECT n, day FROM raw;
CREATE STREAMING TABLE latest FLOW REPLACE USING (day) SEQUENCE BY n BY NAME SELECT * FROM STREAM(raw);
""",
        ),
    ],
)
def test_a_condition_says_which_rows_a_batch_replaces(pipeline: PipelineTester, name: str, code: str) -> None:
    source = pipeline.file(name, code)
    pipeline.given("raw", [(1, 1), (2, 7), (3, 8), (3, -1)], "day int, n int")
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("days", "day", "n") == [(2, 7), (3, 8)]
    pipeline.spark.sql(f"DELETE FROM delta.`{pipeline.path('raw')}` WHERE day = 3")
    pipeline.spark.sql(f"INSERT INTO delta.`{pipeline.path('days')}` (day, n) VALUES (1, 100)")
    result = pipeline.run(source, refresh=["days"])
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("days", "day", "n") == [(1, 100), (2, 7)]
    assert result.report()["datasets"]["days"]["rows_written"] == 1
    if name.endswith("sql"):
        assert pipeline.rows("latest", "day", "n") == [(1, 1), (2, 7), (3, 8)]
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(source, replace_where={"day": "day = 1", "raw": "true", "days": "dy = 1"})
    assert "replace_where_overrides: there is no flow 'day'; did you mean 'days'?" in str(caught.value)
    assert "replace_where_overrides: there is no flow 'raw'" in str(caught.value)
    assert f"{source}:" in str(caught.value)  # of the condition, whose column is not there
    assert "`dy` cannot be resolved" in str(caught.value)
    result = pipeline.run(source, refresh=["days"], replace_where={"main.default.days": "day = 1"})
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("days", "day", "n") == [(1, 1), (2, 7)]
    pipeline.spark.sql(f"DELETE FROM delta.`{pipeline.path('raw')}`")
    pipeline.run(source, refresh=["days"])
    assert pipeline.rows("days", "day", "n") == [(1, 1)]  # by its own condition again


@pytest.mark.slow
def test_a_condition_may_call_rows_by_the_querys_own_name(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "days.sql",
        """CREATE STREAMING TABLE by_sql FLOW REPLACE WHERE r.day >= 2 AND r.place.city = 'x' BY NAME
SELECT r.day, r.place, k.name FROM raw r JOIN kinds k ON r.kind = k.kind;
""",
    )
    python = pipeline.file(
        "days.py",
        """
import dlt
from pyspark.sql.functions import col
@dlt.table(replace_where=col("r.day") >= 2)
def by_python():
    raw, kinds = spark.read.table("raw").alias("r"), spark.read.table("kinds").alias("k")
    return raw.join(kinds, col("r.kind") == col("k.kind")).select(col("r.day"), col("k.name"))
""",
    )
    pipeline.given("kinds", [(1, "old")], "kind int, name string")
    pipeline.given("raw", [(1, 1, ("x",)), (2, 1, ("x",))], "day int, kind int, place struct<city: string>")
    first = pipeline.run(sql, python)
    assert first.state == "COMPLETED", first.errors
    pipeline.spark.sql(f"UPDATE delta.`{pipeline.path('kinds')}` SET name = 'new'")
    pipeline.spark.sql(f"INSERT INTO delta.`{pipeline.path('by_python')}` VALUES (1, 'by hand')")
    result = pipeline.run(sql, python)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("by_python") == [(1, "by hand"), (2, "new")]
    assert pipeline.rows("by_sql", "day", "name") == [(2, "new")]


def test_only_a_flow_with_a_condition_takes_another_one(pipeline: PipelineTester) -> None:
    source = pipeline.file("t.sql", "CREATE MATERIALIZED VIEW t AS SELECT 1 AS a;")
    with pytest.raises(DefinitionError, match=r"t\.sql:1: replace_where_overrides: flow 't' replaces no rows by"):
        pipeline.run(source, replace_where={"t": "a = 1"}, validate_only=True)


@pytest.mark.slow
def test_a_target_is_read_through_its_change_feed(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "feed.py",
        """
import dlt
dlt.create_streaming_table("t")
dlt.create_auto_cdc_flow("t", "raw", ["id"], "v")
@dlt.table
def feed():
    changes = spark.readStream.option("readChangeFeed", "true").table("t")
    return changes.selectExpr("_change_type as change", "id", "v")
""",
    )
    for row in ((1, 1), (1, 2)):
        pipeline.given("raw", [row], "id int, v int")
        result = pipeline.run(source)
        assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("feed") == [("insert", 1, 1), ("update_postimage", 1, 2), ("update_preimage", 1, 1)]


@pytest.mark.slow
def test_a_change_feed_is_read_as_a_batch_by_table_changes_as_by_python(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "feed.sql",
        """CREATE STREAMING TABLE t;
APPLY CHANGES INTO t FROM STREAM(raw) KEYS (id) SEQUENCE BY v;
CREATE MATERIALIZED VIEW all AS SELECT _change_type, c.v FROM table_changes('t', 0) AS c;
CREATE MATERIALIZED VIEW first AS SELECT _change_type, v FROM TABLE_CHANGES("main.`default`.t", 0, 1);
CREATE MATERIALIZED VIEW since AS SELECT * FROM table_changes('t', TIMESTAMP '2000-01-01');
CREATE MATERIALIZED VIEW others AS SELECT _change_type, id FROM table_changes('outside', 1, 2);
""",
    )
    python = pipeline.file(
        "feed.py",
        """
import dlt
@dlt.table
def by_python():
    feed = spark.read.option("readChangeFeed", True).options(startingVersion=0).table("t")
    return feed.select("_change_type", "v")
""",
    )
    pipeline.given("outside", [(1,)], "id int")
    outside = f"delta.`{pipeline.path('outside')}`"
    pipeline.spark.sql(f"ALTER TABLE {outside} SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    pipeline.given("outside", [(2,)], "id int")
    for row in ((1, 1), (1, 2)):
        pipeline.given("raw", [row], "id int, v int")
        result = pipeline.run(sql, python)
        assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("all") == [("insert", 1), ("update_postimage", 2), ("update_preimage", 1)]
    assert pipeline.rows("by_python") == pipeline.rows("all")
    assert pipeline.rows("first") == [("insert", 1)]
    assert len(pipeline.rows("since")) == 3
    assert pipeline.rows("others") == [("insert", 2)]
    read = {event["origin"]["flow_name"]: event["details"] for event in pipeline.log("flow_definition")}
    assert read["first"]["flow_definition"]["input_datasets"] == ["t"]


def test_what_table_changes_cannot_read_is_said(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "wrong.sql",
        """CREATE TEMPORARY VIEW v AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW a AS SELECT * FROM table_changes('v', 0);
CREATE MATERIALIZED VIEW b AS SELECT * FROM table_changes('nowhere', 0);
CREATE MATERIALIZED VIEW c AS SELECT * FROM table_changes('a');
CREATE STREAMING TABLE d AS SELECT * FROM STREAM(table_changes('a', 0));
""",
    )
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(sql)
    for each in (
        "wrong.sql:2: 'a': table_changes: 'v' is a view, and has no change feed",
        "wrong.sql:3: 'b': table 'nowhere' is not found",
        "wrong.sql:4: 'c': table_changes takes a name, where to start",
        "wrong.sql:5: 'd': no stream can be read from the table function 'table_changes'",
    ):
        assert each in str(caught.value)
