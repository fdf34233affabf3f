"""Where paths of Databricks lie on this machine: one resolver, for Python here and for Spark in two classes of Java.

``dbfs:/a``, ``/dbfs/a``, ``/Volumes/CATALOG/SCHEMA/VOLUME/a`` and ``abfss://CONTAINER@ACCOUNT…/a`` lie beneath
``data/files`` of the current folder, or where ``SPARK_DEVKIT_FILES`` says: in ``dbfs`` and ``abfss``; volumes lie
beside the tables, where SQL makes them (`devkit.spark.catalog`).
Spark resolves them in Hadoop's file systems, so that every reader, writer and checkpoint takes them. Two things stay
what they are: a path that this machine has itself (``/Volumes/DISK`` of a Mac), and ``abfss://`` in a session that
was told how to sign in to an account. Tables by name have folders of their own: `devkit.spark.catalog`.

Nothing that is slow to import is imported here: tasks of a local workspace begin with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from devkit.spark import catalog

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT_VARIABLE: Final = "SPARK_DEVKIT_FILES"
SETTING: Final = "spark.hadoop.devkit.paths"
# What a path begins with, and its folder beneath the root. The first that fits.
PREFIXES: Final = (
    ("dbfs:/Volumes/", "volumes"),
    ("/dbfs/Volumes/", "volumes"),
    ("/Volumes/", "volumes"),
    ("dbfs:/", "dbfs"),
    ("/dbfs/", "dbfs"),
    ("abfss://", "abfss"),
)
Roots = list[tuple[str, str]]


def settings(roots: Iterable[tuple[str, str]] | None = None) -> dict[str, str]:
    """Return the settings by which a session finds the folders.

    Args:
        roots: What paths begin with and their folders; by default those of this machine.
    """
    if roots is None:
        root = Path(os.environ.get(ROOT_VARIABLE) or Path("data", "files")).absolute()
        volumes = catalog.volumes()
        roots = [(prefix, str(volumes if folder == "volumes" else root / folder)) for prefix, folder in PREFIXES]
    found = {SETTING: ";".join(f"{prefix}={Path(folder).as_uri()}" for prefix, folder in roots)}
    for scheme in ("dbfs", "abfss"):
        found[f"spark.hadoop.fs.{scheme}.impl"] = "devkit.FolderFileSystem"
        found[f"spark.hadoop.fs.AbstractFileSystem.{scheme}.impl"] = "devkit.FolderFileSystem$Abstract"
    return found | {"spark.delta.logStore.dbfs.impl": "io.delta.storage.LocalLogStore"}


def roots_of(spark: SparkSession) -> Roots:
    """Return what paths begin with in a session, and their folders; none where the session is not the kit's."""
    pairs = (pair.partition("=file://") for pair in (spark.conf.get(SETTING, None) or "").split(";"))
    return [(prefix, unquote(folder)) for prefix, _, folder in pairs if folder]


def local(path: str, roots: Roots) -> str:
    """Return where a path of Databricks lies on this machine, or the text as it is."""
    for prefix, folder in roots:
        if f"{path}/".startswith(prefix):
            return os.path.normpath(os.path.join(folder, path.removeprefix(prefix.rstrip("/")).lstrip("/")))  # noqa: PTH118 - text
    return path
