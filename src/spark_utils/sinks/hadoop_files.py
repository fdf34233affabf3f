"""Small text files through Hadoop's file systems, so that a folder, ``abfss://`` and a volume behave alike."""

from __future__ import annotations

import uuid
from typing import Any

from pyspark.sql import SparkSession


def qualified(spark: SparkSession, path: str) -> str:
    """Return ``path`` with scheme and absolute, as Hadoop's file system of that path names it."""
    file_system, hadoop_path = _open(spark, path)
    return str(file_system.makeQualified(hadoop_path).toString())


def exists(spark: SparkSession, path: str) -> bool:
    """Say whether a file or folder is there."""
    file_system, hadoop_path = _open(spark, path)
    return bool(file_system.exists(hadoop_path))


def list_names(spark: SparkSession, folder: str) -> list[str]:
    """Return the names in a folder; a folder that does not exist is empty."""
    file_system, hadoop_path = _open(spark, folder)
    if not file_system.exists(hadoop_path):
        return []
    return sorted(str(status.getPath().getName()) for status in file_system.listStatus(hadoop_path))


def read_text(spark: SparkSession, path: str) -> str | None:
    """Return the text of a small file, or None when there is no such file."""
    file_system, hadoop_path = _open(spark, path)
    if not file_system.exists(hadoop_path):
        return None
    stream = file_system.open(hadoop_path)
    try:
        return str(_jvm(spark).org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def write_text(spark: SparkSession, path: str, text: str) -> None:
    """Write a small file whole or not at all: beside its place first, then by rename."""
    file_system, target = _open(spark, path)
    draft = _jvm(spark).org.apache.hadoop.fs.Path(target.getParent(), f".{target.getName()}.{uuid.uuid4()}")
    stream = file_system.create(draft, True)
    stream.write(bytearray(text, "utf-8"))
    stream.close()
    if file_system.exists(target):  # object stores refuse to rename onto a file; posix would replace it
        file_system.delete(target, False)
    if not file_system.rename(draft, target):
        raise OSError(f"{target.toString()} could not be written")


def _open(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Return the file system of a path, with the session's own settings, and the path as Hadoop has it."""
    hadoop_path = _jvm(spark).org.apache.hadoop.fs.Path(path)
    settings = spark._jsparkSession.sessionState().newHadoopConf()
    return hadoop_path.getFileSystem(settings), hadoop_path


def _jvm(spark: SparkSession) -> Any:
    """Return the door to the driver's JVM; py4j objects carry no types."""
    return spark._jvm
