"""The kit's wheel, built once, and Python environments that hold nothing but the wheels."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.project import copy_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, as a checkout has it."""
    return copy_project(tmp_path_factory.mktemp("project"))


def build(*arguments: str | Path, project: Path) -> Path:
    """Build in an environment of its own, as `pip` and a release do, and return the wheel."""
    done = subprocess.run(
        [sys.executable, "-m", "build", *arguments], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = (project / arguments[arguments.index("--outdir") + 1]).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def kit_wheel(project: Path) -> Path:
    """The kit's, built from its source archive, as an index would build it."""
    return build("--outdir", "dist-kit", "kit", project=project)


@pytest.fixture(scope="session")
def clean_environment(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the `bin` folder of an environment with the job's wheel and its hard dependencies only."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", built_wheel], check=True)
    return folder / "bin"


@pytest.fixture(scope="session")
def kit_environment(built_wheel: Path, kit_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the `bin` folder of an environment with both wheels, beside the packages that are installed here.

    Those are lent by a line on the path, which does not lend the project itself: it is installed here by `.pth` files,
    and such files count in an environment's own folder only. `tests/long` installs everything anew.
    """
    folder = tmp_path_factory.mktemp("kit-environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip: list[str | Path] = [folder / "bin" / "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, built_wheel, kit_wheel], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"
