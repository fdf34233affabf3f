"""Auto Loader's files (`cloudFiles`, ``read_files``) in a pipeline: the rule of `devkit.spark.auto_loader` reads them.

Its list of options is the only one. What is different from a job: Databricks keeps a pipeline's inferred schema itself,
and an update that fails at a new column is started again; here the next update adds it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pyspark.errors import IllegalArgumentException, UnsupportedOperationException
from pyspark.sql import DataFrame, SparkSession

from local_pipelines.errors import PipelineError

FORMAT, PREFIX = "devkit.read_files", "readFiles."  # while an update runs, `cloudFiles` on a reader is the pipeline's
MIXED = "any."  # behind the prefix: an option of Auto Loader's or of Spark's, which the rule knows
OWN, MODE = "cloudfiles.", "schemaevolutionmode"


def read(spark: SparkSession, path: str | None, settings: Mapping[str, Any], *, stream: bool = True) -> DataFrame:
    """Return the frame of a folder's files.

    Args:
        spark: The session.
        path: Folder, file or pattern.
        settings: ``schema`` and ``options`` (keys in small letters), see `local_pipelines.flows.reads.settings_of`;
            ``is_mixed`` where Auto Loader's own options stand without ``cloudFiles.``, as in SQL.
        stream: Whether to read it as a stream.

    Raises:
        PipelineError: An option is missing, unknown or cannot be followed, or no schema can be found.
    """
    options, schema, is_mixed = settings["options"], settings.get("schema"), settings.get("is_mixed")
    reader: Any = (spark.readStream if stream else spark.read).format(FORMAT)
    if schema is not None:
        reader = reader.schema(schema)
    for key, value in options.items():
        prefix = PREFIX if key.startswith(OWN) else f"{PREFIX}{MIXED}" if is_mixed else ""
        reader = reader.option(f"{prefix}{key.removeprefix(OWN)}", value)
    try:
        frame: DataFrame = reader.load(path)
    except (IllegalArgumentException, UnsupportedOperationException) as error:
        raise PipelineError(str(error)) from None
    mode = options.get(f"{OWN}{MODE}") or (options.get(MODE, "") if is_mixed else "")
    if schema is None and mode and not mode.lower().startswith("addnewcolumns"):
        told = f"cloudFiles.schemaEvolutionMode={mode} cannot be followed here: the next update adds new columns"
        warnings.warn(f"{told} of {path}; give a schema to keep them out", stacklevel=2)
    return frame
