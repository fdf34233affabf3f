"""The steps of the deployment workflows, run in order, as they stand, against a local workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_workspace import Workspace
from tests.project import ROOT, copy_project

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

ENVIRONMENT = "dev"
# How a step runs on Linux: GitHub's default has no pipefail, and Azure Pipelines goes on after a command that failed.
# Sources: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell and
# https://learn.microsoft.com/azure/devops/pipelines/scripts/cross-platform-scripting.
GITHUB_SHELLS = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
AZURE_SHELL = ["bash", "--noprofile", "--norc"]
INSTALL = "Install"  # the step that tests leave out: what it installs is this environment's already


class Runner:
    """A machine of the CI: a checkout, an artifact store, and the variables of the environment."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.folder = folder
        self.project = copy_project(folder / "checkout")
        self.artifacts = folder / "artifacts"
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DATABRICKS_HOST": workspace.host,
            "DATABRICKS_TOKEN": workspace.token,
            "HUB_CONNECTION_STRING": "Endpoint=sb://127.0.0.1/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=h",
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        }

    def run(self, script: str, shell: Sequence[str]) -> str:
        file = self.folder / "step.sh"
        file.write_text(script, encoding="utf-8")
        command = [*shell, str(file)]
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{script}\n{done.stdout}")
        return done.stdout

    def upload(self, name: str, files: Iterator[Path]) -> None:
        (self.artifacts / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, self.artifacts / name)

    def download(self, name: str, path: str) -> None:
        shutil.copytree(self.artifacts / name, self.project / path, dirs_exist_ok=True)


def github(runner: Runner, file: str, job: str) -> str:
    """Run a job of a GitHub workflow; return what it said."""
    said = ""
    for step in load(".github/workflows/" + file)["jobs"][job]["steps"]:
        given = {key: fill(str(value)) for key, value in step.get("with", {}).items()}
        action = step.get("uses", "").partition("@")[0]
        if action == "actions/download-artifact":
            runner.download(given["name"], given.get("path", "."))
        elif action == "actions/upload-artifact":
            runner.upload(given["name"], runner.project.glob(given["path"]))
        elif "run" in step and step["name"] != INSTALL:
            said += runner.run(fill(step["run"]), GITHUB_SHELLS[step.get("shell")])
        else:
            assert action in {"actions/checkout", "actions/setup-python", ""}, f"nothing here plays {action}"
    return said


def azure(runner: Runner, steps: list[dict[str, Any]]) -> str:
    """Run the steps of an Azure Pipelines job; return what they said."""
    said = ""
    for step in steps:
        if "script" in step and step["displayName"] != INSTALL:
            script = fill(step["script"]).replace("$(Pipeline.Workspace)", str(runner.artifacts))
            said += runner.run(script, AZURE_SHELL)
        elif "publish" in step:
            path = runner.project / step["publish"]
            runner.upload(fill(step["artifact"]), path.glob("*") if path.is_dir() else iter([path]))
        elif "download" in step:
            assert (runner.artifacts / fill(step["artifact"])).is_dir()
        else:
            assert step.keys() & {"task", "checkout", "script"}, f"nothing here plays {step}"
    return said


def fill(text: str) -> str:
    for name in ("inputs.environment", "parameters.environment"):
        text = text.replace("${{ " + name + " }}", ENVIRONMENT)
    return text


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    with Workspace() as started:
        yield started


@pytest.fixture
def client(workspace: Workspace) -> WorkspaceClient:
    return workspace.client()


@pytest.fixture(scope="module")
def runner(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    made = Runner(tmp_path_factory.mktemp("runner"), workspace)
    github(made, "deploy.yml", "build")
    shutil.rmtree(made.project / "dist")  # the next jobs run on other machines, which have the artifact only
    return made


def test_github_plans_and_applies_the_wheel_that_was_built(runner: Runner, client: WorkspaceClient) -> None:
    assert "jobs.streaming" in github(runner, "deploy-environment.yml", "plan")
    assert list(client.jobs.list()) == []
    github(runner, "deploy-environment.yml", "apply")
    (job,) = client.jobs.list(expand_tasks=True)
    settings: dict[str, Any] = job.as_dict()["settings"]
    assert settings["tasks"][0]["libraries"][0]["whl"].endswith(".whl")


def test_a_plan_that_fails_fails_its_step(runner: Runner) -> None:
    file = runner.project / "configuration" / "deploy" / "environments" / "dev.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "unknown_key: 1\n", encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match="unknown_key"):
            github(runner, "deploy-environment.yml", "plan")
    finally:
        file.write_text(text, encoding="utf-8")


def test_azure_pipelines_finds_that_nothing_differs(runner: Runner, client: WorkspaceClient) -> None:
    plan, apply = load("configuration/deploy/azure-stages.yml")["stages"]
    assert "nothing to do" in azure(runner, plan["jobs"][0]["steps"])
    azure(runner, apply["jobs"][0]["strategy"]["runOnce"]["deploy"]["steps"])
    assert len(list(client.jobs.list())) == 1


def test_a_workspace_that_changed_after_the_plan_was_approved_is_not_touched(
    runner: Runner, client: WorkspaceClient
) -> None:
    github(runner, "deploy-environment.yml", "plan")
    (job,) = client.jobs.list()
    client.jobs.delete(job.job_id or 0)
    with pytest.raises(AssertionError, match="the plan is not the one that was approved"):
        github(runner, "deploy-environment.yml", "apply")
    assert list(client.jobs.list()) == []
