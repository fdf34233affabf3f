"""Both distributions, installed as wheels into an environment that holds nothing else, away from the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT, copy_project

CONSTRAINTS = ROOT / "configuration" / "runtimes" / "18-lts.constraints.txt"


@pytest.fixture(scope="module")
def environment(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the job's wheel and the kit's."""
    project, folder = copy_project(tmp_path_factory.mktemp("project")), tmp_path_factory.mktemp("environment")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "kit"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (kit,) = (project / "dist").glob("spark_devkit-*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install: list[str | Path] = [folder / "bin" / "pip", "install", "--quiet"]
    install += ["--constraint", CONSTRAINTS, built_wheel, kit]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def run(environment: Path, folder: Path, *command: str) -> str:
    program, *arguments = command
    done = subprocess.run(
        [environment / program, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_knows_the_verbs_of_all_its_packages(environment: Path, tmp_path: Path) -> None:
    shown = run(environment, tmp_path, "devkit", "--help")
    assert "hub" in shown
    assert "workspace" in shown


def test_the_runtime_profiles_come_with_the_kit(environment: Path, tmp_path: Path) -> None:
    assert "18-lts" in run(environment, tmp_path, "devkit", "runtime", "list")


def test_a_local_session_starts_and_writes_delta(environment: Path, tmp_path: Path) -> None:
    program = "from spark_utils import get_session; spark = get_session()\n"
    program += "spark.range(3).write.format('delta').save('t'); print(spark.read.format('delta').load('t').count())"
    assert run(environment, tmp_path, "python", "-c", program).split()[-1] == "3"
