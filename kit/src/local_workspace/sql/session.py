"""The process that runs SQL: one Spark for all statements of a workspace, a session of its own for each of them.

Requests and answers are lines of JSON on standard input and output.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from local_workspace.task import session
from spark_utils.names import quote

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructField

THREADS: Final = 4
CANCEL_SECONDS: Final = 0.1
MAXIMUM_BYTES: Final = 25 * 1024 * 1024
NAMES: Final = {"INTEGER": "INT", "BIGINT": "LONG", "SMALLINT": "SHORT", "TINYINT": "BYTE", "VOID": "NULL"}


class TooLargeError(Exception):
    """A result is larger than what is given back inline."""


class CancelledError(Exception):
    """A statement was cancelled before it ran."""


class SqlSession:
    """Runs statements, several at a time.

    Args:
        answers: Where answers go.
    """

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._cancelled: set[str] = set()

    def serve(self, requests: TextIO) -> None:
        """Answer until the server closes the line."""
        with ThreadPoolExecutor(THREADS) as pool:
            for line in requests:
                request = json.loads(line)
                if "cancel" in request:
                    threading.Thread(target=self._cancel, args=(request["cancel"],), daemon=True).start()
                else:
                    self._running.add(request["id"])
                    pool.submit(self._run, request)

    def _cancel(self, statement_id: str) -> None:
        """Stop a statement for good: what it has submitted, and what it is about to submit."""
        self._cancelled.add(statement_id)
        while statement_id in self._running:
            if session.is_started():
                context: Any = session.session().sparkContext
                context._jsc.sc().cancelJobGroup(statement_id)
            time.sleep(CANCEL_SECONDS)

    def _run(self, request: dict[str, Any]) -> None:
        try:
            answer = self._result(request)
        except BaseException as error:
            state = getattr(error, "getSqlState", lambda: None)()
            answer = {"error": _said(error), "sql_state": state}
        self._running.discard(request["id"])
        with self._lock:
            self._answers.write(json.dumps({"id": request["id"], **answer}) + "\n")
            self._answers.flush()

    def _result(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            spark = session.session().newSession()
        spark.sparkContext.setJobGroup(request["id"], "", interruptOnCancel=True)
        if request.get("catalog"):
            spark.sql(f"USE CATALOG {quote(request['catalog'])}")
        if request.get("schema"):
            spark.sql(f"USE SCHEMA {quote(request['schema'])}")
        values = {each["name"]: _value(spark, each) for each in request.get("parameters", [])}
        frame = None
        for statement in request["statements"]:
            if request["id"] in self._cancelled:
                raise CancelledError(request["id"])
            used = {name: value for name, value in values.items() if f":{name}" in statement}
            frame = spark.sql(statement, args=used) if used else spark.sql(statement)
        content = _content(frame, request.get("row_limit")) if frame is not None else {"columns": [], "rows": []}
        Path(request["result"]).write_text(json.dumps(content), encoding="utf-8")
        return {
            "rows": len(content["rows"]),
            "columns": content["columns"],
            "truncated": content.get("truncated", False),
        }


def _content(frame: DataFrame, limit: int | None) -> dict[str, Any]:
    fields = frame.schema.fields
    columns = [column(place, field) for place, field in enumerate(fields)]
    if not columns:
        return {"columns": [], "rows": []}
    named = frame.toDF(*(f"c{place}" for place in range(len(fields))))
    texts = named.select(*(_text(f"c{place}", field.dataType) for place, field in enumerate(fields)))
    rows = [list(row) for row in (texts.limit(limit + 1) if limit else texts).collect()]
    if sum(len(value or "") for row in rows for value in row) > MAXIMUM_BYTES:
        raise TooLargeError("The result is larger than 25 MiB, the most that is given inline")
    return {"columns": columns, "rows": rows[:limit], "truncated": bool(limit) and len(rows) > (limit or 0)}


def column(place: int, field: StructField) -> dict[str, Any]:
    """Return a column as the API describes those of results: types in capitals."""
    kind = field.dataType
    base = kind.simpleString().split("<")[0].split("(")[0].upper()
    name = "INTERVAL" if base.startswith("INTERVAL") else NAMES.get(base, base)
    nested = name in ("STRUCT", "ARRAY", "MAP")
    column = {"name": field.name, "position": place, "type_name": name}
    column["type_text"] = kind.simpleString() if nested else kind.simpleString().upper()
    if name == "DECIMAL":
        column |= {"type_precision": kind.precision, "type_scale": kind.scale}  # type: ignore[attr-defined]
    return column


def _text(column: str, kind: DataType) -> Column:
    """Return a column as the API writes its values: each is text."""
    from pyspark.sql import functions as F

    name = type(kind).__name__
    if name in ("StructType", "ArrayType", "MapType", "VariantType"):
        return F.to_json(column)
    if name == "BinaryType":
        return F.base64(column)
    if name.startswith("Timestamp"):
        zone = "" if name == "TimestampNTZType" else "XXX"
        return F.date_format(column, f"yyyy-MM-dd'T'HH:mm:ss.SSS{zone}")
    return F.col(column).cast("string")


def _value(spark: SparkSession, parameter: dict[str, Any]) -> Any:
    """Return a parameter as a value of its type, by SQL's own cast."""
    value, kind = parameter.get("value"), parameter.get("type") or "STRING"
    row = spark.sql(f"SELECT CAST(:given AS {kind}) AS value", args={"given": value}).first()
    return row["value"] if row else None


def _said(error: BaseException) -> str:
    text = str(error).split("\n\nJVM stacktrace")[0].strip()
    return text or type(error).__name__


def main() -> None:
    """Serve; what Spark prints goes to the log, not between the answers."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        SqlSession(answers).serve(sys.stdin)


if __name__ == "__main__":
    main()
