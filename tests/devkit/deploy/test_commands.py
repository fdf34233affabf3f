"""The verbs as they are typed, on the sample declaration of this project and on small ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from devkit import cli
from devkit.deploy.declaration.loading import load
from local_workspace import Workspace
from tests.devkit.deploy.kit import CANARY, Project

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "configuration" / "deploy"


@pytest.fixture
def signed_in(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workspace:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    return workspace


@pytest.fixture
def jobs(project: Project) -> list[str]:
    project.resources("resources:\n  jobs:\n    one: {name: one}\n    two: {name: two}\n")
    return ["--folder", str(project.folder)]


@pytest.fixture
def sample(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The project's own declaration, with a wheel beside it that need not be built."""
    base = tmp_path / "checkout"
    project.folder = base
    project.wheel()
    for name in ("configuration", "src"):
        (base / name).symlink_to(ROOT / name)
    monkeypatch.setenv("HUB_CONNECTION_STRING", CANARY)
    return ["--folder", str(SAMPLE), "--base", str(base)]


def devkit(*arguments: str) -> int:
    return cli.main(list(arguments))


def test_the_sample_is_planned_applied_and_then_as_declared(
    signed_in: Workspace, sample: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert devkit("deploy", "plan", "--environment", "dev", *sample) == 0
    assert "13 to create, 0 unchanged" in capsys.readouterr().out
    assert devkit("deploy", "apply", *sample) == 0
    assert "13 changed" in capsys.readouterr().out
    assert devkit("deploy", "apply", *sample) == 0
    said = capsys.readouterr()
    assert "nothing to do, 13 as declared" in said.out
    assert CANARY not in said.out + said.err
    assert devkit("deploy", "destroy", "--max", "100", "--yes", *sample) == 0
    assert "deleted" in capsys.readouterr().out
    assert list(signed_in.client().jobs.list()) == []


@pytest.mark.parametrize("environment", ["dev", "preprod", "prod"])
def test_the_sample_loads_in_every_environment(sample: list[str], environment: str) -> None:
    declared = load(environment, Path(sample[1]), Path(sample[3]))
    assert {each.kind for each in declared.resources} >= {
        "wheels", "jobs", "pipelines", "secret_scopes", "secrets", "notebooks", "files", "cluster_policies",
        "permissions",
    }  # fmt: skip
    (job,) = [each for each in declared.resources if each.kind == "jobs"]
    assert job.stream
    assert environment in job.name


def test_a_plan_offline_needs_no_workspace(
    signed_in: Workspace, jobs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = str(tmp_path / "export.json")
    assert devkit("deploy", "export", file, *jobs) == 0
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    assert devkit("deploy", "plan", "--offline", "--export", file, *jobs) == 0
    assert "2 to create" in capsys.readouterr().out
    assert devkit("deploy", "plan", "--offline", *jobs) == 1
    assert "--offline and --export FILE must be given together" in capsys.readouterr().err


def test_only_the_plan_that_was_approved_is_applied(
    signed_in: Workspace, jobs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "plan.json")
    assert devkit("deploy", "plan", "--out", file, *jobs) == 0
    signed_in.client().jobs.create(name="three")  # no matter: it is not ours
    approved = json.loads(Path(file).read_text())
    Path(file).write_text(json.dumps({**approved, "actions": approved["actions"][:1]}))
    assert devkit("deploy", "apply", "--expect", file, *jobs) == 1
    assert "the plan is not the one that was approved" in capsys.readouterr().err
    Path(file).write_text(json.dumps(approved))
    assert devkit("deploy", "apply", "--expect", file, *jobs) == 0


@pytest.mark.parametrize("field", ["project", "environment", "host", "digest"])
def test_a_plan_of_another_place_or_with_other_contents_is_not_the_one_that_was_approved(
    signed_in: Workspace, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    folder, file = ["--folder", str(project.folder)], tmp_path / "plan.json"
    start = "x" * 200
    project.resources(f"resources:\n  jobs:\n    one: {{name: one, description: {start}-approved}}\n")
    devkit("deploy", "plan", "--out", str(file), *folder)
    approved = json.loads(file.read_text())
    if field == "digest":
        project.resources(f"resources:\n  jobs:\n    one: {{name: one, description: {start}-replaced}}\n")
    else:
        approved[field] = "another"
    file.write_text(json.dumps(approved))
    assert devkit("deploy", "apply", "--expect", str(file), *folder) == 1
    assert "approved" in capsys.readouterr().err
    assert list(signed_in.client().jobs.list()) == []


@pytest.mark.parametrize("text", ["[]", "{", "{}", '"a"', '{"salt": 5}'])
def test_a_file_that_holds_no_plan_is_told_and_nothing_is_applied(
    signed_in: Workspace, jobs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)
    assert devkit("deploy", "apply", "--expect", str(file), *jobs) == 1
    assert "the approved plan cannot be read" in capsys.readouterr().err
    assert list(signed_in.client().jobs.list()) == []


def test_prune_prints_its_list_and_deletes_only_when_it_is_told_to(
    signed_in: Workspace, project: Project, jobs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    devkit("deploy", "apply", *jobs)
    project.resources("resources:\n  jobs:\n    one: {name: one}\n")
    assert devkit("deploy", "prune", *jobs) == 1
    said = capsys.readouterr()
    assert re.search(r"^- jobs.two 'two' \(\d+\)$", said.out, re.MULTILINE)
    assert "nothing was deleted; --yes deletes them" in said.err
    assert devkit("deploy", "prune", "--max", "0", "--yes", *jobs) == 1
    assert "at most 0 may be" in capsys.readouterr().err
    assert devkit("deploy", "prune", "--yes", *jobs) == 0
    assert [job.settings.name for job in signed_in.client().jobs.list() if job.settings] == ["one"]
    assert devkit("deploy", "prune", "--yes", *jobs) == 0
    assert "nothing to delete" in capsys.readouterr().out


def test_a_parameter_without_a_value_is_told_and_nothing_is_run(
    signed_in: Workspace, jobs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    devkit("deploy", "apply", *jobs)
    assert devkit("deploy", "run", "one", "--parameter", "day", *jobs) == 1
    assert "--parameter 'day' is not NAME=VALUE" in capsys.readouterr().err
    assert list(signed_in.client().jobs.list_runs()) == []


def test_a_job_is_run_and_its_end_is_waited_for(
    signed_in: Workspace, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = "tasks: [{task_key: gate, condition_task: {op: EQUAL_TO, left: '1', right: '1'}}]"
    project.resources(f"resources:\n  jobs:\n    gate:\n      name: the-gate\n      {gate}\n")
    folder = ["--folder", str(project.folder)]
    devkit("deploy", "apply", *folder)
    assert devkit("deploy", "run", "gate", "--interval", "0.1", *folder) == 0
    said = capsys.readouterr().out
    run_id = re.search(r"^run (\d+): SUCCESS$", said, re.MULTILINE)
    assert run_id is not None
    assert devkit("deploy", "wait", "--run", run_id[1], "--interval", "0.1", *folder) == 0
    assert "TERMINATED" in capsys.readouterr().out
    assert devkit("deploy", "run", "nothing", *folder) == 1
    assert "no jobs are called 'nothing'" in capsys.readouterr().err


def test_a_cluster_and_a_pipeline_update_are_waited_for(
    signed_in: Workspace, project: Project, jobs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    client = signed_in.client()
    created = client.clusters.create(
        spark_version="17.3.x-scala2.13", cluster_name="Small", num_workers=1, node_type_id="Standard_DS3_v2"
    )
    quick = ["--interval", "0.05", "--limit", "20", *jobs]
    assert devkit("deploy", "wait", "--cluster", "Small", *quick) == 0
    assert str(created.response.cluster_id) in capsys.readouterr().out  # type: ignore[attr-defined]  # the client names a function as its type
    assert devkit("deploy", "wait", "--cluster", "Large", *quick) == 1
    assert "no clusters are called 'Large'" in capsys.readouterr().err
    pipeline = client.pipelines.create(name="flow")
    client.pipelines.start_update(str(pipeline.pipeline_id))
    assert devkit("deploy", "wait", "--pipeline", "flow", *quick) == 1  # it has no source
    assert "ended FAILED\nThe pipeline has no source" in capsys.readouterr().err


def test_a_free_form_call_prints_what_the_workspace_answers(
    signed_in: Workspace, jobs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert devkit("api", "POST", "/api/2.2/jobs/create", '{"name": "free"}', *jobs) == 0
    assert "job_id" in json.loads(capsys.readouterr().out)
    assert devkit("api", "get", "/api/2.2/jobs/list", '{"name": "free"}', *jobs) == 0
    assert len(json.loads(capsys.readouterr().out)["jobs"]) == 1
    assert devkit("api", "GET", "/api/2.2/jobs/get", '{"job_id": 1}', *jobs) == 1
    assert "GET /api/2.2/jobs/get was refused" in capsys.readouterr().err


def test_mistakes_are_one_message_on_stderr(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.resources("resources:\n  jobs:\n    one: {nam: one}\n")
    assert devkit("deploy", "plan", "--folder", str(project.folder)) == 1
    said = capsys.readouterr().err
    assert said.startswith("devkit: the declaration has 2 mistakes; nothing was changed:\n")
    assert "resources/all.yml:3: unknown field 'nam'; did you mean 'name'?" in said


def test_the_bundle_has_a_target_for_each_environment_and_names_local_files(
    sample: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "databricks.yml"
    assert devkit("deploy", "bundle", "--out", str(file), *sample) == 0
    content = yaml.safe_load(file.read_text())
    assert set(content["targets"]) == {"dev", "preprod", "prod"}
    job = content["targets"]["prod"]["resources"]["jobs"]["streaming"]
    task, cluster = job["tasks"][0], job["job_clusters"][0]["new_cluster"]
    assert task["libraries"] == [{"whl": "./dist/demo-1.0-py3-none-any.whl"}]
    assert (
        "--schema=${workspace.file_path}/configuration/schemas/telemetry.json"
        in task["python_wheel_task"]["parameters"]
    )
    assert cluster["policy_id"] == "${var.cluster_policy_streaming}"
    lookup = content["targets"]["prod"]["variables"]["cluster_policy_streaming"]["lookup"]
    assert lookup == {"cluster_policy": "streaming-devkit-prod-streaming"}
    assert job["permissions"] == [{"level": "CAN_VIEW", "group_name": "users"}]
    assert "left out: secret_scopes.telemetry" in capsys.readouterr().err
    assert CANARY not in file.read_text()
