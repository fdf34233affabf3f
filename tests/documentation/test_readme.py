"""README as a new user follows it: every block is run, in order, in a copy of the project."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.documentation.blocks import Block, blocks
from tests.project import ROOT, copy_project

RUN_ELSEWHERE = {"make test\n"}  # this very test is a part of it; test_ci_runs_the_test_command_of_the_readme holds it


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy beside the environment that `make setup` has made; times are kept, so that make sees it is up to date."""
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def run(command: str, project: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(project / "src"), "COLUMNS": "400"}  # wide: no column is left out
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def follow(block: Block, project: Path) -> str:
    if block.language == "bash":
        return "" if block.text in RUN_ELSEWHERE else run(block.text, project)
    if block.target:
        (project / block.target).write_text(block.text, encoding="utf-8")
    else:
        assert block.language == "text", f"README line {block.line}: a block that nothing runs"
    return ""


def test_every_block_of_the_readme_does_what_it_says(project: Path) -> None:
    outputs = {block.text: follow(block, project) for block in blocks(ROOT / "README.md")}
    first = outputs["make run\n"]
    assert "events" in first
    assert "rejected" in first
    broken = next(output for text, output in outputs.items() if "--malformed 1.0" in text)
    assert "truncated" in broken
    orders = next(output for text, output in outputs.items() if "devkit tables data/orders" in text)
    assert "19.98" in orders
    assert "customer.id" in orders
    explained = next(output for text, output in outputs.items() if "--explain-config" in text)
    assert "{{secrets/local-hub/connection-string}}" in explained
    rehearsed = outputs["make rehearse\n"]
    assert re.search(r"^run \d+: SUCCESS$", rehearsed, re.MULTILINE)
    assert "nothing to do" in rehearsed
    assert "num_workers: 1 -> 2" in rehearsed
    assert "trailing_text" in rehearsed
    assert "all by the official SDK" in rehearsed


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert [block.text for block in blocks(ROOT / "README.md") if block.text in RUN_ELSEWHERE] == ["make test\n"]
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
