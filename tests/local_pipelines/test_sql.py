"""SQL files, in the present forms and the older ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from devkit.testing import EventHub
from local_pipelines import DefinitionError
from local_pipelines.testing import PipelineTester
from spark_utils.sources.event_hubs import kafka_options, parse_connection_string


@pytest.mark.slow
def test_a_pipeline_of_sql_and_python_together(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "tables.sql",
        """-- a comment; with a semicolon
CREATE OR REFRESH STREAMING TABLE bronze COMMENT 'raw; as it came' TBLPROPERTIES ('quality' = 'bronze')
AS SELECT * FROM STREAM(main.default.events) WITH (SKIPCHANGECOMMITS, 'maxFilesPerTrigger' = 1) e;
CREATE TEMPORARY VIEW positive AS SELECT * FROM STREAM bronze WHERE v > ${least};
CREATE OR REFRESH STREAMING TABLE silver (
  CONSTRAINT small EXPECT (v < 100) ON VIOLATION DROP ROW,
  CONSTRAINT named EXPECT (k IS NOT NULL)
) AS SELECT id, k, v FROM STREAM(positive);
CREATE MATERIALIZED VIEW gold (k STRING, total BIGINT) CLUSTER BY (k)
AS WITH bronze AS (SELECT * FROM silver) SELECT k, sum(v) AS total FROM bronze GROUP BY k;
CREATE LIVE TABLE old AS SELECT count(*) AS n FROM LIVE.silver;
SET unit = 'pieces';
CREATE VIEW `all.kinds` (unit COMMENT 'of all') AS SELECT '${unit}' FROM gold;
SET spark.sql.session.timeZone = Asia/Tokyo;
CREATE MATERIALIZED VIEW units AS SELECT unit, current_timezone() AS zone FROM main.default.`all.kinds`;
CREATE STREAMING TABLE later AS SELECT id FROM STREAM main.default.events WITH ('startingVersion' = '1');
CREATE STREAMING TABLE many;
CREATE FLOW one AS INSERT INTO many BY NAME SELECT id FROM STREAM(bronze);
CREATE FLOW two AS INSERT INTO ONCE many BY NAME SELECT 99 AS id;
""",
    )
    python = pipeline.file("more.py", "import dlt\n@dlt.table\ndef last():\n    return dlt.read('gold')\n")
    for rows in ([(1, "a", 5), (2, None, 7), (3, "a", 200)], [(4, "b", -1)]):
        pipeline.given("events", rows, "id int, k string, v int")
    result = pipeline.run(sql, python, parameters={"least": "0"})
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("last") == [(None, 7), ("a", 5)]
    assert pipeline.rows("old") == [(2,)]
    assert pipeline.rows("units") == [("pieces", "Asia/Tokyo"), ("pieces", "Asia/Tokyo")]
    assert pipeline.rows("later") == [(4,)]
    assert pipeline.rows("many") == [(1,), (2,), (3,), (4,), (99,)]
    silver = result.report()["datasets"]["silver"]
    assert silver["expectations"] == {"small": {"passed": 2, "failed": 1}, "named": {"passed": 2, "failed": 1}}
    assert silver["dropped_records"] == 1


@pytest.mark.slow
def test_files_are_read_by_read_files(pipeline: PipelineTester) -> None:
    pipeline.file("in/1.json", '{"a": 1, "b": "x"}\n')
    sql = pipeline.file(
        "files.sql",
        f"""CREATE STREAMING TABLE typed AS
SELECT * FROM STREAM read_files('{pipeline.folder}/in', format => 'json', schema => 'a INT, b STRING');
CREATE MATERIALIZED VIEW whole AS SELECT a FROM read_files('{pipeline.folder}/in', format => 'json');
CREATE STREAMING LIVE TABLE old AS SELECT a FROM cloud_files('{pipeline.folder}/in', 'json');
CREATE STREAMING TABLE named AS SELECT *, _metadata.file_name AS file
FROM STREAM(read_files('{pipeline.folder}/in', format => 'json')) WHERE _metadata.file_size > 0;
CREATE MATERIALIZED VIEW aliased AS SELECT f.* EXCEPT (value, _rescued_data), f._metadata.file_name
FROM read_files('{pipeline.folder}/in', format => 'text') AS f;""",
    )
    for _ in range(2):
        result = pipeline.run(sql)
        assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("typed") == [(1, "x")]
    assert pipeline.rows("whole") == [(1,)]
    assert pipeline.rows("old") == [("1",)]
    assert pipeline.rows("aliased") == [("1.json",)]
    assert pipeline.rows("named") == [(1, "x", None, "1.json")]


def test_options_of_read_files_are_auto_loaders_or_sparks_by_one_list(pipeline: PipelineTester) -> None:
    pipeline.file("in/1.csv", "a;b\n1;2\n")
    folder = f"'{pipeline.folder}/in'"
    sql = pipeline.file(
        "files.sql",
        f"""CREATE STREAMING TABLE hinted AS SELECT a, b FROM STREAM read_files({folder},
  format => 'csv', header => true, sep => ';', schemaHints => 'b BIGINT', useNotifications => false);
CREATE STREAMING TABLE old AS SELECT a + 1 AS a FROM STREAM cloud_files({folder}, 'csv',
  map('cloudFiles.inferColumnTypes', 'true', 'header', 'true', 'sep', ';'));
""",
    )
    result = pipeline.run(sql)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("hinted") == [(1, 2)]
    schema = pipeline.spark.read.format("delta").load(pipeline.path("hinted")).schema
    assert [column.dataType.simpleString() for column in schema] == ["int", "bigint"]
    assert pipeline.rows("old") == [(2,)]
    wrong = pipeline.file(
        "wrong.sql",
        f"""CREATE STREAMING TABLE a AS SELECT * FROM STREAM read_files({folder}, format => 'csv',
  includeExistingFiles => false);
CREATE STREAMING TABLE b AS SELECT * FROM STREAM cloud_files({folder}, 'csv', map('cloudFiles.schemaHint', 'b INT'));
""",
    )
    expect_mistakes(
        pipeline,
        wrong,
        "wrong.sql:1: 'a': cloudFiles.includeExistingFiles=false cannot be followed here",
        "wrong.sql:3: 'b': unknown option of cloudFiles: 'schemahint'; did you mean 'schemaHints'?",
    )


def test_a_query_names_tables_in_every_way_of_spark_sql(pipeline: PipelineTester) -> None:
    pipeline.given("events", [(1, 5), (2, 7)], "id int, v int")
    pipeline.spark.sql("CREATE OR REPLACE FUNCTION main.default.above(n INT) RETURNS TABLE (a INT) RETURN SELECT n + 1")
    python = pipeline.file(
        "queries.py",
        """import dlt
@dlt.table
def by_frame():
    return spark.sql("select v from {rows} where id = {id}", rows=dlt.read("events"), id=1)
@dlt.table
def by_argument():
    return spark.sql("select v from identifier('events') where id = :id", args={"id": 2})
""",
    )
    sql = pipeline.file(
        "queries.sql",
        """CREATE MATERIALIZED VIEW by_function WITH ROW FILTER main.default.f ON (a)
AS SELECT u.a FROM by_frame, LATERAL main.default.above(v) AS u JOIN range(3) r ON r.id = 2;""",
    )
    with pytest.warns(UserWarning, match="'by_function': a row filter needs Unity Catalog"):
        result = pipeline.run(python, sql)
    assert result.state == "COMPLETED", result.errors
    found = [pipeline.rows(name) for name in ("by_frame", "by_argument", "by_function")]
    assert found == [[(5,)], [(7,)], [(6,)]]


def test_rows_are_chosen_by_qualify(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "p.sql",
        """CREATE MATERIALIZED VIEW newest AS
SELECT r.*, v * 2 AS twice FROM raw r
QUALIFY row_number() OVER (PARTITION BY id ORDER BY v DESC) = 1;  -- one of each
CREATE MATERIALIZED VIEW ranked AS
WITH q AS (SELECT id, rank() OVER (ORDER BY v) AS place FROM raw WHERE v > 0 -- by value
  QUALIFY place <= 2)
SELECT * FROM q UNION ALL SELECT DISTINCT id, 9 FROM raw QUALIFY count(*) OVER (PARTITION BY id) > 1 ORDER BY 1 LIMIT 9;
""",
    )
    pipeline.given("raw", [(1, 1), (1, 2), (2, 3)], "id int, v int")
    result = pipeline.run(sql)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("newest") == [(1, 2, 4), (2, 3, 6)]
    assert pipeline.rows("ranked") == [(1, 1), (1, 2), (1, 9)]


def test_a_hub_is_read_by_read_kafka(pipeline: PipelineTester, event_hub: EventHub) -> None:
    event_hub.send([b"one", b"two"])
    of_databricks = {"DATABRICKS_RUNTIME_VERSION": "18"}  # its Kafka has classes of other names
    options = kafka_options(parse_connection_string(event_hub.connection_string), environ=of_databricks)
    options |= {"startingOffsets": "earliest"}
    servers = options.pop("kafka.bootstrap.servers")
    arguments = ", ".join(f"`{key}` => '{value}'" for key, value in options.items())
    sql = pipeline.file(
        "hub.sql",
        f"""CREATE STREAMING TABLE bodies AS SELECT CAST(value AS STRING) AS body
FROM STREAM read_kafka(bootstrapServers => '{servers}', {arguments});""",
    )
    result = pipeline.run(sql)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("bodies") == [("one",), ("two",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flow",
    [
        "CREATE FLOW f AS AUTO CDC INTO target FROM STREAM(changes)",
        "APPLY CHANGES INTO LIVE.target FROM STREAM(LIVE.changes)",
    ],
)
def test_changes_are_applied(pipeline: PipelineTester, flow: str) -> None:
    sql = pipeline.file(
        "cdc.sql",
        f"""CREATE TEMPORARY VIEW changes AS SELECT * FROM STREAM(raw);
CREATE OR REFRESH STREAMING TABLE target;
{flow} KEYS (id) APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq
COLUMNS * EXCEPT (op, seq) STORED AS SCD TYPE 2 TRACK HISTORY ON * EXCEPT (note);""",
    )
    changes = [
        (1, "a", "x", "U", 1),
        (1, "b", "y", "U", 3),
        (1, "b", "z", "U", 4),
        (2, "c", "x", "U", 1),
        (2, "", "", "D", 2),
    ]
    pipeline.given("raw", changes, "id int, v string, note string, op string, seq int")
    result = pipeline.run(sql)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("target") == [(1, "a", "x", 1, 3), (1, "b", "z", 3, None), (2, "c", "x", 1, 2)]


def expect_mistakes(pipeline: PipelineTester, source: Path | list[Path], *expected: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(*(source if isinstance(source, list) else [source]))
    for each in expected:
        assert each in str(caught.value)


def test_mistakes_in_sql_have_their_lines(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "wrong.sql",
        """CREATE MATERIALIZED VIEW a AS SELECT ${none} AS x;
DROP TABLE b;
CREATE STREAMING TABLE c (CONSTRAINT r EXPECT (x > 0) ON VIOLATION EXPLODE) AS SELECT 1 AS x;

CREATE MATERIALIZED VIEW d;
APPLY CHANGES INTO e FROM STREAM(c) KEYS (x);
""",
    )
    expect_mistakes(
        pipeline,
        sql,
        "wrong.sql:1: parameter 'none' is not set",
        "wrong.sql:2: a pipeline cannot hold the statement 'DROP TABLE b …'",
        "wrong.sql:3: ON VIOLATION takes DROP ROW or FAIL UPDATE, not 'EXPLODE",
        "wrong.sql:5: 'd' needs AS and a query",
        "wrong.sql:6: AUTO CDC: sequence_by is missing",
    )


def test_an_unset_parameter_is_one_mistake(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "wrong.sql",
        """-- once it was ${source}
CREATE STREAMING TABLE a AS
SELECT * FROM STREAM(${source}) WHERE day > '${since}';
CREATE MATERIALIZED VIEW b AS SELECT count(*) AS n FROM a;
CREATE MATERIALIZED VIEW c AS SELECT '${kind}' AS kind;
""",
    )
    python = pipeline.file(
        "wrong.py",
        """
import dlt
@dlt.table
def d():
    return spark.sql("SELECT * FROM ${source}")
""",
    )
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(sql, python, parameters={"kind": "new"})
    said = "parameter '{0}' is not set: write it into `configuration`, or give --set {0}=VALUE"
    assert [str(each).rstrip(".") for each in caught.value.problems] == [
        f"{python}:5: 'd': {said.format('source')}",
        f"{sql}:3: {said.format('since')}",
        f"{sql}:3: {said.format('source')}",
    ]


def test_parameters_stand_in_queries_of_python_too(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "p.py",
        """
import dlt
@dlt.table
def days():
    return spark.sql("SELECT ${number} AS n, '${long}' AS said FROM days_of_${kind}, other WHERE day > ${number}")
@dlt.table
def other():
    return spark.range(1)
""",
    )
    pipeline.given("days_of_work", [(1,), (3,)], "day int")
    result = pipeline.run(source, parameters={"number": "2", "kind": "work", "long": "a long text " * 9})
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("days", "n") == [(2,)]


@pytest.mark.slow
def test_a_flow_of_inserts_stands_in_the_table_and_a_view_has_a_refresh_policy(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "p.sql",
        """CREATE OR REFRESH STREAMING TABLE t FLOW INSERT BY NAME SELECT n FROM STREAM(raw);
CREATE OR REFRESH STREAMING TABLE first COMMENT 'as it was' FLOW INSERT ONCE BY NAME SELECT n FROM raw;
CREATE OR REFRESH MATERIALIZED VIEW s REFRESH POLICY INCREMENTAL STRICT COMMENT 'x' AS SELECT sum(n) AS s FROM t;
""",
    )
    python = pipeline.file(
        "p.py",
        """
from pyspark import pipelines as dp
@dp.materialized_view(refresh_policy="incremental_strict")
def m():
    return spark.read.table("t")
""",
    )
    for _ in range(2):
        pipeline.given("raw", [(1,)], "n int")
        result = pipeline.run(sql, python)
        assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("t") == pipeline.rows("m") == [(1,), (1,)]
    assert pipeline.rows("s") == [(2,)]
    assert pipeline.rows("first") == [(1,)]


def test_a_schedule_and_an_unknown_policy_are_refused(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "wrong.sql",
        """CREATE MATERIALIZED VIEW a SCHEDULE EVERY 1 HOUR AS SELECT 1 AS x;
CREATE MATERIALIZED VIEW b REFRESH POLICY OFTEN AS SELECT 1 AS x;
CREATE STREAMING TABLE c TRIGGER ON UPDATE AS SELECT * FROM STREAM(a);
CREATE STREAMING TABLE d REFRESH POLICY AUTO AS SELECT * FROM STREAM(a);
""",
    )
    python = pipeline.file(
        "wrong.py",
        """
import dlt
@dlt.materialized_view(refresh_policy="daily")
def e():
    return spark.range(1)
""",
    )
    no_schedule = "a dataset of a pipeline has no schedule of its own. Run the pipeline by a job with a schedule"
    expect_mistakes(
        pipeline,
        [sql, python],
        f"wrong.sql:1: {no_schedule}",
        "wrong.sql:2: the refresh policy must be one of AUTO, INCREMENTAL, INCREMENTAL STRICT, FULL",
        f"wrong.sql:3: {no_schedule}",
        "wrong.sql:4: cannot read 'REFRESH POLICY AUTO …'",
        "wrong.py:3: materialized_view: the refresh policy must be one of",
    )


def test_mistakes_in_queries_have_their_lines(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "wrong.sql",
        """CREATE MATERIALIZED VIEW a AS
SELECT 1 AS x,
       nowhere AS y;
CREATE MATERIALIZED VIEW b AS SELEC 1;
CREATE MATERIALIZED VIEW c AS SELECT *
FROM read_kinesis(streamName => 's');
CREATE STREAMING TABLE d AS SELECT * FROM STREAM read_pulsar(serviceUrl => 's');
""",
    )
    expect_mistakes(
        pipeline,
        sql,
        "wrong.sql:3: 'a': [UNRESOLVED_COLUMN",
        "wrong.sql:4: 'b': [PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'",
        "wrong.sql:6: 'c': [UNRESOLVABLE_TABLE_VALUED_FUNCTION] Could not resolve `read_kinesis`",
        "wrong.sql:7: 'd': no stream can be read from the table function 'read_pulsar'; read_files and read_kafka give",
    )


@pytest.mark.slow
def test_snapshots_are_compared(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "snapshots.sql",
        """CREATE STREAMING TABLE named;
AUTO CDC INTO named FROM SNAPSHOT state KEYS (id);
CREATE STREAMING TABLE versions;
CREATE FLOW f AS AUTO CDC INTO versions FROM SNAPSHOT (SELECT * FROM state WHERE id > 1)
KEYS (id) STORED AS SCD TYPE 2 TRACK HISTORY ON * EXCEPT (note);""",
    )
    for row in ((1, "a", "x"), (2, "b", "x")):
        pipeline.given("state", [row], "id int, v string, note string")
    pipeline.run(sql)
    pipeline.spark.sql(f"UPDATE delta.`{pipeline.path('state')}` SET v = 'c', note = 'y' WHERE id = 2")
    result = pipeline.run(sql)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("named") == [(1, "a", "x"), (2, "c", "y")]
    assert pipeline.rows("versions") == [(2, "b", "x", 0, 1), (2, "c", "y", 1, None)]


@pytest.mark.slow
def test_snapshots_of_versions_are_taken_in_order(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "versions.sql",
        """CREATE TEMPORARY VIEW all_states AS SELECT * FROM states;
CREATE STREAMING TABLE versions;
CREATE FLOW taken AS AUTO CDC INTO versions
FROM SNAPSHOT (SELECT id, v FROM all_states WHERE day = (SELECT day FROM current_snapshot_version()))
WITH VERSION (
  SELECT min(day) AS day FROM all_states
  WHERE NOT EXISTS (SELECT 1 FROM last_snapshot_version()) OR day > (SELECT day FROM Last_Snapshot_Version())
  HAVING min(day) IS NOT NULL
) KEYS (id) STORED AS SCD TYPE 2;
""",
    )
    pipeline.given(
        "states",
        [(1, "a", "2026-01-01"), (2, "b", "2026-01-01"), (1, "c", "2026-01-02")],
        "id int, v string, day string",
    )
    for _ in range(2):
        assert pipeline.run(sql).state == "COMPLETED"
        one, two = "2026-01-01", "2026-01-02"
        assert pipeline.rows("versions") == [(1, "a", one, two), (1, "c", two, None), (2, "b", one, two)]


def test_what_is_not_read_of_snapshots_is_said(pipeline: PipelineTester) -> None:
    sql = pipeline.file(
        "snapshots.sql",
        """CREATE STREAMING TABLE t;
AUTO CDC INTO t FROM SNAPSHOT (SELECT 1 AS id) WITH VERSION (SELECT * FROM s) KEYS (id);
AUTO CDC INTO t FROM SNAPSHOT s KEYS (id) SEQUENCE BY id;
CREATE FLOW a AS AUTO CDC INTO t FROM STREAM(s) KEYS (id) SEQUENCE BY id;
CREATE FLOW b AS AUTO CDC INTO t FROM SNAPSHOT s KEYS (id);
""",
    )
    expect_mistakes(
        pipeline,
        sql,
        "snapshots.sql:2: WITH VERSION needs a query of one column",
        "snapshots.sql:3: AUTO CDC FROM SNAPSHOT: cannot read 'SEQUENCE BY id …'",
        "snapshots.sql:5: 't' is the target of changes and of snapshots, which exclude each other",
    )
