"""Auto Loader's files (`cloudFiles`) by Spark's own file source.

Inferred columns of JSON and CSV are strings unless ``cloudFiles.inferColumnTypes`` is true, and come with
``_rescued_data``; a given schema comes without it, unless ``rescuedDataColumn`` names one (Databricks' documentation).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from local_pipelines.errors import PipelineError
from spark_utils.names import suggestion

RESCUED = "_rescued_data"
OF_THE_SOURCE = {"maxfilespertrigger": "maxFilesPerTrigger", "maxbytespertrigger": "maxBytesPerTrigger"}
KNOWN = {
    *("format", "schemalocation", "schemahints", "infercolumntypes", "schemaevolutionmode", "includeexistingfiles"),
    *("usenotifications", "validateoptions", "backfillinterval", "allowoverwrites", "partitioncolumns", "maxfileage"),
    *("usemanagedfileevents", "useincrementallisting", "usestrictglobber", "cleansource", *OF_THE_SOURCE),
    *("cleansource.retentionduration", "cleansource.movedestination", "fetchparallelism", "region", "queueurl"),
    *("queuename", "connectionstring", "resourcegroup", "subscriptionid", "tenantid", "clientid", "clientsecret"),
}
OTHER_ROWS = {"includeexistingfiles": "false", "allowoverwrites": "true"}  # Spark's source reads each file, and once
MODES = ("addNewColumns", "addNewColumnsWithTypeWidening", "rescue", "failOnNewColumns", "none")
TEXT_FORMATS = {"json", "csv"}
NOTHING_THERE = {"PATH_NOT_FOUND": "does not exist", "UNABLE_TO_INFER_SCHEMA": "holds no file"}


def read(
    spark: SparkSession, path: str | None, settings: Mapping[str, Any], *, stream: bool = True, empty: str | None = None
) -> DataFrame:
    """Return the frame of a folder's files.

    Args:
        spark: The session.
        path: Folder, file or pattern.
        settings: ``schema`` and ``options`` (keys in small letters), see `local_pipelines.flows.reads.settings_of`.
        stream: Whether to read it as a stream.
        empty: An empty folder, to read nothing, with the same schema.

    Raises:
        PipelineError: An option is missing, unknown or cannot be followed, or no schema can be found.
    """
    options = dict(settings["options"])
    own = {key.removeprefix("cloudfiles."): options.pop(key) for key in list(options) if key.startswith("cloudfiles.")}
    unknown = sorted(set(own) - KNOWN)
    if unknown:
        raise PipelineError(f"unknown option of cloudFiles: {unknown[0]}{suggestion(unknown[0], KNOWN)}")
    for key in [key for key, value in OTHER_ROWS.items() if own.get(key, "").lower() == value]:
        raise PipelineError(f"cloudFiles.{key}={own[key]} cannot be followed here: each file is read, and once")
    path = path or options.pop("path", None)
    if path is None or "format" not in own:
        raise PipelineError("cloudFiles needs the option cloudFiles.format and a path")
    file_format = own["format"]
    given = settings.get("schema")
    inferred = given is None
    mode = own.get("schemaevolutionmode", "")
    if mode and mode.lower() not in map(str.lower, MODES):
        raise PipelineError(f"unknown cloudFiles.schemaEvolutionMode '{mode}'{suggestion(mode, MODES)}")
    if inferred and mode and not mode.lower().startswith("addnewcolumns"):
        told = (
            f"cloudFiles.schemaEvolutionMode={mode} cannot be followed here: the next update adds new columns of {path}"
        )
        warnings.warn(f"{told}; give a schema to keep them out", stacklevel=2)
    schema: Any = _inferred(spark, file_format, path, options, own) if inferred else given
    if isinstance(schema, str):
        schema = StructType.fromDDL(schema)
    rescued = options.pop("rescueddatacolumn", RESCUED if inferred else None)
    limits = {OF_THE_SOURCE[key]: value for key, value in own.items() if key in OF_THE_SOURCE}
    place = empty or path
    reader: Any = spark.readStream if stream else spark.read
    multiline = options.get("multiline", "false").lower() == "true"
    if rescued and file_format == "json" and not multiline:
        return _rescuing_json(reader.options(**limits), place, schema, options, rescued)
    if rescued and file_format == "csv":
        return _rescuing_csv(reader.options(**options, **limits), place, schema, rescued)
    frame: DataFrame = reader.format(file_format).options(**options, **limits).schema(schema).load(place)
    return frame.withColumn(rescued, F.lit(None).cast("string")) if rescued else frame


def _inferred(
    spark: SparkSession, file_format: str, path: str, options: Mapping[str, str], own: Mapping[str, str]
) -> StructType:
    if file_format in {"text", "binaryFile", "binaryfile"}:
        return _schema(spark.read.format(file_format), path)
    typed = own.get("infercolumntypes", "false").lower() == "true"
    extra = {"inferSchema": "true"} if file_format == "csv" and typed else {}
    found = _schema(spark.read.format(file_format).options(**{**extra, **options}), path)
    if file_format in TEXT_FORMATS and not typed:
        found = StructType([StructField(column.name, StringType()) for column in found])
    hints: Any = StructType.fromDDL(own["schemahints"]) if "schemahints" in own else StructType()
    by_name = {hint.name.lower(): hint for hint in hints}
    columns = [by_name.pop(column.name.lower(), column) for column in found]
    return StructType([*columns, *by_name.values()])


def _schema(reader: DataFrameReader, path: str) -> StructType:
    try:
        return reader.load(path).schema
    except AnalysisException as error:
        problem = NOTHING_THERE.get(error.getCondition() or "")
        if problem is None:
            raise
        message = f"cloudFiles cannot infer a schema: {path} {problem}"
        raise PipelineError(message, remedy="Put a file there, or give a schema.") from None


def _rescuing_json(reader: Any, path: str, schema: StructType, options: Mapping[str, str], rescued: str) -> DataFrame:
    """Parse each line, and keep what the schema has no place for as JSON text in the column `rescued`."""
    lines: DataFrame = reader.format("text").load(path)
    of_the_folder = {column.lower() for column in lines.columns} - {"value"}
    inside = StructType([column for column in schema if column.name.lower() not in of_the_folder])
    file = F.col("_metadata.file_path")
    parsed = lines.where(F.length(F.trim("value")) > 0).select(
        "*",
        file.alias("__file"),
        F.from_json("value", inside, dict(options)).alias("__typed"),
        F.from_json("value", "map<string,string>").alias("__raw"),
    )
    names = F.array(*[F.lit(column.name) for column in inside]) if len(inside) else F.array().cast("array<string>")
    misfits = F.array(
        *[F.when(F.col("__typed").getField(column.name).isNull(), F.lit(column.name)) for column in inside]
    ).cast("array<string>")
    left = F.map_filter(
        "__raw", lambda key, value: value.isNotNull() & (~F.array_contains(names, key) | F.array_contains(misfits, key))
    )
    rest = F.when(
        F.col("__raw").isNull(),
        F.to_json(F.create_map(F.lit("_corrupt_record"), F.col("value"), F.lit("_file_path"), F.col("__file"))),
    ).when(F.size(left) > 0, F.to_json(F.map_concat(left, F.create_map(F.lit("_file_path"), F.col("__file")))))
    columns = [
        F.col(column.name) if column.name.lower() in of_the_folder else F.col("__typed").getField(column.name)
        for column in schema
    ]
    named = [column.alias(field.name) for column, field in zip(columns, schema, strict=True)]
    return parsed.select(*named, rest.alias(rescued))


def _rescuing_csv(reader: Any, path: str, schema: StructType, rescued: str) -> DataFrame:
    """Read texts, and keep those that do not fit their column's type in the column `rescued`."""
    texts = StructType([StructField(column.name, StringType()) for column in schema])
    frame: DataFrame = reader.format("csv").schema(texts).load(path)
    quoted = {column.name: F.col(f"`{column.name.replace('`', '``')}`") for column in schema}
    typed = {column.name: quoted[column.name].try_cast(column.dataType) for column in schema}
    left = F.map_filter(
        F.create_map(*[part for name in quoted for part in (F.lit(name), F.when(typed[name].isNull(), quoted[name]))]),
        lambda _, value: value.isNotNull(),
    )
    path_of = F.create_map(F.lit("_file_path"), F.col("_metadata.file_path"))
    rest = F.when(F.size(left) > 0, F.to_json(F.map_concat(left, path_of)))
    return frame.select(*[column.alias(name) for name, column in typed.items()], rest.alias(rescued))
