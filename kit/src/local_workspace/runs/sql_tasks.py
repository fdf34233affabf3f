"""Tasks that run a file of SQL, on the workspace's warehouse: its statements one after the other.

Source: https://docs.databricks.com/jobs/sql
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any, Final

from databricks.sdk.service.jobs import RunResultState, RunTask, Task

from local_workspace.errors import ApiError
from local_workspace.runs import references, states
from local_workspace.runs.launching import LOOK_SECONDS, Stop
from local_workspace.runs.states import Code, Life, Outcome
from local_workspace.server.paths import local_path
from local_workspace.server.state import State
from local_workspace.services.statements import Statements
from local_workspace.services.warehouses import Warehouses
from local_workspace.services.workspace_objects import WorkspaceObjects
from local_workspace.sql.client import Answer, Statement
from local_workspace.task.notebook_cells import cells_of, statements

Result = RunResultState
KEPT_ROWS: Final = 1000  # for references: `{{tasks.a.output.rows}}`


def run(state: State, task: Task, record: RunTask, stop: Stop) -> Outcome:
    """Run the file of a task and say how it ended."""
    sql = task.sql_task
    if sql is None or sql.file is None:
        reason = "A SQL task runs a file in the local workspace: there are no saved queries, alerts and dashboards"
        return states.refused(reason, Code.FEATURE_DISABLED)
    try:
        text = _text(state, sql.file.path)
        state.service(Warehouses).ensure_running(sql.warehouse_id)
    except ApiError as error:
        return states.refused(str(error), Code.RESOURCE_NOT_FOUND)
    given = sql.parameters or {}
    cut = [each for cell in cells_of(text, "SQL") if cell.language == "sql" for each in statements(cell.text)]
    wanted = Statement(
        str(uuid.uuid4()),
        [str(references.resolve(each, given)) for each in cut],
        state.path("runs", str(record.run_id)) / "rows.json",
        [{"name": name, "value": value} for name, value in given.items()],
    )
    with state.lock:
        states.show(record, Life.RUNNING)
    client, over, answers = state.service(Statements).sql, threading.Event(), list[Answer]()

    def answered(answer: Answer) -> None:
        answers.append(answer)
        over.set()

    client.run(wanted, answered)
    while not over.wait(LOOK_SECONDS):
        if stop.result is not None:
            client.cancel(wanted.id)
            return states.not_run(stop.result)
    return _outcome(wanted, answers[0], {"query_text": text, "warehouse_id": sql.warehouse_id})


def _outcome(wanted: Statement, answer: Answer, query: dict[str, Any]) -> Outcome:
    query["sql_statements"] = [{"lookup_key": wanted.id}]
    output = {"sql_output": {"query_output": query}}
    if "error" in answer:
        return Outcome(Result.FAILED, states.WORKLOAD_FAILED, error=answer["error"], output=output)
    content = json.loads(wanted.result.read_text(encoding="utf-8"))
    names = [column["name"] for column in content["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in content["rows"][:KEPT_ROWS]]
    return Outcome(
        Result.SUCCESS, output=output, values={"output": {"rows": rows, "first_row": rows[0] if rows else {}}}
    )


def _text(state: State, path: str) -> str:
    """Return the text of a file or of a SQL notebook.

    Raises:
        ApiError: There is none.
    """
    objects = state.service(WorkspaceObjects)
    try:
        return objects.notebook(path)[0]
    except ApiError:
        file = local_path(state, path)
        if not file.is_file():
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"The SQL file {path} does not exist") from None
        return file.read_text(encoding="utf-8")
