"""The script that gives a machine what the system must have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.project import ROOT

FOLDER = ROOT / ".devcontainer"


def test_the_set_up_script_does_nothing_where_all_is_there(tmp_path: Path) -> None:
    for name in ("apt-get", "sudo", "chromium"):  # a machine without a browser can run this test too
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} was called; exit 1\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", str(FOLDER / "setup.sh")],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
