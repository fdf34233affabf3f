"""What a cluster is set to, compared with a runtime profile: what differs, and what explains it.

A dump is what `print(show_config(spark))` printed on the cluster, or the cluster's JSON (`GET clusters/get`, or a
`new_cluster` of a job). Settings that say how a cluster runs, and not what a query gives, are not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from devkit.spark.runtimes import RuntimeProfile
from spark_utils.configuration.show_config import redacted
from spark_utils.errors import ConfigurationError

COMPARED = "spark.sql."
OF_DATABRICKS = "com.databricks."  # the packages of its classes
# What a cluster has and this machine cannot have, or has in a way of its own.
CANNOT_BE_MIRRORED = {
    "spark.sql.hive.*": "the metastore is Databricks' own",
    "spark.sql.catalogImplementation": "the metastore is Databricks' own",
    "spark.sql.warehouse.dir": "where tables lie is the workspace's",
    "spark.sql.catalog.*": "catalogs are those of Unity Catalog; here they are folders",
    "spark.sql.extensions": "Databricks' Spark has Delta built in",
    "spark.sql.streaming.checkpointFileManagerClass": "of the workspace's storage",
    "spark.sql.streaming.stopTimeout": "how long a stop waits",
    "spark.sql.parquet.compression.codec": "how files are packed",
    "spark.sql.sources.commitProtocolClass": "how files are committed by Databricks' own Spark",
    "spark.sql.execution.arrow.*": "how rows go to Python and back",
}


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same there and here; `explained` says why that is as it should be, if it is."""

    key: str
    there: str
    here: str
    explained: str = ""


def read_dump(file: Path) -> dict[str, str]:
    """Read a dump; a cluster's version of the runtime comes as `spark_version`.

    Raises:
        ConfigurationError: The file is no dump.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}", origin="the argument DUMP") from None
    found = (
        _of_cluster(text) if text.lstrip().startswith("{") else dict(re.findall(r"^(spark\.\S+) +(.*?) *$", text, re.M))
    )
    if not found:
        raise ConfigurationError(
            f"{file} holds no setting",
            origin="the argument DUMP",
            remedy="Keep what `print(show_config(spark))` prints on the cluster, or the JSON of the cluster.",
        )
    return {key: redacted(key, value) for key, value in found.items()}


def _of_cluster(text: str) -> dict[str, str]:
    try:
        cluster = json.loads(text)
    except ValueError:
        return {}
    cluster = cluster.get("new_cluster", cluster)
    version = {"spark_version": cluster["spark_version"]} if "spark_version" in cluster else {}
    return version | {key: str(value) for key, value in cluster.get("spark_conf", {}).items()}


def differences(profile: RuntimeProfile, there: Mapping[str, str]) -> Iterator[Difference]:
    """Compare a dump with a profile, in the order of the names."""
    here = {setting.key: setting for setting in profile.settings}
    if there.get("spark_version") and not is_runtime(there["spark_version"], profile):
        yield Difference("spark_version", there["spark_version"], profile.databricks)
    for key, value in sorted(there.items()):
        setting = here.get(key)
        ours = setting.value if setting else "not set"
        if (setting or key.startswith(COMPARED)) and ours != value:
            reason = setting.reason if setting and setting.local_only else ""
            yield Difference(key, value, ours, reason or explanation(key, value, ours))


def is_runtime(version: str, profile: RuntimeProfile) -> bool:
    """Return whether a cluster's version of the runtime, such as ``18.0.x-scala2.13``, is a profile's."""
    return bool(version.partition(".")[0] == re.findall(r"\d+|$", profile.databricks)[0])


def explanation(key: str, there: str, here: str) -> str:
    """Return why a setting of a cluster cannot be had on one machine; empty when it can."""
    if there.startswith(OF_DATABRICKS) and there.rpartition(".")[2] == here.rpartition(".")[2]:
        return "Databricks' own class, which no other Spark has; here it is Spark's of the same name"
    return next((why for pattern, why in CANNOT_BE_MIRRORED.items() if fnmatch(key, pattern)), "")
