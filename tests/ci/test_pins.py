"""What runs beside a token is pinned: actions by their commit, packages by their version."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

HOLD_TOKENS = ["deploy.yml", "deploy-environment.yml", "release.yml"]
REQUIREMENTS = ROOT / "configuration" / "deploy" / "requirements.txt"
PLAN = """
import json, sys
from importlib.metadata import packages_distributions

class Missing:  # makes every package that is not pinned as good as not installed
    pinned, distributions = set(json.loads(sys.argv.pop(1))), packages_distributions()

    def find_spec(self, name, path=None, target=None):
        owners = {each.lower().replace("_", "-") for each in self.distributions.get(name, [])}
        if owners and not owners & self.pinned:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from devkit import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", HOLD_TOKENS)
def test_an_action_is_pinned_by_its_commit_with_the_version_beside_it(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    used = [line.strip() for line in text.splitlines() if "uses:" in line and "uses: ./" not in line]
    assert used
    assert [line for line in used if not re.search(r"@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line)] == []


@pytest.mark.parametrize("file", [".github/workflows/deploy-environment.yml", "configuration/deploy/azure-stages.yml"])
def test_a_job_with_a_token_installs_what_is_pinned_and_nothing_else(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if "pip install" in line]
    assert len(lines) == 4
    assert all("--no-deps" in line for line in lines)
    pinned = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_what_is_pinned_is_all_that_a_deployment_imports(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "dev.yml").write_text("project: p\nresources: {jobs: {a: {name: a}}}\n")
    export = {"format": "devkit workspace export", "version": 1, "host": "h", "me": "m", "items": []}
    (tmp_path / "export.json").write_text(json.dumps(export))
    arguments = ["deploy", "plan", "--folder", str(tmp_path), "--offline", "--export", str(tmp_path / "export.json")]
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pinned = ["spark-devkit", "spark-streaming-devkit", *(line.partition("==")[0] for line in lines if "==" in line)]

    def plan(available: list[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PLAN, json.dumps(available), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = plan(pinned)
    assert done.returncode == 0, done.stderr
    assert "1 to create" in done.stdout
    without = plan([name for name in pinned if name != "databricks-sdk"])
    assert "No module named 'databricks" in without.stderr
