"""The wheel, built once, and a Python environment that holds nothing but it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import copy_project


@pytest.fixture(scope="session")
def built_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_project(tmp_path_factory.mktemp("project"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", "dist", "."],
        cwd=project,
        check=True,
        capture_output=True,
    )
    (wheel,) = (project / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def clean_environment(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the `bin` folder of an environment with the wheel and its hard dependencies only."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", built_wheel], check=True)
    return folder / "bin"
