"""The rules of the house that a reader of one file cannot see."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
MAX_MODULE_LINES = 450
MAX_FUNCTION_LINES = 50


def imported_names(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def violations_of_layering(source: str) -> set[str]:
    return {name for name in imported_names(ast.parse(source)) if name.split(".")[0] == "devkit"}


@pytest.mark.parametrize("path", sorted((ROOT / "src" / "spark_utils").rglob("*.py")), ids=lambda path: path.name)
def test_what_runs_on_the_cluster_never_imports_what_runs_on_the_laptop(path: Path) -> None:
    assert violations_of_layering(path.read_text(encoding="utf-8")) == set()


def test_an_import_of_the_laptop_package_would_be_found_inside_a_function_too() -> None:
    assert violations_of_layering("def f():\n    from devkit.spark.jars import fetch\n") == {"devkit.spark.jars"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_rooms_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    too_long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and body_lines(node) > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def body_lines(function: ast.FunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = [
        "maven" + ".org",
        "apache" + ".org/maven2",
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "npmjs" + ".org",
        "npmjs" + ".com",
    ]
    suffixes = {".py", ".md", ".conf", ".lock", ".toml", ".yml", ".json", ".txt", ".ipynb"}
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in ROOT.rglob("*")
        if path.is_file() and path.suffix in suffixes and not any(part.startswith(".venv") for part in path.parts)
        for host in hosts
        if host in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert named == []
