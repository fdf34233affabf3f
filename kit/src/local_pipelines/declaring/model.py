"""What a pipeline consists of, as plain data: datasets, flows, sinks, expectations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql.types import StructType

from local_pipelines.errors import PipelineError, Place, Problem

Query = Callable[[], DataFrame]
PLATFORM, RESET_ALLOWED = "pipelines.", "pipelines.reset.allowed"


class TableName(NamedTuple):
    """A dataset's name in three levels; a view stands in no schema, so its first two are empty."""

    catalog: str
    schema: str
    name: str

    def __str__(self) -> str:
        """Return the parts joined by dots."""
        return ".".join(part for part in self if part)


def split_name(text: str) -> list[str]:
    """Split a name at its dots, except those within backticks.

    Raises:
        PipelineError: The name is empty, has an empty part, or a backtick is not closed.
    """
    parts, part, quoted = [], "", False
    for letter in text.strip().replace("``", "\0"):
        if letter == "`":
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append(part)
            part = ""
        else:
            part += letter
    parts = [part.replace("\0", "`").strip() for part in [*parts, part]]
    if quoted or not all(parts):
        raise PipelineError(
            f"invalid name: {text!r}",
            remedy="Write name, schema.name or catalog.schema.name; quote by backticks.",
        )
    return parts


class Kind(StrEnum):
    """What a dataset is; `TABLE` stands until its query shows whether it is a stream."""

    TABLE = "table"
    STREAMING_TABLE = "streaming table"
    MATERIALIZED_VIEW = "materialized view"
    VIEW = "view"


class Action(StrEnum):
    """What happens to a row for which an expectation is not true."""

    WARN = "warn"
    DROP = "drop"
    FAIL = "fail"


@dataclass(frozen=True)
class Expectation:
    """A rule for the rows of a dataset: whatever is not true has failed, null included.

    Attributes:
        name: Unique within its dataset.
        condition: SQL text or a Column.
        action: What happens to a row that fails.
        place: Where it was declared.
    """

    name: str
    condition: str | Column
    action: Action
    place: Place | None = None


@dataclass
class Dataset:
    """A streaming table, materialized view or view.

    Attributes:
        name: In three levels.
        said: The name as the user wrote it, which reports use.
        kind: What it is.
        place: Where it was declared.
        comment: Stored with the table.
        properties: Table properties.
        partition_columns: Column names.
        cluster_columns: Column names of liquid clustering.
        schema: Declared schema, DDL or StructType.
        path: Where the table lies, if not in the pipeline's storage.
        private: Not published (``private=True`` or ``temporary=True``).
        spark_conf: Settings while its query runs.
        expectations: In order of declaration.
    """

    name: TableName
    said: str
    kind: Kind
    place: Place | None
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    partition_columns: tuple[str, ...] = ()
    cluster_columns: tuple[str, ...] = ()
    schema: str | StructType | None = None
    path: str | None = None
    private: bool = False
    spark_conf: Mapping[str, str] = field(default_factory=dict)
    expectations: list[Expectation] = field(default_factory=list)

    @property
    def reset_allowed(self) -> bool:
        """Whether a full refresh may clear it (``pipelines.reset.allowed``)."""
        return str(self.properties.get(RESET_ALLOWED, "true")).lower() != "false"


@dataclass(frozen=True)
class ReplaceSpec:
    """How a replace flow's rows take the place of others: by keys from a stream, or by a condition from a batch.

    Attributes:
        keys: Columns whose values name the rows that are replaced.
        sequence_by: Orders the rows of a key: the highest stay, and none below what the target has.
        where: What it is true for is replaced by the query's rows that it is true for.
    """

    keys: tuple[str, ...] = ()
    sequence_by: str | Column | None = None
    where: str | Column | None = None


@dataclass
class Flow:
    """A query that writes to a dataset or sink; its name is its checkpoint's identity.

    Attributes:
        name: Unique within the pipeline.
        target: The dataset, or a sink's name.
        query: The user's function.
        place: Where it was declared.
        once: Runs once over a batch query, and again after a full refresh.
        spark_conf: Settings while it runs.
        cdc: What an AUTO CDC flow does with its source's rows.
        replace: What a replace flow does with its rows.
        output_mode: Of Spark's stream into a sink: ``append``, or ``update`` for an update flow.
        depends_on: Names of flows that must have ended well before it starts, whether it reads their targets or not.
    """

    name: str
    target: TableName | str
    query: Query
    place: Place | None
    once: bool = False
    spark_conf: Mapping[str, str] = field(default_factory=dict)
    cdc: Any = None
    replace: ReplaceSpec | None = None
    output_mode: str = "append"
    depends_on: tuple[str, ...] = ()

    @property
    def sparks_settings(self) -> dict[str, str]:
        """Those of `spark_conf` that are Spark's own, not the platform's."""
        return {key: value for key, value in self.spark_conf.items() if not key.startswith(PLATFORM)}


@dataclass
class Sink:
    """A target outside the pipeline: streaming append flows only.

    Attributes:
        name: What flows target.
        format: Of Spark's writer; ``None`` for a sink with a handler.
        options: Of Spark's writer.
        handler: ``handler(batch_df, batch_id)`` of a `foreach_batch_sink`.
        place: Where it was declared.
    """

    name: str
    place: Place | None
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    handler: Callable[[DataFrame, int], Any] | None = None


@dataclass
class Definitions:
    """Everything that a pipeline's sources declare.

    Attributes:
        name: Of the pipeline.
        catalog: Where datasets go whose name has no catalog.
        schema: Where datasets go whose name has no schema.
        parameters: The pipeline's `configuration`.
        datasets: By name.
        flows: By name.
        sinks: By name.
        hooks: Functions that get each event of the log, each with how many times it may fail in a row, none for ever.
        deprecations: What the sources call by an old name, as sentences.
        problems: What is wrong with it; the analysis tells them with its own, all at once.
        incomplete: Whether a mistake kept something from being declared, so that a missing name may be its.
    """

    name: str = "pipeline"
    catalog: str = "main"
    schema: str = "default"
    parameters: Mapping[str, str] = field(default_factory=dict)
    datasets: dict[TableName, Dataset] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    sinks: dict[str, Sink] = field(default_factory=dict)
    hooks: dict[Callable[[dict[str, Any]], Any], int | None] = field(default_factory=dict)
    deprecations: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    incomplete: bool = False

    def table_name(self, text: str) -> TableName:
        """Return a name in three levels; a ``LIVE.`` prefix stands for the pipeline's own schema."""
        parts = split_name(text)
        if len(parts) == 2 and parts[0].lower() == "live":
            parts = parts[1:]
        if len(parts) > 3:
            raise PipelineError(f"invalid name: {text!r}", remedy="A table has at most three levels.")
        catalog, schema, name = [None, None, *parts][-3:]
        return TableName(catalog or self.catalog, schema or self.schema, name or "")

    def find(self, text: str) -> Dataset | None:
        """Return the dataset that a name in the code means; a view goes before a table of its name."""
        parts = split_name(text)
        plain = len(parts) == 1 or (len(parts) == 2 and parts[0].lower() == "live")
        wanted = [TableName("", "", parts[-1])] if plain else []
        wanted.append(self.table_name(text))
        folded = {tuple(part.lower() for part in name): dataset for name, dataset in self.datasets.items()}
        found = (folded.get(tuple(part.lower() for part in name)) for name in wanted)
        return next((dataset for dataset in found if dataset is not None), None)
