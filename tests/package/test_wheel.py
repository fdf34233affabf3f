"""The wheel is what is deployed: it holds the library and the jobs, and asks for nothing that the runtime brings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pyspark

from tests.project import ROOT, copy_project

SPARK_LIBRARIES = Path(pyspark.__file__).parent / "python" / "lib"


def read(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [member for member in archive.namelist() if member.endswith(name)]
        return archive.read(member).decode()


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def contents(wheel: Path) -> dict[str, int]:
    """The checksum of every file that an installation has."""
    with zipfile.ZipFile(wheel) as archive:
        return {each.filename: each.CRC for each in archive.infolist() if ".dist-info/" not in each.filename}


def payload(wheel: Path) -> set[str]:
    return {name for name in members(wheel) if ".dist-info/" not in name}


def test_the_wheel_holds_the_library_and_the_jobs_and_no_tests(built_wheel: Path) -> None:
    tops = {name.split("/")[0] for name in members(built_wheel) if not re.match(r"[^/]*[.](dist-info|data)/", name)}
    assert tops == {"spark_utils", "streaming_job.py", "transformation.py"}
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert sources <= members(built_wheel)
    held = members(built_wheel)
    sources = {
        f"spark_utils/parsing/jvm/java/{path.name}" for path in (ROOT / "src/spark_utils/parsing/jvm/java").iterdir()
    }
    assert len(sources) >= 7
    assert sources <= held


def test_the_wheel_has_configargparse_as_its_only_hard_dependency(built_wheel: Path) -> None:
    required = re.findall(r"^Requires-Dist: (.*)$", read(built_wheel, "METADATA"), re.MULTILINE)
    assert [line for line in required if "extra ==" not in line] == ["configargparse>=1.7"]


def test_the_wheel_has_an_entry_point_for_each_job(built_wheel: Path) -> None:
    text = read(built_wheel, "entry_points.txt")
    assert "streaming-job = spark_utils.entry_points:streaming_job" in text


def test_setup_py_builds_the_same_wheel_as_build(built_wheel: Path, tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    subprocess.run([sys.executable, "setup.py", "-q", "bdist_wheel"], cwd=project, check=True, capture_output=True)
    (other,) = (project / "dist").glob("*.whl")
    assert other.name == built_wheel.name
    assert payload(other) == payload(built_wheel)


def test_without_spark_the_job_says_in_one_line_where_spark_comes_from(clean_environment: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [clean_environment / "streaming-job"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "pip install 'spark-streaming-devkit[local]'" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_the_installed_job_runs_with_the_spark_of_the_machine(clean_environment: Path, tmp_path: Path) -> None:
    machine = os.environ | {"PYTHONPATH": os.pathsep.join(str(path) for path in SPARK_LIBRARIES.glob("*.zip"))}
    arguments = "--output-path somewhere --schema telemetry:INT --source files --source-path here --explain-config"
    command: list[str | Path] = [clean_environment / "streaming-job", *arguments.split()]
    run = subprocess.run(command, cwd=tmp_path, env=machine, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert re.search(r"output[-_]path.*somewhere.*command line", run.stdout)


def test_the_wheel_is_small(built_wheel: Path) -> None:
    assert built_wheel.stat().st_size <= 500_000


def test_a_change_of_the_laptops_side_leaves_the_wheel_as_it_is(built_wheel: Path, tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    for changed in ("kit/src/local_workspace/page/page.css", "kit/src/devkit/cli.py"):
        with (project / changed).open("a", encoding="utf-8") as file:
            file.write("\n")
    subprocess.run([sys.executable, "setup.py", "-q", "bdist_wheel"], cwd=project, check=True, capture_output=True)
    (other,) = (project / "dist").glob("*.whl")
    assert contents(other) == contents(built_wheel)


def test_a_change_of_the_library_changes_the_wheel(built_wheel: Path, tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    with (project / "src/spark_utils/errors.py").open("a", encoding="utf-8") as file:
        file.write("\n")
    subprocess.run([sys.executable, "setup.py", "-q", "bdist_wheel"], cwd=project, check=True, capture_output=True)
    (other,) = (project / "dist").glob("*.whl")
    assert contents(other) != contents(built_wheel)
