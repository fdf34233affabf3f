"""What stands in a YAML file is taken as it was written, or refused; YAML 1.1 would change some of it silently."""

from __future__ import annotations

import pytest

from devkit.deploy.errors import DeclarationError
from tests.devkit.deploy.kit import Project

JOB = "resources: {jobs: {a: {name: a, description: 'v=${var.v}'}}}\n"


def mistakes(project: Project) -> str:
    with pytest.raises(DeclarationError) as raised:
        project.load()
    return str(raised.value)


@pytest.mark.parametrize("written", ["12:30:00", "NO", "on", "1.10", "1e3", "True", "0x1F", "2024-01-01", "'0123'"])
def test_a_variable_stands_in_a_text_as_it_was_written(project: Project, written: str) -> None:
    project.environment(f"variables: {{v: {written}}}\n")
    project.resources(JOB)
    (job,) = project.load().resources
    assert job.body["description"] == "v=" + written.strip("'")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("0123", "0123 may mean an octal number, a decimal one or a text; write it in quotes"),
        ("", "${var.v} has no value; write '' for an empty text"),
        ("[a, b]", "${var.v} is a list, and cannot stand within a text"),
        ("{a: b}", "${var.v} is a mapping, and cannot stand within a text"),
    ],
)
def test_a_variable_that_has_no_text_is_refused(project: Project, written: str, message: str) -> None:
    project.environment(f"variables:\n  v: {written}\n")
    project.resources(JOB)
    assert message in mistakes(project)


def test_the_value_of_the_environment_hides_the_text_of_the_default(project: Project) -> None:
    project.environment("variables: {v: text}\n")
    project.resources("variables: {v: 1.10}\n" + JOB)
    assert project.load().resources[0].body["description"] == "v=text"


def test_keys_are_texts(project: Project) -> None:
    project.resources("resources: {jobs: {on: {name: a, tags: {NO: x, 1: y}}}}\n")
    (job,) = project.load().resources
    assert (job.key, job.body["tags"]) == ("on", {"NO": "x", "1": "y"})


def test_an_own_key_overrides_a_merged_one(project: Project) -> None:
    project.resources(
        "x-job: &job {name: general, description: shared, max_concurrent_runs: 2}\n"
        "resources: {jobs: {a: {<<: *job, name: special}, b: {<<: [{name: first}, *job]}}}\n"
    )
    one, two = project.load().resources
    assert one.body == {"name": "special", "description": "shared", "max_concurrent_runs": 2}
    assert two.body == {"name": "first", "description": "shared", "max_concurrent_runs": 2}


def test_a_merge_of_what_is_not_a_mapping_is_a_mistake(project: Project) -> None:
    project.resources("resources:\n  jobs:\n    a: {<<: text, name: a}\n")
    assert "resources/all.yml:3: `<<` merges a mapping" in mistakes(project)


def test_a_key_that_is_a_list_is_a_mistake(project: Project) -> None:
    project.resources("resources: {}\n? [a]\n: b\n")
    assert "resources/all.yml:2: a key must be a text" in mistakes(project)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("tasks: [{task_key: a}, ]\n      libraries: 1", "unknown field 'libraries'"),
        ("tasks:\n      - task_key: a\n      -", "item 2 of 'tasks' is empty"),
        ("parameters:\n      -", "item 1 of 'parameters' is empty"),
    ],
)
def test_an_empty_item_is_a_mistake(project: Project, body: str, message: str) -> None:
    project.resources(f"resources:\n  jobs:\n    a:\n      name: a\n      {body}\n")
    assert message in mistakes(project)


def test_a_wheel_that_is_no_zip_archive_is_a_mistake_with_its_line(project: Project) -> None:
    project.write("dist/demo-1.0-py3-none-any.whl", "not a zip")
    project.resources("resources:\n  wheels:\n    code: {file: dist/*.whl}\n")
    assert "resources/all.yml:3: demo-1.0-py3-none-any.whl is not a wheel: it is not a zip archive" in mistakes(project)
