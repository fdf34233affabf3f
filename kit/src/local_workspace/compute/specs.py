"""What a cluster becomes of what was asked for: checked, by its policy's rules, with the service's own defaults.

Source: https://docs.databricks.com/api/azure/workspace/clusters/create
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from databricks.sdk.service.compute import ClusterDetails, ClusterSpec, GetInstancePool

from local_workspace.compute import catalog, policy_rules
from local_workspace.errors import invalid
from local_workspace.server.routing import typed

Json = dict[str, Any]
DEFAULTS: Final[Json] = {
    "cluster_name": "",
    "autotermination_minutes": 0,
    "enable_elastic_disk": True,
    "enable_local_disk_encryption": False,
}
AZURE: Final[Json] = {"first_on_demand": 1, "availability": "ON_DEMAND_AZURE", "spot_bid_max_price": -1.0}
PROFILE: Final = "spark.databricks.cluster.profile"
SINGLE_NODE: Final[Mapping[str, str]] = {PROFILE: "singleNode", "spark.master": "local[*]"}
PLACES: Final = ("workspace", "volumes", "dbfs", "abfss", "s3", "gcs", "file")


@dataclass(frozen=True)
class Surroundings:
    """What a cluster refers to.

    Attributes:
        pools: Instance pools by id.
        policy: The rules that it must keep, empty when it has no policy.
        cluster_type: ``all-purpose``, ``job`` or ``dlt``.
        user_name: Who asks.
    """

    pools: Mapping[str, GetInstancePool]
    policy: policy_rules.Definition
    cluster_type: str
    user_name: str


def checked(asked: Json, around: Surroundings) -> Json:
    """Return what was asked for, with the policy's values filled in.

    Raises:
        ApiError: 400 when a value is impossible or breaks a rule of the policy.
    """
    defaults = bool(asked.get("apply_policy_default_values"))
    spec = typed(ClusterSpec, asked).as_dict()
    spec = policy_rules.apply(around.policy, spec, around.cluster_type, defaults=defaults)
    if spec.get("is_single_node"):
        spec["num_workers"] = 0
        spec["spark_conf"] = {**SINGLE_NODE, **spec.get("spark_conf", {})}
        spec["custom_tags"] = {"ResourceClass": "SingleNode", **spec.get("custom_tags", {})}
    spec["spark_version"] = catalog.spark_version(spec.get("spark_version"))
    _check_size(spec)
    _check_nodes(spec, around.pools)
    _check_rest(spec)
    return spec


def _check_size(spec: Json) -> None:
    autoscale, workers = spec.get("autoscale"), spec.get("num_workers")
    if (autoscale is None) == (workers is None):
        raise invalid("Exactly 1 of virtual_cluster_size, num_workers or autoscale must be specified.")
    if workers is not None and workers < 0:
        raise invalid(f"num_workers must not be negative, and is {workers}")
    if workers == 0 and spec.get("spark_conf", {}).get(PROFILE) != "singleNode":
        raise invalid(
            "num_workers is 0, and the cluster is not declared as a single node. Give is_single_node: true with "
            "kind: CLASSIC_PREVIEW, or spark_conf {spark.databricks.cluster.profile: singleNode, "
            "spark.master: 'local[*]'} and custom_tags {ResourceClass: SingleNode}, or at least one worker."
        )
    if autoscale is not None and not 0 <= autoscale.get("min_workers", 0) <= autoscale.get("max_workers", 0):
        raise invalid(f"autoscale.min_workers must be between 0 and max_workers, and autoscale is {autoscale}")


def _check_nodes(spec: Json, pools: Mapping[str, GetInstancePool]) -> None:
    pool_id = spec.get("instance_pool_id")
    for name in ("instance_pool_id", "driver_instance_pool_id"):
        if spec.get(name) and spec[name] not in pools:
            raise invalid(f"Can't find an instance pool with id: {spec[name]}")
    if pool_id is None:
        catalog.node_type(spec.get("node_type_id"))
    elif spec.get("node_type_id") not in (None, pools[pool_id].node_type_id):
        raise invalid("The field 'node_type_id' cannot be supplied when an instance pool ID is provided.")
    if spec.get("driver_node_type_id"):
        catalog.node_type(spec["driver_node_type_id"])


def _check_rest(spec: Json) -> None:
    minutes = spec.get("autotermination_minutes") or 0
    if minutes and not 10 <= minutes <= 10000:
        raise invalid(f"autotermination_minutes must be 0 or between 10 and 10000, and is {minutes}")
    if len(spec.get("custom_tags", {})) > 45:
        raise invalid(f"A cluster has at most 45 custom tags, not {len(spec['custom_tags'])}")
    for script in spec.get("init_scripts", ()):
        given = [place for place in PLACES if script.get(place, {}).get("destination")]
        if len(given) != 1:
            raise invalid(f"An init script must have exactly one destination, of {', '.join(PLACES)}; found {given}")


def details(spec: Json, cluster_id: str, around: Surroundings) -> ClusterDetails:
    """Return the cluster that a checked specification describes, with what the service adds."""
    content = {**DEFAULTS, **spec}
    pool_id = spec.get("instance_pool_id")
    if pool_id is not None:
        content["node_type_id"] = around.pools[pool_id].node_type_id
    if catalog.is_azure(content["node_type_id"]):
        content["azure_attributes"] = {**AZURE, **spec.get("azure_attributes", {})}
    driver_pool = spec.get("driver_instance_pool_id", pool_id)
    driver_type = around.pools[driver_pool].node_type_id if driver_pool else content["node_type_id"]
    content.setdefault("driver_node_type_id", driver_type)
    if content.get("data_security_mode") in ("SINGLE_USER", "DATA_SECURITY_MODE_DEDICATED"):
        content.setdefault("single_user_name", around.user_name)
    content["cluster_id"] = cluster_id
    content["creator_user_name"] = around.user_name
    content["cluster_source"] = "JOB" if around.cluster_type == "job" else "API"
    content["default_tags"] = default_tags(content)
    content["spec"] = {key: value for key, value in spec.items() if key != "apply_policy_default_values"}
    return typed(ClusterDetails, content)


def default_tags(content: Json) -> dict[str, str]:
    """Return the tags that the service puts on a cluster."""
    return {
        "Vendor": "Databricks",
        "Creator": content["creator_user_name"],
        "ClusterName": content["cluster_name"],
        "ClusterId": content["cluster_id"],
    }


def workers(cluster: ClusterDetails) -> int:
    """Return how many workers a cluster begins with."""
    return int((cluster.autoscale.min_workers if cluster.autoscale else cluster.num_workers) or 0)


def masked(spec: Json, change: Json, mask: str) -> Json:
    """Return a specification with the fields of an update mask taken from a change.

    Args:
        spec: What the cluster has; not changed.
        change: The new values; a field of the mask that it lacks is cleared.
        mask: Paths, separated by commas, or ``*`` for everything.

    Raises:
        ApiError: 400 for a field that no cluster has.
    """
    if mask == "*":
        return change
    result: Json = ClusterSpec.from_dict(spec).as_dict()
    for path in mask.split(","):
        *above, last = path.strip().split(".")
        target, source = result, change
        for part in above:
            target, source = target.setdefault(part, {}), source.get(part, {})
        if not above and last not in ClusterSpec.__dataclass_fields__:
            raise invalid(f"update_mask: a cluster has no field {last!r}")
        target.pop(last, None)
        if last in source:
            target[last] = source[last]
            for other in {"num_workers": ["autoscale"], "autoscale": ["num_workers"]}.get(last, []):
                result.pop(other, None)  # the size is one of the two
    return result
