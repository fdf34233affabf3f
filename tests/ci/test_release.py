"""A release, all but its publishing."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.project import copy_project


def release(project: Path, tag: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", ".ci/release", tag]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path)


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what a release of the version as it stands would publish."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    done = release(project, "main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 4
    return project / "dist"


def archived(folder: Path, pattern: str) -> set[str]:
    (archive,) = folder.glob(pattern)
    with tarfile.open(archive) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}


def packed(folder: Path, pattern: str) -> list[str]:
    (wheel,) = folder.glob(pattern)  # built from the archive, so what that lacks is missing here
    return zipfile.ZipFile(wheel).namelist()


def test_a_dry_run_builds_the_jobs_wheel_and_its_source(dry_run: Path) -> None:
    assert {"src/streaming_job.py", "setup.py"} <= archived(dry_run, "spark_streaming_devkit-*.tar.gz")
    assert "streaming_job.py" in packed(dry_run, "spark_streaming_devkit-*.whl")


def test_a_dry_run_builds_the_kit_with_its_page_and_the_runtime_profiles(dry_run: Path) -> None:
    assert "src/devkit/cli.py" in archived(dry_run, "spark_devkit-*.tar.gz")
    files = packed(dry_run, "spark_devkit-*.whl")
    assert "local_workspace/page/index.html" in files
    assert any(name.endswith("18-lts.lock") for name in files)


def test_a_tag_that_is_not_the_version_is_refused(project: Path) -> None:
    done = release(project, "v9.9.9")
    assert done.returncode == 1
    assert "The tag is v9.9.9, but spark_utils is version 0.1.0" in done.stderr
    assert not (project / "dist").exists()


def test_a_version_of_which_the_change_log_says_nothing_is_refused(project: Path) -> None:
    file = project / "src" / "spark_utils" / "__init__.py"
    file.write_text(file.read_text(encoding="utf-8").replace('"0.1.0"', '"7.0.0"'), encoding="utf-8")
    done = release(project, "v7.0.0")
    assert done.returncode == 1
    assert "CHANGELOG.md has no heading '## 7.0.0'" in done.stderr
