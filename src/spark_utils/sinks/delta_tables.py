"""The Delta tables of the sink: made once, compared with what is about to be written, appended to idempotently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, NullType, StructType

from spark_utils.errors import ConfigurationError, SchemaError
from spark_utils.names import quote, string_literal
from spark_utils.sinks.checkpoints import is_missing_path
from spark_utils.streaming_utils.failures import root_cause

# Small files are merged after a commit once there are enough of them. The same table property on Databricks:
# https://learn.microsoft.com/azure/databricks/delta/tune-file-size; open Delta: https://docs.delta.io/latest/optimizations-oss.html
_PROPERTIES = {"delta.autoOptimize.autoCompact": "true"}
# Rows are brought together by partition value before they are written, or each task would write a file for each value.
_PARTITIONED = {"delta.autoOptimize.optimizeWrite": "true"}
_AUTO_COMPACT = "spark.databricks.delta.autoCompact.enabled"
_MARK = "spark_utils"  # the key in a commit's user metadata
_RECENT_COMMITS = 200
_UNWRITABLE = " ,;{}()\n\t="  # in a column's name, without column mapping


@dataclass(frozen=True)
class Mark:
    """What a commit of the sink says of itself, in Delta's user metadata: which batch it is, and what that read.

    Delta's own mark (``txnAppId``, ``txnVersion``) cannot be read by a public interface; this one shows in
    ``DESCRIBE HISTORY``. It is what a checkpoint is compared with, and what one can be set up from again.

    Attributes:
        query: The id of the query, from its checkpoint.
        batch: The micro-batch's number.
        source: The hash of the source's name.
        begin: Where the batch begins to read, as Spark writes offsets; empty when that is not known.
        end: Where it ends.
        rejected: The newest batch whose rejected rows had been written when this one began; -1 for none.
        written: When, in seconds since 1970; the commit itself says so, not its user metadata.
    """

    query: str
    batch: int
    source: str
    begin: str = ""
    end: str = ""
    rejected: int = -1
    written: float | None = None

    def to_text(self) -> str:
        """Return the mark as user metadata."""
        return json.dumps({_MARK: {name: value for name, value in asdict(self).items() if name != "written"}})


def read_mark(text: str | None, written: float | None = None) -> Mark | None:
    """Read a commit's user metadata; None when it is not the sink's."""
    try:
        return Mark(**json.loads(text or "")[_MARK], written=written)
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True)
class Table:
    """A Delta table as it is found.

    Attributes:
        path: Its folder.
        properties: Its table properties.
        partitioned_by: The columns that its files are laid out by.
        marks: What its commits say, the newest first.
    """

    path: str
    properties: Mapping[str, str]
    partitioned_by: tuple[str, ...]
    marks: tuple[Mark, ...]

    def last_batch(self, query: str | None) -> Mark | None:
        """Return the newest batch of a query that is in the table."""
        return max((mark for mark in self.marks if mark.query == query), key=lambda mark: mark.batch, default=None)


def read_table(spark: SparkSession, path: str, query: str | None) -> Table | None:
    """Read what is known of a table; None when there is none.

    Args:
        spark: The session.
        path: The table's folder.
        query: Whose marks are looked for; older commits are read only when the recent ones hold none of it.
    """
    try:
        detail = spark.sql(f"DESCRIBE DETAIL delta.{quote(path)}").first()
    except AnalysisException as refusal:
        if not is_missing_path(refusal):
            raise
        return None
    if detail is None:
        return None
    found = Table(path, dict(detail["properties"]), tuple(detail["partitionColumns"]), ())
    for limit in (f"LIMIT {_RECENT_COMMITS}", ""):
        history = spark.sql(f"DESCRIBE HISTORY delta.{quote(path)} {limit}")
        ours = history.where(F.col("userMetadata").contains(f'"{_MARK}"')).orderBy(F.desc("version"))
        rows = ours.select("userMetadata", F.col("timestamp").cast("double").alias("written")).collect()
        marks = (read_mark(row.userMetadata, row.written) for row in rows)
        found = Table(path, found.properties, found.partitioned_by, tuple(filter(None, marks)))
        if found.last_batch(query):
            break
    return found


@dataclass(frozen=True)
class IdempotentWrite:
    """An append that Delta makes at most once.

    Attributes:
        path: The table's folder.
        application_id: Delta's ``txnAppId``: one per query and table.
        mark: What the commit says of itself; its batch is Delta's ``txnVersion``: a table that holds it, or a later
            one, ignores the write.
        merge_schema: Whether new columns are added to the table.
    """

    path: str
    application_id: str
    mark: Mark
    merge_schema: bool = False

    def append(self, df: DataFrame) -> None:
        """Append the rows, unless an earlier try of the same write did."""
        writer = df.write.format("delta").mode("append").option("userMetadata", self.mark.to_text())
        writer = writer.option("txnAppId", self.application_id).option("txnVersion", self.mark.batch)
        if self.merge_schema:
            writer = writer.option("mergeSchema", "true")
        writer.save(self.path)


@contextmanager
def merging_files(spark: SparkSession, *, allowed: bool) -> Iterator[None]:
    """Let Delta look for small files to merge after a commit, or not.

    Looking reads the whole state of the table after each commit. And after a table's first commit in a JVM it merges as
    soon as there are two files, so that a large first batch would be written twice.
    The setting wins over the table's property; it is put back, for with Spark Connect it is the user's.
    """
    if allowed:
        yield
        return
    before = spark.conf.get(_AUTO_COMPACT, None)
    spark.conf.set(_AUTO_COMPACT, "false")
    try:
        yield
    finally:
        if before is None:
            spark.conf.unset(_AUTO_COMPACT)
        else:
            spark.conf.set(_AUTO_COMPACT, before)


def create_table(
    spark: SparkSession,
    path: str,
    schema: StructType,
    comment: str,
    *,
    partition_by: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> None:
    """Create an empty Delta table at a path, if there is none, that keeps its number of small files down.

    Raises:
        SchemaError: Delta does not take a column, or the column that the files are to be laid out by.
        ConfigurationError: Nothing can be written at the path.
    """
    check_columns(schema, path)
    given = {**_PROPERTIES, **(_PARTITIONED if partition_by else {}), **(properties or {})}
    partitioned = f"PARTITIONED BY ({quote(partition_by)})" if partition_by else ""
    with _naming(path):
        spark.sql(
            f"CREATE TABLE IF NOT EXISTS delta.{quote(path)} ({schema.toDDL()}) USING delta {partitioned} "
            f"COMMENT {string_literal(comment)} TBLPROPERTIES ({_pairs(given)})"
        )


def set_properties(spark: SparkSession, path: str, properties: Mapping[str, str]) -> None:
    """Change properties of a table."""
    with _naming(path):
        spark.sql(f"ALTER TABLE delta.{quote(path)} SET TBLPROPERTIES ({_pairs(properties)})")


def _pairs(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{string_literal(name)} = {string_literal(value)}" for name, value in properties.items())


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turn a refusal into one sentence that names the place, or the columns where these are what is refused."""
    try:
        yield
    except Exception as refusal:
        condition = (refusal.getCondition() or "") if isinstance(refusal, PySparkException) else ""
        if any(word in condition for word in ("COLUMN", "PARTITION", "TYPE")):
            remedy = "Rename or cast the column in the transformation."
            raise SchemaError(root_cause(refusal), origin=path, remedy=remedy) from refusal
        if not isinstance(refusal, PySparkException | OSError) and "Py4J" not in type(refusal).__name__:
            raise
        raise ConfigurationError(
            f"cannot write to {path}: {root_cause(refusal)}",
            origin="the output path",
            remedy="Give a path that exists or can be made, with the right to write there and room left.",
        ) from refusal


def check_columns(schema: StructType, path: str) -> None:
    """Refuse columns that no Delta table takes.

    Raises:
        SchemaError: A column has no type (`lit(None)` without a cast), or its name has one of `` ,;{}()=`` in it.
    """
    problems = [f"column {name!r} has no type" for name in _untyped(schema, ())]
    refused = [name for name in schema.names if {*name} & {*_UNWRITABLE}]
    problems += [f"column {name!r} has a character that Delta refuses" for name in refused]
    names = [name.lower() for name in schema.names]
    problems += [f"column {name!r} occurs twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise SchemaError("; ".join(problems), origin=path, remedy="Rename or cast it in the transformation.")


def _untyped(data_type: DataType, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(data_type, NullType):
        yield ".".join(path)
    elif isinstance(data_type, StructType):
        for field in data_type.fields:
            yield from _untyped(field.dataType, (*path, field.name))
    elif isinstance(data_type, ArrayType):
        yield from _untyped(data_type.elementType, (*path, "element"))
    elif isinstance(data_type, MapType):
        yield from _untyped(data_type.valueType, (*path, "value"))


def check_layout(table: Table, partition_by: str | None) -> None:
    """Compare the column to lay files out by with the one that an existing table has.

    Raises:
        SchemaError: They differ: a table's layout is fixed when it is made.
    """
    found = ", ".join(table.partitioned_by)
    if found != (partition_by or ""):
        raise SchemaError(
            f"the table is partitioned by {found or 'nothing'}, not by {partition_by or 'nothing'}",
            origin=table.path,
            remedy=f"Give --partition-by {found}, or write to a new output path."
            if found
            else "Leave out --partition-by, or write to a new output path.",
        )


def check_schema(spark: SparkSession, path: str, given_schema: StructType, *, merge: bool) -> None:
    """Compare the columns about to be written with those of the table, before anything is written.

    Raises:
        SchemaError: A column has another type, or (without ``merge``) is new or missing.
    """
    found = {field.name: field.dataType.simpleString() for field in spark.read.format("delta").load(path).schema}
    given = {field.name: field.dataType.simpleString() for field in given_schema}
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
