"""The environment in which a plain ``SparkSession.builder.getOrCreate()`` is the workspace's Spark.

It has Delta, the workspace's catalogs and a quick start (class-data sharing), and costs nothing until Spark is asked
for: pyspark reads these variables when it starts its JVM.

Paths mean what they mean on Databricks: ``/Volumes/…`` and ``/Workspace/…`` are the workspace's folders, ``dbfs:/…``
and every other path without a scheme is in DBFS, and ``file:/…`` is this machine; see `devkit.databricks.paths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from devkit.databricks import paths
from devkit.spark import catalog, local_session
from devkit.spark.warm_up import GENERATED_CODE
from local_workspace.server.paths import BARE, roots_of
from local_workspace.server.state import State
from spark_utils.session import LOG_VARIABLE

FILE_SYSTEM: Final = "dbfs:"  # what Spark puts before a path without a scheme
# Settings that only mean something on Databricks' own machines.
NOT_HERE: Final = (
    "spark.master",
    "spark.databricks.cluster.",
    "spark.databricks.passthrough.",
    "spark.databricks.repl.",
)


@cache
def prepared() -> local_session.Preparation:
    """Return Java, jars and profile; looked up once.

    Raises:
        RuntimeSetupError: Java is missing, no profile fits the installed pyspark, or a jar cannot be had.
    """
    return local_session.prepare()


def settings(state: State, more: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the Spark settings of a process.

    Args:
        state: The workspace.
        more: Settings of the cluster or the task.
        folder: Where the process keeps what it needs while it runs.
    """
    flags = prepared().archive().flags()
    found = local_session.settings(prepared(), flags, folder / "log4j2.properties", fast_start=True)
    return found | own_settings(state, more, folder)


def own_settings(state: State, more: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the settings that make a local Spark the workspace's.

    Args:
        state: The workspace.
        more: Settings of the cluster or the task.
        folder: Where the process keeps what it needs while it runs.
    """
    own = {
        catalog.ROOT_SETTING: str(state.path("warehouse")),
        catalog.VOLUMES_SETTING: str(state.path("volumes")),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "local" / "spark-warehouse"),  # else it is the server's own folder
        "spark.ui.enabled": "false",
        "spark.master": "local[2]",
    }
    given = {key: value for key, value in more.items() if not key.startswith(NOT_HERE)}
    return GENERATED_CODE | own | _paths(state) | given


def variables(state: State, folder: Path, more: Mapping[str, str], name: str) -> dict[str, str]:
    """Write the configuration of a process into its folder and return the variables that name it.

    Raises:
        RuntimeSetupError: Java is missing, no profile fits the installed pyspark, or a jar cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # a cluster's settings may hold resolved secrets
    (folder / "local").mkdir(exist_ok=True)
    local_session.write_configuration(folder, settings(state, more, folder))
    found = local_session.launch_variables(prepared(), folder / "spark-defaults.conf", name)
    return {**found, LOG_VARIABLE: str(folder / "spark.log")}


def _paths(state: State) -> dict[str, str]:
    """Return where paths lie: those without a scheme are DBFS's, but a task's arguments carry paths of this machine."""
    own = [("dbfs:/Workspace/", str(state.path("files"))), (f"dbfs:{state.folder}/", str(state.folder))]
    return paths.settings([*own, *roots_of(state, but=BARE)]) | {"spark.hadoop.fs.defaultFS": f"{FILE_SYSTEM}/"}
