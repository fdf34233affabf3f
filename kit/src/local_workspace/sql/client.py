"""The server's side of the process that runs SQL: started at the first statement, started again if it has died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from local_workspace.compute import spark_environment
from local_workspace.runs import launching
from local_workspace.server.state import State
from spark_utils.errors import SparkUtilsError

Answer = dict[str, Any]
CLOSE_SECONDS: Final = 5.0


@dataclass
class Statement:
    """Statements to be run one after the other; the result of the last is kept.

    Attributes:
        id: Its own.
        statements: SQL, one statement each.
        result: The file that the result is written to.
        parameters: Named parameters: ``name``, ``value``, ``type``.
        catalog: The catalog of names without one.
        schema: The schema of names without one.
        row_limit: How many rows of the result are kept.
    """

    id: str
    statements: list[str]
    result: Path
    parameters: list[dict[str, Any]] = field(default_factory=list)
    catalog: str | None = None
    schema: str | None = None
    row_limit: int | None = None


class SqlClient:
    """Sends statements to the process and hands on their answers.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._waiting: dict[str, Callable[[Answer], None]] = {}
        self._listener = threading.Thread()
        self._closed = False

    def run(self, statement: Statement, answered: Callable[[Answer], None]) -> None:
        """Begin to run a statement.

        Args:
            statement: What to run.
            answered: Told of ``rows``, ``columns`` and ``truncated``, or of ``error`` and ``sql_state``.
        """
        content = {**vars(statement), "result": str(statement.result)}
        with self._lock:
            self._waiting[statement.id] = answered
        try:
            self._send(content)
        except (OSError, SparkUtilsError) as error:
            self._answer({"id": statement.id, "error": f"SQL does not run here: {error}"})

    def cancel(self, statement_id: str) -> None:
        """Stop a statement; its answer is dropped."""
        with self._lock:
            known = self._waiting.pop(statement_id, None)
        if known:
            with contextlib.suppress(OSError):
                self._send({"cancel": statement_id})

    def close(self) -> None:
        """End the process."""
        self._closed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._listener.join(CLOSE_SECONDS)

    def _send(self, content: dict[str, Any]) -> None:
        with self._lock:
            if self._closed:
                raise OSError("the workspace is stopped")
            if self._process is None or self._process.poll() is not None:
                self._process = self._started()
            pipe = self._process.stdin
            if pipe is None:
                raise OSError("it has no standard input")
            pipe.write(json.dumps(content) + "\n")
            pipe.flush()

    def _started(self) -> subprocess.Popen[str]:
        state, folder = self._state, self._state.path("sql")
        fair = {"spark.scheduler.mode": "FAIR"}  # a long statement does not let short ones wait
        spark = spark_environment.variables(state, folder / "spark", fair, "sql")
        variables = launching.environment(state.host, state.token, spark)
        command = [sys.executable, "-P", "-m", "local_workspace.sql.session"]
        with (folder / launching.LOG).open("ab") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True, text=True,
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._answer(json.loads(line))
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not read any more
                if pipe:
                    pipe.close()
        with self._lock:
            left = list(self._waiting)
        if not self._closed:
            for statement_id in left:
                self._answer({"id": statement_id, "error": f"The process that runs SQL ended with status {status}"})

    def _answer(self, answer: Answer) -> None:
        with self._lock:
            answered = self._waiting.pop(answer["id"], None)
        if answered is not None:
            answered(answer)
