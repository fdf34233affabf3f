"""A project of `devkit init`, where only the built wheels are: its own `make test` and `make run` pass at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import copy_project, user_environment

SHOWN = {"job": ("events: ", "rejected: "), "pipeline": ("COMPLETED", "customers")}


@pytest.fixture(scope="module")
def wheels(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    folder = built_wheel.parent
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "kit"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("template", ["job", "pipeline"])
def test_a_new_project_tests_and_runs_at_once(wheels: Path, tmp_path: Path, template: str) -> None:
    folder = tmp_path / "order-events"
    subprocess.run(
        [sys.executable, "-m", "devkit.cli", "init", "order-events", "--folder", folder, "--template", template],
        check=True,
    )
    environment = user_environment() | {"PIP_FIND_LINKS": str(wheels), "PYTHON": sys.executable, "COLUMNS": "200"}
    environment.pop("PYTHONPATH", None)
    for target in ("test", "run"):
        done = subprocess.run(
            ["make", target],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    assert [text for text in SHOWN[template] if text not in done.stdout] == [], done.stdout
