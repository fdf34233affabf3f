"""A release, all but its publishing."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.ci.test_release import release
from tests.project import copy_project, wheel_payload


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


def test_a_dry_run_builds_the_jobs_wheel_and_its_source(dry_run: Path, built_wheel: Path) -> None:
    assert {"src/streaming_job.py", "setup.py"} <= archived(dry_run, "spark_streaming_devkit-*.tar.gz")
    (built,) = dry_run.glob("spark_streaming_devkit-*.whl")
    assert wheel_payload(built) == wheel_payload(built_wheel)


def test_a_dry_run_builds_the_kit_as_a_checkout_does(dry_run: Path, kit_wheel: Path) -> None:
    assert "src/devkit/cli.py" in archived(dry_run, "spark_devkit-*.tar.gz")
    (built,) = dry_run.glob("spark_devkit-*.whl")  # from the archive, so what that lacks is missing here
    assert wheel_payload(built) == wheel_payload(kit_wheel)
