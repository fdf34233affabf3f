"""`# %%` files are split as an editor splits them; `tests/long/test_experiment_cells.py` runs the cells in a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documentation.cells import cells
from tests.project import ROOT


@pytest.mark.parametrize("name", ["notebooks/experiment.py", "src/streaming_job.py"])
def test_each_cell_is_whole_by_itself(name: str) -> None:
    found = cells(ROOT / name)
    assert len(found) > 3
    for cell in found:
        compile(cell.code, f"{name}:{cell.line}", "exec")


def test_a_mark_inside_a_string_is_text(tmp_path: Path) -> None:
    file = tmp_path / "cells.py"
    file.write_text(
        '"""Top.\n# %% not a cell\n"""\n# %% One\na = 1\n\n# %% Two\nb = """\n# %% no\n"""\n', encoding="utf-8"
    )

    assert [(cell.title, cell.line) for cell in cells(file)] == [("", 0), ("One", 4), ("Two", 7)]
    assert cells(file)[1].code == "a = 1"
