"""Statements are really run by Spark SQL: one process for all of them, results in chunks, errors as the service has."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, NotFound
from databricks.sdk.service.jobs import SqlTask, SqlTaskFile, Task
from databricks.sdk.service.sql import (
    Disposition,
    ExecuteStatementRequestOnWaitTimeout,
    Format,
    StatementParameterListItem,
    StatementState,
)
from databricks.sdk.service.workspace import ImportFormat

from local_workspace import Workspace
from tests.local_workspace.run_kit import execute, finished, logs, python, results, start

WAREHOUSE = "0000000000default"


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    """One for all tests here, so that Spark starts once."""
    with Workspace() as started:
        yield started


def rows(client: WorkspaceClient, statement: str, **settings: Any) -> list[list[str]]:
    found = execute(client, statement, **settings)
    assert found.status.state is StatementState.SUCCEEDED, found.status.error.message
    return found.result.data_array if found.result else []


@pytest.mark.slow
def test_values_are_texts_and_the_manifest_names_their_types(client: WorkspaceClient) -> None:
    found = execute(client, "SELECT concat('id-', id) s, id l, null n, 1.50BD d, true b, DATE'2026-01-02' day, "
                            "TIMESTAMP'2026-01-02 03:04:05.678' t, X'0102' x, array(1, 2) a, named_struct('k', 1) o "
                            "FROM range(1, 2)")  # fmt: skip
    assert found.result.data_array == [
        ["id-1", "1", None, "1.50", "true", "2026-01-02", "2026-01-02T03:04:05.678Z", "AQI=", "[1,2]", '{"k":1}']
    ]
    columns = found.manifest.schema.columns
    assert [each.type_name.value for each in columns] == [
        "STRING", "LONG", "NULL", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP", "BINARY", "ARRAY", "STRUCT",
    ]  # fmt: skip
    assert (columns[3].type_text, columns[3].type_precision, columns[3].type_scale) == ("DECIMAL(3,2)", 3, 2)
    assert (found.manifest.total_row_count, found.manifest.truncated) == (1, False)


def test_named_parameters_have_types(client: WorkspaceClient) -> None:
    parameters = [
        StatementParameterListItem("day", "DATE", "2026-01-02"),
        StatementParameterListItem("n", "INT", "41"),
        StatementParameterListItem("nothing"),
        StatementParameterListItem("text", value="it's"),
    ]
    statement = "SELECT date_add(:day, 1), :n + 1, :nothing IS NULL, :text"
    assert rows(client, statement, parameters=parameters) == [["2026-01-03", "42", "true", "it's"]]


def test_a_large_result_comes_in_chunks_and_a_limited_one_says_that_it_is_truncated(workspace: Workspace) -> None:
    client = workspace.client()
    workspace.state().options.page_size = 4
    found = execute(client, "SELECT id FROM range(10) ORDER BY id")
    assert found.manifest.total_chunk_count == 3
    values, chunk = [], found.result
    while chunk is not None:
        values += [int(row[0]) for row in chunk.data_array]
        following = chunk.next_chunk_index
        api = client.statement_execution
        chunk = api.get_statement_result_chunk_n(found.statement_id, following) if following else None
    workspace.state().options.page_size = 0
    assert values == [*range(10)]
    found = execute(client, "SELECT id FROM range(10)", row_limit=3)
    assert (found.manifest.total_row_count, found.manifest.truncated) == (3, True)


def test_what_spark_refuses_is_a_failed_statement_and_the_next_one_runs(client: WorkspaceClient) -> None:
    found = execute(client, "SELECT * FROM nowhere")
    assert found.status.state is StatementState.FAILED
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in found.status.error.message
    assert (found.status.error.error_code.value, found.status.sql_state) == ("BAD_REQUEST", "42P01")
    assert "PARSE_SYNTAX_ERROR" in execute(client, "SELEC 1").status.error.message
    assert rows(client, "SELECT 1") == [["1"]]


def test_a_statement_that_takes_too_long_goes_on_or_is_cancelled_as_asked(client: WorkspaceClient) -> None:
    slow = "SELECT count(*) FROM range(1000000000000) a WHERE hash(id) = 1"
    api = client.statement_execution
    found = api.execute_statement(slow, WAREHOUSE, wait_timeout="0s")
    assert found.status.state is StatementState.PENDING
    api.cancel_execution(found.statement_id)
    assert api.get_statement(found.statement_id).status.state is StatementState.CANCELED
    cancel = ExecuteStatementRequestOnWaitTimeout.CANCEL
    found = api.execute_statement(slow, WAREHOUSE, wait_timeout="5s", on_wait_timeout=cancel)
    assert found.status.state is StatementState.CANCELED
    assert rows(client, "SELECT 1") == [["1"]]


def test_what_is_not_offered_is_refused(client: WorkspaceClient) -> None:
    api = client.statement_execution
    with pytest.raises(NotFound, match="warehouse none does not exist"):
        api.execute_statement("SELECT 1", "none")
    with pytest.raises(InvalidParameterValue, match="from 5s to 50s, not '2s'"):
        api.execute_statement("SELECT 1", WAREHOUSE, wait_timeout="2s")
    with pytest.raises(InvalidParameterValue, match="INLINE as JSON_ARRAY"):
        api.execute_statement("SELECT 1", WAREHOUSE, disposition=Disposition.EXTERNAL_LINKS, format=Format.CSV)
    with pytest.raises(NotFound, match="was not found"):
        api.get_statement("none")


@pytest.mark.slow
def test_tables_and_paths_are_the_same_for_statements_sql_files_and_python_tasks(client: WorkspaceClient) -> None:
    rows(client, "CREATE SCHEMA shop")
    rows(client, "CREATE TABLE shop.orders AS SELECT id, id * 2 AS worth FROM range(3)")
    assert rows(client, "SELECT count(*) FROM orders", schema="shop") == [["3"]]
    text = "INSERT INTO shop.orders VALUES (9, :worth); -- one more; really\nSELECT max(worth) AS most FROM shop.orders"
    client.workspace.upload("/Shared/more.sql", io.BytesIO(text.encode()), format=ImportFormat.AUTO)
    read = """
        import os, sys
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        orders = spark.table("shop.orders")
        print(orders.count(), sys.argv[1], spark.catalog.listTables("shop")[0].name)
        orders.write.format("delta").save("/Volumes/main/default/copies/orders")
        orders.write.saveAsTable("default.copied")
        spark.range(2).write.json("/tmp/two")  # as on Databricks: a path without a scheme is in DBFS
        print(spark.read.json("dbfs:/tmp/two").count(), os.path.exists("/tmp/two"))
        print(os.listdir(os.environ["WORKSPACE_VOLUMES"] + "/main/default/copies"))
        """
    sql = Task("sql", sql_task=SqlTask(WAREHOUSE, file=SqlTaskFile("/Shared/more.sql"), parameters={"worth": "77"}))
    wrong = Task("wrong", sql_task=SqlTask(WAREHOUSE, file=SqlTaskFile("/Shared/none.sql")))
    run = finished(
        client,
        start(client, sql, wrong, python(client, "read", read, "{{tasks.sql.output.first_row.most}}", after="sql")),
    )
    assert results(run) == {"sql": "SUCCESS", "wrong": "FAILED", "read": "SUCCESS"}, logs(client, run, "read")
    said = [line for line in logs(client, run, "read").splitlines() if not line.startswith("WARN")]
    assert said == ["4 77 orders", "2 False", "['orders']"]
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert output.sql_output.query_output.query_text == text
    assert "/Shared/none.sql does not exist" in client.jobs.get_run_output(run.tasks[1].run_id).error
    assert rows(client, "SELECT count(*) FROM delta.`/Volumes/main/default/copies/orders`") == [["4"]]
    assert rows(client, "SELECT sum(worth) FROM copied") == [["83"]]
    rows(client, "DROP TABLE copied")
    assert "TABLE_OR_VIEW_NOT_FOUND" in execute(client, "SELECT * FROM copied").status.error.message


def test_names_have_three_levels_and_the_catalog_that_is_asked_for_is_current(client: WorkspaceClient) -> None:
    rows(client, "CREATE CATALOG IF NOT EXISTS sales")
    rows(client, "CREATE TABLE sales.default.orders AS SELECT 1 AS id")
    assert rows(client, "SELECT current_catalog(), id FROM orders", catalog="sales") == [["sales", "1"]]


def test_a_view_outlives_its_statement(client: WorkspaceClient) -> None:
    rows(client, "CREATE VIEW main.default.numbers AS SELECT 7 AS n")
    assert rows(client, "SELECT n FROM main.default.numbers") == [["7"]]
