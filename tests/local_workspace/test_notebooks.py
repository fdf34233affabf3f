"""Notebooks are cut into cells as Databricks cuts them, and run cell by cell; the cheap ones start no Spark."""

from __future__ import annotations

import base64
import json
import textwrap

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import NotebookTask, Run, Task, ViewsToExport
from databricks.sdk.service.workspace import ImportFormat, Language

from local_workspace.task.notebook_cells import Cell, cells_of, statements
from tests.local_workspace.run_kit import finished, results, start

SOURCE = """# Databricks notebook source
# MAGIC %md
# MAGIC # A title

# COMMAND ----------

# DBTITLE 1,Count
x = 1
print(x)

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT 1;
# MAGIC SELECT 2

# COMMAND ----------

# MAGIC %run ./other $a="1"
"""


def test_source_is_cut_into_cells_with_their_language() -> None:
    assert cells_of(SOURCE) == [
        Cell("md", "# A title"),
        Cell("python", "x = 1\nprint(x)", "Count"),
        Cell("sql", "SELECT 1;\nSELECT 2"),
        Cell("run", './other $a="1"'),
    ]


def test_a_notebook_in_sql_has_python_as_its_magic() -> None:
    text = "-- Databricks notebook source\nSELECT 1\n-- COMMAND ----------\n-- MAGIC %python\n-- MAGIC print(1)\n"
    assert cells_of(text) == [Cell("sql", "SELECT 1"), Cell("python", "print(1)")]


def test_a_notebook_of_jupyter_is_read_cell_by_cell() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Hi"]},
        {"cell_type": "code", "source": ["%sql\n", "SELECT 1"]},
        {"cell_type": "code", "source": "print(1)"},
        {"cell_type": "code", "source": []},
    ]
    text = json.dumps({"nbformat": 4, "cells": cells})
    assert cells_of(text) == [Cell("md", "# Hi"), Cell("sql", "SELECT 1"), Cell("python", "print(1)")]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' AS a, `;`, \";\"; SELECT 'it\\'s;'", ["SELECT ';' AS a, `;`, \";\"", "SELECT 'it\\'s;'"]),
        ("SELECT 1 -- one; two\n; /* three; */ SELECT 4", ["SELECT 1", "SELECT 4"]),
        ("-- nothing", []),
    ],
)
def test_sql_is_cut_at_semicolons_outside_of_quotes_and_comments(text: str, cut: list[str]) -> None:
    assert statements(text) == cut


def put_notebook(client: WorkspaceClient, path: str, text: str, language: Language = Language.PYTHON) -> str:
    content = base64.b64encode(textwrap.dedent(text).encode()).decode()
    client.workspace.import_(path, content=content, format=ImportFormat.SOURCE, language=language, overwrite=True)
    return path


def run_notebook(client: WorkspaceClient, text: str, **parameters: str) -> Run:
    path = put_notebook(client, "/Shared/main", text)
    task = Task("main", notebook_task=NotebookTask(path, base_parameters=parameters))
    return finished(client, start(client, task))


def cells(*texts: str) -> str:
    return "# Databricks notebook source\n" + "\n# COMMAND ----------\n".join(textwrap.dedent(text) for text in texts)


def test_a_notebook_gives_back_its_exit_value_and_its_export_shows_what_it_printed(client: WorkspaceClient) -> None:
    run = run_notebook(
        client,
        cells(
            "dbutils.widgets.text('day', 'none'); dbutils.widgets.text('hour', '12')",
            "print('<day>', dbutils.widgets.get('day'), dbutils.widgets.get('hour')); 40 + 2",
            "displayHTML('<b>bold</b>')",
            "try:\n    dbutils.notebook.exit('done ' + dbutils.widgets.get('day'))\nexcept Exception:\n    print('no')",
            "print('never')",
        ),
        day="monday",
    )
    assert results(run) == {"main": "SUCCESS"}
    output = client.jobs.get_run_output(run.run_id)
    assert (output.notebook_output.result, output.notebook_output.truncated) == ("done monday", False)
    assert output.logs is None
    (view,) = client.jobs.export_run(run.run_id).views
    for shown in ("&lt;day&gt; monday 12", "42", "<b>bold</b>"):
        assert shown in view.content
    assert "never" not in view.content
    (code,) = client.jobs.export_run(run.run_id, views_to_export=ViewsToExport.CODE).views
    assert "monday 12" not in code.content
    assert "widgets.get" in code.content


def test_a_failing_cell_ends_the_notebook_with_its_own_lines_in_the_trace(client: WorkspaceClient) -> None:
    run = run_notebook(client, cells("def divide(a):\n    return a / 0", "divide(1)", "print('never')"))
    output = client.jobs.get_run_output(run.run_id)
    assert results(run) == {"main": "FAILED"}
    assert output.error == "ZeroDivisionError: division by zero"
    assert "<cell 2 of /Shared/main>" in output.error_trace
    assert "return a / 0" in output.error_trace
    assert "notebook_runner" not in output.error_trace
    assert output.notebook_output.result in (None, "")


def test_notebooks_run_each_other_and_import_the_modules_beside_them(client: WorkspaceClient) -> None:
    put_notebook(client, "/Shared/names", cells("shared = 'from %run ' + dbutils.widgets.get('a')"))
    put_notebook(client, "/Shared/child", cells("dbutils.notebook.exit(dbutils.widgets.get('n') * 2)"))
    client.workspace.upload("/Shared/helper.py", b"VALUE = 7", format=ImportFormat.AUTO, overwrite=True)
    run = run_notebook(
        client,
        cells(
            '# MAGIC %run ./names $a="b"',
            "import helper",
            "result = dbutils.notebook.run('child', 60, {'n': 'xy'})",
            "# MAGIC %sh\n# MAGIC echo from the shell",
            "volume = '/Volumes/main/default/v'; dbutils.fs.put('dbfs:/out/a.txt', 'text')",
            "dbutils.fs.cp('dbfs:/out/a.txt', f'{volume}/a.txt'); names = [f.name for f in dbutils.fs.ls(volume)]",
            "# MAGIC %pip install pyspark",
            "dbutils.notebook.exit([shared, helper.VALUE, result, names, dbutils.fs.head(f'{volume}/a.txt')])",
        ),
    )
    output = client.jobs.get_run_output(run.run_id)
    assert output.notebook_output.result == "['from %run b', 7, 'xyxy', ['a.txt'], 'text']", output.error_trace
    assert "from the shell" in client.jobs.export_run(run.run_id).views[0].content


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("# MAGIC %scala\n# MAGIC val x = 1", "NotImplementedError: %scala does not run"),
        ("# MAGIC %pip install no-such-package-at-all", "'no-such-package-at-all' is not installed"),
        ("# MAGIC %run ./nowhere", "Notebook not found: /Shared/nowhere"),
        ("# MAGIC %sh exit 3", "%sh ended with status 3"),
        ("dbutils.widgets.get('none')", "No input widget named none"),
        ("x = (", "SyntaxError"),
    ],
)
def test_what_a_notebook_cannot_do_here_is_an_error(client: WorkspaceClient, cell: str, problem: str) -> None:
    run = run_notebook(client, cells(cell))
    assert results(run) == {"main": "FAILED"}
    assert problem in client.jobs.get_run_output(run.run_id).error


def test_secrets_follow_the_workspaces_rules_and_are_redacted_wherever_they_are_shown(client: WorkspaceClient) -> None:
    client.secrets.create_scope("s")
    client.secrets.put_secret("s", "k", string_value="hunter-zwei")
    client.secrets.put_secret("s", "unread", string_value="zwei")
    run = run_notebook(
        client,
        cells(
            "import os; secret = dbutils.secrets.get('s', 'k'); print('secret is', secret, secret[0])",
            "os.environ['SHOWN'] = secret; assert secret == 'hunter' + '-zwei'; secret",
            "os.system('echo $SHOWN')",
            "print([each.key for each in dbutils.secrets.list('s')], dbutils.secrets.listScopes()[0].name)",
            "raise ValueError(secret)",
        ),
    )
    output = client.jobs.get_run_output(run.run_id)
    exported = client.jobs.export_run(run.run_id).views[0].content
    assert "secret is [REDACTED] h\n" in exported
    assert "&#x27;[REDACTED]&#x27;" in exported
    assert output.error == "ValueError: [REDACTED]"
    assert "hunter-zwei" not in exported + output.error_trace
    run = run_notebook(client, cells("dbutils.secrets.get('s', 'none')"))
    assert "Secret does not exist with scope: s and key: none" in client.jobs.get_run_output(run.run_id).error
