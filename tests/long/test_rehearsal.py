"""A rehearsal plays whatever a project declares, and leaves it as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from local_workspace.rehearsal import DECLARATION
from tests.local_workspace.test_rehearsal import RESOURCES, project  # noqa: F401 - the fixture


def test_somebody_elses_declaration_is_rehearsed_from_end_to_end(
    project: Path,  # noqa: F811 - the fixture
) -> None:
    command = [sys.executable, "-m", "devkit.cli", "rehearse", "--environment", "test"]
    done = subprocess.run(command, cwd=project, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"SELECT count\(\*\) FROM .*`crates`\n   2\n", done.stdout), done.stdout
    for told in (
        "pick-test",
        "nothing to do",
        "dropped: notebooks.spare",
        "Changed by a rehearsal",
        "by the official SDK",
    ):
        assert told in done.stdout
    assert (project / DECLARATION / "all.yml").read_text(encoding="utf-8") == RESOURCES
