"""Unity Catalog: grants, the same that ``GRANT`` and ``SHOW GRANTS`` see; kept and shown, never enforced.

Source: https://docs.databricks.com/api/azure/workspace/grants
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from databricks.sdk.service.catalog import PermissionsChange

from local_workspace.errors import ApiError, invalid
from local_workspace.server.routing import Request, route, typed
from local_workspace.server.state import Service
from local_workspace.services.scim import Scim
from local_workspace.services.unity_catalog import API, METASTORE, UnityCatalog

ENFORCED: Final = "grants are kept, and refuse nobody"
LEVELS: Final = ("CATALOG", "SCHEMA", "TABLE")
Object = tuple[str, str]


class Grants(Service):
    """Keeps nothing: grants lie in the folder of the catalogs."""

    name: ClassVar[str] = "grants"

    @route("GET", f"{API}/permissions/<kind>/<full_name>", differs=ENFORCED)
    def get(self, request: Request) -> object:
        """Return what was granted on an object, to everybody or to ``principal``."""
        return self._shown([self._object(request)], request.get("principal"), lambda privilege, _: privilege)

    @route("PATCH", f"{API}/permissions/<kind>/<full_name>", differs=ENFORCED)
    def update(self, request: Request) -> object:
        """Grant and revoke, and return what is granted then."""
        found = self._object(request)
        changes = [typed(PermissionsChange, each) for each in request.many("changes")]
        for change in changes:
            if not change.principal:
                raise invalid("Missing required field: changes.principal")
            if change.add and not self.state.service(Scim).knows(change.principal):
                problem = f"Could not find principal with name {change.principal}"
                raise ApiError(404, "PRINCIPAL_DOES_NOT_EXIST", problem)
        folders = self.state.service(UnityCatalog).folders
        folders.change_grants(
            add=[[str(each.principal), one.value, *found] for each in changes for one in each.add or []],
            remove=[[str(each.principal), one.value, *found] for each in changes for one in each.remove or []],
        )
        return self._shown([found], None, lambda privilege, _: privilege)

    @route("GET", f"{API}/effective-permissions/<kind>/<full_name>", differs=ENFORCED)
    def get_effective(self, request: Request) -> object:
        """Return what was granted on an object and on its schema and catalog."""
        kind, name = found = self._object(request)
        names = name.split(".")
        above = [(LEVELS[level], ".".join(names[: level + 1])) for level in range(len(names) - 1)]

        def described(privilege: str, on: Object) -> dict[str, str]:
            inherited = {"inherited_from_type": on[0], "inherited_from_name": on[1]} if on != (kind, name) else {}
            return {"privilege": privilege, **inherited}

        return self._shown([found, *above], request.get("principal"), described)

    def _shown(self, objects: Iterable[Object], principal: str | None, told: Callable[[str, Object], Any]) -> object:
        granted: dict[str, list[Any]] = {}
        grants = sorted(self.state.service(UnityCatalog).folders.grants())
        for kind, name in objects:
            for who, privilege, of_kind, of_name in grants:
                if (of_kind, of_name.lower()) == (kind, name.lower()) and principal in (None, "", who):
                    granted.setdefault(who, []).append(told(privilege, (kind, name)))
        return {"privilege_assignments": [{"principal": who, "privileges": each} for who, each in granted.items()]}

    def _object(self, request: Request) -> Object:
        """Return the kind and the name of what is granted.

        Raises:
            ApiError: 404 when there is no such object, 400 when objects of this kind have no grants here.
        """
        catalogs, name = self.state.service(UnityCatalog), str(request.path["full_name"])
        known: dict[str, Callable[[str], str]] = {
            "METASTORE": lambda _: METASTORE,
            "CATALOG": catalogs.find_catalog,
            "SCHEMA": lambda full_name: ".".join(catalogs.find_schema(full_name)),
            "TABLE": lambda full_name: ".".join(catalogs.find_table(full_name)),
            "VOLUME": lambda full_name: ".".join(catalogs.find_volume(full_name)),
        }
        kind = str(request.path["kind"]).upper()
        if kind not in known:
            raise invalid(f"Securable type {kind!r} has no grants here: it must be one of {', '.join(known)}")
        return kind, known[kind](name)
