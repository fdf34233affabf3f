"""`# %%` files run as an editor runs them: cell by cell, in one IPython shell, the last value shown."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

MARK = re.compile(r"^# %%(?P<title>.*)$")


@dataclass(frozen=True)
class Cell:
    """One cell: its title and code, and the line of the file that it starts at."""

    title: str
    code: str
    line: int


def cells(path: Path) -> list[Cell]:
    """Split a file at its `# %%` lines; what stands before the first is a cell of its own, unless it is empty.

    A mark inside a string is text: only lines where no statement is open count.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    inside = {
        line
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.Constant) and node.end_lineno is not None
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    starts = [
        (number, found["title"].strip())
        for number, line in enumerate(lines, start=1)
        if (found := MARK.match(line)) and number not in inside
    ]
    if not starts or starts[0][0] > 1:
        starts.insert(0, (0, ""))
    ends = [number - 1 for number, _ in starts[1:]] + [len(lines)]
    found_cells = [
        Cell(title, "\n".join(lines[start:end]).strip(), start)
        for (start, title), end in zip(starts, ends, strict=True)
    ]
    return [cell for cell in found_cells if cell.code or cell.title]
