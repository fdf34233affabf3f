"""What a Delta table's log says of the table, read without Spark.

Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#change-metadata
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def metadata(table: Path) -> dict[str, Any]:
    """Return the newest ``metaData`` of a table, empty when nothing was committed yet.

    Returns:
        ``schemaString`` (a Spark schema as JSON), ``partitionColumns``, ``configuration`` and, where it was given,
        ``description``.
    """
    log = table / "_delta_log"
    for commit in sorted(log.glob("[0-9]*.json"), reverse=True):
        for line in commit.read_text(encoding="utf-8").splitlines():
            if '"metaData"' in line and "metaData" in (action := json.loads(line)):
                return dict(action["metaData"])
    for checkpoint in sorted(log.glob("[0-9]*.parquet"), reverse=True):  # commits before it may have been cleaned up
        from pyarrow import parquet

        rows = parquet.read_table(checkpoint, columns=["metaData"])["metaData"].drop_null()
        if len(rows):
            found: dict[str, Any] = rows[0].as_py(maps_as_pydicts="lossy")
            return {name: value for name, value in found.items() if value is not None}
    return {}
