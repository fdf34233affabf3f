"""Who may do what with an object, such as a job, a cluster or a notebook.

Source: https://docs.databricks.com/api/azure/workspace/permissions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local_workspace.errors import invalid, not_found
from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service
from local_workspace.services.scim import Scim

Direct = dict[str, str]  # ``user_name/someone`` to a level
PATH: Final = "2.0/permissions/<kind>/<object_id>"
PATH_OF_SQL: Final = "2.0/permissions/sql/<kind>/<object_id>"  # as bundles and Terraform write it: sql/warehouses
PRINCIPALS: Final = ("user_name", "group_name", "service_principal_name")
OWNER: Final = "IS_OWNER"
MANAGE: Final = "CAN_MANAGE"
DESCRIPTIONS: Final = {
    "CAN_ATTACH_TO": "Can attach to it",
    "CAN_EDIT": "Can edit, run and read it",
    "CAN_MANAGE": "Can manage it and its permissions",
    "CAN_MANAGE_RUN": "Can view it, and start and cancel its runs",
    "CAN_MONITOR": "Can use it and see what it does",
    "CAN_READ": "Can read it",
    "CAN_RESTART": "Can attach to it, start, restart and terminate it",
    "CAN_RUN": "Can run and read it",
    "CAN_USE": "Can use it",
    "CAN_VIEW": "Can view it",
    "IS_OWNER": "Owns it",
}


@dataclass(frozen=True)
class Kind:
    """A kind of object that has permissions.

    Attributes:
        object_type: How an answer calls it.
        levels: What can be granted.
        root: The beginning of its object id in an answer, where it is not its own name.
        owned: Whether it has exactly one owner, whom every replacement must name.
        keeps_owner: Whether a replacement that names no owner leaves the one that there is.
        creator: The level of who made it; empty when it has none of its own.
    """

    object_type: str
    levels: tuple[str, ...]
    root: str = ""
    owned: bool = False
    keeps_owner: bool = False
    creator: str = MANAGE


FILES: Final = ("CAN_READ", "CAN_RUN", "CAN_EDIT", MANAGE)
KINDS: Final[Mapping[str, Kind]] = {
    "authorization": Kind("tokens", ("CAN_USE",), creator=""),
    "cluster-policies": Kind("cluster-policy", ("CAN_USE",), creator=""),
    "clusters": Kind("cluster", ("CAN_ATTACH_TO", "CAN_RESTART", MANAGE)),
    "directories": Kind("directory", FILES),
    "files": Kind("file", FILES),
    "instance-pools": Kind("instance-pool", ("CAN_ATTACH_TO", MANAGE)),
    "jobs": Kind("job", ("CAN_VIEW", "CAN_MANAGE_RUN", OWNER, MANAGE), owned=True, creator=OWNER),
    "notebooks": Kind("notebook", FILES),
    "pipelines": Kind("pipelines", ("CAN_VIEW", "CAN_RUN", MANAGE, OWNER), owned=True, creator=OWNER),
    "repos": Kind("repo", FILES),
    "warehouses": Kind(
        "warehouses",
        ("CAN_USE", "CAN_MONITOR", "CAN_VIEW", MANAGE, OWNER),
        root="/sql/warehouses/",
        keeps_owner=True,
        creator=OWNER,
    ),
}
AUTHORIZATION: Final = ("tokens", "passwords")


@dataclass(frozen=True)
class Target:
    """The object that a call is about."""

    name: str
    object_id: str
    kind: Kind = field(repr=False)

    @property
    def key(self) -> str:
        """Its key in the table."""
        return f"{self.name}/{self.object_id}"

    @property
    def root(self) -> str:
        """What all objects of its kind inherit from."""
        return self.kind.root or f"/{self.name}/"


class Permissions(Service):
    """Direct permissions by ``kind/id``; who made an object and the administrators are added when asked for."""

    name = "permissions"

    def prepare(self) -> None:
        """Make the table."""
        self.direct = self.table("direct", dict[str, Any])

    @route(
        "GET",
        PATH,
        PATH_OF_SQL,
        differs="grants are kept, never enforced: whoever asks is an administrator; folders hand nothing down",
    )
    def get(self, request: Request) -> object:
        """Return who may do what with an object."""
        return self._answer(self._target(request))

    @route("GET", f"{PATH}/permissionLevels", f"{PATH_OF_SQL}/permissionLevels")
    def levels(self, request: Request) -> object:
        """Return what can be granted on an object."""
        levels = self._target(request).kind.levels
        return {"permission_levels": [{"permission_level": x, "description": DESCRIPTIONS[x]} for x in levels]}

    @route("PUT", PATH, PATH_OF_SQL, differs="grants are kept, never enforced")
    def set(self, request: Request) -> object:
        """Replace the direct permissions; a job or a pipeline must be given its owner again."""
        target = self._target(request)
        wanted = dict(self._asked(request, target))
        if target.kind.keeps_owner and OWNER not in wanted.values():
            wanted |= {who: level for who, level in self._direct(target).items() if level == OWNER}
        self._check_owner(target, wanted)
        self.direct[target.key] = {"granted": wanted}
        return self._answer(target)

    @route("PATCH", PATH, PATH_OF_SQL, differs="grants are kept, never enforced")
    def update(self, request: Request) -> object:
        """Add to the direct permissions; a new owner leaves the old one as a manager."""
        target = self._target(request)
        wanted, asked = dict(self._direct(target)), dict(self._asked(request, target))
        if OWNER in asked.values():
            wanted = {who: MANAGE if level == OWNER else level for who, level in wanted.items()}
        wanted |= asked
        self._check_owner(target, wanted)
        self.direct[target.key] = {"granted": wanted}
        return self._answer(target)

    def _target(self, request: Request) -> Target:
        name, object_id = str(request.path["kind"]), str(request.path["object_id"])
        kind = KINDS.get(name)
        if kind is None:
            raise invalid(f"{name} is not a supported object type; the types are {', '.join(KINDS)}")
        if name == "authorization":
            known = object_id in AUTHORIZATION
            kind = Kind(object_id, kind.levels, creator=kind.creator)
        else:
            known = self._exists(name, object_id)
        if not known:
            raise not_found(f"{kind.object_type.capitalize()} {object_id} does not exist.")
        return Target(name, object_id, kind)

    def _exists(self, name: str, object_id: str) -> bool:
        for service in self.state.services.values():
            if name in service.permission_kinds:
                return service.holds(name, object_id)
            if service.name == name and name in service.tables:
                return object_id in service.tables[name]
        return False

    def _asked(self, request: Request, target: Target) -> Iterator[tuple[str, str]]:
        """Yield the principals of a request with the level of each."""
        scim = self.state.service(Scim)
        for each in request.get("access_control_list") or ():
            given = [principal for principal in PRINCIPALS if each.get(principal)]
            if len(given) != 1:
                raise invalid(f"An entry must name exactly one of {', '.join(PRINCIPALS)}; this one names {given}")
            level = each.get("permission_level")
            if level not in target.kind.levels:
                allowed = ", ".join(target.kind.levels)
                raise invalid(f"Permission type {level} is not defined for {target.kind.object_type}; use {allowed}")
            scim.require(given[0], each[given[0]])
            if level == OWNER and given[0] == "group_name":
                raise invalid(f"Groups can not be owners of {target.name}: {each[given[0]]}")
            yield f"{given[0]}/{each[given[0]]}", level

    def _direct(self, target: Target) -> Direct:
        if target.key in self.direct:
            granted: Direct = self.direct[target.key]["granted"]
            return granted
        return {f"user_name/{self.state.identity.user_name}": target.kind.creator} if target.kind.creator else {}

    @staticmethod
    def _check_owner(target: Target, wanted: Direct) -> None:
        owners = [*wanted.values()].count(OWNER)
        if (target.kind.owned and owners != 1) or owners > 1:
            raise invalid(f"The {target.kind.object_type.rstrip('s')} must have exactly one owner.")

    def _answer(self, target: Target) -> dict[str, Any]:
        highest = MANAGE if MANAGE in target.kind.levels else target.kind.levels[-1]
        inherited = {"permission_level": highest, "inherited": True, "inherited_from_object": [target.root]}
        granted: dict[str, list[dict[str, Any]]] = {}
        for who, level in self._direct(target).items():
            granted.setdefault(who, []).append({"permission_level": level, "inherited": False})
        granted.setdefault("group_name/admins", []).append(inherited)
        entries = []
        for who, permissions in granted.items():
            principal, _, name = who.partition("/")
            entry: dict[str, Any] = {principal: name, "all_permissions": permissions}
            if principal != "group_name":
                entry["display_name"] = self.state.service(Scim).display_name(principal, name)
            entries.append(entry)
        object_id = f"{target.root}{target.object_id}"
        return {"object_id": object_id, "object_type": target.kind.object_type, "access_control_list": entries}
