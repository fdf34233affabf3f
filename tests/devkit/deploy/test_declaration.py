from __future__ import annotations

from pathlib import Path

import pytest

from devkit.deploy.declaration.values import Values
from devkit.deploy.errors import DeclarationError
from spark_utils.errors import ConfigurationError
from tests.devkit.deploy.kit import CANARY, Project


def mistakes(project: Project, environment: str = "dev") -> list[str]:
    with pytest.raises(DeclarationError) as raised:
        project.load(environment)
    return list(raised.value.mistakes)


def test_all_mistakes_of_all_files_are_told_at_once_each_with_its_line(project: Project) -> None:
    project.resources(
        "resources:\n  clusters:\n    small:\n      cluster_name: Small\n      spark_verion: 17.3.x\n", name="compute"
    )
    project.resources("resources:\n  jobs:\n    etl:\n      name: etl\n      max_concurent_runs: 1\n", name="jobs")

    found = mistakes(project)

    assert [line.split(": ")[0] for line in found] == [
        "resources/compute.yml:3",
        "resources/compute.yml:5",
        "resources/jobs.yml:5",
    ]
    assert "did you mean 'spark_version'?" in found[1]
    assert "did you mean 'max_concurrent_runs'?" in found[2]


def test_an_unknown_key_deep_inside_a_body_is_found_with_its_line(project: Project) -> None:
    project.resources(
        "resources:\n  jobs:\n    etl:\n      name: etl\n      tasks:\n        - task_key: a\n"
        "          notebook_task:\n            notebook_pat: /Shared/a\n"
    )
    assert mistakes(project) == ["resources/all.yml:8: unknown field 'notebook_pat'; did you mean 'notebook_path'?"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("spark_version: 15.4", "'spark_version' must be text, not 15.4; write it in quotes"),
        ("num_workers: two", "'num_workers' must be a whole number, not 'two'"),
        ("enable_elastic_disk: 1", "'enable_elastic_disk' must be true or false, not 1"),
        ("data_security_mode: SINGLE_USR", "did you mean 'SINGLE_USER'?"),
        ("spark_conf: [a]", "'spark_conf' must be a mapping, not a list"),
        ("init_scripts: {}", "'init_scripts' must be a list, not a mapping"),
        ("autoscale: 3", "'autoscale' must be a mapping, not 3"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_mistake(project: Project, line: str, message: str) -> None:
    rest = "" if line.startswith("spark_version") else "      spark_version: '15'\n"
    project.resources(f"resources:\n  clusters:\n    small:\n      cluster_name: Small\n      {line}\n{rest}")
    (found,) = mistakes(project)
    assert found.startswith("resources/all.yml:5: ")
    assert message in found


def test_an_unknown_kind_names_the_nearest_one(project: Project) -> None:
    project.resources("resources:\n  cluster:\n    small: {}\n")
    assert mistakes(project) == ["resources/all.yml:2: 'cluster' is not a kind of resource; did you mean 'clusters'?"]


def test_mounts_are_refused_with_their_modern_replacement(project: Project) -> None:
    project.resources("resources:\n  mounts:\n    lake: {source: abfss}\n")
    (found,) = mistakes(project)
    assert "Unity Catalog volume over an external location" in found


def test_an_unknown_variable_names_the_nearest_one(project: Project) -> None:
    project.environment("variables: {workers: 2}\n")
    project.resources("resources:\n  jobs:\n    etl:\n      name: etl ${var.worker}\n")
    assert mistakes(project) == ["resources/all.yml:4: ${var.worker} is unknown; did you mean 'var.workers'?"]


def test_a_variable_takes_the_value_of_its_environment_and_keeps_its_type(project: Project) -> None:
    project.environment("variables: {runs: 1}\n")
    project.environment("variables: {runs: 5}\n", name="prod")
    project.resources(
        "variables: {runs: 3, greeting: hello}\n"
        "resources:\n  jobs:\n    etl:\n      name: ${var.greeting}-${environment}-${var.runs}\n"
        "      max_concurrent_runs: ${var.runs}\n"
    )
    for environment, runs in (("dev", 1), ("prod", 5)):
        (job,) = project.load(environment).resources
        assert job.name == f"hello-{environment}-{runs}"
        assert job.body["max_concurrent_runs"] == runs


def test_a_resource_names_another_by_its_key(project: Project) -> None:
    project.wheel()
    project.resources(
        "resources:\n  wheels:\n    code: {file: dist/*.whl}\n  jobs:\n    etl:\n      name: etl\n"
        "      tasks: [{task_key: a, libraries: [{whl: '${wheels.code.path}'}]}]\n"
    )
    wheel, job = project.load().resources
    assert job.body["tasks"][0]["libraries"][0]["whl"] == wheel.name
    assert wheel.name.startswith("/Workspace/Shared/demo/dev/wheels/")
    assert wheel.name.endswith("/demo-1.0-py3-none-any.whl")


def test_a_wheel_is_named_by_its_content_not_by_the_time_it_was_built(project: Project) -> None:
    project.resources("resources:\n  wheels:\n    code: {file: dist/*.whl}\n")
    paths = []
    for code in ("one", "one", "two"):
        project.wheel(code)
        paths.append(project.load().resources[0].name)
    assert paths[0] == paths[1]
    assert paths[0] != paths[2]


def test_a_missing_file_and_an_ambiguous_one_are_mistakes(project: Project) -> None:
    project.wheel()
    project.wheel(name="demo-2.0-py3-none-any.whl")
    project.resources("resources:\n  wheels:\n    code: {file: dist/*.whl}\n  files:\n    init: {file: init.sh}\n")
    found = mistakes(project)
    assert "2 files (demo-1.0-py3-none-any.whl, demo-2.0-py3-none-any.whl)" in found[0]
    assert "no file in" in found[1]


def test_a_path_outside_of_the_projects_own_folder_is_a_mistake(project: Project) -> None:
    project.write("init.sh", "")
    project.resources("resources:\n  files:\n    init: {file: init.sh, path: ../../other/init.sh}\n")
    (found,) = mistakes(project)
    assert "lies outside /Workspace/Shared/demo/dev" in found


def test_a_root_that_does_not_name_project_and_environment_is_a_mistake(project: Project) -> None:
    project.environment("workspace: {root: /Workspace/Shared/all}\n")
    project.resources("")
    (found,) = mistakes(project)
    assert "must contain the folders demo/dev" in found


def test_a_secret_in_plain_text_is_a_mistake_that_does_not_show_it(project: Project) -> None:
    project.resources(f"resources:\n  secret_scopes:\n    hub: {{name: hub, secrets: {{key: {CANARY}}}}}\n")
    (found,) = mistakes(project)
    assert "is written here as plain text" in found
    assert CANARY not in found


def test_a_reference_to_a_secret_is_refused_where_it_would_be_shown(project: Project) -> None:
    project.resources("resources:\n  jobs:\n    etl: {name: etl, description: '${env.HUB}'}\n")
    (found,) = mistakes(project)
    assert "{{secrets/scope/key}}" in found


def test_a_key_that_stands_twice_is_a_mistake(project: Project) -> None:
    project.resources("resources:\n  jobs:\n    etl: {name: a}\n    etl: {name: b}\n")
    assert mistakes(project) == ["resources/all.yml:4: 'etl' is given again; it is already given in line 3"]


def test_two_resources_of_one_name_are_a_mistake(project: Project) -> None:
    project.resources("resources:\n  jobs:\n    one: {name: etl}\n    two: {name: etl}\n")
    assert mistakes(project) == [
        "resources/all.yml:4: the name 'etl' of jobs is already declared at resources/all.yml:3"
    ]


def test_an_unknown_environment_names_the_nearest_one(project: Project) -> None:
    project.environment(name="preprod")
    assert "did you mean 'preprod'?" in mistakes(project, "preprd")[0]


def test_a_file_that_is_no_yaml_and_an_include_that_fits_nothing_are_told_together(project: Project) -> None:
    project.environment()
    project.write("environments/dev.yml", "project: demo\ninclude: [../resources/*.yml, ../nothing/*.yml]\n")
    project.resources("resources: [\n")
    found = mistakes(project)
    assert "environments/dev.yml:2: no file matches '../nothing/*.yml'" in found
    assert any("invalid YAML" in each for each in found)


def test_a_permission_without_a_principal_or_with_a_wrong_level_is_a_mistake(project: Project) -> None:
    project.resources(
        "resources:\n  jobs:\n    a: {name: a, permissions: [{level: CAN_VIEW}]}\n"
        "    b:\n      name: b\n      permissions:\n        - group_name: users\n          level: CAN_VEW\n"
    )
    found = mistakes(project)
    assert "one of `user_name`, `group_name`, `service_principal_name`" in found[0]
    assert found[1].startswith("resources/all.yml:8: ")
    assert "did you mean 'CAN_VIEW'?" in found[1]


def test_a_folder_gives_each_of_its_files_and_tells_notebooks_by_their_first_line(project: Project) -> None:
    project.write("code/look.py", "# Databricks notebook source\nprint(1)\n")
    project.write("code/deep/library.py", "X = 1\n")
    project.resources("resources:\n  folders:\n    code: {folder: code, path: app}\n")
    found = {(each.kind, each.name) for each in project.load().resources}
    root = "/Workspace/Shared/demo/dev/app"
    assert found == {("notebooks", f"{root}/look"), ("files", f"{root}/deep/library.py")}


def test_a_folder_is_deployed_without_its_hidden_files(project: Project) -> None:
    for path in (".env", ".git/config", "deep/.hidden/note.txt", "deep/note.txt"):
        project.write(f"lib/{path}", CANARY)
    project.resources("resources:\n  folders:\n    lib: {folder: lib}\n")
    assert [each.name for each in project.load().resources] == ["/Workspace/Shared/demo/dev/lib/deep/note.txt"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("resources: [1]", "resources/all.yml:1: 'resources' must be a mapping"),
        ("resources: {jobs: [a]}", "resources/all.yml:1: 'jobs' must be a mapping"),
        ("resources: {jobs: a}", "resources/all.yml:1: 'jobs' must be a mapping"),
        ("variables: [1]", "resources/all.yml:1: 'variables' must be a mapping"),
        ("include: 5", "resources/all.yml:1: 'include' must be a list"),
        ("include: [[a]]", "resources/all.yml:1: item 1 of 'include' must be text"),
        ("include: ['/*.yml']", "resources/all.yml:1: no file matches '/*.yml'"),
        ("resources: &a {jobs: *a}", "resources/all.yml:1: an alias refers to a value that contains it"),
        ("resources:\n  jobs: !python/object x", "resources/all.yml:2: unknown tag"),
        ("resources: {files: {a: {file: ''}}}", "resources/all.yml:1: no file in"),
        ("resources: {files: {a: {file: null}}}", "resources/all.yml:1: files.a needs 'file'"),
        ("resources: {jobs: {a: {name: null}}}", "resources/all.yml:1: jobs.a needs 'name'"),
        ("resources: {files: {a: {file: environments/dev.yml, path: 5}}}", "resources/all.yml:1: 'path' must be text"),
    ],
)
def test_a_file_of_the_wrong_shape_is_a_mistake_with_its_line(project: Project, text: str, place: str) -> None:
    project.resources(text)
    assert any(each.startswith(place) for each in mistakes(project))


@pytest.mark.parametrize(
    "line", ["workspace: a", "workspace: {root: [a]}", "include: 5", "protect: 5", "protect: [[a]]"]
)
def test_an_environment_of_the_wrong_shape_is_a_mistake_with_its_line(project: Project, line: str) -> None:
    project.write("environments/dev.yml", f"project: demo\n{line}\n")
    assert mistakes(project)[0].startswith("environments/dev.yml:2: ")


def test_a_project_that_is_no_text_is_a_mistake_with_its_line(project: Project) -> None:
    project.environment(head="project: [x]")
    project.resources("")
    assert mistakes(project)[0] == "environments/dev.yml:1: 'project' must be text, not a list"


def test_a_secret_of_the_projects_env_file_is_taken_and_none_from_beyond_the_project(tmp_path: Path) -> None:
    folder = tmp_path / "project" / "deploy"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    (tmp_path / ".env").write_text(f"HUB={CANARY}\n")
    values = Values(environ={}, folder=folder, keyring=lambda _service, _user: None)
    with pytest.raises(ConfigurationError, match=r"the secret \$\{env.HUB\} cannot be found"):
        values.get("${env.HUB}")
    (tmp_path / "project" / ".env").write_text("HUB=ours\n")
    assert values.get("${env.HUB}") == b"ours"
