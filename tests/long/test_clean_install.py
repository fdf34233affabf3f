"""Both distributions, installed as wheels into an environment that holds nothing else, away from the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from tests.project import ROOT

CONSTRAINTS = ROOT / "configuration" / "runtimes" / "18-lts.constraints.txt"
SPARK_LIBRARIES = Path(pyspark.__file__).parent / "python" / "lib"
ARGUMENTS = (
    "--output-path=somewhere",
    "--schema=telemetry:INT",
    "--source=files",
    "--source-path=here",
    "--explain-config",
)


def installed(folder: Path, *packages: str | Path) -> Path:
    """Return the `bin` folder of an environment that holds these packages and what they ask for."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = subprocess.run(
        [folder / "bin" / "pip", "install", "--quiet", *packages], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def job_environment(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the job's wheel and its hard dependencies only."""
    return installed(tmp_path_factory.mktemp("job-environment"), built_wheel)


@pytest.fixture(scope="module")
def environment(built_wheel: Path, kit_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the job's wheel and the kit's."""
    return installed(tmp_path_factory.mktemp("environment"), "--constraint", CONSTRAINTS, built_wheel, kit_wheel)


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


def test_both_wheels_run_apart_from_the_checkout(environment: Path, tmp_path: Path) -> None:
    places = "import devkit, spark_utils; print(devkit.__file__, spark_utils.__file__)"
    for place in run(environment, tmp_path, "python", "-c", places).split():
        assert Path(place).is_relative_to(environment.parent)
    assert "somewhere" in run(environment, tmp_path, "streaming-job", *ARGUMENTS)


def test_the_installed_kit_finds_its_data(environment: Path, tmp_path: Path) -> None:
    assert "18-lts" in run(environment, tmp_path, "devkit", "runtime", "list")
    program = (
        "from devkit.spark import runtimes; from devkit.storage.azurite import LOCK\n"
        "print(runtimes.folder() / 'local-hub.lock'); print(LOCK)"
    )
    for file in run(environment, tmp_path, "python", "-c", program).split():
        assert Path(file).is_file()
        assert Path(file).is_relative_to(environment.parent)


def test_a_local_session_starts_and_writes_delta(environment: Path, tmp_path: Path) -> None:
    program = "from spark_utils import get_session; spark = get_session()\n"
    program += "spark.range(3).write.format('delta').save('t'); print(spark.read.format('delta').load('t').count())"
    assert run(environment, tmp_path, "python", "-c", program).split()[-1] == "3"


def test_without_spark_the_job_says_in_one_line_where_spark_comes_from(job_environment: Path, tmp_path: Path) -> None:
    run = subprocess.run([job_environment / "streaming-job"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "pip install 'spark-streaming-devkit[local]'" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_the_installed_job_runs_with_the_spark_of_the_machine(job_environment: Path, tmp_path: Path) -> None:
    machine = os.environ | {"PYTHONPATH": os.pathsep.join(str(path) for path in SPARK_LIBRARIES.glob("*.zip"))}
    command: list[str | Path] = [job_environment / "streaming-job", *ARGUMENTS]
    run = subprocess.run(command, cwd=tmp_path, env=machine, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert re.search(r"output[-_]path.*somewhere.*command line", run.stdout)
