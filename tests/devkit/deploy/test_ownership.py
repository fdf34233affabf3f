"""Whose something is: copies, roots and keys that must never let one deployment delete what another one made."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import PurePosixPath

import pytest
from databricks.sdk.service.workspace import ImportFormat

from devkit.deploy.applying import apply, delete_all
from devkit.deploy.declaration.model import Owner
from devkit.deploy.errors import DeclarationError, StepFailed
from devkit.deploy.plan.model import Actual
from devkit.deploy.plan.planning import plan
from devkit.deploy.plan.printing import render
from devkit.deploy.plan.pruning import owned, prunable
from devkit.deploy.resources import record
from tests.devkit.deploy.kit import Deployer, Project, actual_of, declaration, desired, state_of

VIEWED = "resources:\n  jobs:\n    one: {name: one, permissions: [{group_name: users, level: CAN_VIEW}]}\n"


def test_a_job_that_somebody_cloned_is_told_and_neither_changed_nor_deleted(
    deployer: Deployer, project: Project
) -> None:
    project.resources(VIEWED)
    deployer.apply()
    (job,) = deployer.client.jobs.list()
    assert job.settings is not None
    clone = deployer.client.jobs.create(name="one (clone)", tags=job.settings.tags, max_concurrent_runs=7)

    planned = deployer.apply()

    assert planned.changes == ()
    assert "copies that carry the tag of another resource" in render(planned)
    assert {each.settings.name for each in deployer.client.jobs.list() if each.settings} == {"one", "one (clone)"}
    declared = project.load()
    assert [each.id for each in owned(declared, record(deployer.client, declared))] == [str(job.job_id)]
    project.resources("")
    gone = deployer.plan()
    assert prunable(gone) == []
    assert str(clone.job_id) in {each.id for each in gone.copies}


@pytest.mark.parametrize(
    "root", ["/Workspace/Shared/${project}", "/Workspace/Shared/${project}/prod/dev", "/dev/${project}"]
)
def test_a_root_that_another_environment_may_lie_in_is_a_mistake(project: Project, root: str) -> None:
    project.environment(f"workspace: {{root: '{root}'}}\n", head="project: my-devkit")
    project.resources("")
    with pytest.raises(DeclarationError, match="must contain the folders my-devkit/dev"):
        project.load()


def test_git_folders_of_two_projects_never_lie_in_one_folder(project: Project) -> None:
    project.environment(name="c", head="project: a-b")
    project.environment(name="b-c", head="project: a")
    project.resources("")
    assert project.load("c").repos_root != project.load("b-c").repos_root


def test_what_is_protected_is_never_replaced() -> None:
    pool = desired("instance_pools", "pool", {"instance_pool_name": "Pool", "node_type_id": "big"}, name="Pool")
    declared = declaration(pool, protect=("instance_pools.pool",))
    with pytest.raises(DeclarationError, match="to change node_type_id, and it is protected"):
        plan(declared, state_of(actual_of(declared, pool, "p-1", node_type_id="tiny")))


def test_a_scope_that_holds_undeclared_secrets_is_never_replaced() -> None:
    scope = desired("secret_scopes", "hub", {"backend_type": "AZURE_KEYVAULT", "acls": {}}, name="hub")
    declared = declaration(scope)
    found = actual_of(declared, scope, "hub", backend_type="DATABRICKS")
    secret = Actual("secrets", "hub/by-hand", "hub/by-hand", {"digest": "0"})
    with pytest.raises(DeclarationError, match="holds secrets that are not declared: hub/by-hand"):
        plan(declared, state_of(found, secret))


def test_a_text_where_patterns_are_protected_is_a_mistake(project: Project) -> None:
    project.environment("protect: jobs.j\n")
    project.resources("")
    with pytest.raises(DeclarationError, match=r"dev.yml:3: 'protect' must be a list"):
        project.load()


@pytest.mark.parametrize("pattern", ["secret_scopes.*", "secret_scopes.hub", "secret_scopes.demo-hub", "secrets.hub/*"])
def test_a_protected_scope_keeps_its_secrets_and_a_protected_secret_its_scope(pattern: str) -> None:
    scope = Actual("secret_scopes", "demo-hub", "demo-hub", {}, Owner("demo", "dev", "hub", "0" * 12))
    secret = Actual("secrets", "demo-hub/key", "demo-hub/key", {}, Owner("demo", "dev", "hub/key", "0" * 12))
    declared = declaration(protect=(pattern,))
    assert owned(declared, state_of(scope, secret)) == []
    assert prunable(plan(declared, state_of(scope, secret))) == []


@pytest.mark.parametrize("key", ["a+b", "a(b)", "a:b", "it's", "x" * 250])
def test_a_key_that_its_tag_cannot_hold_is_a_mistake(project: Project, key: str) -> None:
    project.resources(f'resources:\n  jobs:\n    "{key}": {{name: one}}\n')
    with pytest.raises(DeclarationError, match=r"resources/all.yml:3: the key .* may hold letters"):
        project.load()


def test_a_project_that_its_tag_cannot_hold_is_a_mistake(project: Project) -> None:
    project.environment(head="project: my project")
    project.resources("resources:\n  jobs:\n    one: {name: one}\n")
    with pytest.raises(DeclarationError, match=r"dev.yml:1: the project 'my project' may hold letters"):
        project.load()


def test_a_policy_whose_text_quotes_another_tag_stays_its_own(deployer: Deployer, project: Project) -> None:
    quoted = Owner("other", "prod", "small", "0" * 12)
    project.resources(
        "resources:\n  cluster_policies:\n    small:\n      name: small\n"
        f'      description: "like [{quoted}]"\n      definition: {{}}\n'
    )
    deployer.apply()
    assert deployer.verbs() == {}


def test_a_scope_with_another_name_is_another_scope_and_the_old_one_is_declared_no_longer(
    deployer: Deployer, project: Project
) -> None:
    declared = (
        "resources:\n  secret_scopes:\n    hub: {name: NAME, acls: {users: READ}, secrets: {key: '${env.HUB}'}}\n"
    )
    project.resources(declared.replace("NAME", "old"))
    deployer.apply()
    project.environ["HUB"] = "rotated"
    project.resources(declared.replace("NAME", "new"))

    assert deployer.verbs() == {"secret_scopes.hub": "create", "secrets.hub/key": "create"}
    deployer.apply()

    value = deployer.client.secrets.get_secret("new", "key").value or ""
    assert base64.b64decode(value).decode() == "rotated"
    after = deployer.plan()
    assert (after.changes, after.copies) == ((), ())
    assert [each.name for each in prunable(after)] == ["old/key", "old"]
    delete_all(prunable(after), deployer.context(project.load()), 5)
    assert [each.name for each in deployer.client.secrets.list_scopes()] == ["new"]


def test_two_names_that_change_places_are_refused_before_anything_is_changed() -> None:
    one, two = (desired("warehouses", key, {"name": name}) for key, name in (("one", "B"), ("two", "A")))
    declared = declaration(one, two)
    found = [
        dataclasses.replace(actual_of(declared, each, each.key), name=old) for each, old in ((one, "A"), (two, "B"))
    ]
    with pytest.raises(DeclarationError, match=r"warehouses.one and warehouses.two swap their names"):
        plan(declared, state_of(*found))


def test_what_is_replaced_gets_its_permissions_again(deployer: Deployer, project: Project) -> None:
    declared = (
        "resources:\n  instance_pools:\n    pool:\n      instance_pool_name: Pool\n      node_type_id: NODE\n"
        "      permissions: [{group_name: users, level: CAN_ATTACH_TO}]\n"
    )
    project.resources(declared.replace("NODE", "Standard_DS3_v2"))
    deployer.apply()
    project.resources(declared.replace("NODE", "Standard_DS4_v2"))
    assert deployer.verbs() == {"instance_pools.pool": "replace", "permissions.instance_pools.pool": "create"}
    deployer.apply()
    assert deployer.verbs() == {}


def test_two_applies_that_were_planned_at_once_make_one_job(deployer: Deployer, project: Project) -> None:
    project.resources(VIEWED)
    late = deployer.plan()
    deployer.apply()
    with pytest.raises(StepFailed, match="it was created in the meantime"):
        apply(late, deployer.context(late.declaration))
    assert len(list(deployer.client.jobs.list())) == 1


def test_a_wheel_in_a_declared_folder_is_a_file_and_its_neighbours_stay(deployer: Deployer, project: Project) -> None:
    project.write("lib/wheels/sub/x.whl", "x")
    project.write("lib/wheels/sub/neighbour.txt", "y")
    project.resources("resources:\n  folders:\n    lib: {folder: lib}\n")
    deployer.apply()
    assert (deployer.verbs(), prunable(deployer.plan())) == ({}, [])


def test_an_old_wheel_is_pruned_without_what_lies_beside_it(deployer: Deployer, project: Project) -> None:
    project.wheel("one")
    project.resources("resources:\n  wheels:\n    code: {file: dist/*.whl}\n")
    folder = str(PurePosixPath(deployer.apply().actions[0].name).parent)
    deployer.client.workspace.upload(f"{folder}/note.txt", b"kept", format=ImportFormat.RAW)
    project.wheel("two")
    deployer.apply()
    old = [each for each in prunable(deployer.plan()) if each.kind == "wheels"]
    delete_all(old, deployer.context(project.load()), 5)
    assert deployer.client.workspace.download(f"{folder}/note.txt").read() == b"kept"
