"""SQL warehouses: their life and what is set of them; statements are run by another service.

Source: https://docs.databricks.com/api/azure/workspace/warehouses
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from databricks.sdk.service.sql import GetWarehouseResponse
from databricks.sdk.service.sql import State as WarehouseState

from local_workspace.errors import already_exists, invalid
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service

SIZES: Final = (
    "2X-Small",
    "X-Small",
    "Small",
    "Medium",
    "Large",
    "X-Large",
    "2X-Large",
    "3X-Large",
    "4X-Large",
    "5X-Large",
)
DEFAULTS: Final[dict[str, Any]] = {
    "auto_stop_mins": 120,
    "min_num_clusters": 1,
    "max_num_clusters": 1,
    "enable_photon": True,
    "enable_serverless_compute": False,
    "spot_instance_policy": "COST_OPTIMIZED",
    "channel": {"name": "CHANNEL_NAME_CURRENT"},
    "warehouse_type": "CLASSIC",
    "tags": {},
}
ROOT: Final = "2.0/sql/warehouses"
NO_MACHINES: Final = "starts no machines, never stops by itself, has no JDBC; local Spark runs the statements"
POLL_SECONDS: Final = 0.1


class Warehouses(Service):
    """Warehouses by id."""

    name = "warehouses"
    permission_kinds: ClassVar[tuple[str, ...]] = ("warehouses",)

    def prepare(self) -> None:
        """Make the tables and the default warehouse, which is stopped."""
        self.warehouses = self.table("warehouses", GetWarehouseResponse)
        self._due = self.table("due", dict[str, Any])
        self._keep(
            {"name": "default", "cluster_size": "2X-Small", "state": "STOPPED"}, self.state.identity.warehouse_id
        )

    def find(self, warehouse_id: str) -> GetWarehouseResponse:
        """Return a warehouse as it is now.

        Raises:
            ApiError: 404 when there is none of this id.
        """
        warehouse = self.warehouses.existing(warehouse_id, f"SQL warehouse {warehouse_id} does not exist")
        if warehouse_id in self._due and self._due[warehouse_id]["at"] <= self.state.now():
            del self._due[warehouse_id]
            starting = warehouse.state is WarehouseState.STARTING
            warehouse.state = WarehouseState.RUNNING if starting else WarehouseState.STOPPED
            warehouse.num_clusters = (warehouse.min_num_clusters or 1) if starting else 0
        return warehouse

    def ensure_running(self, warehouse_id: str) -> None:
        """Start a warehouse if it is not running, and wait until it is; the caller holds no lock.

        Raises:
            ApiError: 404 when there is none of this id.
        """
        while True:
            with self.state.lock:
                state = self.find(warehouse_id).state
                if state is WarehouseState.RUNNING:
                    return
                if state is WarehouseState.STOPPED:
                    self._begin(warehouse_id, WarehouseState.STARTING)
            self.state.clock.sleep(POLL_SECONDS)

    @route("POST", ROOT, differs=NO_MACHINES)
    def create(self, request: Request) -> object:
        """Make a warehouse, which starts; 400 when the name is taken."""
        warehouse_id = f"{self.state.number():016x}"
        self._check(request.json, warehouse_id)
        self._keep(request.json, warehouse_id)
        self._begin(warehouse_id, WarehouseState.STARTING)
        return {"id": warehouse_id}

    @route("GET", f"{ROOT}/<warehouse_id>", differs=NO_MACHINES)
    def get(self, request: Request) -> object:
        """Return a warehouse."""
        return self._warehouse(request)

    @route("GET", ROOT)
    def list_all(self, request: Request) -> object:
        """Return the warehouses, in pages."""
        return request.listing("warehouses", [self.find(each) for each in self.warehouses], default=100)

    @route("POST", f"{ROOT}/<warehouse_id>/edit", differs=NO_MACHINES)
    def edit(self, request: Request) -> object:
        """Change the given settings; a warehouse keeps running, or stopped."""
        warehouse = self._warehouse(request)
        content = {**warehouse.as_dict(), **request.json}
        self._check(content, str(warehouse.id))
        self._keep(content, str(warehouse.id))
        return None

    @route("POST", f"{ROOT}/<warehouse_id>/start", differs=NO_MACHINES)
    def start(self, request: Request) -> object:
        """Start a warehouse; nothing happens to one that runs."""
        warehouse = self._warehouse(request)
        if warehouse.state not in (WarehouseState.RUNNING, WarehouseState.STARTING):
            self._begin(str(warehouse.id), WarehouseState.STARTING)
        return None

    @route("POST", f"{ROOT}/<warehouse_id>/stop", differs=NO_MACHINES)
    def stop_one(self, request: Request) -> object:
        """Stop a warehouse; nothing happens to one that is stopped."""
        warehouse = self._warehouse(request)
        if warehouse.state not in (WarehouseState.STOPPED, WarehouseState.STOPPING):
            self._begin(str(warehouse.id), WarehouseState.STOPPING)
        return None

    @route("DELETE", f"{ROOT}/<warehouse_id>")
    def delete(self, request: Request) -> object:
        """Delete a warehouse."""
        warehouse_id = str(self._warehouse(request).id)
        del self.warehouses[warehouse_id]
        self._due.pop(warehouse_id, None)
        return None

    def _warehouse(self, request: Request) -> GetWarehouseResponse:
        return self.find(str(request.path["warehouse_id"]))

    def _begin(self, warehouse_id: str, state: WarehouseState) -> None:
        seconds = self.state.options.cluster_start_seconds if state is WarehouseState.STARTING else 0.0
        self.warehouses[warehouse_id].state = state
        self._due[warehouse_id] = {"at": self.state.now() + int(seconds * 1000)}

    def _check(self, content: dict[str, Any], warehouse_id: str) -> None:
        name = content.get("name")
        if not name or len(name) > 100:
            raise invalid(f"The name of a warehouse has 1 to 100 characters, not {name!r}")
        if any(other.name == name and key != warehouse_id for key, other in self.warehouses.items()):
            raise already_exists(f"SQL warehouse with name `{name}` already exists")
        if content.get("cluster_size") not in SIZES:
            raise invalid(f"{content.get('cluster_size')} is not a valid cluster_size. Use one of {', '.join(SIZES)}.")
        idle = content.get("auto_stop_mins")
        if idle and idle < 10 and not content.get("enable_serverless_compute"):
            raise invalid(f"auto_stop_mins must be 0 or at least 10, and is {idle}")
        if (content.get("min_num_clusters") or 1) > (content.get("max_num_clusters") or 1):
            raise invalid("min_num_clusters must not be more than max_num_clusters")

    def _keep(self, content: dict[str, Any], warehouse_id: str) -> None:
        path = f"/sql/1.0/warehouses/{warehouse_id}"
        host = self.state.host.removeprefix("http://").rpartition(":")[0]
        added = {
            "id": warehouse_id,
            "creator_name": self.state.identity.user_name,
            "num_active_sessions": 0,
            "odbc_params": {"hostname": host, "path": path, "protocol": "https", "port": 443},
            "jdbc_url": f"jdbc:spark://{host}:443/default;transportMode=http;ssl=1;AuthMech=3;httpPath={path};",
        }
        made = {"num_clusters": 0, **DEFAULTS, **content, **added}
        self.warehouses[warehouse_id] = typed(GetWarehouseResponse, made)
