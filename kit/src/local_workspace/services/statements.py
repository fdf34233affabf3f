"""Statement execution on a warehouse, really run by Spark SQL in a process that stays.

Source: https://docs.databricks.com/api/azure/workspace/statementexecution
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from typing import Any, Final

from databricks.sdk.service.sql import StatementResponse

from local_workspace.errors import ApiError, invalid, not_found
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service
from local_workspace.services.warehouses import Warehouses
from local_workspace.sql.client import Answer, SqlClient, Statement

CHUNK_ROWS: Final = 10_000
ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "CLOSED"})
WAIT: Final = re.compile(r"(\d+)s")
DIFFERS: Final = "Spark SQL on this machine, every warehouse the same; results are inline JSON only"


class Statements(Service):
    """Statements by their id; results are files."""

    name = "statements"

    def prepare(self) -> None:
        """Make the table."""
        self.statements = self.table("statements", StatementResponse)
        self.sql = SqlClient(self.state)
        self._over: dict[str, threading.Event] = {}

    def resume(self) -> None:
        """Fail what a stopped server left running."""
        for statement_id, found in self.statements.items():
            if found.status and found.status.state and found.status.state.value not in ENDED:
                self._keep(statement_id, "FAILED", error="The local workspace was stopped while this statement ran")

    def stop(self) -> None:
        """End the process."""
        self.sql.close()

    @route("POST", "2.0/sql/statements", differs=DIFFERS, locked=False)
    def execute(self, request: Request) -> object:
        """Run a statement; wait for it as long as the caller wants."""
        seconds = _seconds(request.get("wait_timeout") or "10s")
        statement = str(request.required("statement"))
        disposition, format = request.get("disposition") or "INLINE", request.get("format") or "JSON_ARRAY"
        if (disposition, format) != ("INLINE", "JSON_ARRAY"):
            raise invalid(f"The local workspace gives results INLINE as JSON_ARRAY, not {disposition} as {format}")
        self.state.service(Warehouses).ensure_running(str(request.required("warehouse_id")))
        statement_id, over = str(uuid.uuid4()), threading.Event()
        with self.state.lock:
            self._keep(statement_id, "PENDING")
            self._over[statement_id] = over
        wanted = Statement(
            statement_id, [statement.strip().rstrip(";")], self.state.path("statements") / f"{statement_id}.json",
            request.get("parameters") or [], request.get("catalog"), request.get("schema"), request.get("row_limit"),
        )  # fmt: skip
        self.sql.run(wanted, lambda answer: self._answered(statement_id, answer))
        if not over.wait(seconds) and seconds and request.get("on_wait_timeout") == "CANCEL":
            self._cancel(statement_id)
        with self.state.lock:
            return self._view(statement_id)

    @route("GET", "2.0/sql/statements/<statement_id>")
    def get(self, request: Request) -> object:
        """Return how a statement does, with the first chunk of its result."""
        return self._view(self._known(request))

    @route("GET", "2.0/sql/statements/<statement_id>/result/chunks/<int:chunk_index>")
    def chunk(self, request: Request) -> object:
        """Return one chunk of a result."""
        statement_id = self._known(request)
        if self._state_of(statement_id) != "SUCCEEDED":
            raise ApiError(
                400, "INVALID_STATE", f"Statement {statement_id} is {self._state_of(statement_id)}: no result"
            )
        return self._chunk(statement_id, request.number("chunk_index"))

    @route("POST", "2.0/sql/statements/<statement_id>/cancel")
    def cancel(self, request: Request) -> object:
        """Stop a statement; one that has ended stays as it is."""
        self._cancel(self._known(request))
        return None

    def _answered(self, statement_id: str, answer: Answer) -> None:
        with self.state.lock:
            if self._state_of(statement_id) in ENDED:
                return
            if "error" in answer:
                self._keep(statement_id, "FAILED", error=answer["error"], sql_state=answer.get("sql_state"))
            else:
                self._keep(statement_id, "SUCCEEDED", manifest=self._manifest(answer))
            self._over.pop(statement_id, threading.Event()).set()

    def _cancel(self, statement_id: str) -> None:
        with self.state.lock:
            if self._state_of(statement_id) in ENDED:
                return
            self._keep(statement_id, "CANCELED")
            self._over.pop(statement_id, threading.Event()).set()
        self.sql.cancel(statement_id)

    def _keep(
        self,
        statement_id: str,
        state: str,
        *,
        error: str | None = None,
        sql_state: str | None = None,
        manifest: dict[str, Any] | None = None,
    ) -> None:
        status: dict[str, Any] = {"state": state}
        if error is not None:
            status["error"] = {"error_code": "BAD_REQUEST", "message": error}
        if sql_state:
            status["sql_state"] = sql_state
        content = {"statement_id": statement_id, "status": status} | ({"manifest": manifest} if manifest else {})
        self.statements[statement_id] = StatementResponse.from_dict(content)

    def _manifest(self, answer: Answer) -> dict[str, Any]:
        rows, size = answer["rows"], self._chunk_rows()
        chunks = [
            {"chunk_index": index, "row_offset": first, "row_count": min(size, rows - first)}
            for index, first in enumerate(range(0, rows, size))
        ]
        return {
            "format": "JSON_ARRAY",
            "schema": {"column_count": len(answer["columns"]), "columns": answer["columns"]},
            "total_chunk_count": len(chunks),
            "total_row_count": rows,
            "truncated": answer["truncated"],
            "chunks": chunks,
        }

    def _view(self, statement_id: str) -> dict[str, Any]:
        content = self.statements[statement_id].as_dict()
        if content["status"]["state"] == "SUCCEEDED":
            content["result"] = self._chunk(statement_id, 0)
        return content

    def _chunk(self, statement_id: str, index: int) -> dict[str, Any]:
        manifest = self.statements[statement_id].as_dict()["manifest"]
        chunks = manifest.get("chunks", [])
        if index >= len(chunks):
            if index == 0:
                return {}
            raise not_found(f"Statement {statement_id} has no chunk {index}")
        file = self.state.path("statements") / f"{statement_id}.json"
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        first, count = chunks[index].get("row_offset", 0), chunks[index]["row_count"]
        content = {**chunks[index], "data_array": rows[first : first + count]}
        if index + 1 < len(chunks):
            link = f"/api/2.0/sql/statements/{statement_id}/result/chunks/{index + 1}"
            content |= {"next_chunk_index": index + 1, "next_chunk_internal_link": link}
        return content

    def _chunk_rows(self) -> int:
        return self.state.options.page_size or CHUNK_ROWS

    def _state_of(self, statement_id: str) -> str:
        status = self.statements[statement_id].status
        return status.state.value if status and status.state else ""

    def _known(self, request: Request) -> str:
        statement_id = str(request.required("statement_id"))
        if statement_id not in self.statements:
            raise not_found(f"The statement {statement_id} was not found")
        return statement_id


def _seconds(text: str) -> int:
    match = WAIT.fullmatch(text)
    seconds = int(match[1]) if match else -1
    if seconds != 0 and not 5 <= seconds <= 50:
        raise invalid(f"wait_timeout must be 0s, or from 5s to 50s, not {text!r}")
    return seconds
