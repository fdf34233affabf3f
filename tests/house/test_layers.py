"""Imports go one way: spark_utils <- devkit <- local_pipelines <- local_workspace."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.source import JOB, KIT, PACKAGES, imported, modules, parse, relative


def upward(tree: ast.AST, package: str) -> set[str]:
    """The imports of packages that stand above one."""
    above = PACKAGES[PACKAGES.index(package) + 1 :]
    return {name for name in imported(tree) if name.split(".")[0] in above}


@pytest.mark.parametrize("path", modules(KIT, JOB / "spark_utils"), ids=relative)
def test_no_module_imports_from_a_package_above_its_own(path: Path) -> None:
    home = JOB if path.is_relative_to(JOB) else KIT
    assert upward(parse(path), path.relative_to(home).parts[0]) == set()


@pytest.mark.parametrize("path", sorted(JOB.glob("*.py")), ids=relative)
def test_the_job_files_import_nothing_of_the_laptop(path: Path) -> None:
    assert upward(parse(path), "spark_utils") == set()


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("spark_utils", "from devkit.spark.jars import fetch"),
        ("devkit", "import local_workspace.server"),
        ("local_pipelines", "from local_workspace import Workspace"),
    ],
)
def test_an_import_of_what_stands_above_is_found_inside_a_function_too(package: str, line: str) -> None:
    assert len(upward(ast.parse(f"def f():\n    {line}\n"), package)) == 1
