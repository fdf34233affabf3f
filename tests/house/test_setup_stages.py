"""What a set-up shows of its stages: a line that moves on a terminal, a line at the end in a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT, known_files, said_on

STAGE = [sys.executable, str(ROOT / ".devcontainer" / "stage.py"), "Python packages"]
SLOW = ["bash", "-c", r"printf 'Downloading thing (9 MB)\n'; sleep 0.6; printf '\r\033[2K  ━━━╸━━ 4/9 MB'; sleep 0.6"]


def test_a_log_gets_one_line_with_the_seconds() -> None:
    done = subprocess.run([*STAGE, *SLOW], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"Python packages: \d s\n", done.stdout)
    assert done.stderr == ""


def test_a_terminal_shows_what_goes_on_and_keeps_one_line() -> None:
    ours, its = pty.openpty()
    with subprocess.Popen([*STAGE, *SLOW], stdout=its, stderr=its, env={**os.environ, "COLUMNS": "60"}) as process:
        os.close(its)
        said = said_on(ours)
    drawn = said.decode().replace("\x1b[K", "").split("\r")
    assert process.returncode == 0
    assert "Python packages: 0 s  Downloading thing (9 MB)" in drawn
    assert "Python packages: 1 s  Downloading thing (9 MB) 4/9 MB" in drawn
    assert re.fullmatch(r"Python packages: \d s", drawn[-2])
    assert drawn[-1] == "\n"
    assert said.count(b"\n") == 1


def test_a_stage_that_fails_shows_all_it_said_and_its_status() -> None:
    done = subprocess.run([*STAGE, "bash", "-c", "echo why; exit 4"], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "why\n" in done.stderr
    assert done.stderr.endswith("ended with status 4\n")


@pytest.mark.parametrize("path", [path for path in known_files() if path.name in ("Makefile", "Makefile.in")], ids=str)
def test_each_step_of_a_set_up_is_a_stage(path: Path) -> None:
    recipe = re.search(r"^\S+/\.ready: .*\n((?:\t.*\n)+)", path.read_text(encoding="utf-8"), re.M)[1]
    assert {line.split()[0] for line in recipe.splitlines()} == {"$(STAGE)", "@touch"}
    assert "--quiet" not in recipe  # pip would keep its bars back
