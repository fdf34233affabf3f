"""The file system of local sessions: Hadoop's own, without a process for each permission and each link."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

OURS = "devkit.QuickLocalFileSystem"


@pytest.fixture
def hadoop(spark: SparkSession) -> tuple[Any, Any, Any]:
    """The package of Hadoop's file systems, and this machine's by either interface."""
    jvm: Any = spark._jvm
    fs, configuration = jvm.org.apache.hadoop.fs, spark.sparkContext._jsc.hadoopConfiguration()
    local = fs.FileSystem.get(jvm.java.net.URI.create("file:///"), configuration)
    return fs, local, fs.FileContext.getFileContext(jvm.java.net.URI.create("file:///"), configuration)


def test_both_interfaces_of_hadoop_take_it(hadoop: tuple[Any, Any, Any]) -> None:
    _, local, context = hadoop
    assert local.getClass().getName() == OURS
    assert context.getDefaultFileSystem().getClass().getName() == f"{OURS}$Abstract"


@pytest.mark.parametrize("mode", [0o700, 0o644, 0o751, 0o000, 0o1777])
def test_permissions_are_those_asked_for(hadoop: tuple[Any, Any, Any], tmp_path: Path, mode: int) -> None:
    fs, local, _ = hadoop
    folder = tmp_path / "folder"
    folder.mkdir()
    local.setPermission(fs.Path(str(folder)), fs.permission.FsPermission(format(mode, "03o")))
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    folder.chmod(0o700)


def test_links_are_told_from_files_and_nothing(hadoop: tuple[Any, Any, Any], tmp_path: Path) -> None:
    fs, local, context = hadoop
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for way in (local, context):
        assert not way.getFileLinkStatus(fs.Path(str(tmp_path / "file"))).isSymlink()
        assert way.getFileLinkStatus(fs.Path(str(tmp_path / "link"))).isSymlink()
        with pytest.raises(Exception, match="FileNotFoundException"):
            way.getFileLinkStatus(fs.Path(str(tmp_path / "nothing")))


def test_files_keep_their_checksums(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(3).coalesce(1).write.format("json").save(str(tmp_path / "out"))
    (written,) = (tmp_path / "out").glob("part-*")
    assert (tmp_path / "out" / f".{written.name}.crc").exists()
