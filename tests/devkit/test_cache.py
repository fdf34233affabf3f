"""Files of the cache: whole for whoever reads them, whoever else writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devkit.cache import write_atomically, write_private


@pytest.mark.parametrize("write", [write_atomically, write_private])
def test_threads_that_write_the_same_file_do_not_take_each_others(
    write: Callable[[Path, str], None], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write(tmp_path / "file", f"{number % 10}" * 5_000), range(400)))
    assert len(set((tmp_path / "file").read_text())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
