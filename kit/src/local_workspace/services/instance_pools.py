"""Instance pools.

Source: https://docs.databricks.com/api/azure/workspace/instancepools
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from databricks.sdk.service.compute import GetInstancePool

from local_workspace.compute import catalog
from local_workspace.errors import already_exists, invalid
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service

DEFAULTS: Final[dict[str, Any]] = {
    "min_idle_instances": 0,
    "idle_instance_autotermination_minutes": 60,
    "enable_elastic_disk": True,
    "azure_attributes": {"availability": "ON_DEMAND_AZURE", "spot_bid_max_price": -1.0},
    "preloaded_spark_versions": [],
}
# What an edit may change besides the name; the rest is fixed when the pool is made.
EDITABLE: Final = ("custom_tags", "idle_instance_autotermination_minutes", "max_capacity", "min_idle_instances")
NO_MACHINES = "starts no machines: idle ones are those asked for, used ones none"


class InstancePools(Service):
    """Pools by id."""

    name = "instance_pools"
    permission_kinds: ClassVar[tuple[str, ...]] = ("instance-pools",)

    def prepare(self) -> None:
        """Make the table and the default pool."""
        self.pools = self.table("pools", GetInstancePool)
        default = {"instance_pool_name": "default", "node_type_id": "Standard_DS3_v2"}
        self.pools[self.state.identity.pool_id] = self._made(default, self.state.identity.pool_id)

    def pool(self, pool_id: str) -> GetInstancePool:
        """Return a pool.

        Raises:
            ApiError: 404 when there is none of this id.
        """
        return self.pools.existing(pool_id, f"Can't find an instance pool with id: {pool_id}")

    @route("POST", "2.0/instance-pools/create", differs=NO_MACHINES)
    def create(self, request: Request) -> object:
        """Make a pool; 400 when the name is taken."""
        self._check(request, "")
        for version in request.get("preloaded_spark_versions") or ():
            catalog.spark_version(version)
        pool_id = f"0101-000000-pool{self.state.number()}-pool-local000"
        self.pools[pool_id] = self._made(request.json, pool_id)
        return {"instance_pool_id": pool_id}

    @route("GET", "2.0/instance-pools/get", differs=NO_MACHINES)
    def get(self, request: Request) -> object:
        """Return a pool."""
        return self.pool(request.required("instance_pool_id"))

    @route("GET", "2.0/instance-pools/list", differs=NO_MACHINES)
    def list(self, _request: Request) -> object:
        """Return all pools; this listing has no pages."""
        return {"instance_pools": [*self.pools.values()]}

    @route("POST", "2.0/instance-pools/edit")
    def edit(self, request: Request) -> object:
        """Change what may change; 400 for another node type."""
        pool = self.pool(request.required("instance_pool_id"))
        pool_id = str(pool.instance_pool_id)
        self._check(request, pool_id)
        if request.required("node_type_id") != pool.node_type_id:
            raise invalid(f"The node type of pool {pool_id} is {pool.node_type_id} and cannot be changed")
        kept = {key: value for key, value in pool.as_dict().items() if key not in EDITABLE}
        self.pools[pool_id] = self._made(kept | request.json, pool_id)
        return None

    @route("POST", "2.0/instance-pools/delete")
    def delete(self, request: Request) -> object:
        """Delete a pool."""
        del self.pools[str(self.pool(request.required("instance_pool_id")).instance_pool_id)]
        return None

    def _check(self, request: Request, pool_id: str) -> None:
        name = str(request.required("instance_pool_name"))
        catalog.node_type(request.required("node_type_id"))
        if len(name) > 100:
            raise invalid(f"The name of a pool has at most 100 characters, not {len(name)}")
        if any(other.instance_pool_name == name and key != pool_id for key, other in self.pools.items()):
            raise already_exists(f"Instance pool with name {name} already exists")
        idle, capacity = request.get("min_idle_instances") or 0, request.get("max_capacity")
        if capacity is not None and idle > capacity:
            raise invalid(f"min_idle_instances {idle} must not be more than max_capacity {capacity}")

    def _made(self, asked: dict[str, Any], pool_id: str) -> GetInstancePool:
        user = self.state.identity.user_name
        content = DEFAULTS | asked | {"instance_pool_id": pool_id, "state": "ACTIVE"}
        content["default_tags"] = {
            "Vendor": "Databricks",
            "DatabricksInstancePoolCreatorId": self.state.identity.user_id,
            "DatabricksInstancePoolId": pool_id,
            "Creator": user,
        }
        idle = content["min_idle_instances"]
        content["stats"] = {"used_count": 0, "idle_count": idle, "pending_used_count": 0, "pending_idle_count": 0}
        content["status"] = {}
        return typed(GetInstancePool, content)
