"""Three-level names: what a workspace with Unity Catalog answers, answered by folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Row, SparkSession

from devkit.spark import catalog

Schema = str


@pytest.fixture
def schema(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[Schema]:
    """A schema of `main` for one test alone, and the current one while it runs."""
    name = request.node.name.removeprefix("test_")
    spark.sql(f"CREATE SCHEMA main.{name}")
    spark.sql(f"USE main.{name}")
    yield name
    spark.sql("USE main.default")
    spark.sql(f"DROP SCHEMA main.{name} CASCADE")


def rows(frame_of: Callable[[str], object], query: str) -> list[tuple[object, ...]]:
    collected: list[Row] = frame_of(query).collect()  # type: ignore[attr-defined]  # a DataFrame, of either kind of session
    return [tuple(row) for row in collected]


def folder_of(schema: Schema, table: str) -> Path:
    return catalog.root() / "main" / schema / table


def test_a_table_is_a_delta_folder_beneath_catalog_and_schema(spark: SparkSession, schema: Schema) -> None:
    spark.sql(f"CREATE TABLE main.{schema}.orders AS SELECT 1 AS id")
    assert (folder_of(schema, "orders") / "_delta_log").is_dir()
    assert rows(spark.sql, f"SELECT * FROM main.{schema}.orders") == [(1,)]


def test_a_delta_folder_that_another_program_wrote_is_read_by_its_name(spark: SparkSession, schema: Schema) -> None:
    spark.range(3).write.format("delta").save(str(folder_of(schema, "foreign")))
    assert spark.table(f"main.{schema}.foreign").count() == 3


def test_schemas_and_tables_are_found_in_any_case(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE Orders AS SELECT 1 AS id")
    assert rows(spark.sql, f"SELECT * FROM main.{schema.upper()}.oRDERS") == [(1,)]
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        spark.sql("CREATE TABLE ORDERS (id INT)")


def test_rows_are_merged_updated_and_deleted(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE target AS SELECT * FROM VALUES (1, 'a'), (2, 'b'), (3, 'c') AS t(id, name)")
    source = "(SELECT * FROM VALUES (2, 'B'), (4, 'd') AS s(id, name))"
    spark.sql(
        f"MERGE INTO target t USING {source} s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    spark.sql("UPDATE target SET name = 'A' WHERE id = 1")
    spark.sql("DELETE FROM target WHERE id = 3")
    assert rows(spark.sql, "SELECT * FROM target ORDER BY id") == [(1, "A"), (2, "B"), (4, "d")]


def test_a_table_is_altered_renamed_and_dropped_with_its_files(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE old AS SELECT 1 AS id")
    spark.sql("ALTER TABLE old ADD COLUMN note STRING")
    spark.sql("ALTER TABLE old SET TBLPROPERTIES ('owner.team' = 'a')")
    spark.sql(f"ALTER TABLE old RENAME TO main.{schema}.new")
    assert spark.table("new").columns == ["id", "note"]
    assert ("owner.team", "a") in rows(spark.sql, "SHOW TBLPROPERTIES new")
    spark.sql("DROP TABLE new")
    assert not folder_of(schema, "new").exists()


def test_a_renamed_table_leaves_its_old_name_free(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE moved AS SELECT 1 AS id")
    assert spark.table("moved").count() == 1
    spark.sql(f"ALTER TABLE moved RENAME TO main.{schema}.kept")
    spark.sql("CREATE TABLE moved AS SELECT 'other' AS text")
    assert rows(spark.sql, "SELECT * FROM moved") == [("other",)]
    assert rows(spark.sql, "SELECT * FROM kept") == [(1,)]


def test_a_column_is_generated_from_another(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE generated (at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE))) CLUSTER BY (day)")
    spark.sql("INSERT INTO generated (at) VALUES (TIMESTAMP'2026-11-27 12:00:00')")
    assert rows(spark.sql, "SELECT CAST(day AS STRING) FROM generated") == [("2026-11-27",)]


def test_an_external_table_keeps_its_files_when_it_is_dropped(
    spark: SparkSession, schema: Schema, tmp_path: Path
) -> None:
    spark.sql(f"CREATE TABLE outside (id INT) USING delta LOCATION '{tmp_path}/outside'")
    spark.sql("INSERT INTO outside VALUES (1)")
    assert rows(spark.sql, "SELECT * FROM outside") == [(1,)]
    spark.sql("DROP TABLE outside")
    assert not spark.catalog.tableExists(f"main.{schema}.outside")
    assert (tmp_path / "outside" / "_delta_log").is_dir()


def test_frames_are_saved_and_appended_by_name(spark: SparkSession, schema: Schema) -> None:
    spark.range(3).write.saveAsTable(f"main.{schema}.saved")
    spark.range(2).write.mode("append").saveAsTable(f"main.{schema}.saved")
    spark.range(1).writeTo(f"main.{schema}.saved").append()
    assert DeltaTable.forName(spark, f"main.{schema}.saved").toDF().count() == 6


def test_a_stream_reads_and_writes_tables_by_name(spark: SparkSession, schema: Schema, tmp_path: Path) -> None:
    spark.range(3).write.saveAsTable(f"main.{schema}.raw")

    def run() -> None:
        stream = spark.readStream.table(f"main.{schema}.raw").writeStream.trigger(availableNow=True)
        stream.option("checkpointLocation", str(tmp_path)).toTable(f"main.{schema}.copied").awaitTermination()

    run()
    spark.range(2).write.mode("append").saveAsTable(f"main.{schema}.raw")
    run()
    assert spark.table(f"main.{schema}.copied").count() == 5


def test_an_old_version_is_read_by_name(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE versioned AS SELECT 1 AS id")
    spark.sql("INSERT INTO versioned VALUES (2)")
    assert rows(spark.sql, "SELECT count(*) FROM versioned VERSION AS OF 0") == [(1,)]


def test_a_path_is_no_name_of_the_catalog(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(3).write.format("delta").save(f"{tmp_path}/table")
    assert rows(spark.sql, f"SELECT count(*) FROM delta.`{tmp_path}/table`") == [(3,)]
    spark.sql(f"DELETE FROM delta.`{tmp_path}/table` WHERE id = 1")
    assert DeltaTable.forPath(spark, f"{tmp_path}/table").toDF().count() == 2


def test_a_view_resolves_its_names_where_it_was_created(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE base AS SELECT 1 AS id")
    spark.sql("CREATE VIEW doubled AS SELECT id * 2 AS id FROM base")
    spark.sql("USE main.default")
    assert rows(spark.sql, f"SELECT * FROM main.{schema}.doubled") == [(2,)]


def test_a_view_is_replaced_listed_and_dropped(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE VIEW v AS SELECT 1 AS a")
    with pytest.raises(PySparkException, match="already exists"):
        spark.sql("CREATE VIEW v AS SELECT 2 AS a").collect()
    spark.sql("CREATE VIEW IF NOT EXISTS v AS SELECT 3 AS a")
    assert rows(spark.sql, "SELECT * FROM v") == [(1,)]
    spark.sql("CREATE OR REPLACE VIEW v (b) AS SELECT 4")
    assert spark.table("v").collect() == [Row(b=4)]
    assert rows(spark.sql, f"SHOW VIEWS IN main.{schema}") == [(schema, "v", "false")]
    spark.sql("DROP VIEW v")
    assert not spark.catalog.tableExists(f"main.{schema}.v")


def test_a_view_of_a_missing_column_is_refused_and_not_kept(spark: SparkSession, schema: Schema) -> None:
    with pytest.raises(AnalysisException, match="missing"):
        spark.sql("CREATE VIEW broken AS SELECT missing FROM VALUES (1) AS t(id)").collect()
    assert not spark.catalog.tableExists(f"main.{schema}.broken")


def test_a_temporary_view_stays_the_sessions_own(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE OR REPLACE TEMPORARY VIEW passing AS SELECT 5 AS five")
    assert rows(spark.sql, "SELECT * FROM passing") == [(5,)]
    assert not list((catalog.root() / "main" / schema).rglob("passing*"))


def test_a_function_of_the_session_is_found_and_a_missing_one_is_named(spark: SparkSession) -> None:
    spark.udf.register("twice", lambda value: value * 2, "int")
    assert rows(spark.sql, "SELECT twice(4)") == [(8,)]
    assert not spark.catalog.functionExists("thrice")
    with pytest.raises(AnalysisException, match="UNRESOLVED_ROUTINE"):
        spark.sql("SELECT thrice(4)")


def test_catalogs_are_created_used_listed_and_dropped(spark: SparkSession) -> None:
    spark.sql("CREATE CATALOG IF NOT EXISTS dev")
    spark.sql("USE CATALOG dev")
    try:
        spark.sql("CREATE TABLE t AS SELECT 7 AS x")
        assert rows(spark.sql, "SELECT current_catalog(), x FROM dev.default.t") == [("dev", 7)]
        assert ("dev",) in rows(spark.sql, "SHOW CATALOGS")
    finally:
        spark.sql("USE CATALOG main")
    with pytest.raises(PySparkException, match="not empty"):
        spark.sql("DROP CATALOG dev").collect()
    spark.sql("DROP CATALOG dev CASCADE")
    assert ("dev",) not in rows(spark.sql, "SHOW CATALOGS")


def test_grants_are_kept_and_shown(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE guarded AS SELECT 1 AS id")
    table = f"TABLE main.{schema}.guarded"
    spark.sql(f"GRANT SELECT, MODIFY ON {table} TO `data team`")
    spark.sql(f"REVOKE MODIFY ON {table} FROM `data team`")
    assert rows(spark.sql, f"SHOW GRANTS ON {table}") == [("data team", "SELECT", "TABLE", f"main.{schema}.guarded")]
    assert rows(spark.sql, f"SHOW GRANTS `others` ON {table}") == []


def test_grants_are_kept_by_whole_names(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE VIEW guarded AS SELECT 1 AS id")
    spark.sql("GRANT SELECT ON VIEW guarded TO `data team`")
    assert rows(spark.sql, f"SHOW GRANTS ON main.{schema}.`guarded`") == [
        ("data team", "SELECT", "TABLE", f"main.{schema}.guarded")
    ]


def test_a_statement_takes_parameters(each_spark: SparkSession) -> None:
    assert [*each_spark.sql("SELECT id FROM range(4) WHERE id > :least", args={"least": 2}).collect()] == [Row(id=3)]
    assert [*each_spark.sql("SELECT ? AS n", args=[5]).collect()] == [Row(n=5)]


def test_a_schema_with_tables_is_dropped_by_cascade_only(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA main.full COMMENT 'of tables'")
    spark.sql("CREATE TABLE main.full.t (id INT)")
    with pytest.raises(AnalysisException, match="SCHEMA_NOT_EMPTY"):
        spark.sql("DROP SCHEMA main.full")
    assert ("Comment", "of tables") in rows(spark.sql, "DESCRIBE SCHEMA main.full")
    spark.sql("DROP SCHEMA main.full CASCADE")
    assert not (catalog.root() / "main" / "full").exists()


def test_another_format_is_refused_with_its_reason(spark: SparkSession, schema: Schema) -> None:
    with pytest.raises(PySparkException, match="Delta tables only, not parquet"):
        spark.sql("CREATE TABLE p (id INT) USING parquet")


def test_a_missing_table_is_named_by_its_three_parts(spark: SparkSession, schema: Schema) -> None:
    with pytest.raises(AnalysisException, match=rf"`main`.`{schema}`.`nothing` cannot be found"):
        spark.table(f"main.{schema}.nothing")


def test_information_schema_tells_of_tables_columns_and_views(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE prices (id INT NOT NULL COMMENT 'key', price DECIMAL(10, 2)) COMMENT 'of goods'")
    spark.sql("CREATE VIEW dear AS SELECT id FROM prices WHERE price > 9")
    query = f"SELECT {{}} FROM information_schema.{{}} WHERE table_schema = '{schema}' ORDER BY ALL"
    told = rows(spark.sql, query.format("table_catalog, table_name, table_type, data_source_format, comment", "tables"))
    assert told == [("main", "dear", "VIEW", None, None), ("main", "prices", "MANAGED", "DELTA", "of goods")]
    columns = (
        "table_name, ordinal_position, column_name, is_nullable, full_data_type, data_type, numeric_scale, comment"
    )
    assert rows(spark.sql, query.format(columns, "columns")) == [
        ("dear", 1, "id", "NO", "int", "INT", None, "key"),
        ("prices", 1, "id", "NO", "int", "INT", None, "key"),
        ("prices", 2, "price", "YES", "decimal(10,2)", "DECIMAL", 2, None),
    ]
    assert rows(spark.sql, query.format("view_definition", "views")) == [("SELECT id FROM prices WHERE price > 9",)]


def test_information_schema_is_a_schema_that_nobody_writes_to(each_spark: SparkSession) -> None:
    schemata = "SELECT schema_name FROM main.information_schema.schemata WHERE created <= now() OR created IS NULL"
    assert ("default",) in rows(each_spark.sql, schemata)
    assert ("information_schema",) in rows(each_spark.sql, "SHOW SCHEMAS IN main")
    assert len(rows(each_spark.sql, "SHOW TABLES IN main.information_schema")) == 6
    for statement in ("CREATE TABLE main.information_schema.t (id INT)", "DROP SCHEMA main.information_schema CASCADE"):
        with pytest.raises(AnalysisException, match="SCHEMA_NOT_FOUND"):
            each_spark.sql(statement)


@pytest.mark.parametrize("what", ["TABLE {} (id INT)", "SCHEMA {}", "VIEW {} AS SELECT 1", "VOLUME {}"])
def test_nothing_is_created_in_the_catalog_system(spark: SparkSession, what: str) -> None:
    name = "system.own" if what.startswith("SCHEMA") else "system.default.own"
    with pytest.raises(PySparkException, match="system holds information_schema alone: create 'own' in another one"):
        spark.sql(f"CREATE {what.format(name)}")
    assert not (catalog.root() / "system").exists()


def test_the_information_schema_of_system_tells_of_all_catalogs(spark: SparkSession) -> None:
    spark.sql("CREATE CATALOG other")
    spark.sql("CREATE TABLE other.default.t (id INT)")
    spark.sql("CREATE TABLE main.default.told (id INT)")
    tables = "SELECT table_catalog FROM system.information_schema.tables WHERE table_name IN ('t', 'told')"
    assert {("main",), ("other",)} <= set(rows(spark.sql, tables))
    assert ("other",) in rows(spark.sql, "SELECT catalog_name FROM system.information_schema.catalogs")
    spark.sql("DROP TABLE main.default.told")
    spark.sql("DROP CATALOG other CASCADE")


def test_a_volume_is_created_told_of_read_by_its_path_and_dropped(each_spark: SparkSession) -> None:
    sql = each_spark.sql
    sql("CREATE VOLUME IF NOT EXISTS main.default.landing COMMENT 'files'")
    with pytest.raises(PySparkException, match=r"'main.default.landing' already exists"):
        sql("CREATE VOLUME landing").collect()
    each_spark.range(2).write.mode("overwrite").json("/Volumes/main/default/landing/numbers")
    assert each_spark.read.json("/Volumes/main/default/landing/num*").count() == 2
    assert rows(sql, "SHOW VOLUMES IN main.default LIKE 'land*'") == [("default", "landing")]
    (told,) = sql("DESCRIBE VOLUME landing").collect()
    assert (told.name, told.catalog, told.volumeType, told.comment) == ("landing", "main", "MANAGED", "files")
    query = "SELECT storage_location FROM information_schema.volumes WHERE volume_name = 'landing'"
    assert rows(sql, query) == [(told.storageLocation,)]
    sql("DROP VOLUME landing")
    assert (rows(sql, "SHOW VOLUMES"), Path(told.storageLocation).exists()) == ([], False)


def test_an_external_volume_is_a_link_whose_files_outlive_it(spark: SparkSession, schema: Schema) -> None:
    place = f"abfss://lake@account/{schema}"
    spark.range(3).write.json(f"{place}/numbers")
    spark.sql(f"CREATE EXTERNAL VOLUME far LOCATION '{place}' COMMENT 'away'")
    assert spark.read.json(f"/Volumes/main/{schema}/far/numbers").count() == 3
    (told,) = spark.sql("DESCRIBE VOLUME far").collect()
    assert (told.volumeType, told.storageLocation, told.comment) == ("EXTERNAL", place, "away")
    spark.sql("DROP VOLUME far")
    assert spark.read.json(f"{place}/numbers").count() == 3
    with pytest.raises(PySparkException, match="needs EXTERNAL and LOCATION"):
        spark.sql("CREATE EXTERNAL VOLUME far").collect()


def test_volumes_go_with_their_schema(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA main.of_files")
    spark.sql("CREATE VOLUME main.of_files.raw")
    with pytest.raises(AnalysisException, match="SCHEMA_NOT_EMPTY"):
        spark.sql("DROP SCHEMA main.of_files")
    spark.sql("DROP SCHEMA main.of_files CASCADE")
    assert not (catalog.root().with_name("volumes") / "main" / "of_files").exists()


def test_a_function_is_kept_called_by_any_of_its_names_and_dropped(each_spark: SparkSession) -> None:
    sql = each_spark.sql
    sql("CREATE OR REPLACE FUNCTION main.default.taxed(price INT, tax INT DEFAULT 2) RETURNS INT RETURN price + tax")
    assert rows(sql, "SELECT main.default.taxed(10, 5), default.taxed(10), Taxed(abs(-20))") == [(15, 12, 22)]
    nested = "WITH t AS (SELECT taxed(id) AS v FROM range(3)) SELECT v FROM t WHERE v IN (SELECT main.default.taxed(1))"
    assert rows(sql, nested) == [(3,)]
    assert each_spark.range(1).selectExpr("main.default.taxed(1)").collect()[0][0] == 3
    with pytest.raises(PySparkException, match="already exists"):
        sql("CREATE FUNCTION taxed(price INT) RETURNS INT RETURN price").collect()
    sql("CREATE OR REPLACE FUNCTION taxed(price INT) RETURNS INT RETURN price * 3")
    assert rows(sql, "SELECT taxed(2)") == [(6,)]
    sql("DROP FUNCTION main.default.taxed")
    with pytest.raises(AnalysisException, match="UNRESOLVED_ROUTINE"):
        sql("SELECT taxed(2)").collect()


def test_a_function_whose_body_is_wrong_is_not_kept(spark: SparkSession, schema: Schema) -> None:
    with pytest.raises(AnalysisException, match="missing"):
        spark.sql("CREATE FUNCTION wrong(a INT) RETURNS INT RETURN a + missing").collect()
    assert not spark.catalog.functionExists(f"main.{schema}.wrong")


def test_a_function_that_gives_a_table_is_kept_and_read(each_spark: SparkSession) -> None:
    sql = each_spark.sql
    sql("CREATE OR REPLACE FUNCTION main.default.twin(n INT) RETURNS TABLE (a INT) RETURN SELECT explode(array(n, -n))")
    assert rows(sql, "SELECT a FROM main.default.twin(3)") == [(3,), (-3,)]
    assert rows(sql, "SELECT n, u.a FROM VALUES (1), (2) AS t(n), LATERAL Twin(n) AS u WHERE u.a > 1") == [(2, 2)]
    sql("DROP FUNCTION twin")
    with pytest.raises(AnalysisException, match=r"(?s)Could not resolve `twin` to a table-valued .*line 1 pos 14"):
        sql("SELECT * FROM twin(3)").collect()


READER = """
import sys
from spark_utils import get_session
spark = get_session("reader", fast_start=True, config={"spark.ui.enabled": "false"})
spark.sql(f"INSERT INTO {sys.argv[1]}.shared VALUES (2)")
print(spark.sql(f"SELECT sum(id) FROM {sys.argv[1]}.seen").first()[0])
"""


@pytest.mark.slow
def test_another_process_sees_tables_and_views_and_writes_to_them(spark: SparkSession, schema: Schema) -> None:
    spark.sql("CREATE TABLE shared AS SELECT 1 AS id")
    spark.sql("CREATE VIEW seen AS SELECT * FROM shared")
    done = subprocess.run(
        [sys.executable, "-c", READER, f"main.{schema}"],
        env={**os.environ, catalog.ROOT_VARIABLE: str(catalog.root())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr
    assert rows(spark.sql, "SELECT sum(id) FROM shared") == [(3,)]


def test_a_statement_that_only_delta_reads_comes_through(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(3).write.format("delta").save(str(tmp_path / "table"))
    assert spark.sql(f"DESCRIBE HISTORY delta.`{tmp_path}/table` LIMIT 1").count() == 1
