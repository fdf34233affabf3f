"""A declaration with every kind that needs no Spark, and what a workspace looks like once it is deployed."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import Any

from devkit.deploy.resources import record
from devkit.deploy.resources.base import without_tag
from tests.devkit.deploy.kit import CANARY, Deployer, Project

EVERYTHING = """
resources:
  groups:
    team: {display_name: demo-team, members: [engineer@localhost]}
  secret_scopes:
    hub:
      name: demo-hub
      secrets:
        connection-string: ${env.HUB}
        certificate: {value: "${file.certificate.bin}", binary: true}
      acls: {users: READ}
    vault:
      name: demo-vault
      keyvault: {resource_id: /subscriptions/1/vaults/demo, dns_name: "https://demo.example/"}
  files:
    init: {file: init.sh, path: scripts/init.sh}
    settings: {file: settings.json, volume: true}
  global_init_scripts:
    audit: {name: demo-audit, file: init.sh, enabled: true}
  instance_pools:
    pool:
      instance_pool_name: Pool
      node_type_id: Standard_DS3_v2
      min_idle_instances: 1
      permissions: [{group_name: users, level: CAN_ATTACH_TO}]
  cluster_policies:
    small: {name: small, description: Small ones, definition: {num_workers: {type: range, maxValue: 4}}}
  clusters:
    small:
      cluster_name: Small
      spark_version: 17.3.x-scala2.13
      instance_pool_id: Pool
      policy_id: small
      num_workers: 2
      autotermination_minutes: 30
      spark_conf: {spark.speculation: "true"}
      custom_tags: {team: demo}
      init_scripts: [{workspace: {destination: "${files.init.path}"}}]
      libraries: [{pypi: {package: simplejson}}]
      permissions: [{group_name: users, level: CAN_RESTART}]
  wheels:
    code: {file: dist/*.whl}
  notebooks:
    look: {file: look.py}
    chart: {file: chart.ipynb, path: deep/chart}
  repos:
    code: {url: "${var.origin}", provider: gitHub, branch: main}
  warehouses:
    main: {name: Main, cluster_size: Small, max_num_clusters: 1, auto_stop_mins: 10}
  jobs:
    first:
      name: first
      schedule: {quartz_cron_expression: "0 0 1 * * ?", timezone_id: UTC, pause_status: PAUSED}
      tasks:
        - task_key: look
          existing_cluster_id: Small
          notebook_task: {notebook_path: "${notebooks.look.path}"}
        - task_key: code
          depends_on: [{task_key: look}]
          existing_cluster_id: Small
          python_wheel_task: {package_name: demo, entry_point: main, parameters: ["--day=1"]}
          libraries: [{whl: "${wheels.code.path}"}]
      permissions: [{group_name: users, level: CAN_VIEW}]
    second:
      name: second
      max_concurrent_runs: 3
      tags: {team: demo}
      tasks:
        - task_key: again
          run_job_task: {job_id: first}
  pipelines:
    flow:
      name: flow
      catalog: main
      schema: default
      libraries: [{notebook: {path: "${notebooks.look.path}"}}]
"""
COUNT = 22  # resources that the declaration gives, permissions included


def write_everything(project: Project) -> None:
    origin = project.folder / "origin"
    settings = f"workspace: {{volume_root: /Volumes/main/default/demo/dev}}\nvariables: {{origin: {origin}}}\n"
    project.environment(settings)
    project.write("origin/readme.md", "hello\n")
    who = ["-c", "user.name=demo", "-c", "user.email=demo@localhost"]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        [*who, "commit", "--quiet", "-m", "one"],
    ):
        subprocess.run(["git", "-C", str(origin), *command], check=True)
    project.write("certificate.bin", CANARY + "-bytes")
    project.write("init.sh", "#!/bin/bash\necho hello\n")
    project.write("settings.json", '{"a": 1}\n')
    project.write("look.py", "# Databricks notebook source\nprint('look')\n")
    project.write(
        "chart.ipynb",
        '{"cells": [{"cell_type": "code", "source": ["1 + 1"], "metadata": {}, "outputs": [],'
        ' "execution_count": null}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    )
    project.wheel()
    project.resources(EVERYTHING)


def snapshot(deployer: Deployer) -> dict[str, Any]:
    """What a workspace has, without the ids, times and salts that differ from one workspace to the next."""
    client = deployer.workspace.client(deployer.token)
    recorded = record(client, deployer.project.load())
    names = {found.id: f"<{found.kind} {found.name}>" for found in recorded.items if found.kind != "secrets"}
    seen: dict[str, Any] = {}
    for found in recorded.items:
        body = {name: value for name, value in found.body.items() if name not in VOLATILE}
        if found.kind == "secrets":
            scope, key = found.name.split("/")
            body = {"value": base64.b64decode(client.secrets.get_secret(scope, key).value or "").decode()}
        address = f"{found.kind}/{found.name}"
        assert address not in seen, f"there are two of {address}"
        seen[address] = [_named(body, names), str(found.owner) if found.owner else None]
    return seen


VOLATILE = {
    "instance_pool_id", "cluster_id", "policy_id", "id", "created_at_timestamp", "start_time", "last_activity_time",
    "last_restarted_time", "last_state_loss_time", "odbc_params", "jdbc_url", "state_message", "default_tags",
    "spark_context_id", "driver", "executors", "state", "stats", "terminated_time", "termination_reason",
}  # fmt: skip


def _named(content: Any, names: dict[str, str]) -> Any:
    if isinstance(content, dict):
        return {name: _named(value, names) for name, value in without_tag(content).items()}
    if isinstance(content, list):
        return [_named(each, names) for each in content]
    text = names.get(str(content))
    return re.sub(r"^\d{10,}$", "<number>", content) if text is None and isinstance(content, str) else text or content
