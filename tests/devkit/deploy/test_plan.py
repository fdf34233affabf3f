from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from devkit.deploy.declaration.model import Owner
from devkit.deploy.errors import DeclarationError
from devkit.deploy.plan.approving import as_json
from devkit.deploy.plan.differences import differences
from devkit.deploy.plan.model import Actual, Pending
from devkit.deploy.plan.planning import plan
from devkit.deploy.plan.printing import render
from devkit.deploy.plan.pruning import owned
from tests.devkit.deploy.kit import CANARY, actual_of, declaration, desired, state_of

SMALL = desired("clusters", "small", {"cluster_name": "Small", "num_workers": 2, "spark_version": "17"})
JOB = desired("jobs", "etl", {"name": "etl", "tasks": [{"task_key": "a", "existing_cluster_id": "Small"}]})


def test_nothing_to_do_when_everything_is_as_declared_whatever_the_server_added() -> None:
    declared = declaration(SMALL, JOB)
    cluster = actual_of(declared, SMALL, "c-1", driver_node_type_id="x", state="RUNNING")
    tasks = [{"task_key": "a", "existing_cluster_id": "c-1", "run_if": "ALL_SUCCESS"}]
    job = actual_of(declared, JOB, "7", tasks=tasks, format="MULTI_TASK")
    assert plan(declared, state_of(cluster, job)).changes == ()


def test_a_plan_changes_neither_desired_nor_actual_state() -> None:
    declared = declaration(SMALL, JOB)
    found = state_of(actual_of(declared, SMALL, "c-1", num_workers=9))
    before = copy.deepcopy((declared, found))
    assert plan(declared, found) == plan(declared, found)
    assert (declared, found) == before


def test_a_changed_field_is_an_update_that_shows_both_values() -> None:
    declared = declaration(SMALL)
    old = declaration(dataclasses.replace(SMALL, body={**SMALL.body, "num_workers": 1}))
    found = state_of(actual_of(old, old.resources[0], "c-1"))
    planned = plan(declared, found)
    (action,) = planned.changes
    assert (action.verb, action.reason) == ("update", "")
    assert "num_workers: 1 -> 2" in render(planned)


def test_what_was_edited_by_hand_is_told_as_drift() -> None:
    declared = declaration(SMALL)
    (action,) = plan(declared, state_of(actual_of(declared, SMALL, "c-1", num_workers=9))).changes
    assert action.reason == "it was edited by hand since the last apply"


def test_a_field_that_is_declared_no_longer_is_noticed() -> None:
    before = declaration(dataclasses.replace(SMALL, body={**SMALL.body, "spark_conf": {"a": "b"}}))
    found = state_of(actual_of(before, before.resources[0], "c-1"))
    (action,) = plan(declaration(SMALL), found).changes
    assert (action.verb, action.reason) == ("update", "something that was declared before is no longer declared")


def test_a_renamed_resource_is_an_update_not_a_new_one() -> None:
    declared = declaration(SMALL)
    renamed = declaration(dataclasses.replace(SMALL, name="Little", body={**SMALL.body, "cluster_name": "Little"}))
    planned = plan(renamed, state_of(actual_of(declared, SMALL, "c-1")))
    assert [(each.verb, each.changes[0].path) for each in planned.changes] == [("update", "cluster_name")]
    assert planned.orphans == ()


def test_a_name_becomes_the_id_of_what_exists_or_is_created_in_the_same_apply() -> None:
    declared = declaration(JOB, SMALL)
    (cluster, job) = plan(declared, state_of()).changes
    assert (cluster.address, job.address) == ("clusters.small", "jobs.etl")
    found = state_of(actual_of(declared, JOB, "7"))
    changes = plan(declared, found).changes[1].changes
    assert [(each.path, each.after) for each in changes] == [
        ("tasks[a].existing_cluster_id", Pending("clusters", "Small"))
    ]


def test_missing_and_ambiguous_names_are_told_together_before_anything_is_done() -> None:
    other = desired("jobs", "two", {"name": "two", "tasks": [{"task_key": "a", "existing_cluster_id": "Smal"}]})
    twins = [Actual("clusters", identity, "Small", {}) for identity in ("c-1", "c-2")]
    with pytest.raises(DeclarationError) as raised:
        plan(declaration(JOB, other), state_of(*twins))
    ambiguous, missing = raised.value.mistakes
    assert "2 clusters are called 'Small' (c-1, c-2)" in ambiguous
    assert "there is none of the clusters called 'Smal'; did you mean 'Small'?" in missing


def test_an_id_may_stand_where_a_name_may() -> None:
    job = desired("jobs", "etl", {"name": "etl", "tasks": [{"task_key": "a", "existing_cluster_id": "c-9"}]})
    planned = plan(declaration(job), state_of(Actual("clusters", "c-9", "Theirs", {})))
    assert [each.verb for each in planned.changes] == ["create"]


def test_a_name_within_free_text_is_no_reference() -> None:
    body = {"name": "etl", "tasks": [{"task_key": "a", "notebook_task": {"base_parameters": {"policy_id": "Nothing"}}}]}
    assert plan(declaration(desired("jobs", "etl", body)), state_of()).changes[0].verb == "create"


def test_a_name_that_is_taken_by_something_unowned_is_refused_unless_it_is_adopted() -> None:
    declared, stranger = declaration(SMALL), Actual("clusters", "c-1", "Small", {"cluster_name": "Small"})
    with pytest.raises(DeclarationError, match="is not owned by this project"):
        plan(declared, state_of(stranger))
    (action,) = plan(declared, state_of(stranger), adopt=True).changes
    assert (action.verb, action.reason) == ("update", "it is taken over")


def test_what_belongs_to_another_project_is_never_adopted() -> None:
    theirs = Actual("clusters", "c-1", "Small", {}, Owner("other", "dev", "small", "0" * 12))
    with pytest.raises(DeclarationError, match="belongs to other/dev"):
        plan(declaration(SMALL), state_of(theirs), adopt=True)


def test_a_field_that_the_service_cannot_edit_replaces_the_resource_and_what_names_it_follows() -> None:
    pool = desired("instance_pools", "pool", {"instance_pool_name": "Pool", "node_type_id": "big"}, name="Pool")
    cluster = desired("clusters", "small", {"cluster_name": "Small", "instance_pool_id": "Pool"})
    declared = declaration(pool, cluster)
    found = state_of(
        actual_of(declared, pool, "p-1", node_type_id="tiny"),
        actual_of(declared, cluster, "c-1", instance_pool_id="p-1"),
    )
    assert [(each.verb, each.address) for each in plan(declared, found).changes] == [
        ("replace", "instance_pools.pool"),
        ("update", "clusters.small"),
    ]


def test_jobs_that_run_other_jobs_come_after_them_and_a_cycle_is_refused() -> None:
    first = desired(
        "jobs", "first", {"name": "first", "tasks": [{"task_key": "a", "run_job_task": {"job_id": "last"}}]}
    )
    last = desired("jobs", "last", {"name": "last"})
    planned = plan(declaration(first, last), state_of())
    assert [each.name for each in planned.changes] == ["last", "first"]
    back = desired("jobs", "last", {"name": "last", "tasks": [{"task_key": "a", "run_job_task": {"job_id": "first"}}]})
    with pytest.raises(DeclarationError, match="in a cycle: first -> last -> first"):
        plan(declaration(first, back), state_of())


def test_what_is_declared_no_longer_is_a_leftover_and_what_others_own_is_not() -> None:
    declared = declaration(SMALL, JOB)
    mine = actual_of(declared, JOB, "7")
    theirs = dataclasses.replace(mine, id="8", owner=Owner("demo", "prod", "etl", "0" * 12))
    unowned = dataclasses.replace(mine, id="9", owner=None)
    planned = plan(declaration(), state_of(mine, theirs, unowned))
    assert [each.id for each in planned.orphans] == ["7"]


def test_two_resources_of_one_key_and_name_are_a_mistake() -> None:
    declared = declaration(SMALL)
    twins = state_of(actual_of(declared, SMALL, "c-1"), actual_of(declared, SMALL, "c-2"))
    with pytest.raises(DeclarationError, match=r"2 clusters carry the tag of clusters.small: c-1, c-2; remove the tag"):
        plan(declared, twins)
    assert owned(declared, twins) == []


def test_tasks_are_compared_by_their_keys_whatever_their_order() -> None:
    one, two = {"task_key": "a", "timeout_seconds": 1}, {"task_key": "b"}
    assert differences({"tasks": [one, two]}, {"tasks": [two, {**one, "run_if": "ALL_SUCCESS"}]}) == ()
    added = differences({"tasks": [one]}, {"tasks": [one, two]})
    assert [(each.path, each.before, each.after) for each in added] == [("tasks[b]", two, None)]


def test_nothing_false_and_empty_are_the_same_as_absent() -> None:
    assert differences({"a": False, "b": 0, "c": [], "d": {}, "e": ""}, {}) == ()
    assert differences({"a": True}, {}) != ()
    assert differences({"a": 1}, {"a": True}) != ()


def test_an_owner_survives_its_text_within_other_text() -> None:
    owner = Owner("demo", "dev", "hub/connection-string", "0123456789ab", True)
    assert Owner.within(f"a policy [{owner}] and more") == (owner, "a policy")
    assert Owner.parse(str(owner)) == owner
    assert Owner.parse(f"{owner} and more") is None
    assert Owner.parse("devkit:demo:dev") is None


def test_a_permission_that_somebody_added_by_hand_is_drift_and_that_of_the_deployer_is_not() -> None:
    granted = desired("permissions", "jobs.etl", {"principals": {"group:users": "CAN_VIEW"}}, name="jobs.etl")
    declared = declaration(JOB, granted, SMALL)
    cluster, job = (
        actual_of(declared, SMALL, "c-1"),
        actual_of(declared, JOB, "7", tasks=[{"task_key": "a", "existing_cluster_id": "c-1"}]),
    )
    principals = {"group:users": "CAN_VIEW", "user:me": "IS_OWNER"}
    extra = {"given": ["user:me"]}
    same = Actual(
        "permissions", "jobs/7", "jobs.etl", {"principals": principals}, declared.owners[granted.address], extra
    )
    assert plan(declared, state_of(cluster, job, same)).changes == ()
    more = dataclasses.replace(same, body={"principals": {**principals, "user:eve": "CAN_MANAGE"}})
    (action,) = plan(declared, state_of(cluster, job, more)).changes
    assert [(each.path, each.after) for each in action.changes] == [("principals.user:eve", None)]


def test_what_looks_like_a_secret_is_masked_even_where_somebody_wrote_it_by_hand() -> None:
    body = {"cluster_name": "Small", "spark_env_vars": {"DB_PASSWORD": "{{secrets/a/b}}", "HUB": "fine"}}
    small = desired("clusters", "small", body)
    declared = declaration(small)
    by_hand = {"DB_PASSWORD": CANARY, "HUB": f"Endpoint=sb://h/;SharedAccessKey={CANARY};EntityPath=e"}
    shown = render(plan(declared, state_of(actual_of(declared, small, "c-1", spark_env_vars=by_hand))))
    assert "spark_env_vars.DB_PASSWORD: *** -> {{secrets/a/b}}" in shown
    assert "spark_env_vars.HUB: Endpoint=sb://h/;SharedAccessKey=***;EntityPath=e -> fine" in shown
    assert CANARY not in shown


@pytest.mark.parametrize(
    "by_hand",
    [
        {"spark_conf": {"fs.azure.account.key.acct.dfs.core.windows.net": CANARY}},
        {"spark_conf": {"fs.azure.account.oauth2.client.secret.acct.dfs.core.windows.net": CANARY}},
        {"spark_conf": {"fs.azure.sas.box.acct.blob.core.windows.net": CANARY}},
        {"spark_env_vars": {"DB_PWD": CANARY, "KEY_PASSPHRASE": CANARY}},
        {"parameters": [{"name": "password", "default": CANARY}]},
        {"arguments": ["--password", CANARY]},
        {"arguments": [f"--password={CANARY}", f"--db-password {CANARY}"]},
        {"script": f"export DB_PASSWORD={CANARY}"},
        {"text": f"{{{{secrets/a/b}}}} AccountKey={CANARY}"},
    ],
)
def test_a_secret_is_masked_wherever_it_stands(by_hand: dict[str, Any]) -> None:
    known = "{{secrets/scope/key}}"
    body = {"cluster_name": "Small", **by_hand}
    planned = plan(declaration(desired("clusters", "small", body)), state_of())
    harmless = desired("clusters", "small", {"cluster_name": "Small", **_without(by_hand, known)})
    declared = declaration(harmless)
    drift = plan(declared, state_of(actual_of(declared, harmless, "c-1", **by_hand)))
    said = render(planned) + render(drift) + json.dumps([as_json(planned), as_json(drift)])
    assert CANARY not in said
    assert "***" in said


def _without(content: Any, replacement: str) -> Any:
    return json.loads(json.dumps(content).replace(CANARY, replacement))


def test_a_reference_to_a_secret_is_shown() -> None:
    body = {"cluster_name": "Small", "spark_env_vars": {"DB_PWD": "{{secrets/a/b}}"}}
    assert "{{secrets/a/b}}" in render(plan(declaration(desired("clusters", "small", body)), state_of()))


def test_a_plan_for_another_resource_of_the_same_name_is_another_plan() -> None:
    declared = declaration(SMALL)
    one, two = (plan(declared, state_of(actual_of(declared, SMALL, each, num_workers=9))) for each in ("c-1", "c-2"))
    assert as_json(one, "salt")["actions"] != as_json(two, "salt")["actions"]
    assert as_json(one, "salt") == as_json(one, "salt")
