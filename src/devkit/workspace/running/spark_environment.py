"""The environment in which a plain ``SparkSession.builder.getOrCreate()`` is the workspace's Spark.

It has Delta, the workspace's warehouse and a quick start (class-data sharing), and costs nothing until Spark is asked
for: pyspark reads these variables when it starts its JVM.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from devkit import instant_start, local_session
from devkit.warm_up import GENERATED_CODE

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


def settings(warehouse: Path, more: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the Spark settings of a process.

    Args:
        warehouse: The folder of the workspace's tables.
        more: Those of the cluster or the task.
        folder: Where the process keeps what it needs while it runs.
    """
    archive = prepared().archive()
    whole = instant_start.is_on() and instant_start.Archive(archive).is_whole()
    flags = ["-Xshare:auto", f"-XX:SharedArchiveFile={archive}", *instant_start.SILENT] if whole else []
    found = local_session.settings(prepared(), flags, folder / "log4j2.properties", fast_start=True)
    own = {
        "spark.sql.warehouse.dir": warehouse.as_uri(),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.local.dir": str(folder / "local"),
        "spark.ui.enabled": "false",
        "spark.master": "local[2]",
    }
    return found | GENERATED_CODE | own | {key: value for key, value in more.items() if not key.startswith(NOT_HERE)}


def variables(folder: Path, warehouse: Path, more: Mapping[str, str], name: str) -> dict[str, str]:
    """Write the configuration of a process into its folder and return the variables that name it.

    Raises:
        RuntimeSetupError: Java is missing, no profile fits the installed pyspark, or a jar cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # a cluster's settings may hold resolved secrets
    (folder / "local").mkdir(exist_ok=True)
    local_session.write_configuration(folder, settings(warehouse, more, folder))
    found = local_session.launch_variables(prepared(), folder / "spark-defaults.conf", name)
    return {**found, local_session.LOG_VARIABLE: str(folder / "spark.log")}
