"""The Delta tables of the sink: made once, compared with what is about to be written, appended to idempotently."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_utils.errors import SchemaError
from spark_utils.names import quote

# Small files are merged after a commit once there are enough of them. The same table property on Databricks:
# https://learn.microsoft.com/azure/databricks/delta/tune-file-size; open Delta: https://docs.delta.io/latest/optimizations-oss.html
_PROPERTIES = {"delta.autoOptimize.autoCompact": "true"}
# Rows are brought together by partition value before they are written, or each task would write a file for each value.
_PARTITIONED = {"delta.autoOptimize.optimizeWrite": "true"}


@dataclass(frozen=True)
class IdempotentWrite:
    """An append that Delta makes at most once.

    Attributes:
        path: The table's folder.
        application_id: Delta's ``txnAppId``: one per query and table.
        version: Delta's ``txnVersion``: the batch's number; a table that holds it, or a later one, ignores the write.
        merge_schema: Whether new columns are added to the table.
    """

    path: str
    application_id: str
    version: int
    merge_schema: bool = False

    def append(self, df: DataFrame) -> None:
        """Append the rows, unless an earlier try of the same write did."""
        writer = df.write.format("delta").mode("append")
        writer = writer.option("txnAppId", self.application_id).option("txnVersion", self.version)
        if self.merge_schema:
            writer = writer.option("mergeSchema", "true")
        writer.save(self.path)


def create_table(
    spark: SparkSession, path: str, schema: StructType, comment: str, partition_by: str | None = None
) -> None:
    """Create an empty Delta table at a path, if there is none, that keeps its number of small files down."""
    properties = {**_PROPERTIES, **(_PARTITIONED if partition_by else {})}
    pairs = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items())
    partitioned = f"PARTITIONED BY ({quote(partition_by)})" if partition_by else ""
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS delta.{quote(path)} ({schema.toDDL()}) USING delta {partitioned} "
        f"COMMENT '{comment}' TBLPROPERTIES ({pairs})"
    )


def check_schema(spark: SparkSession, path: str, wanted: StructType, *, merge: bool) -> None:
    """Compare the columns about to be written with those of the table, before anything is written.

    Raises:
        SchemaError: A column has another type, or (without ``merge``) is new or missing.
    """
    found = {field.name: field.dataType.simpleString() for field in spark.read.format("delta").load(path).schema}
    given = {field.name: field.dataType.simpleString() for field in wanted}
    problems = [
        f"column {name!r} is {found.get(name, 'absent')} in the table and {given.get(name, 'absent')} in the stream"
        for name in [*found, *(name for name in given if name not in found)]
        if found.get(name) != given.get(name) and not (merge and (name not in found or name not in given))
    ]
    if problems:
        raise SchemaError(
            "; ".join(problems),
            origin=path,
            remedy="Bring the transformation back, or write to a new output path"
            + ("." if merge else ", or add new columns with schema_changes='merge'."),
        )
