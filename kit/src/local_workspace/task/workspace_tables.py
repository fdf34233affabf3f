"""Tables by name across processes: every Delta table beneath the workspace's warehouse is in each session's catalog.

There is no metastore: each session has a catalog of its own in memory, and the folders are the truth.
``<warehouse>/<table>`` is a table of ``default``, ``<warehouse>/<schema>.db/<table>`` one of another schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class WorkspaceTables:
    """Keeps the catalog of one session in step with the folders.

    Args:
        warehouse: The folder of all tables.
    """

    def __init__(self, warehouse: Path) -> None:
        self._warehouse = warehouse
        self._seen: set[tuple[str, str]] = set()

    def found(self) -> Iterator[tuple[str, str, Path]]:
        """Yield schema, table and folder of each Delta table."""
        for log in sorted(self._warehouse.glob("*/_delta_log")):
            yield "default", log.parent.name, log.parent
        for log in sorted(self._warehouse.glob("*.db/*/_delta_log")):
            yield log.parents[1].name.removesuffix(".db"), log.parent.name, log.parent

    def synchronise(self, spark: SparkSession) -> None:
        """Add what other processes created, and forget what they dropped."""
        there = {(schema, table): folder for schema, table, folder in self.found()}
        for schema in sorted(folder.name.removesuffix(".db") for folder in self._warehouse.glob("*.db")):
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        for name in self._seen - set(there):
            spark.sql(f"DROP TABLE IF EXISTS {quoted(*name)}")
        for (schema, table), folder in there.items():
            if (schema, table) not in self._seen and not spark.catalog.tableExists(f"{quoted(schema, table)}"):
                spark.sql(f"CREATE TABLE {quoted(schema, table)} USING DELTA LOCATION '{escaped(str(folder))}'")
                _make_managed(spark, schema, table)
        self._seen = set(there)


def quoted(*parts: str) -> str:
    """Return a name as SQL writes it."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def escaped(text: str) -> str:
    """Return text for between two single quotes."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _make_managed(spark: SparkSession, schema: str, table: str) -> None:
    """Let the catalog own the files, so that DROP TABLE deletes them here as where the table was made."""
    jvm: Any = spark._jvm
    catalog = spark._jsparkSession.sessionState().catalog().externalCatalog()
    found = catalog.getTable(schema, table)
    values = [found.productElement(place) for place in range(found.productArity())]
    kind = jvm.org.apache.spark.sql.catalyst.catalog.CatalogTableType
    values[1] = kind.MANAGED()
    catalog.alterTable(found.copy(*values))
