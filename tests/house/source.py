"""The source as text: what the tests of the house read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.project import ROOT

JOB = ROOT / "src"
KIT = ROOT / "kit" / "src"
PACKAGES = ("spark_utils", "devkit", "local_pipelines", "local_workspace")


def modules(*folders: Path) -> list[Path]:
    """The Python files below some folders, sorted."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def relative(path: Path) -> str:
    """A file's path in the project, as a test's id."""
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> set[str]:
    """The modules that are imported anywhere in a tree, inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function has without its signature and docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1
