"""Java that comes as source: compiled as a whole, or not at all."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from devkit.spark.compiled_classes import compile_to_jar
from devkit.spark.environment_command import environment
from devkit.spark.java import find_java
from devkit.spark.local_session import prepare
from devkit.spark.runtimes import installed_spark
from spark_utils.errors import RuntimeSetupError


def _compile(folder: Path, **sources: str) -> Path:
    for name, text in sources.items():
        (folder / f"{name}.java").write_text(text)
    janino = os.pathsep.join(map(str, (installed_spark() / "jars").glob("*.jar")))
    paths = [folder / f"{name}.java" for name in sources]
    return compile_to_jar(find_java((17, 21)), janino, paths, folder / "made" / "classes.jar")


def test_the_jar_holds_the_classes_of_all_sources(tmp_path: Path) -> None:
    jar = _compile(tmp_path, A="package p; class A {}", B="package p; class B extends A {}")
    assert zipfile.ZipFile(jar).namelist() == ["p/A.class", "p/B.class"]


def test_a_source_that_does_not_compile_leaves_no_jar(tmp_path: Path) -> None:
    with pytest.raises(RuntimeSetupError, match=r"not compiled: .*B\.java"):
        _compile(tmp_path, A="package p; class A {}", B="package p; class B { Nowhere n; }")
    assert not list(tmp_path.rglob("*.jar"))


def test_a_shell_that_may_submit_to_a_cluster_gets_no_file_system_of_this_machine() -> None:
    folder = Path(environment(prepare())["SPARK_CONF_DIR"])
    assert "fs.file.impl" not in (folder / "spark-defaults.conf").read_text()
