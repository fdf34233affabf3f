"""Everything in this folder is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that none has to say so itself."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
