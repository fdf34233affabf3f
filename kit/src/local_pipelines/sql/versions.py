"""``AUTO CDC … FROM SNAPSHOT (…) WITH VERSION (…)``: snapshots of the versions that a query finds, in order.

Source: https://docs.databricks.com/sql/language-manual/functions/last_snapshot_version
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import sqlglot
from pyspark.sql import DataFrame
from sqlglot.errors import SqlglotError

from local_pipelines.analysis.schemas import literal
from local_pipelines.errors import PipelineError
from local_pipelines.flows import reads

LAST, CURRENT = (re.compile(rf"\b{name}_snapshot_version\s*\(\s*\)", re.IGNORECASE) for name in ("last", "current"))


class VersionedSnapshots:
    """Gives the snapshot after a version, as a function in Python would: ``(frame, version)`` or nothing.

    Args:
        run: Gives the frame of a query.
        snapshot: Query of the rows; it may read ``current_snapshot_version()``.
        version: Query of the version to take next, one column of one row; it may read ``last_snapshot_version()``.

    Raises:
        PipelineError: The query of the version has not one column.
    """

    def __init__(self, run: Callable[[str], DataFrame], snapshot: str, version: str) -> None:
        self._run, self._snapshot, self._version = run, snapshot, version
        try:
            names = sqlglot.parse_one(version, read="databricks").named_selects  # type: ignore[attr-defined]  # a query's
        except (SqlglotError, AttributeError):
            names = []
        if len(names) != 1 or names[0] == "*":
            raise PipelineError("WITH VERSION needs a query of one column", remedy="Name it: SELECT … AS version.")
        self._name = f"`{names[0]}`"

    def __call__(self, last: Any) -> tuple[DataFrame, Any] | None:
        """Return the snapshot of the version that follows `last`, or nothing when there is none."""
        found = self._next(last)
        with reads.outside():
            rows = found.head(2)
        if len(rows) > 1:
            raise PipelineError("WITH VERSION gives more than one row", remedy="Add ORDER BY … LIMIT 1.")
        return (self._rows(_literal(rows[0][0])), rows[0][0]) if rows else None

    def shape(self) -> DataFrame:
        """Return the frame of a snapshot, whatever version it would have."""
        kind = self._next(None).schema[0].dataType.simpleString()
        return self._rows(f"CAST(NULL AS {kind})" if kind != "void" else "NULL")

    def _next(self, last: Any) -> DataFrame:
        known = "NULL" if last is None else _literal(last)
        rows = f"(SELECT {known} AS {self._name}{' WHERE false' if last is None else ''})"
        return self._run(LAST.sub(lambda _: rows, self._version))

    def _rows(self, version: str) -> DataFrame:
        return self._run(CURRENT.sub(lambda _: f"(SELECT {version} AS {self._name})", self._snapshot))


def _literal(version: Any) -> str:
    if isinstance(version, date):
        return f"{'TIMESTAMP' if isinstance(version, datetime) else 'DATE'}'{version}'"
    return literal(version) if isinstance(version, str) else str(version)
