"""No file needs a file that needs it: in Python and in JavaScript."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON_ROOTS = (ROOT / "src", ROOT / "kit" / "src")
JAVASCRIPT_IMPORT = re.compile(r"""^\s*(?:import|export)\b[^;"']*["'](\./[^"']+)["']""", re.MULTILINE)
Graph = dict[str, set[str]]


def circle_in(graph: Graph) -> list[str]:
    """Return a circle of the graph, each name imported by the next, or an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def needed_while_running(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a module, those inside functions included, and those for type checkers not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from needed_while_running(ast.Module([other], []))
        else:
            yield from needed_while_running(node)


def python_graph(sources: dict[str, str]) -> Graph:
    """Return which modules each module imports, of those given by name and source."""
    graph: Graph = {}
    for name, source in sources.items():
        asked: set[str] = set()
        for node in needed_while_running(ast.parse(source)):
            if isinstance(node, ast.Import):
                asked |= {alias.name for alias in node.names}
            elif node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                asked |= {each if each in sources else node.module for each in whole}
        graph[name] = (asked & set(sources)) - {name}
    return graph


def python_sources() -> dict[str, str]:
    files = ((root, file) for root in PYTHON_ROOTS for file in sorted(root.rglob("*.py")))
    return {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file.read_text("utf-8")
        for root, file in files
    }


def javascript_graph(sources: dict[Path, str]) -> Graph:
    """Return which modules each module imports by a relative path."""
    return {
        str(file): {str((file.parent / name).resolve()) for name in JAVASCRIPT_IMPORT.findall(text)}
        for file, text in sources.items()
    }


def javascript_sources() -> dict[Path, str]:
    return {file.resolve(): file.read_text("utf-8") for root in PYTHON_ROOTS for file in sorted(root.rglob("*.js"))}


def test_no_python_module_needs_one_that_needs_it() -> None:
    sources = python_sources()
    assert len(sources) > 100
    assert circle_in(python_graph(sources)) == []


def test_no_javascript_module_needs_one_that_needs_it() -> None:
    graph = javascript_graph(javascript_sources())
    assert any(graph.values())
    assert circle_in(graph) == []


def test_an_import_inside_a_function_closes_a_circle() -> None:
    sources = {"p.one": "from p import two", "p.two": "def f():\n    if x:\n        from p.one import g"}
    assert set(circle_in(python_graph(sources))) == {"p.one", "p.two"}


def test_an_import_for_type_checkers_closes_none() -> None:
    sources = {"p.one": "import p.two", "p.two": "if TYPE_CHECKING:\n    from p.one import g\nelse:\n    import os"}
    assert python_graph(sources) == {"p.one": {"p.two"}, "p.two": set()}


def test_a_package_counts_by_what_its_root_gives() -> None:
    sources = {"p": "from p.one import f", "p.one": "from p import g"}
    assert set(circle_in(python_graph(sources))) == {"p", "p.one"}


def test_imports_of_javascript_over_several_lines_close_a_circle() -> None:
    one, two = Path("/page/one.js"), Path("/page/two.js")
    sources = {one: 'import {\n  a, b,\n} from "./two.js";', two: 'export { c } from "./one.js";'}
    assert set(circle_in(javascript_graph(sources))) == {str(one), str(two)}
