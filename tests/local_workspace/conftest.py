"""A local workspace of its own for each test, and the official client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


@pytest.fixture
def client(workspace: Workspace) -> WorkspaceClient:
    return workspace.client()
