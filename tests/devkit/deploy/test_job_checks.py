"""Mistakes of jobs and permissions are found before anything is changed."""

from __future__ import annotations

import pytest

from devkit.deploy.declaration.job_checks import cron_mistakes
from devkit.deploy.errors import DeclarationError
from tests.devkit.deploy.kit import Project


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 1 * * ?", "0 0/15 8-18 ? * MON-FRI", "0 0 12 1,15 * ? 2026", "0 0 12 L * ?", "0 0 12 LW * ?",
        "0 0 12 15W * ?", "0 0 12 ? * 6L", "0 0 12 ? * FRI#2", "0 0 12 ? JAN,jul SUN", "0 0/5 * * * ?", "0 0 0 L-3 * ?",
    ],
)  # fmt: skip
def test_a_quartz_expression_is_taken(expression: str) -> None:
    assert list(cron_mistakes(expression)) == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 1 * * *", "has 5 fields instead of 6 or 7, seconds first"),
        ("0 60 1 * * ?", "has an invalid minutes: '60'"),
        ("0 0 25 * * ?", "has an invalid hours: '25'"),
        ("0 0 1 * FOO ?", "has an invalid month: 'FOO'"),
        ("0 0 1 ? * MON#6", "has an invalid day of week: 'MON#6'"),
        ("0 0/0 1 * * ?", "has an invalid minutes: '0/0'"),
        ("0 0 1 * * *", "must have '?' either as day of month or as day of week"),
        ("0 0 1 ? * ?", "must have '?' either as day of month or as day of week"),
    ],
)
def test_an_expression_that_quartz_refuses_is_a_mistake(expression: str, message: str) -> None:
    assert any(message in each for each in cron_mistakes(expression))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("schedule: {quartz_cron_expression: '* * *', timezone_id: UTC}", "has 3 fields instead of 6 or 7"),
        (
            "schedule: {quartz_cron_expression: 0 0 1 * * ?, timezone_id: Europe/Berlim}",
            "did you mean 'Europe/Berlin'?",
        ),
        ("tasks: [{task_key: a, depends_on: [{task_key: b}]}]", "no task has the key 'b'"),
        (
            "tasks: [{task_key: a, depends_on: [{task_key: b}]}, {task_key: b, depends_on: [{task_key: a}]}]",
            "tasks depend on each other in a cycle: ",
        ),
        ("tasks: [{task_key: a}, {task_key: a}]", "2 tasks have the key 'a'"),
        (
            "job_clusters: [{job_cluster_key: main, new_cluster: {spark_version: '17'}}]\n"
            "      tasks: [{task_key: a, job_cluster_key: mian}]",
            "no item of `job_clusters` has the key 'mian'; did you mean 'main'?",
        ),
        ("tasks: [{task_key: a, environment_key: e}]", "no item of `environments` has the key 'e'"),
        ("permissions: [{group_name: users, level: CAN_RESTART}]", "'level' of jobs cannot be 'CAN_RESTART'"),
        ("permissions: [{group_name: users, level: IS_OWNER}]", "IS_OWNER is one user or service principal"),
        (
            "permissions: [{group_name: users, level: CAN_VIEW}, {group_name: users, level: CAN_MANAGE}]",
            "'group users' is given again; a principal has one level",
        ),
    ],
)
def test_a_mistake_of_a_job_is_found_before_anything_is_changed(project: Project, body: str, message: str) -> None:
    project.resources(f"resources:\n  jobs:\n    etl:\n      name: etl\n      {body}\n")
    with pytest.raises(DeclarationError) as raised:
        project.load()
    assert len(raised.value.mistakes) == 1
    assert message in raised.value.mistakes[0]
