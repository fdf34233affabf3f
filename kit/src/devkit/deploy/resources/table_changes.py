"""Table changes: SQL files run in the order of their names, each statement once, recorded in a Delta table.

The service has no idempotency for statements. So each one is recorded as started before it is sent and as done after
it; one that is started and not done is sent again only if sending it twice does no harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.declaration.content import file_digest
from devkit.deploy.declaration.model import Desired, Json, Owner
from devkit.deploy.errors import DeploymentError, UnknownOutcome
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Resource
from devkit.deploy.workspace.client import repeat, wait_until

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.clock import Clock

COLUMNS: Final = "file STRING, sha256 STRING, statement INT, state STRING, at TIMESTAMP"
REPEATABLE: Final = re.compile(
    r"\s*(SELECT|USE|SHOW|DESCRIBE|OPTIMIZE|VACUUM|ANALYZE|COMMENT\s+ON|"
    r"CREATE\s+OR\s+REPLACE|CREATE\s+[\w\s]*IF\s+NOT\s+EXISTS|DROP\s+[\w\s]*IF\s+EXISTS)\b",
    re.IGNORECASE,
)
_PIECES: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|/\*.*?\*/|;|[^'"`;/-]+|.""", re.DOTALL
)


class TableChanges(Resource):
    """Folders of SQL files."""

    kind = "table_changes"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return, for each declared folder, which files its ledger has as done."""
        from databricks.sdk.clock import RealClock

        warehouses = {one.name: one.id for one in recording.found if one.kind == "warehouses"}
        known = set(warehouses.values())
        for desired in recording.desired(self.kind):
            name = str(desired.body["warehouse_id"])
            warehouse = warehouses.get(name, name if name in known else None)
            rows = (
                _ledger(_Statements(recording.client, RealClock(), warehouse, desired), desired) if warehouse else None
            )
            if rows and recording.declaration is not None:
                owner = recording.declaration.owners[desired.address]
                yield _actual(desired, rows, owner, str(warehouse))

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Make the ledger and run every file."""
        statements = _Statements(context.client, context.clock, str(body["warehouse_id"]), desired)
        statements.repeatedly(f"CREATE TABLE IF NOT EXISTS {desired.name} ({COLUMNS}) USING DELTA")
        self._run(statements, desired, _ledger(statements, desired) or [])
        return desired.name

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:  # noqa: ARG002  # the ledger is read again
        """Run the files that are new, and what is left of one that stopped."""
        statements = _Statements(context.client, context.clock, str(body["warehouse_id"]), desired)
        self._run(statements, desired, _ledger(statements, desired) or [])

    def delete(self, context: Context, actual: Actual) -> None:
        """Leave tables and ledger alone: data is not deleted by a deployment."""

    def _run(self, statements: _Statements, desired: Desired, rows: list[list[Any]]) -> None:
        texts: dict[str, str] = json.loads(desired.content or b"{}")
        for file, text in sorted(texts.items()):
            done = {int(row[2]) for row in rows if row[0] == file and row[3] == "done"}
            started = {int(row[2]) for row in rows if row[0] == file and row[3] == "started"}
            pieces = split_statements(text)
            if len(done) >= len(pieces) + 1:  # the last one closes the file
                continue
            digest = file_digest(text.encode())
            for number, statement in enumerate(pieces):
                if number in done:
                    continue
                if number in started and not REPEATABLE.match(statement):
                    raise _undecided(desired, file, number)
                if number not in started:
                    statements.note(desired.name, file, digest, number, "started")
                statements.once(statement, file, number)
                statements.note(desired.name, file, digest, number, "done")
            statements.note(desired.name, file, digest, len(pieces), "done")


class _Statements:
    """Runs statements on a warehouse and waits for them."""

    def __init__(self, client: WorkspaceClient, clock: Clock, warehouse: str, desired: Desired) -> None:
        self._client = client
        self._clock = clock
        self._warehouse = warehouse
        self._desired = desired

    def once(self, statement: str, file: str, number: int) -> None:
        """Run a statement of a file, never twice when that could do harm."""
        if REPEATABLE.match(statement):
            self.repeatedly(statement)
            return
        try:
            self._run(statement)
        except UnknownOutcome:
            raise _undecided(self._desired, file, number) from None

    def repeatedly(self, statement: str) -> list[list[Any]]:
        """Run a statement that may be sent twice, until it is answered."""
        return repeat(lambda: self._run(statement), self._clock)

    def note(self, ledger: str, file: str, digest: str, number: int, state: str) -> None:
        """Write a line of the ledger; a line that stands twice says the same."""
        name = file.replace("'", "''")
        values = f"'{name}', '{digest}', {number}, '{state}', current_timestamp()"
        self.repeatedly(f"INSERT INTO {ledger} VALUES ({values})")  # noqa: S608  # the declaration's own names

    def _run(self, statement: str) -> list[list[Any]]:
        from databricks.sdk.service.sql import ExecuteStatementRequestOnWaitTimeout, StatementState

        api = self._client.statement_execution
        running = (StatementState.PENDING, StatementState.RUNNING)
        answer = api.execute_statement(
            statement,
            self._warehouse,
            catalog=self._desired.body.get("catalog"),
            schema=self._desired.body.get("schema"),
            wait_timeout="30s",
            on_wait_timeout=ExecuteStatementRequestOnWaitTimeout.CONTINUE,
        )
        identity, state = str(answer.statement_id), answer.status.state if answer.status else None
        if state in running:
            probe: Callable[[], Any] = lambda: api.get_statement(identity)  # noqa: E731  # it is passed on
            finished = wait_until(
                probe,
                lambda got: got.status.state not in running,
                what=f"statement {identity}",
                clock=self._clock,
                interval=2,
            )
            answer, state = finished, finished.status.state
        if state is not StatementState.SUCCEEDED:
            error = answer.status.error.message if answer.status and answer.status.error else str(state)
            raise DeploymentError(f"a statement failed: {error}", origin=self._desired.origin)
        return list(answer.result.data_array or []) if answer.result else []


def split_statements(text: str) -> list[str]:
    """Return the statements of a file; a semicolon within quotes or a comment ends none."""
    statements, current = [], ""
    for piece in _PIECES.findall(text):
        if piece == ";":
            statements.append(current)
            current = ""
        elif not piece.startswith(("--", "/*")):
            current += piece
    return [each.strip() for each in [*statements, current] if each.strip()]


def _ledger(statements: _Statements, desired: Desired) -> list[list[Any]] | None:
    """Return the lines of the ledger; None when there is none yet."""
    try:
        return statements.repeatedly(f"SELECT file, sha256, statement, state FROM {desired.name}")  # noqa: S608  # as above
    except DeploymentError as error:
        if "NOT_FOUND" in str(error) or "not found" in str(error) or "cannot be found" in str(error):
            return None
        raise


def _actual(desired: Desired, rows: list[list[Any]], owner: Owner, warehouse: str) -> Actual:
    texts: dict[str, str] = json.loads(desired.content or b"{}")
    files = {}
    for file, text in texts.items():
        done = {int(row[2]) for row in rows if row[0] == file and row[3] == "done"}
        digests = {row[1] for row in rows if row[0] == file}
        complete = len(done) >= len(split_statements(text)) + 1
        edited = digests and digests != {file_digest(text.encode())}
        if complete or edited:
            files[file] = next(iter(digests))
    body = {**desired.body, "warehouse_id": warehouse, "files": files}
    return Actual("table_changes", desired.name, desired.name, body, owner)


def _undecided(desired: Desired, file: str, number: int) -> DeploymentError:
    problem = f"whether statement {number + 1} of {file} was run is not known: its answer got lost"
    remedy = (
        f"Look whether it had its effect. If it had, INSERT the line ('{file}', …, {number}, 'done', …) into "
        f"{desired.name}; if not, delete the line 'started' from it. Then apply again."
    )
    return DeploymentError(problem, origin=desired.origin, remedy=remedy)
