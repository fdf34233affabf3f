"""The pytest plug-in for the local workspace: add `local_workspace.testing` to `pytest_plugins`, or give it by `-p`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_workspace import Workspace


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """A local workspace for one test alone; ``workspace.client()`` is the official client of it."""
    with Workspace() as started:
        yield started
