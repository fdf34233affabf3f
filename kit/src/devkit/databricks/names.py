"""The names that Databricks puts into a notebook, and the two packages by which modules get them.

Only the standard library is imported: tasks of a local workspace begin with it.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUNTIME: Final = "databricks.sdk.runtime"


def _sql_context(spark: SparkSession) -> object:
    """Return the old entry point, which ``from databricks.sdk.runtime import *`` asks for, without its warning."""
    from pyspark.sql import SQLContext

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return SQLContext(spark.sparkContext, spark)


# Spark is started when one of them is first asked for.
OF_SPARK: Final[dict[str, Callable[[SparkSession], object]]] = {
    "spark": lambda spark: spark,
    "sc": lambda spark: spark.sparkContext,
    "sql": lambda spark: spark.sql,
    "table": lambda spark: spark.table,
    "udf": lambda _: importlib.import_module("pyspark.sql.functions").udf,
    "sqlContext": _sql_context,
}
CLASSIC: Final = ("sc", "sqlContext")


class Namespace(dict[str, Any]):
    """The names that the cells of a notebook share.

    Args:
        session: Returns the session, and starts it the first time.
        names: Those that need no Spark.
        of_spark: More that do.
    """

    def __init__(
        self,
        session: Callable[[], SparkSession],
        names: Mapping[str, Any],
        of_spark: Mapping[str, Callable[[SparkSession], object]] | None = None,
    ) -> None:
        super().__init__(names)
        self._session = session
        self._of_spark = {**OF_SPARK, **(of_spark or {})}

    def __missing__(self, name: str) -> Any:
        """Make what comes from Spark at its first use."""
        if name not in self._of_spark:
            raise KeyError(name)
        self[name] = self._of_spark[name](self._session())
        return self[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a name, made already or not."""
        is_connect = "SPARK_REMOTE" in os.environ
        return super().__contains__(name) or (name in self._of_spark and not (name in CLASSIC and is_connect))


def provide_dbutils(make: Callable[[], object]) -> None:
    """Let ``from pyspark.dbutils import DBUtils`` work, as it does on Databricks."""
    module = types.ModuleType("pyspark.dbutils")
    module.DBUtils = lambda *_: make()  # type: ignore[attr-defined]  # a module made here
    sys.modules[module.__name__] = module


def provide_runtime(names: Mapping[str, object], *, once: bool = False) -> None:
    """Let ``from databricks.sdk.runtime import spark, dbutils, display`` give these names, as on Databricks.

    The official SDK looks for a package ``dbruntime`` and takes each name that it knows from it.

    Args:
        names: The names.
        once: Give them to that import alone: a client's own ``dbutils`` stays that of its workspace.
    """
    module = types.ModuleType("dbruntime")

    def given() -> Mapping[str, object]:
        if once:
            del sys.modules[module.__name__]
        return names

    namespace = types.SimpleNamespace(get_namespace_globals=given)
    module.UserNamespaceInitializer = types.SimpleNamespace(getOrCreate=lambda: namespace)  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module


class RuntimeOnImport(MetaPathFinder):
    """Finds no module, and provides the names once ``databricks.sdk.runtime`` is imported."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> None:
        """Look out for that one module."""
        if fullname == RUNTIME:
            sys.meta_path.remove(self)
            provide_runtime(self._names, once=True)
