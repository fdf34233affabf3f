"""Spark in a task's process: started when it is asked for, by ``SparkSession.builder`` as well as by ``spark``.

The settings are in the environment that the launcher prepared. What is added here is what a metastore would do:
the first session of the process sees the tables of the workspace.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_workspace.task.workspace_tables import WorkspaceTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODULE = "pyspark.sql.session"


def session() -> SparkSession:
    """Return the session of this process; the first call starts it."""
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def show_tables(warehouse: Path) -> WorkspaceTables:
    """Let each session that the process starts see the tables of the workspace, without importing pyspark now."""
    tables = WorkspaceTables(warehouse)
    sys.meta_path.insert(0, _OnImport(lambda module: _after_start(module, tables)))
    return tables


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


class _OnImport(importlib.abc.MetaPathFinder):
    """Tells when `pyspark.sql.session` has been imported."""

    def __init__(self, told: Callable[[Any], None]) -> None:
        self._told = told

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as everyone else does, and be told once it has run."""
        if fullname != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_tell(module: types.ModuleType) -> None:
                run(module)
                self._told(module)

            spec.loader.exec_module = run_and_tell  # type: ignore[method-assign]  # of this one loader
        return spec


def _after_start(module: Any, tables: WorkspaceTables) -> None:
    builder = module.SparkSession.Builder
    get_or_create = builder.getOrCreate
    known: set[str] = set()

    def get_or_create_with_tables(self: Any) -> SparkSession:
        spark: SparkSession = get_or_create(self)
        application = spark.sparkContext.applicationId
        if application not in known:
            known.add(application)
            tables.synchronise(spark)
        return spark

    builder.getOrCreate = get_or_create_with_tables
