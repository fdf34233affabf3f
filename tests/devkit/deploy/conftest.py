"""A project in a temporary folder, and a local workspace of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_workspace import Workspace
from tests.devkit.deploy.kit import Deployer, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "deploy")


@pytest.fixture
def deployer(workspace: Workspace, project: Project) -> Deployer:
    return Deployer(workspace, project)
