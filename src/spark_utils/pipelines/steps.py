"""Outputs without a class: a source, and named steps over its rows, as configuration writes them.

::

    dlt:
      - func_name: readings
        source: {stream: raw}  # or {table: …}, {sql: …}, {format: cloudFiles, path: …, options: {…}}
        steps:
          - parse: {schema: event.json}
          - good_rows
          - flatten: {column: event}
          - where: value > 0
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_utils.flattening.applying import flatten
from spark_utils.flattening.planner import flatten_plan
from spark_utils.names import suggestion
from spark_utils.parsing.frames import good_rows, parse, rejected_rows
from spark_utils.schemas.loading import load_schema

SOURCES: Final = ("stream", "table", "sql", "format")
SCHEMA_FILES: Final = (".json", ".ddl", ".sql")
OF_FORMAT: Final = ("path", "schema", "options", "batch")


def broken_rows(df: DataFrame, rules: Mapping[str, str | Column]) -> DataFrame:
    """Return the rows that break a rule, for a quarantine: those that `expect_all_or_drop` of the same rules drops.

    Args:
        df: Any rows.
        rules: Conditions by name, SQL text or BOOLEAN; what is not true is broken, null included.

    Returns:
        The rows with a column more, ``broken_rules ARRAY<STRING>``: the names of what they break.
    """
    conditions = {name: F.expr(rule) if isinstance(rule, str) else rule for name, rule in rules.items()}
    broken = [F.when(~F.coalesce(rule, F.lit(False)), F.lit(name)) for name, rule in conditions.items()]
    return df.withColumn("broken_rules", F.array_compact(F.array(*broken))).where(F.size("broken_rules") > 0)


def _schema(value: str, folder: Path) -> Any:
    """Load a schema: DDL text, or a file named from the folder of the configuration."""
    return load_schema(folder / value if value.endswith(SCHEMA_FILES) else value)


def _parse(df: DataFrame, folder: Path, schema: str, **options: Any) -> DataFrame:
    return parse(df, _schema(schema, folder), **options)


def _flatten(df: DataFrame, _: Path, **options: Any) -> DataFrame:
    return flatten(df, flatten_plan(df.schema, **options))


# What a step takes: a mapping of the keywords of a function, a mapping of names to texts, a list, a text, or nothing.
STEPS: Final[Mapping[str, tuple[Any, Callable[..., DataFrame]]]] = {
    "parse": (parse, lambda df, folder, value: _parse(df, folder, **value)),
    "good_rows": (None, lambda df, _, __: good_rows(df)),
    "rejected_rows": (None, lambda df, _, __: rejected_rows(df)),
    "broken_rows": (dict, lambda df, _, value: broken_rows(df, value)),
    "flatten": (flatten_plan, lambda df, folder, value: _flatten(df, folder, **(value or {}))),
    "select": (list, lambda df, _, value: df.selectExpr(*value)),
    "where": (str, lambda df, _, value: df.where(value)),
    "with_columns": (dict, lambda df, _, value: df.withColumns({name: F.expr(text) for name, text in value.items()})),
    "rename": (dict, lambda df, _, value: df.withColumnsRenamed(dict(value))),
    "drop": (list, lambda df, _, value: df.drop(*value)),
}


def unknown_keys(where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    """Return a mistake for each key that is not known."""
    return [f"{where}: unknown key '{key}'{suggestion(key, known)}" for key in given if key not in known]


def frame_of(spark: SparkSession, output: Mapping[str, Any], folder: Path) -> DataFrame:
    """Return the frame of an output's source and steps.

    Args:
        spark: The session.
        output: With the keys ``source`` and ``steps``, without mistakes (`problems_of`).
        folder: Where files of schemas are named from.
    """
    df = _read(spark, output["source"], folder)
    for step in output.get("steps") or ():
        name, value = _named(step)
        df = STEPS[name][1](df, folder, value)
    return df


def _read(spark: SparkSession, source: Mapping[str, Any], folder: Path) -> DataFrame:
    if "sql" in source:
        return spark.sql(source["sql"])
    if "format" not in source:
        return spark.readStream.table(source["stream"]) if "stream" in source else spark.read.table(source["table"])
    reader: Any = spark.read if source.get("batch") else spark.readStream
    reader = reader.format(source["format"]).options(**(source.get("options") or {}))
    if "schema" in source:
        reader = reader.schema(_schema(source["schema"], folder))
    df: DataFrame = reader.load(source["path"]) if "path" in source else reader.load()
    return df


def _named(step: Any) -> tuple[str, Any]:
    return next(iter(step.items())) if isinstance(step, Mapping) and len(step) == 1 else (str(step), None)


def problems_of(where: str, output: Mapping[str, Any]) -> Iterator[str]:
    """Return what is wrong with an output's source and steps."""
    source = output["source"]
    if not isinstance(source, Mapping) or sum(key in source for key in SOURCES) != 1:
        yield f"{where}.source: a mapping with one of {', '.join(SOURCES)} is expected, not {source!r}"
    else:
        yield from unknown_keys(f"{where}.source", source, (*SOURCES, *(OF_FORMAT if "format" in source else ())))
    steps = output.get("steps") or []
    if not isinstance(steps, list):
        yield f"{where}.steps: a list is expected, not {steps!r}"
        return
    for number, step in enumerate(steps):
        yield from _step_problems(f"{where}.steps[{number}]", *_named(step))


def _step_problems(where: str, name: str, value: Any) -> Iterable[str]:
    if name not in STEPS:
        return [f"{where}: unknown step '{name}'{suggestion(name, STEPS)}"]
    taken = STEPS[name][0]
    if taken in (str, list, dict):
        kind = {str: "a text", list: "a list", dict: "a mapping"}[taken]
        return [] if isinstance(value, taken) else [f"{where}: {name} takes {kind}, not {value!r}"]
    if taken is None:
        return [] if value is None else [f"{where}: {name} takes nothing, not {value!r}"]
    if not isinstance(value or {}, Mapping):
        return [f"{where}: {name} takes a mapping, not {value!r}"]
    keywords = [key for key in inspect.signature(taken).parameters if key not in ("df", "options")]
    missing = [] if taken is not parse or "schema" in (value or {}) else [f"{where}: parse needs the key 'schema'"]
    return [*unknown_keys(f"{where}.{name}", value or {}, tuple(keywords)), *missing]
