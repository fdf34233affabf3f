"""Declared schemas (DDL with generated columns and constraints, or StructType) and the table that is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DataType, StructField, StructType
from sqlglot import Token, TokenType

from local_pipelines.declaring.model import Dataset
from local_pipelines.errors import PipelineError
from local_pipelines.sql.relations import tokens_of

GENERIC = {"ARRAY", "MAP", "STRUCT"}
BY_PATH = "spark_catalog.delta"  # whatever the current catalog is: not every one takes generated columns


@dataclass(frozen=True)
class Declared:
    """A declared schema.

    Attributes:
        struct: Its columns.
        ddl: As `CREATE TABLE` takes it, without what needs Unity Catalog.
        generated: Columns that the table computes, in small letters.
    """

    struct: StructType
    ddl: str
    generated: frozenset[str]


def declared_of(dataset: Dataset, spark: SparkSession) -> Declared | None:
    """Return what a dataset declares, or nothing when it declares no schema.

    Raises:
        PipelineError: The schema cannot be read.
    """
    if dataset.schema is None:
        return None
    if isinstance(dataset.schema, StructType):
        return Declared(dataset.schema, ddl_of(dataset.schema), frozenset())
    ddl = without_catalog_parts(dataset.schema)
    try:
        parser = spark._jsparkSession.sessionState().sqlParser()
        columns = parser.parsePlan(f"CREATE TABLE t ({ddl}) USING delta").columns().iterator()
    except Exception as error:
        first = str(error).strip().split("\n", maxsplit=1)[0]
        raise PipelineError(f"the schema of '{dataset.said}' cannot be read: {first}") from error
    fields, generated = [], set()
    while columns.hasNext():
        column = columns.next()
        fields.append(StructField(column.name(), _type(column.dataType()), bool(column.nullable())))
        if column.generationExpression().isDefined() or column.identityColumnSpec().isDefined():
            generated.add(column.name().lower())
    return Declared(StructType(fields), ddl, frozenset(generated))


def _type(java: Any) -> DataType:
    wrapped = StructType.fromJson(
        json.loads(
            f'{{"type":"struct","fields":[{{"name":"c","type":{java.json()},"nullable":true,"metadata":{{}}}}]}}'
        )
    )
    return wrapped["c"].dataType


def ddl_of(struct: StructType) -> str:
    """Return a schema as DDL."""
    return ", ".join(
        f"`{column.name.replace('`', '``')}` {column.dataType.simpleString()}{'' if column.nullable else ' NOT NULL'}"
        for column in struct
    )


def without_catalog_parts(ddl: str) -> str:
    """Return DDL without keys and masks, which are informational or need Unity Catalog."""
    parts = []
    for start, end, tokens in split_at_commas(ddl):
        words = [token.text.upper() for token in tokens]
        if words[0] in ("PRIMARY KEY", "FOREIGN KEY", "CONSTRAINT"):
            continue
        text = ddl[start:end]
        for word, token in zip(words, tokens, strict=True):
            if word in ("MASK", "PRIMARY KEY"):
                text = ddl[start : token.start]
                break
        parts.append(text.strip())
    return ", ".join(parts)


def split_at_commas(text: str) -> list[tuple[int, int, list[Token]]]:
    """Return start, end and tokens of the parts of a list, split at commas outside of parentheses and types."""
    parts: list[tuple[int, int, list[Token]]] = []
    tokens: list[Token] = []
    start, depth, of_types = 0, 0, 0
    for token in tokens_of(text):
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.text, 0)
        if token.text == "<" and tokens and tokens[-1].text.upper() in GENERIC:
            of_types += 1  # elsewhere it compares
        elif of_types and token.text == ">":
            of_types -= 1
        if token.token_type is TokenType.COMMA and depth == of_types == 0:
            parts.append((start, token.start, tokens))
            start, tokens = token.end + 1, []
        else:
            tokens.append(token)
    return [*parts, (start, len(text), tokens)] if tokens else parts


def empty_frame(spark: SparkSession, struct: StructType) -> DataFrame:
    """Return a frame without rows, made without the RDD that pyspark's `createDataFrame` begins with."""
    session = spark._jsparkSession
    java = session.createDataFrame(spark._jvm.java.util.ArrayList(), session.parseDataType(struct.json()))  # type: ignore[union-attr]
    return DataFrame(java, spark)


def nullable(struct: StructType) -> StructType:
    """Return a schema as Delta stores what a query gives: every column may be null."""
    return StructType([StructField(column.name, column.dataType, True, {}) for column in struct])


def merged(schemas: Iterable[StructType]) -> StructType:
    """Return the columns of all schemas by name, in order of appearance."""
    found: dict[str, StructField] = {}
    for schema in schemas:
        for column in schema:
            found.setdefault(column.name.lower(), column)
    return StructType(list(found.values()))


def create_table(
    spark: SparkSession, dataset: Dataset, path: str, schema: StructType, declared: Declared | None
) -> None:
    """Create a dataset's table at a path, empty, with everything that it declares."""
    ddl = declared.ddl if declared else ddl_of(schema)
    clauses = [f"CREATE TABLE IF NOT EXISTS {BY_PATH}.`{path}` ({ddl}) USING delta"]
    if dataset.partition_columns:
        clauses.append(f"PARTITIONED BY ({_quoted(dataset.partition_columns)})")
    if dataset.cluster_columns:
        clauses.append(f"CLUSTER BY ({_quoted(dataset.cluster_columns)})")
    if dataset.comment:
        clauses.append(f"COMMENT {literal(dataset.comment)}")
    properties = table_properties(dataset)
    if properties:
        pairs = ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())
        clauses.append(f"TBLPROPERTIES ({pairs})")
    spark.sql(" ".join(clauses))


def table_properties(dataset: Dataset) -> dict[str, str]:
    """Return a dataset's table properties; those of the platform alone (`delta.autoOptimize…`) are left out."""
    return {
        key: value
        for key, value in dataset.properties.items()
        if not key.lower().startswith(("delta.autooptimize", "delta.tunefilesizes"))
    }


def literal(text: str) -> str:
    """Return text as a SQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name.replace('`', '``')}`" for name in names)
