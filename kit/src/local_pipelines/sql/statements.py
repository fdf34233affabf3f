"""A pipeline's SQL files: streaming tables, materialized views, views, flows, AUTO CDC.

Statements are told apart by tokens; queries, conditions and columns stay text that Spark's own parser reads. ``${key}``
is a parameter of the pipeline. The present forms and the older ``LIVE`` ones of Databricks' documentation are read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from sqlglot import Token, TokenType
from sqlglot.errors import SqlglotError

from local_pipelines.cdc.declaration import CdcSpec, SnapshotSpec
from local_pipelines.declaring.model import PLATFORM, Dataset, Flow, Kind, ReplaceSpec
from local_pipelines.declaring.notebooks import source_of
from local_pipelines.declaring.python_source import reason_of
from local_pipelines.declaring.registry import Registry, view_name
from local_pipelines.errors import PipelineError, Place, not_set
from local_pipelines.flows import reads
from local_pipelines.sql.clauses import Cursor, table_clauses
from local_pipelines.sql.parameters import unset, with_parameters
from local_pipelines.sql.relations import tokens_of
from local_pipelines.sql.versions import VersionedSnapshots

SET = re.compile(r"(?:^|;)[ \t]*SET\s+([\w.]+)\s*=\s*([^;]+)", re.IGNORECASE | re.MULTILINE)
POSITION = re.compile(r"[; (]+line (\d+),? pos \d+\)?")


def run_sql_file(path: Path, spark: SparkSession, registry: Registry) -> None:
    """Declare what a SQL file says; every statement that cannot be read is a mistake with its line."""
    text = source_of(path)
    given = {match[1]: match[2].strip().strip("'\"") for match in SET.finditer(text)}
    settings = {key: value for key, value in given.items() if key.startswith(("spark.", PLATFORM))}
    registry.definitions.parameters = {**registry.definitions.parameters, **given}
    before = set(registry.definitions.flows)
    try:
        text = with_parameters(text, registry.definitions.parameters)
        tokens = tokens_of(text)
    except SqlglotError as error:
        registry.problem(f"cannot be read: {str(error).splitlines()[0]}", Place(str(path), 0), undeclared=True)
        return
    reader = _Statements(path, spark, registry)
    statement: list[Token] = []
    for token in [*tokens, None]:
        if token is not None and token.token_type is not TokenType.SEMICOLON:
            statement.append(token)
        elif statement:
            end = statement[-1].end + 1
            place = Place(str(path), text.count("\n", 0, statement[0].start) + 1)
            try:
                if not _note_unset(text, statement, path, registry):
                    reader.declare(Cursor(text, statement, end), place)
            except PipelineError as error:
                registry.problem(str(error), place, undeclared=True)
            statement = []
    for name in registry.definitions.flows.keys() - before:
        registry.definitions.flows[name].spark_conf = settings


def _note_unset(text: str, statement: list[Token], path: Path, registry: Registry) -> bool:
    """Note each parameter of a statement that is not set, and return whether there is one."""
    found = list(unset(text, statement))
    for key, at in found:
        registry.problem(not_set(key), Place(str(path), text.count("\n", 0, at) + 1), undeclared=True)
    return bool(found)


class _Statements:
    def __init__(self, path: Path, spark: SparkSession, registry: Registry) -> None:
        self._path = path
        self._spark = spark
        self._registry = registry

    def declare(self, cursor: Cursor, place: Place) -> None:
        """Declare what one statement says."""
        if cursor.take("USE"):
            self._use(cursor)
        elif cursor.take("SET"):
            if not SET.match(f"SET {cursor.rest()}"):
                raise PipelineError("SET needs key = value")
        elif cursor.take("APPLY", "CHANGES") or cursor.take("AUTO", "CDC"):
            self._cdc(cursor, None, place)
        elif cursor.take("INSERT"):
            self._insert(cursor, None, place)
        elif cursor.take("CREATE"):
            self._create(cursor, place)
        else:
            raise PipelineError(f"a pipeline cannot hold the statement '{cursor.next_words(3)} …'")

    def _use(self, cursor: Cursor) -> None:
        definitions = self._registry.definitions
        if cursor.take("CATALOG"):
            definitions.catalog = cursor.name()
        else:
            cursor.take("SCHEMA") or cursor.take("DATABASE")
            definitions.schema = cursor.name()

    def _create(self, cursor: Cursor, place: Place) -> None:
        cursor.take("OR", "REFRESH") or cursor.take("OR", "REPLACE")
        private = cursor.take("PRIVATE")
        temporary = cursor.take("TEMPORARY") or cursor.take("TEMP")
        if cursor.take("FLOW"):
            self._flow(cursor, place)
            return
        kind = self._kind(cursor)
        cursor.take("IF", "NOT", "EXISTS")
        said = cursor.name()
        definitions = self._registry.definitions
        name = definitions.table_name(said)
        if kind is Kind.VIEW and temporary:
            name = view_name(name.name)
            said = name.name
        dataset = Dataset(name, said, kind, place, private=private or (temporary and kind is not Kind.VIEW))
        names = table_clauses(cursor, dataset)
        if cursor.take("FLOW"):  # CREATE STREAMING TABLE t FLOW AUTO CDC …, or FLOW REPLACE …
            self._registry.add_dataset(dataset)
            if cursor.take("AUTO", "CDC") or cursor.take("APPLY", "CHANGES"):
                self._cdc(cursor, said, place, target=said)
            else:
                once = cursor.take("INSERT") and cursor.take("ONCE")
                self._insert_query(cursor, said, said, place, once=once)
            return
        query = self._query(cursor) if cursor.take("AS") else None
        if query is None:
            cursor.expect_end()
        if query is None and kind is not Kind.STREAMING_TABLE:
            raise PipelineError(f"'{said}' needs AS and a query")
        if self._registry.add_dataset(dataset) and query is not None:
            query = functools.partial(_renamed, query, names) if names else query
            self._registry.add_flow(Flow(said, name, query, place))

    @staticmethod
    def _kind(cursor: Cursor) -> Kind:
        cursor.take("LIVE")
        if cursor.take("STREAMING") or cursor.take("INCREMENTAL"):
            cursor.take("LIVE")
            return Kind.VIEW if cursor.take("VIEW") else cursor.need(Kind.STREAMING_TABLE, "TABLE")
        if cursor.take("MATERIALIZED"):
            return cursor.need(Kind.MATERIALIZED_VIEW, "VIEW")
        cursor.take("LIVE")
        if cursor.take("VIEW"):
            return Kind.VIEW
        return cursor.need(Kind.TABLE, "TABLE")

    def _query(self, cursor: Cursor) -> Callable[[], DataFrame]:
        line = cursor.line()
        return functools.partial(self._spark_sql, cursor.rest(), line)

    def _spark_sql(self, text: str, line: int = 0) -> DataFrame:
        try:
            return self._spark.sql(text)
        except PySparkException as error:
            found = POSITION.search(str(error))
            if not found or not line:
                raise
            placed = PipelineError(POSITION.sub("", reason_of(error)))
            placed.place = Place(str(self._path), line + int(found[1]) - 1)
            raise placed from None

    def _flow(self, cursor: Cursor, place: Place) -> None:
        name = cursor.name()
        if cursor.take("COMMENT"):
            cursor.string()
        cursor.need(None, "AS")
        if cursor.take("AUTO", "CDC") or cursor.take("APPLY", "CHANGES"):
            self._cdc(cursor, name, place)
        else:
            cursor.need(None, "INSERT")
            self._insert(cursor, name, place)

    def _insert(self, cursor: Cursor, name: str | None, place: Place) -> None:
        cursor.take("INTO")
        once = cursor.take("ONCE")
        cursor.take("INTO")
        target = cursor.name()
        self._insert_query(cursor, name or target, target, place, once=once)

    def _insert_query(self, cursor: Cursor, name: str, target: str, place: Place, *, once: bool) -> None:
        cursor.take("BY", "NAME")
        replace = None
        if cursor.take("REPLACE", "USING"):
            keys = tuple(cursor.names_in_parentheses())
            cursor.need(None, "SEQUENCE", "BY")
            replace = ReplaceSpec(keys, cursor.expression(*QUERIES))
        elif cursor.take("REPLACE", "WHERE"):
            replace = ReplaceSpec(where=cursor.expression(*QUERIES))
        cursor.take("BY", "NAME")
        self._registry.add_flow(Flow(name, target, self._query(cursor), place, once, replace=replace))

    def _cdc(self, cursor: Cursor, name: str | None, place: Place, target: str | None = None) -> None:
        given: dict[str, Any] = dict.fromkeys(CDC_ARGUMENTS)
        once = cursor.take("ONCE")
        if target is None:
            cursor.need(None, "INTO")
            target = cursor.name()
        cursor.need(None, "FROM")
        snapshot = cursor.take("SNAPSHOT")
        text = cursor.parenthesised() if snapshot and cursor.is_list() else None
        source: Any = cursor.source() if text is None else "the query"
        if snapshot and cursor.take("WITH", "VERSION"):
            if text is None:
                raise PipelineError("WITH VERSION needs FROM SNAPSHOT (a query)")
            source = VersionedSnapshots(self._spark_sql, text, cursor.parenthesised())
            given["shape"] = source.shape
        given |= {"target": target, "source": source, "stored_as_scd_type": "1", "ignore_null_updates": False}
        while not cursor.at_end():
            if snapshot and cursor.next_words(1).upper().split()[0] not in OF_SNAPSHOTS:
                raise PipelineError(f"AUTO CDC FROM SNAPSHOT: cannot read '{cursor.next_words(3)} …'")
            self._cdc_clause(cursor, given)
        spec, problems = (SnapshotSpec if snapshot else CdcSpec).read(given)
        for problem in problems:
            self._registry.problem(f"AUTO CDC: {problem}", place)
        if spec is not None:
            stream = not once and not snapshot
            by_name = functools.partial(reads.table, source, stream=stream)
            query = source if callable(source) else functools.partial(self._spark_sql, text) if text else by_name
            self._registry.add_flow(Flow(name or target, target, query, place, once, cdc=spec))

    @staticmethod
    def _cdc_clause(cursor: Cursor, given: dict[str, Any]) -> None:
        if cursor.take("KEYS"):
            given["keys"] = cursor.names_in_parentheses()
        elif cursor.take("IGNORE", "NULL", "UPDATES"):
            given["ignore_null_updates"] = True
        elif cursor.take("APPLY", "AS", "DELETE", "WHEN"):
            given["apply_as_deletes"] = cursor.expression()
        elif cursor.take("APPLY", "AS", "TRUNCATE", "WHEN"):
            given["apply_as_truncates"] = cursor.expression()
        elif cursor.take("SEQUENCE", "BY"):
            given["sequence_by"] = cursor.expression()
        elif cursor.take("WHERE"):
            given["where"] = cursor.expression()
        elif cursor.take("COLUMNS"):
            _list(cursor, given, "column_list", "except_column_list")
        elif cursor.take("STORED", "AS"):
            cursor.take("SCD", "TYPE")
            given["stored_as_scd_type"] = cursor.name()
        elif cursor.take("TRACK", "HISTORY", "ON"):
            _list(cursor, given, "track_history_column_list", "track_history_except_column_list")
        else:
            raise PipelineError(f"AUTO CDC: cannot read '{cursor.next_words(3)} …'")


QUERIES = (("BY", "NAME"), *((word,) for word in ("SELECT", "WITH", "FROM", "TABLE", "VALUES")))  # behind REPLACE
OF_SNAPSHOTS = ("KEYS", "STORED", "TRACK")
CDC_ARGUMENTS = (
    *("target", "source", "keys", "sequence_by", "where", "ignore_null_updates", "apply_as_deletes"),
    *("apply_as_truncates", "column_list", "except_column_list", "stored_as_scd_type", "track_history_column_list"),
    *("track_history_except_column_list", "ignore_null_updates_column_list", "columns_to_update"),
    *("ignore_null_updates_except_column_list", "system_sequence_by"),
)


def _renamed(query: Callable[[], DataFrame], names: list[str]) -> DataFrame:
    frame = query()
    if len(frame.columns) != len(names):
        raise PipelineError(f"{len(names)} columns are named, and the query gives {len(frame.columns)}")
    return frame.toDF(*names)


def _list(cursor: Cursor, given: dict[str, Any], only: str, beside: str) -> None:
    if cursor.take("*"):
        cursor.need(None, "EXCEPT")
        given[beside] = cursor.names_in_parentheses()
    else:
        given[only] = cursor.names()
