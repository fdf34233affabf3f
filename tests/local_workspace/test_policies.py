"""Cluster policies and families, by the official client, and what they make of clusters."""

from __future__ import annotations

import json

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist
from databricks.sdk.service.compute import (
    AutoScale,
    InitScriptInfo,
    ListSortColumn,
    ListSortOrder,
    State,
    VolumesStorageInfo,
)

from local_workspace import Workspace
from local_workspace.services.clusters import Clusters

RUNTIME = "17.3.x-scala2.13"
NODE = "Standard_DS3_v2"
Rules = dict[str, dict[str, object]]


def policy(client: WorkspaceClient, rules: Rules, name: str = "small") -> str:
    return str(client.cluster_policies.create(name=name, definition=json.dumps(rules)).policy_id)


def test_a_policy_is_kept_as_it_was_written(client: WorkspaceClient) -> None:
    definition = '{"num_workers":  {"type": "range", "maxValue": 5}}'
    made = client.cluster_policies.create(name="small", definition=definition, description="d", max_clusters_per_user=2)
    found = client.cluster_policies.get(str(made.policy_id))
    assert (found.name, found.definition, found.description) == ("small", definition, "d")
    assert (found.max_clusters_per_user, found.creator_user_name) == (2, "engineer@localhost")
    assert found.created_at_timestamp is not None


def test_an_edited_policy_forgets_what_the_edit_does_not_name(client: WorkspaceClient) -> None:
    made = client.cluster_policies.create(name="small", definition="{}", description="d")
    before = client.cluster_policies.get(str(made.policy_id))
    client.cluster_policies.edit(str(made.policy_id), name="large", definition='{"a": {"type": "unlimited"}}')
    found = client.cluster_policies.get(str(made.policy_id))
    assert (found.name, found.description) == ("large", None)
    assert found.created_at_timestamp == before.created_at_timestamp


def test_a_deleted_policy_is_gone(client: WorkspaceClient) -> None:
    policy_id = policy(client, {})
    client.cluster_policies.delete(policy_id)
    with pytest.raises(ResourceDoesNotExist):
        client.cluster_policies.get(policy_id)
    with pytest.raises(ResourceDoesNotExist):
        client.cluster_policies.delete(policy_id)
    with pytest.raises(ResourceDoesNotExist):
        client.cluster_policies.edit(policy_id, name="small", definition="{}")


def test_the_name_of_a_policy_is_taken_once(client: WorkspaceClient) -> None:
    policy(client, {}, "small")
    other = policy(client, {}, "large")
    with pytest.raises(ResourceAlreadyExists, match="`small` already exists"):
        policy(client, {}, "small")
    with pytest.raises(ResourceAlreadyExists):
        client.cluster_policies.edit(other, name="small", definition="{}")
    client.cluster_policies.edit(other, name="large", definition="{}")


def test_the_name_of_a_policy_has_at_most_100_characters(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="100 characters"):
        policy(client, {}, "x" * 101)


def test_policies_are_listed_in_the_order_asked_for(client: WorkspaceClient) -> None:
    for name in ("b", "c", "a"):
        policy(client, {}, name)
    assert [each.name for each in client.cluster_policies.list()] == ["b", "c", "a"]
    by_name = client.cluster_policies.list(sort_column=ListSortColumn.POLICY_NAME, sort_order=ListSortOrder.DESC)
    assert [each.name for each in by_name] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("{", "invalid JSON"),
        ("[]", "JSON object"),
        ('{"a": 1}', "a: a rule has a type"),
        ('{"a": {"type": "maybe"}}', "fixed"),
        ('{"a": {"type": "fixed"}}', "needs value"),
        ('{"a": {"type": "range"}}', "minValue or maxValue"),
        ('{"a": {"type": "regex", "pattern": "("}}', "invalid regular expression"),
        ('{"a": {"type": "allowlist", "vaules": []}}', "unknown field vaules"),
    ],
)
def test_a_malformed_definition_is_refused(client: WorkspaceClient, definition: str, message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        client.cluster_policies.create(name="small", definition=definition)
    assert [*client.cluster_policies.list()] == []


def test_fixed_values_are_filled_in_and_defaults_only_on_request(client: WorkspaceClient) -> None:
    rules: Rules = {
        "node_type_id": {"type": "fixed", "value": NODE},
        "spark_conf.spark.sql.shuffle.partitions": {"type": "fixed", "value": "8"},
        "custom_tags.Team": {"type": "fixed", "value": "a"},
        "init_scripts.0.volumes.destination": {"type": "fixed", "value": "/Volumes/main/default/raw/init.sh"},
        "autotermination_minutes": {"type": "range", "maxValue": 60, "defaultValue": 20, "isOptional": True},
        "cluster_type": {"type": "fixed", "value": "all-purpose"},
        "dbus_per_hour": {"type": "range", "maxValue": 1},
    }
    policy_id = policy(client, rules)
    plain = client.clusters.create(RUNTIME, policy_id=policy_id, num_workers=1).cluster_id
    filled = client.clusters.create(
        RUNTIME, policy_id=policy_id, num_workers=1, apply_policy_default_values=True
    ).cluster_id
    cluster = client.clusters.get(str(plain))
    assert (cluster.node_type_id, cluster.policy_id) == (NODE, policy_id)
    assert cluster.spark_conf == {"spark.sql.shuffle.partitions": "8"}
    assert cluster.custom_tags == {"Team": "a"}
    script = VolumesStorageInfo(destination="/Volumes/main/default/raw/init.sh")
    assert cluster.init_scripts == [InitScriptInfo(volumes=script)]
    assert cluster.autotermination_minutes == 0
    cluster = client.clusters.get(str(filled))
    assert cluster.autotermination_minutes == 20
    assert cluster.spec is not None
    assert cluster.spec.apply_policy_default_values is None


@pytest.mark.parametrize(
    ("path", "rule", "message"),
    [
        ("num_workers", {"type": "fixed", "value": 2}, 'num_workers, the value must be 2 \\(is "1"\\)'),
        ("num_workers", {"type": "range", "minValue": 2}, "between 2 and ∞"),
        ("num_workers", {"type": "range", "maxValue": 0}, "between -∞ and 0"),
        ("node_type_id", {"type": "allowlist", "values": ["a", "b"]}, "one of"),
        ("node_type_id", {"type": "blocklist", "values": [NODE]}, "must not be one of"),
        ("spark_version", {"type": "regex", "pattern": "18\\..*"}, "must match the pattern"),
        ("spark_version", {"type": "regex", "pattern": "17"}, "must match the pattern"),
        ("spark_conf.a", {"type": "forbidden"}, "must be absent"),
        ("custom_tags.Team", {"type": "regex", "pattern": ".+"}, "must be present"),
        ("cluster_type", {"type": "fixed", "value": "job"}, 'is "all-purpose"'),
        ("init_scripts.*.volumes.destination", {"type": "regex", "pattern": "/Volumes/b/.*"}, "/Volumes/a/c/d/x.sh"),
    ],
)
def test_a_cluster_that_breaks_a_rule_is_refused(
    client: WorkspaceClient, path: str, rule: dict[str, object], message: str
) -> None:
    policy_id = policy(client, {path: rule})
    script = InitScriptInfo(volumes=VolumesStorageInfo(destination="/Volumes/a/c/d/x.sh"))
    with pytest.raises(InvalidParameterValue, match=f"Cluster validation error.*{message}"):
        client.clusters.create(
            RUNTIME, policy_id=policy_id, node_type_id=NODE, num_workers=1, spark_conf={"a": "1"}, init_scripts=[script]
        )


def test_a_cluster_that_keeps_all_rules_is_made(client: WorkspaceClient) -> None:
    rules: Rules = {
        "autoscale.max_workers": {"type": "range", "minValue": 1, "maxValue": 4},
        "node_type_id": {"type": "allowlist", "values": [NODE]},
        "spark_version": {"type": "regex", "pattern": "17\\..*"},
        "spark_conf.a": {"type": "fixed", "value": True},
        "custom_tags.Team": {"type": "unlimited", "isOptional": True},
        "num_workers": {"type": "forbidden"},
    }
    size = AutoScale(min_workers=1, max_workers=4)
    made = client.clusters.create(
        RUNTIME, policy_id=policy(client, rules), node_type_id=NODE, autoscale=size, spark_conf={"a": "true"}
    )
    assert made.result().state is State.RUNNING


def test_an_edit_must_keep_the_rules_too(client: WorkspaceClient) -> None:
    policy_id = policy(client, {"num_workers": {"type": "range", "maxValue": 2}})
    made = client.clusters.create(RUNTIME, policy_id=policy_id, node_type_id=NODE, num_workers=1).result()
    with pytest.raises(InvalidParameterValue, match="between"):
        client.clusters.edit(str(made.cluster_id), RUNTIME, policy_id=policy_id, node_type_id=NODE, num_workers=3)
    with pytest.raises(InvalidParameterValue, match="between"):
        client.clusters.resize(str(made.cluster_id), num_workers=3)
    cluster = client.clusters.get(str(made.cluster_id))
    assert (cluster.num_workers, cluster.state) == (1, State.RUNNING)


def test_a_policy_for_jobs_admits_their_clusters(workspace: Workspace, client: WorkspaceClient) -> None:
    policy_id = policy(client, {"cluster_type": {"type": "fixed", "value": "job"}})
    spec = {"spark_version": RUNTIME, "node_type_id": NODE, "num_workers": 1, "policy_id": policy_id}
    cluster_id = workspace.state().service(Clusters).add_job_cluster(spec, "run")
    assert client.clusters.get(cluster_id).policy_id == policy_id


def test_a_policy_that_does_not_exist_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(ResourceDoesNotExist, match="ABC"):
        client.clusters.create(RUNTIME, policy_id="ABC", node_type_id=NODE, num_workers=1)


def test_an_automatic_runtime_is_resolved(client: WorkspaceClient) -> None:
    policy_id = policy(client, {"spark_version": {"type": "fixed", "value": "auto:latest-lts"}})
    spec = {"policy_id": policy_id, "node_type_id": NODE, "num_workers": 1}
    made = client.api_client.do("POST", "/api/2.1/clusters/create", body=spec)
    assert client.clusters.get(made["cluster_id"]).spark_version == "18.2.x-scala2.13"


def test_a_policy_inherits_from_its_family_and_overrides_it(client: WorkspaceClient) -> None:
    overrides = json.dumps({"autotermination_minutes": {"type": "fixed", "value": 30}})
    made = client.cluster_policies.create(
        name="mine", policy_family_id="job-cluster", policy_family_definition_overrides=overrides
    )
    found = client.cluster_policies.get(str(made.policy_id))
    rules = json.loads(found.definition or "")
    assert rules["cluster_type"] == {"type": "fixed", "value": "job"}
    assert rules["autotermination_minutes"] == {"type": "fixed", "value": 30}
    assert found.policy_family_definition_overrides == overrides


def test_a_family_with_a_definition_and_overrides_without_a_family_are_refused(client: WorkspaceClient) -> None:
    with pytest.raises(InvalidParameterValue, match="definition cannot be given"):
        client.cluster_policies.create(name="mine", policy_family_id="job-cluster", definition="{}")
    with pytest.raises(InvalidParameterValue, match="needs a policy_family_id"):
        client.cluster_policies.create(name="mine", policy_family_definition_overrides="{}")


def test_families_are_listed_in_pages(workspace: Workspace, client: WorkspaceClient) -> None:
    ids = ["personal-vm", "shared-compute", "power-user", "job-cluster"]
    assert [family.policy_family_id for family in client.policy_families.list(max_results=3)] == ids
    assert workspace.calls["GET /api/2.0/policy-families"] == 2
    assert client.policy_families.get("power-user").name == "Power User Compute"
    with pytest.raises(ResourceDoesNotExist):
        client.policy_families.get("royal")
