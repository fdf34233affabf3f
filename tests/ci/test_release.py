"""What a release refuses; `tests/long/test_release.py` builds one."""

from __future__ import annotations

import os
import subprocess
import sys
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
