"""The workflows are well formed, build the wheel once, and ask before they deploy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
AZURE = [ROOT / "azure-pipelines.yml", ROOT / "configuration" / "deploy" / "azure-stages.yml"]


def validate_pipeline(*files: Path) -> subprocess.CompletedProcess[str]:
    schema = ["--builtin-schema", "vendor.azure-pipelines", "--regex-variant", "python"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def test_the_azure_pipeline_is_valid_by_its_schema() -> None:
    done = validate_pipeline(*AZURE)
    assert done.returncode == 0, done.stdout


def test_the_schema_refuses_a_step_that_there_is_not(tmp_path: Path) -> None:
    broken = tmp_path / "azure-pipelines.yml"
    broken.write_text(
        AZURE[0].read_text(encoding="utf-8").replace("- script: bash", "- scirpt: bash"), encoding="utf-8"
    )
    assert validate_pipeline(broken).returncode == 1


def test_the_wheel_is_built_once_after_the_tests_and_handed_on() -> None:
    everything = [*WORKFLOWS, *AZURE]
    builders = [file.name for file in everything if "-m build --wheel" in file.read_text(encoding="utf-8")]
    assert builders == ["deploy.yml", "azure-pipelines.yml"]
    jobs = read(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]
    assert jobs["build"]["needs"] == "test"
    assert [jobs[name]["needs"] for name in ("dev", "preprod", "prod")] == ["build", "dev", "preprod"]


def test_a_plan_is_read_and_approved_before_it_is_applied() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "deploy-environment.yml")["jobs"]
    assert jobs["apply"]["needs"] == "plan"
    # Required reviewers stand at the environment; a job that applies must name it, and the plan's must not wait for it.
    assert jobs["apply"]["environment"] == "${{ inputs.environment }}"
    assert jobs["plan"]["environment"] == "${{ inputs.environment }}-plan"
    deployment = read(AZURE[1])["stages"][1]["jobs"][0]
    assert deployment["environment"] == "${{ parameters.environment }}"


@pytest.mark.parametrize("file", [*WORKFLOWS, *AZURE], ids=lambda file: file.name)
def test_no_password_stands_in_a_workflow(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "DATABRICKS_TOKEN" not in text
    assert "password" not in text.replace("no password", "")
