"""No file imports one that imports it, by whatever way round."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.house.source import JOB, KIT, modules, parse, relative

PAGE = KIT / "local_workspace" / "page"
IMPORT_OF_JS = re.compile(r"""^(?:import|export)\b[^;]*?["']\./([\w./-]+)["']""", re.MULTILINE)


def module_name(path: Path) -> str:
    home = JOB if path.is_relative_to(JOB) else KIT
    return ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST, known: Iterable[str]) -> set[str]:
    """The known modules that a tree imports when it is run; those for types only are none of them."""
    names, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= below if below <= set(known) else {node.module, *below}
        waiting += ast.iter_child_nodes(node)
    return names & set(known)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_python_modules() -> None:
    trees = {module_name(path): parse(path) for path in modules(JOB, KIT)}
    graph = {name: imports(tree, trees) - {name} for name, tree in trees.items()}
    assert sum(map(len, graph.values())) > 500
    assert circle(graph) == []


def test_no_circle_of_the_pages_scripts() -> None:
    scripts = {path.name: set(IMPORT_OF_JS.findall(path.read_text(encoding="utf-8"))) for path in PAGE.glob("*.js")}
    assert sum(map(len, scripts.values())) > 5, relative(PAGE)
    assert circle(scripts) == []


def test_a_circle_is_found_through_a_third_and_an_import_for_types_is_none() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\ndef f():\n    from b import c\n"
    assert imports(ast.parse(text), ["a", "b"]) == {"b"}
