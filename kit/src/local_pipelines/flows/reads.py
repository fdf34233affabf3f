"""What a query function may ask Spark for while a pipeline runs: names are the pipeline's, writing is not its work.

A pipeline's code is unmodified, and gets its session from anywhere (``spark``, ``SparkSession.getActiveSession()``, a
helper module): so the methods themselves are replaced for the time of an update. What they do is decided by the
context of the calling thread; outside of any query function they do what they always do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from delta.tables import DeltaTable
from pyspark.core.rdd import RDD
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.catalog import Catalog
from pyspark.sql.classic.dataframe import DataFrame as ClassicDataFrame
from pyspark.sql.conf import RuntimeConfig
from pyspark.sql.group import GroupedData
from pyspark.sql.readwriter import DataFrameReader, DataFrameWriter
from pyspark.sql.sql_formatter import SQLStringFormatter
from pyspark.sql.streaming.readwriter import DataStreamReader, DataStreamWriter

from local_pipelines.declaring.model import Definitions
from local_pipelines.declaring.registry import holding
from local_pipelines.errors import PipelineError

CLOUD_FILES = "cloudFiles"
FORBIDDEN: dict[type, tuple[str, ...]] = {
    ClassicDataFrame: (
        *("collect", "count", "toPandas", "toLocalIterator", "head", "first", "take", "tail", "show", "isEmpty"),
        *("foreach", "foreachPartition", "checkpoint", "localCheckpoint", "toArrow"),
        *("writeTo", "mergeInto", "approxQuantile", "corr", "cov", "crosstab"),
    ),
    RDD: ("collect", "count", "first", "foreach", "isEmpty", "reduce", "take", "toLocalIterator"),
    Catalog: ("createTable", "createExternalTable"),
    DataFrameWriter: ("save", "saveAsTable", "insertInto", "parquet", "json", "csv", "orc", "text", "jdbc"),
    DeltaTable: ("merge", "delete", "update"),
    DataStreamWriter: ("start", "toTable"),
    GroupedData: ("pivot",),
    RuntimeConfig: ("set", "unset"),
}
INSTEAD = {
    "pivot": "Name the columns: one aggregate of when(…) for each value.",
    "set": "Write it into the pipeline's `configuration` or the table's `spark_conf`.",
    "unset": "Write it into the pipeline's `configuration` or the table's `spark_conf`.",
}


class Reads(Protocol):
    """How one query function's reading is answered."""

    definitions: Definitions
    may_compute: bool  # so it may outside of the function of a table, view or flow

    def table(self, name: str, *, stream: bool, reader: Any = None) -> DataFrame:
        """Return the frame of a table or view."""

    def sql(self, text: str, original: Callable[[str], DataFrame]) -> DataFrame:
        """Return the frame of a query."""

    def cloud_files(self, path: str | None, reader: DataStreamReader) -> DataFrame:
        """Return the frame of Auto Loader's files; the reader's settings are `settings_of(reader)`."""


_reads: ContextVar[Reads | None] = ContextVar("reads", default=None)
_patched = threading.Lock()


def current() -> Reads | None:
    """Return how reading is answered in this thread, or nothing outside of a query function."""
    return _reads.get()


def table(name: str, *, stream: bool) -> DataFrame:
    """Read a dataset, as `dlt.read` and `dlt.read_stream` do."""
    answer = _reads.get()
    if answer is None or answer.may_compute:
        call = "read_stream" if stream else "read"
        raise PipelineError(f"{call}({name!r}) works only within the function of a table, view or flow")
    return answer.table(name, stream=stream)


def answered_by(reads: Reads) -> AbstractContextManager[None]:
    """Let what the code inside this block reads be answered by `reads`."""
    return holding(_reads, reads)


@contextmanager
def outside() -> Iterator[None]:
    """Let the code inside this block ask Spark itself."""
    token = _reads.set(None)
    try:
        yield
    finally:
        _reads.reset(token)


def unshaded(value: str) -> str:
    """Return an option's value with the names of Kafka's own classes: those of Databricks begin with another word."""
    return value.replace("kafkashaded.org.apache.kafka.", "org.apache.kafka.")


def settings_of(reader: Any) -> dict[str, Any]:
    """Return options (keys in small letters) that were set on a reader; of a stream's, format and schema too."""
    found: dict[str, Any] = reader.__dict__.setdefault("_pipeline_settings", {"options": {}})
    return found


@contextmanager
def patched() -> Iterator[None]:
    """Answer reading by context, and refuse in query functions what a pipeline does itself."""
    with _patched, ExitStack() as stack:

        def replace(owner: type, name: str, make: Callable[[Any], Any]) -> None:
            original = getattr(owner, name)
            own = name in vars(owner)
            setattr(owner, name, functools.wraps(original)(make(original)))
            stack.callback(setattr, owner, name, original) if own else stack.callback(delattr, owner, name)

        _answer_reads(replace)
        _note_stream_options(replace)
        replace(DataFrameReader, "option", _noting_options)
        replace(DataFrameReader, "options", _one_by_one)
        for owner, names in FORBIDDEN.items():
            for name in names:
                if hasattr(owner, name):
                    replace(owner, name, functools.partial(_refused, name))
        yield


def _answer_reads(replace: Callable[[type, str, Callable[[Any], Any]], None]) -> None:
    def by_reader(original: Any, *, stream: bool) -> Any:
        def read(self: Any, tableName: str) -> Any:  # noqa: N803  # pyspark's keyword
            answer = _reads.get()
            return original(self, tableName) if answer is None else answer.table(tableName, stream=stream, reader=self)

        return read

    def by_session(original: Any) -> Any:
        def read(self: SparkSession, tableName: str) -> Any:  # noqa: N803  # pyspark's keyword
            answer = _reads.get()
            return original(self, tableName) if answer is None else answer.table(tableName, stream=False)

        return read

    def by_sql(original: Any) -> Any:
        def sql(self: SparkSession, sqlQuery: str, args: Any = None, **kwargs: Any) -> Any:  # noqa: N803
            answer = _reads.get()
            if answer is None:
                return original(self, sqlQuery, args, **kwargs)
            formatter = SQLStringFormatter(self)  # Spark's parser, which finds the tables, cannot read `{frame}`
            try:
                query = formatter.format(sqlQuery, **kwargs) if kwargs else sqlQuery
                return answer.sql(query, lambda text: original(self, text, args))
            finally:
                formatter.clear()

        return sql

    replace(DataFrameReader, "table", functools.partial(by_reader, stream=False))
    replace(DataStreamReader, "table", functools.partial(by_reader, stream=True))
    replace(SparkSession, "table", by_session)
    replace(SparkSession, "sql", by_sql)


def _one_by_one(_: Any) -> Any:
    def options(self: Any, **given: Any) -> Any:
        for key, value in given.items():
            self.option(key, value)
        return self

    return options


def _noting_options(original: Any) -> Any:
    def option(self: DataFrameReader, key: str, value: Any) -> Any:
        settings_of(self)["options"][key.lower()] = str(value).lower() if isinstance(value, bool) else str(value)
        return original(self, key, value)

    return option


def _note_stream_options(  # four small methods
    replace: Callable[[type, str, Callable[[Any], Any]], None],
) -> None:
    """Remember what is set on a reader of a stream: Spark would not tell, and knows no Auto Loader."""

    def noted_format(original: Any) -> Any:
        def set_format(self: DataStreamReader, source: str) -> Any:
            settings_of(self)["format"] = source
            return self if source == CLOUD_FILES else original(self, source)

        return set_format

    def noted_option(original: Any) -> Any:
        def option(self: DataStreamReader, key: str, value: Any) -> Any:
            text = str(value).lower() if isinstance(value, bool) else unshaded(str(value))
            settings_of(self)["options"][key.lower()] = text
            return self if key.lower().startswith("cloudfiles.") else original(self, key, text)

        return option

    def noted_schema(original: Any) -> Any:
        def schema(self: DataStreamReader, schema: Any) -> Any:
            settings_of(self)["schema"] = schema
            return original(self, schema)

        return schema

    replace(DataStreamReader, "format", noted_format)
    replace(DataStreamReader, "option", noted_option)
    replace(DataStreamReader, "options", _one_by_one)
    replace(DataStreamReader, "schema", noted_schema)
    replace(DataStreamReader, "load", _answer_load)


def _answer_load(original: Any) -> Any:
    def load(
        self: DataStreamReader,
        path: str | None = None,
        format: str | None = None,
        schema: Any = None,
        **options: Any,
    ) -> Any:
        self.options(**options)
        if format is not None:
            self.format(format)
        if schema is not None:
            self.schema(schema)
        answer = _reads.get()
        if settings_of(self).get("format") != CLOUD_FILES:
            return original(self, path)
        if answer is None or answer.may_compute:
            raise PipelineError("cloudFiles can be read only within the function of a table, view or flow")
        return answer.cloud_files(path, self)

    return load


def _refused(name: str, original: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        answer = _reads.get()
        if answer is not None and not answer.may_compute:
            raise PipelineError(
                f"{name}() is not allowed in the function of a table, view or flow",
                remedy=INSTEAD.get(name, "Return the frame: the pipeline runs and writes it."),
            )
        return original(*args, **kwargs)

    return call
