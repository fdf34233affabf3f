"""How names in a query become frames, the same while a pipeline is analysed and while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NoReturn

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamReader

from local_pipelines.declaring.model import Dataset, Definitions, Kind, split_name
from local_pipelines.errors import PipelineError, UnknownTableError
from local_pipelines.flows import cloud_files, reads
from local_pipelines.sql import arguments as sql_arguments
from local_pipelines.sql import relations
from local_pipelines.sql.parameters import with_settings
from local_pipelines.storage import Storage, is_table
from spark_utils.names import suggestion


class Resolver(ABC):
    """Answers the reading of one flow's query (see `local_pipelines.flows.reads.Reads`).

    Args:
        definitions: The pipeline.
        spark: The session.
        storage: Where its tables lie.
    """

    may_compute = False

    def __init__(self, definitions: Definitions, spark: SparkSession, storage: Storage) -> None:
        self.definitions = definitions
        self.spark = spark
        self.storage = storage

    @abstractmethod
    def view(self, dataset: Dataset) -> DataFrame:
        """Return the frame of one of the pipeline's views."""

    @abstractmethod
    def stored(self, dataset: Dataset, *, stream: bool, reader: Any) -> DataFrame:
        """Return the frame of one of the pipeline's tables."""

    def cloud_files(self, path: str | None, reader: DataStreamReader) -> DataFrame:
        """Return the frame of Auto Loader's files."""
        with reads.outside():
            return cloud_files.read(self.spark, path, reads.settings_of(reader))

    def table(self, name: str, *, stream: bool, reader: Any = None) -> DataFrame:
        """Return the frame of a name: of the pipeline's dataset, of a table in its storage, or of Spark's catalog."""
        dataset = self.definitions.find(name)
        if dataset is None:
            return self._external(name, stream=stream, reader=reader)
        if dataset.kind is not Kind.VIEW:
            return self.stored(dataset, stream=stream, reader=reader)
        frame = self.view(dataset)
        if frame.isStreaming and not stream:
            raise PipelineError(f"view '{name}' is a stream: read it with spark.readStream.table")
        if stream and not frame.isStreaming:
            raise PipelineError(f"view '{name}' is not a stream: use spark.read.table, or let its query be one")
        return frame

    def sql(self, text: str, original: Callable[[str], DataFrame]) -> DataFrame:
        """Return the frame of a query."""

        def function(name: str, arguments: str, stream: bool) -> DataFrame:
            if name == relations.CHANGES:
                return self._changes(*sql_arguments.table_changes(arguments))
            with reads.outside():
                if name == "read_kafka":
                    reader: Any = self.spark.readStream if stream else self.spark.read
                    frame: DataFrame = reader.format("kafka").options(**sql_arguments.read_kafka(arguments)).load()
                    return frame
                path, settings = sql_arguments.read_files(arguments, typed=name == "read_files")
                return cloud_files.read(self.spark, path, settings, stream=stream)

        def run(query: str) -> DataFrame:
            with reads.outside():
                return original(query)

        with reads.outside():
            text = with_settings(text, self.spark)
        return relations.query_of(text, self.spark, self._named, function, run)

    def _changes(self, name: str, options: dict[str, str]) -> DataFrame:
        """Return the change feed of a table."""
        dataset = self.definitions.find(name)
        if dataset is not None and dataset.kind is Kind.VIEW:
            raise PipelineError(f"table_changes: '{name}' is a view, and has no change feed")
        return self.table(name, stream=False, reader=self.spark.read.options(**options))

    def _named(self, name: str, stream: bool, options: str) -> DataFrame | None:
        if len(split_name(name)) == 1 and self.definitions.find(name) is None and not stream:
            with reads.outside():
                if self._is_session_view(split_name(name)[0]):
                    return None
        given = sql_arguments.stream_options(options)
        return self.table(name, stream=stream, reader=self.spark.readStream.options(**given) if given else None)

    def _is_session_view(self, name: str) -> bool:
        return bool(self.spark._jsparkSession.sessionState().catalog().getTempView(name).isDefined())

    def _external(self, name: str, *, stream: bool, reader: Any) -> DataFrame:
        with reads.outside():
            full = self.definitions.table_name(name)
            path = self.storage.published(full)
            if is_table(path):
                return delta(self.spark, path, stream=stream, reader=reader)
            parts = split_name(name)
            if len(parts) == 1 and self._is_session_view(parts[0]):
                return self.spark.table(name)
            if self._in_catalog(name):
                given = reader or (self.spark.readStream if stream else self.spark.read)
                return given.table(name)
        known = [dataset.said for dataset in self.definitions.datasets.values()]
        near = suggestion(parts[-1], known) or f"; the pipeline declares no such dataset, and {path} is no Delta table"
        raise UnknownTableError(f"table '{name.replace('`', '')}' is not found{near}")

    def _in_catalog(self, name: str) -> bool:
        try:
            return self.spark.catalog.tableExists(name)
        except Exception:  # a catalog that is not configured
            return False


class OutsideOfQueries(Resolver):
    """Hands out the tables that a file reads while it declares: those that are none of the pipeline's."""

    may_compute = True

    def view(self, dataset: Dataset) -> DataFrame:
        """Refuse one of the pipeline's views."""
        return self._refuse(dataset)

    def stored(self, dataset: Dataset, *, stream: bool, reader: Any) -> DataFrame:  # noqa: ARG002
        """Refuse one of the pipeline's tables."""
        return self._refuse(dataset)

    def sql(self, text: str, original: Callable[[str], DataFrame]) -> DataFrame:
        """Return the frame of a query, or what Spark itself gives for another statement."""
        with reads.outside():
            is_query = relations.is_query(text, self.spark)
        return super().sql(text, original) if is_query else original(text)

    @staticmethod
    def _refuse(dataset: Dataset) -> NoReturn:
        raise PipelineError(f"'{dataset.said}' can be read only within the function of a table, view or flow")


def delta(spark: SparkSession, path: str, *, stream: bool, reader: Any = None) -> DataFrame:
    """Read the Delta table at a path with the options of the user's reader, if one is given."""
    given = reader or (spark.readStream if stream else spark.read)
    return given.format("delta").load(path)
