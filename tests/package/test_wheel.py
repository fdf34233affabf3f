"""The wheel is what is deployed: it holds the library and the jobs, and asks for nothing that the runtime brings."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import devkit
import spark_utils
from devkit.deploy.declaration.content import wheel_digest
from tests.project import ROOT, build_wheel, copy_project, known_files, wheel_payload


def read(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [member for member in archive.namelist() if member.endswith(name)]
        return archive.read(member).decode()


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_what_runs_on_the_cluster_and_nothing_else(built_wheel: Path) -> None:
    known = {path.relative_to(ROOT / "src") for path in known_files() if path.is_relative_to(ROOT / "src")}
    sources = {path for path in known if path.suffix in {".py", ".typed"}}
    jobs = {"pipeline_job.py", "streaming_job.py", "transformation.py"}
    assert {path.parts[0] for path in sources} == {"spark_utils", *jobs}
    (jar,) = wheel_payload(built_wheel) - {str(path) for path in sources}  # what is compiled of the others
    assert re.fullmatch(r"spark_utils/parsing/jvm/spark_utils[.]parsing[.]v\w{16}[.]jar", jar)
    assert {str(path) for path in sources} <= wheel_payload(built_wheel)
    (folder,) = {name.split("/")[0] for name in members(built_wheel) - wheel_payload(built_wheel)}
    described = {name.removeprefix(f"{folder}/") for name in members(built_wheel) - wheel_payload(built_wheel)}
    assert described == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}


def test_the_wheel_is_small(built_wheel: Path) -> None:
    with zipfile.ZipFile(built_wheel) as archive:
        files = [member for member in archive.infolist() if ".dist-info/" not in member.filename]
    assert sum(file.file_size for file in files) <= 500_000
    assert built_wheel.stat().st_size <= 250_000


@pytest.mark.slow
def test_a_change_under_the_kit_leaves_the_digest_that_restarts_a_stream(built_wheel: Path, tmp_path: Path) -> None:
    before, project = wheel_digest(built_wheel.read_bytes()), copy_project(tmp_path / "project")
    for changed, same in {"kit/src/devkit/cache.py": True, "src/spark_utils/names.py": False}.items():
        with (project / changed).open("a", encoding="utf-8") as file:
            file.write("\n")
        wheel = build_wheel(project, ".", tmp_path / f"dist-{same}")
        assert (wheel_digest(wheel.read_bytes()) == before) is same, changed


@pytest.mark.parametrize("fixture", ["built_wheel", "kit_wheel"])
def test_the_metadata_is_complete(fixture: str, request: pytest.FixtureRequest) -> None:
    metadata = message_from_string(read(request.getfixturevalue(fixture), ".dist-info/METADATA"))
    assert metadata["License-Expression"] or metadata["License"] == "MIT"
    for field in ("Author", "Summary", "Keywords", "Requires-Python", "License-File"):
        assert metadata[field], field
    assert {url.split(",")[0] for url in metadata.get_all("Project-URL", [])} >= {"Source", "Changelog"}
    assert "Programming Language :: Python :: 3.12" in metadata.get_all("Classifier", [])
    module = {"built_wheel": spark_utils, "kit_wheel": devkit}[fixture]
    assert metadata["Version"] == module.__version__


@pytest.mark.parametrize("file", [ROOT / "setup.py", ROOT / "kit/pyproject.toml"], ids=lambda file: file.name)
def test_each_dependency_has_a_range_and_each_tool_a_pin(file: Path) -> None:
    """A range for who installs the wheels, a pin for who develops them."""
    named = set(re.findall(r'^\s+"([A-Za-z][\w-]*)(?:\[\w+\])?([<>=~]\S*)?",', file.read_text(), re.MULTILINE))
    ours = {"spark-streaming-devkit"}
    assert {name for name, range_ in named if not range_} - ours - {"databricks", "spark", "streaming"} == set()
    pinned = "".join(path.read_text() for path in (ROOT / "configuration/runtimes").glob("*.constraints.txt")).lower()
    unpinned = {name for name, range_ in named if range_ and not re.search(rf"^{name.lower()}[=><]", pinned, re.M)}
    assert unpinned == set()


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
    assert wheel_payload(other) == wheel_payload(built_wheel)
