"""Spark in a task's process: started when it is asked for, by ``SparkSession.builder`` as well as by ``spark``.

The settings are in the environment that the launcher prepared, the catalogs of the workspace among them.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def session() -> SparkSession:
    """Return the session of this process; the first call starts it."""
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def provide_dbutils(make: Callable[[], object]) -> None:
    """Let ``from pyspark.dbutils import DBUtils`` work, as it does on Databricks."""
    module = types.ModuleType("pyspark.dbutils")
    module.DBUtils = lambda *_: make()  # type: ignore[attr-defined]  # a module made here
    sys.modules[module.__name__] = module


def provide_runtime(names: Mapping[str, object]) -> None:
    """Let ``from databricks.sdk.runtime import spark, dbutils, display`` give what the task has, as on Databricks.

    The official SDK looks for a package ``dbruntime`` and takes each name that it knows from it.
    """
    module = types.ModuleType("dbruntime")
    namespace = types.SimpleNamespace(get_namespace_globals=lambda: names)
    module.UserNamespaceInitializer = types.SimpleNamespace(getOrCreate=lambda: namespace)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module


def is_started() -> bool:
    """Return whether Spark runs in this process; asking for the active session would look at this thread only."""
    module = sys.modules.get("pyspark")
    return module is not None and module.SparkContext._active_spark_context is not None
