"""README and its guides as a new user follows them: every block is run, in order, in a copy of the project."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devkit.spark.connect_server import ConnectServer
from tests.documentation.blocks import Block, blocks
from tests.project import ROOT, copy_project, user_environment

# The sample pipeline comes first: the tutorial puts another transformation in the place of the sample's.
GUIDES = ("pipelines", "tutorial", "testing", "configure", "secrets", "databricks", "connect", "deploy")
PAGES = ("README.md", *(f"docs/{guide}.md" for guide in GUIDES))
BLOCKS = [(page, block) for page in PAGES for block in blocks(ROOT / page)]
RUN_ELSEWHERE = {"make test\n"}  # this very test is a part of what that runs
SHOWN = {  # what the output of a command must hold: regular expressions
    "make run": ("events", "rejected"),
    "--malformed 1.0": ("truncated",),
    "devkit tables data/orders": (r"19\.98", r"customer\.id"),
    "devkit watch --once": ("worth", "1 of 2 events rejected: lossy_number 1"),
    "tests/golden/orders.txt": (r"customer\.country +customer_country +string", "4 passed"),
    "run_args_secret.conf": (r"\{\{secrets/shop/connection-string\}\}",),
    "devkit page": (r"http://127\.0\.0\.1:\d+/",),
    "hub up --tls": (r"with TLS at 127\.0\.0\.1:19093", r"19\.98"),
    "look.py": ("A-1", "1 row", "_rescued_data"),
    "test_on_both.py": ("2 passed",),
    "streaming_job.py --explain-config": (r"\{\{secrets/local-hub/connection-string\}\}",),
    "make pipeline": (
        "(?s)the first update.*is COMPLETED.*the second update.*is COMPLETED.*  bronze: 2000 rows",
        r"silver +streaming table  19\d\d rows  ← parsed",
        r"on the globe: 19\d\d passed, 0 failed",
        r"telemetry/bronze: [\d,]+ rows",
    ),
    "test_orders.py orders.test.yml": ("2 passed",),
    "make rehearse": (
        r"(?m)^run \d+: SUCCESS$",
        r"(?m)^COMPLETED$",
        r"FROM `main`\.`telemetry_dev`\.`silver`",
        "nothing to do",
        r"Changed by a rehearsal",
        r"dropped: notebooks\.look",
        "no longer declared",
        "trailing_text",
        "all by the official SDK",
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy beside the environment that `make setup` has made; times are kept, so that make sees it is up to date."""
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    was_running = ConnectServer.shared().state()
    yield folder
    if was_running is None:
        ConnectServer.shared().stop()


def run(command: str, project: Path) -> str:
    environment = user_environment() | {
        "PYTHONPATH": str(project / "src"),
        "COLUMNS": "400",
    }  # wide: no column is left out
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def name(place: tuple[str, Block] | object) -> str:
    page, block = place  # type: ignore[misc]  # as it stands in BLOCKS
    return f"{page}:{block.line}"


@pytest.mark.parametrize("place", BLOCKS, ids=name)
def test_a_block_does_what_it_says(project: Path, place: tuple[str, Block]) -> None:
    page, block = place
    if block.target:
        (project / block.target).write_text(block.text, encoding="utf-8")
    elif block.language == "bash" and block.text not in RUN_ELSEWHERE:
        output = run(block.text, project)
        for command, expected in SHOWN.items():
            assert command not in block.text or [text for text in expected if not re.search(text, output)] == []
    else:
        assert block.language == "text" or block.text in RUN_ELSEWHERE, f"{page}:{block.line}: nothing runs this block"


def test_every_output_that_is_looked_at_is_of_a_block() -> None:
    text = "".join(block.text for _, block in BLOCKS)
    assert [command for command in SHOWN if command not in text] == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert [block.text for _, block in BLOCKS if block.text in RUN_ELSEWHERE] == ["make test\n"]
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
