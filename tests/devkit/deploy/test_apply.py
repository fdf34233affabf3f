from __future__ import annotations

import base64
import dataclasses
import json
import re
import time
from pathlib import Path

import pytest

from devkit.deploy.applying import apply, delete_all
from devkit.deploy.errors import DeclarationError, DeploymentError, StepFailed
from devkit.deploy.plan.model import Actual
from devkit.deploy.plan.planning import plan
from devkit.deploy.plan.printing import render
from devkit.deploy.plan.pruning import owned, prunable
from devkit.deploy.resources import record
from devkit.deploy.resources.secrets import secret_digests
from devkit.deploy.workspace.export import read_export, write_export
from local_workspace import Options, Workspace
from tests.devkit.deploy.everything import COUNT, write_everything
from tests.devkit.deploy.gateways import Echo, served
from tests.devkit.deploy.kit import CANARY, Deployer, FakeClock, Project

JOBS = "resources:\n  jobs:\n    one: {name: one}\n    two: {name: two}\n"


def test_deploying_twice_makes_no_writing_call_the_second_time(deployer: Deployer, project: Project) -> None:
    write_everything(project)
    assert len(deployer.apply().changes) == COUNT
    writes = deployer.writes()
    again = deployer.apply()
    assert (again.changes, len(again.actions), again.orphans) == ((), COUNT, ())
    assert deployer.writes() == writes, deployer.workspace.calls


NEVER_EQUAL = """
resources:
  cluster_policies:
    limits: {name: limits, definition: {autotermination_minutes: {type: fixed, value: 15}}}
  clusters:
    shared:
      cluster_name: Shared
      spark_version: 17.3.x-scala2.13
      node_type_id: Standard_DS3_v2
      num_workers: 1
      policy_id: limits
      apply_policy_default_values: true
  notebooks:
    query: {file: query.ipynb}
    marked: {file: marked.py}
"""


def test_what_the_service_keeps_in_its_own_way_is_equal_to_itself(deployer: Deployer, project: Project) -> None:
    cell = {"cell_type": "code", "source": ["SELECT 2"], "metadata": {}, "outputs": [], "execution_count": None}
    metadata = {"application/vnd.databricks.v1+notebook": {"language": "sql"}}
    notebook = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 0}
    project.write("query.ipynb", json.dumps(notebook))
    project.write("marked.py", "\ufeff# Databricks notebook source\nprint(2)\n")
    project.resources(NEVER_EQUAL)
    deployer.apply()
    assert deployer.verbs() == {}
    project.resources(NEVER_EQUAL.replace("apply_policy_default_values: true", "apply_policy_default_values: false"))
    assert deployer.verbs() == {"clusters.shared": "update"}


def test_everything_is_found_again_on_later_pages(project: Project) -> None:
    write_everything(project)
    with Workspace(options=Options(page_size=2)) as workspace:
        deployer = Deployer(workspace, project)
        for number in range(5):
            deployer.client.jobs.create(name=f"stranger {number}")
            deployer.client.instance_pools.create(f"stranger {number}", "Standard_DS3_v2")
        deployer.apply()
        assert deployer.verbs() == {}


@pytest.mark.slow
def test_each_kind_shows_a_change_and_nothing_else(deployer: Deployer, project: Project) -> None:
    write_everything(project)
    deployer.apply()
    text = (project.folder / "resources" / "all.yml").read_text()
    for old, new, address in (
        ("members: [engineer@localhost]", "members: []", "groups.team"),
        ("acls: {users: READ}", "acls: {users: WRITE}", "secret_scopes.hub"),
        ("enabled: true", "enabled: false", "global_init_scripts.audit"),
        ("min_idle_instances: 1", "min_idle_instances: 2", "instance_pools.pool"),
        ("maxValue: 4", "maxValue: 5", "cluster_policies.small"),
        ("num_workers: 2", "num_workers: 3", "clusters.small"),
        ("simplejson", "ujson", "clusters.small"),
        ("auto_stop_mins: 10", "auto_stop_mins: 20", "warehouses.main"),
        ("--day=1", "--day=2", "jobs.first"),
        ("catalog: main", "catalog: other", "pipelines.flow"),
        ("level: CAN_VIEW", "level: CAN_MANAGE_RUN", "permissions.jobs.first"),
    ):
        text = text.replace(old, new)
        project.resources(text)
        assert deployer.verbs() == {address: "update"}, new
        deployer.apply()
        assert deployer.verbs() == {}, new


@pytest.mark.parametrize(
    ("file", "content", "address"),
    [
        ("init.sh", "#!/bin/bash\necho other\n", "files.init"),
        ("settings.json", "{}", "files.settings"),
        ("look.py", "# Databricks notebook source\nprint('other')\n", "notebooks.look"),
    ],
)
def test_a_changed_file_is_uploaded_again(
    deployer: Deployer, project: Project, file: str, content: str, address: str
) -> None:
    write_everything(project)
    deployer.apply()
    project.write(file, content)
    assert address in deployer.verbs()
    deployer.apply()
    assert deployer.verbs() == {}


def test_drift_is_told_and_put_right(deployer: Deployer, project: Project) -> None:
    project.resources("resources:\n  jobs:\n    one: {name: one, max_concurrent_runs: 2}\n")
    deployer.apply()
    (job,) = deployer.client.jobs.list()
    from databricks.sdk.service.jobs import JobSettings

    deployer.client.jobs.update(int(job.job_id or 0), new_settings=JobSettings(max_concurrent_runs=9))
    (action,) = deployer.plan().changes
    assert action.reason == "it was edited by hand since the last apply"
    deployer.apply()
    assert deployer.verbs() == {}


def test_a_field_that_is_declared_no_longer_is_taken_back(deployer: Deployer, project: Project) -> None:
    project.resources("resources:\n  jobs:\n    one: {name: one, max_concurrent_runs: 2, description: old}\n")
    deployer.apply()
    project.resources("resources:\n  jobs:\n    one: {name: one, max_concurrent_runs: 2}\n")
    deployer.apply()
    (job,) = deployer.client.jobs.list()
    assert job.settings is not None
    assert job.settings.description is None
    assert deployer.verbs() == {}


def test_permissions_that_are_declared_no_longer_are_taken_back(deployer: Deployer, project: Project) -> None:
    project.resources(
        "resources:\n  jobs:\n    one: {name: one, permissions: [{group_name: users, level: CAN_VIEW}]}\n"
    )
    deployer.apply()
    (job,) = deployer.client.jobs.list()

    def groups() -> list[str]:
        listed = deployer.client.permissions.get("jobs", str(job.job_id)).access_control_list or []
        return [str(entry.group_name) for entry in listed if entry.group_name == "users"]

    assert groups() == ["users"]
    project.resources("resources:\n  jobs:\n    one: {name: one}\n")
    deployer.apply()
    assert groups() == []
    assert deployer.verbs() == {}


def test_who_may_read_a_scope_no_longer_is_taken_off_its_list_and_what_somebody_added_stays(
    deployer: Deployer, project: Project
) -> None:
    from databricks.sdk.service.workspace import AclPermission

    project.resources("resources:\n  secret_scopes:\n    hub: {name: hub, acls: {users: READ}}\n")
    deployer.apply()
    deployer.client.secrets.put_acl("hub", "admins", AclPermission.WRITE)
    project.resources("resources:\n  secret_scopes:\n    hub: {name: hub}\n")
    deployer.apply()
    assert {acl.principal for acl in deployer.client.secrets.list_acls("hub")} == {"engineer@localhost", "admins"}
    assert deployer.verbs() == {}


def test_a_renamed_job_keeps_its_id(deployer: Deployer, project: Project) -> None:
    project.resources("resources:\n  jobs:\n    one: {name: one}\n")
    deployer.apply()
    (before,) = deployer.client.jobs.list()
    project.resources("resources:\n  jobs:\n    one: {name: uno}\n")
    deployer.apply()
    (after,) = deployer.client.jobs.list()
    assert after.settings is not None
    assert (after.job_id, after.settings.name) == (before.job_id, "uno")


def test_a_missing_name_stops_before_anything_is_changed(deployer: Deployer, project: Project) -> None:
    project.resources(
        "resources:\n  jobs:\n    fine: {name: fine}\n    wrong:\n      name: wrong\n"
        "      tasks: [{task_key: a, existing_cluster_id: Nowhere}]\n"
    )
    with pytest.raises(DeclarationError, match=r"resources/all.yml:6: existing_cluster_id: there is none"):
        deployer.apply()
    assert deployer.writes() == 0


def test_a_missing_secret_stops_before_anything_is_changed(deployer: Deployer, project: Project) -> None:
    project.resources(JOBS + "  secret_scopes:\n    hub: {name: hub, secrets: {key: '${env.NOWHERE}'}}\n")
    with pytest.raises(Exception, match=r"the secret \$\{env.NOWHERE\} cannot be found"):
        deployer.apply()
    assert deployer.writes() == 0


def test_a_step_that_fails_stops_and_the_next_apply_goes_on(deployer: Deployer, project: Project) -> None:
    project.resources(JOBS)
    deployer.workspace.faults.add("status", method="POST", path="/api/*/jobs/create", status=400, skip=1)
    with pytest.raises(StepFailed) as raised:
        deployer.apply()
    assert "Done before: jobs.one. Not done: nothing. The next apply continues from there." in str(raised.value)
    assert deployer.verbs() == {"jobs.two": "create"}
    deployer.apply()
    assert deployer.verbs() == {}
    assert len(list(deployer.client.jobs.list())) == 2


def test_secrets_are_written_as_they_are_and_shown_nowhere(
    deployer: Deployer, project: Project, tmp_path: Path
) -> None:
    write_everything(project)
    shown = render(deployer.apply()) + "\n".join(deployer.lines)
    text, binary = (deployer.client.secrets.get_secret("demo-hub", key) for key in ("connection-string", "certificate"))
    assert base64.b64decode(text.value or "").decode() == CANARY
    assert base64.b64decode(binary.value or "").decode() == CANARY + "-bytes"

    project.environ["HUB"] = CANARY + "-new"
    planned = deployer.plan()
    assert [(each.verb, each.address) for each in planned.changes] == [("update", "secrets.hub/connection-string")]
    shown += render(planned)
    assert "value: *** -> *** (changed)" in shown
    shown += write_export_text(deployer, tmp_path)
    assert CANARY not in shown
    assert base64.b64encode(CANARY.encode()).decode() not in shown


def write_export_text(deployer: Deployer, folder: Path) -> str:
    file = folder / "export.json"
    file.touch(mode=0o644)  # from an earlier day
    write_export(deployer.client, file, deployer.project.load())
    assert file.stat().st_mode & 0o077 == 0
    return file.read_text()


def test_a_secret_that_a_refusal_repeats_is_masked(deployer: Deployer, project: Project) -> None:
    secrets = "{text: '${env.HUB}', bytes: {value: '${file.bytes.bin}', binary: true}}"
    project.write("bytes.bin", CANARY)
    declared = f"resources:\n  secret_scopes:\n    hub: {{name: hub, secrets: {secrets}}}\n"
    project.resources(declared)
    with pytest.raises(StepFailed):  # the scope is made, but for its marker
        deploy_through_echo(deployer)
    deployer.apply()
    project.environ["HUB"] = CANARY + "-new"
    with pytest.raises(StepFailed, match=r"cannot store .*\*\*\*") as raised:
        deploy_through_echo(deployer)
    assert CANARY not in str(raised.value)
    project.environ["HUB"] = CANARY
    project.write("bytes.bin", CANARY + "-new")
    with pytest.raises(StepFailed, match=r"cannot store .*\*\*\*") as raised:
        deploy_through_echo(deployer)
    assert base64.b64encode((CANARY + "-new").encode()).decode() not in str(raised.value)


def deploy_through_echo(deployer: Deployer) -> None:
    for address, _ in served(Echo):
        session = deployer.client.api_client._api_client._session
        session.proxies = {"http": address}
        try:
            deployer.apply()
        finally:
            session.proxies = {}


def test_a_secret_that_is_no_text_says_how_to_declare_it(deployer: Deployer, project: Project) -> None:
    (project.folder).mkdir(parents=True, exist_ok=True)
    (project.folder / "bytes.bin").write_bytes(b"\xff\xfe" + CANARY.encode())
    project.resources("resources:\n  secret_scopes:\n    hub: {name: hub, secrets: {key: '${file.bytes.bin}'}}\n")
    with pytest.raises(StepFailed, match="Declare it with `binary: true`") as raised:
        deployer.apply()
    assert CANARY not in str(raised.value)


def test_a_secret_edited_by_hand_is_put_right(deployer: Deployer, project: Project) -> None:
    project.resources("resources:\n  secret_scopes:\n    hub: {name: hub, secrets: {key: '${env.HUB}'}}\n")
    deployer.apply()
    deployer.client.secrets.put_secret("hub", "key", string_value="by hand")
    (action,) = deployer.plan().changes
    assert (action.address, action.reason) == ("secrets.hub/key", "it was edited by hand since the last apply")
    deployer.apply()
    assert deployer.verbs() == {}


def test_prune_deletes_what_is_declared_no_longer_and_nothing_that_others_own(
    deployer: Deployer, project: Project
) -> None:
    project.resources(JOBS)
    deployer.apply()
    deployer.client.jobs.create(name="stranger")
    project.resources("resources:\n  jobs:\n    one: {name: one}\n    extra: {name: 'extra-${environment}'}\n")
    deployer.apply()
    listed = prunable(deployer.plan())
    assert [each.name for each in listed] == ["two"]
    delete_all(listed, deployer.context(project.load()), 5)
    names = {job.settings.name for job in deployer.client.jobs.list() if job.settings}
    assert names == {"one", "extra-dev", "stranger"}


def test_prune_leaves_the_other_environments_alone(deployer: Deployer, project: Project) -> None:
    project.environment(name="dev")
    project.environment(name="prod")
    project.resources("resources:\n  jobs:\n    one: {name: 'one-${environment}'}\n")
    deployer.apply("dev")
    deployer.apply("prod")
    project.resources("")
    assert [each.name for each in prunable(deployer.plan("dev"))] == ["one-dev"]
    assert [each.name for each in prunable(deployer.plan("prod"))] == ["one-prod"]


def test_more_than_the_guard_allows_is_not_deleted_at_all(deployer: Deployer, project: Project) -> None:
    project.resources(JOBS)
    deployer.apply()
    project.resources("")
    listed = prunable(deployer.plan())
    with pytest.raises(DeploymentError, match="2 resources would be deleted, and at most 1 may be"):
        delete_all(listed, deployer.context(project.load()), 1)
    assert len(list(deployer.client.jobs.list())) == 2


def test_what_the_environment_protects_is_never_deleted(deployer: Deployer, project: Project) -> None:
    project.environment("protect: [jobs.t*]\n")
    project.resources(JOBS)
    deployer.apply()
    project.resources("")
    assert [each.name for each in prunable(deployer.plan())] == ["one"]


def test_an_old_wheel_stays_while_a_job_uses_it(deployer: Deployer, project: Project) -> None:
    declared = "resources:\n  wheels:\n    code: {file: dist/*.whl}\n"
    project.wheel("one")
    project.resources(declared)
    old = deployer.apply().actions[0].name
    from databricks.sdk.service.compute import Library
    from databricks.sdk.service.jobs import PythonWheelTask, Task

    task = Task("a", python_wheel_task=PythonWheelTask("main", "demo"), libraries=[Library(whl=old)])
    job = deployer.client.jobs.create(name="pinned", tasks=[task])
    project.wheel("two")
    deployer.apply()
    assert prunable(deployer.plan()) == []
    deployer.client.jobs.delete(int(job.job_id or 0))
    assert [each.name for each in prunable(deployer.plan())] == [old.removeprefix("/Workspace")]


def test_destroy_deletes_everything_that_is_owned_and_leaves_an_empty_workspace(
    deployer: Deployer, project: Project
) -> None:
    before = {(each.kind, each.name) for each in record(deployer.workspace.client()).items}
    write_everything(project)
    deployer.apply()
    declared = project.load()
    listed = owned(declared, record(deployer.client, declared))
    delete_all(listed, deployer.context(declared), 100)
    left = {(each.kind, each.name) for each in record(deployer.workspace.client()).items}
    assert left == before


def test_a_plan_against_a_recording_needs_no_connection_and_says_the_same(
    deployer: Deployer, project: Project, tmp_path: Path
) -> None:
    write_everything(project)
    deployer.apply()
    file = tmp_path / "export.json"
    write_export(deployer.client, file, project.load())
    project.write("init.sh", "#!/bin/bash\necho other\n")
    project.environ["HUB"] = "other"
    live = deployer.plan()
    calls = dict(deployer.workspace.calls)
    state, declared = read_export(file), project.load()
    offline = plan(declared, state, secret_digests=secret_digests(declared, state, project.values))
    assert deployer.workspace.calls == calls
    assert {each.address for each in offline.changes} == {each.address for each in live.changes}
    assert {each.address for each in live.changes} == {
        "files.init", "global_init_scripts.audit", "secrets.hub/connection-string"
    }  # fmt: skip


def test_a_listing_that_is_older_than_the_last_write_makes_no_second_one(deployer: Deployer, project: Project) -> None:
    project.resources(JOBS)
    deployer.workspace.faults.add("stale", method="GET", path="/api/*/jobs/list", times=2, skip=1)
    deployer.workspace.faults.add("drop", method="POST", path="/api/*/jobs/create", when="after")
    deployer.apply()
    assert sorted(job.settings.name or "" for job in deployer.client.jobs.list() if job.settings) == ["one", "two"]


def test_a_cluster_with_running_jobs_is_not_touched_by_an_unchanged_plan(deployer: Deployer, project: Project) -> None:
    write_everything(project)
    deployer.apply()
    calls = dict(deployer.workspace.calls)
    deployer.apply()
    more = {call for call, count in deployer.workspace.calls.items() if count != calls.get(call, 0)}
    assert not [call for call in more if re.search("edit|restart|start|delete|install", call)]


def test_further_libraries_do_not_restart_a_cluster(deployer: Deployer, project: Project) -> None:
    declared = "resources:\n  clusters:\n    small:\n      cluster_name: Small\n      spark_version: 17.3.x-scala2.13\n"
    declared += "      num_workers: 1\n      node_type_id: Standard_DS3_v2\n"
    project.resources(declared + "      libraries: [{pypi: {package: simplejson}}]\n")
    planned = deployer.apply()
    apply(planned.__class__(planned.declaration, planned.state, (), ()), deployer.context(planned.declaration))
    (cluster,) = [each for each in deployer.client.clusters.list() if each.cluster_name == "Small"]
    installed = deployer.client.libraries.cluster_status(str(cluster.cluster_id))
    assert [each.library.pypi.package for each in installed if each.library and each.library.pypi] == ["simplejson"]


def test_a_wheel_that_only_an_active_run_uses_stays(deployer: Deployer, project: Project) -> None:
    project.wheel("one")
    project.resources("resources:\n  wheels:\n    code: {file: dist/*.whl}\n")
    old = deployer.apply().actions[0].name
    project.wheel("two")
    deployer.apply()
    planned = deployer.plan()
    run = Actual("runs", "1", "", {"run_id": 1, "tasks": [{"task_key": "a", "libraries": [{"whl": old}]}]})
    used = dataclasses.replace(planned, state=dataclasses.replace(planned.state, items=(*planned.state.items, run)))
    assert prunable(used) == []
    assert len(prunable(planned)) == 1


def test_a_cluster_that_is_starting_is_edited_once_it_has_started(project: Project) -> None:
    declared = "resources:\n  clusters:\n    small:\n      cluster_name: Small\n      spark_version: 17.3.x-scala2.13\n"
    declared += "      node_type_id: Standard_DS3_v2\n      num_workers: 1\n"
    project.resources(declared)

    class SlowClock(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            time.sleep(0.1)

    with Workspace(options=Options(cluster_start_seconds=0.5)) as workspace:
        deployer = Deployer(workspace, project, SlowClock())
        deployer.apply()
        project.resources(declared.replace("num_workers: 1", "num_workers: 2"))
        deployer.apply()
        assert deployer.clock.slept
        assert deployer.verbs() == {}
