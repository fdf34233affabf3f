"""Users, groups and service principals, and who is asking.

Sources: https://docs.databricks.com/api/azure/workspace/users, …/groups, …/serviceprincipals and RFC 7644
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, Final

from databricks.sdk.service.iam import Group, ServicePrincipal, User

from local_workspace.errors import not_found
from local_workspace.server.routing import Reply, Request, route, typed
from local_workspace.server.state import Service, Table
from local_workspace.services.scim_protocol import LIST_SCHEMA, ScimError, matches, patched, shown

ROOT: Final = "2.0/preview/scim/v2"
SCHEMAS: Final = {
    "Users": "urn:ietf:params:scim:schemas:core:2.0:User",
    "Groups": "urn:ietf:params:scim:schemas:core:2.0:Group",
    "ServicePrincipals": "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal",
}
KINDS: Final[dict[str, Any]] = {"Users": User, "Groups": Group, "ServicePrincipals": ServicePrincipal}
# What names one, and must be unique.
NAMES: Final = {"Users": "userName", "Groups": "displayName", "ServicePrincipals": "applicationId"}
BUILT_IN: Final = ("admins", "users")
ALL_KINDS: Final = "<any(Users,Groups,ServicePrincipals):kind>"
ONE_USER: Final = "whoever asks is one fixed user, an administrator; these have no rights that are enforced"


class Scim(Service):
    """All three kinds, by id; ids are unique among all of them."""

    name = "scim"

    def prepare(self) -> None:
        """Make the tables, the fixed user and the groups that every workspace has."""
        self.found: dict[str, Table[Any]] = {kind: self.table(kind.lower(), KINDS[kind]) for kind in SCHEMAS}
        user = self.state.identity
        engineer = {
            "id": user.user_id,
            "userName": user.user_name,
            "displayName": "Local engineer",
            "active": True,
            "emails": [{"value": user.user_name, "type": "work", "primary": True}],
        }
        self.found["Users"][user.user_id] = User.from_dict(engineer)
        for group_id, name in (("1000000000000101", "admins"), ("1000000000000102", "users")):
            members = [{"value": user.user_id}]
            self.found["Groups"][group_id] = Group.from_dict({"id": group_id, "displayName": name, "members": members})

    def require(self, field: str, name: str) -> None:
        """Refuse a principal that does not exist.

        Args:
            field: ``user_name``, ``group_name`` or ``service_principal_name``, as permissions write it.
            name: Of a user, of a group, or the application id of a service principal.

        Raises:
            ApiError: 404 when there is none.
        """
        kind = {"user_name": "Users", "group_name": "Groups"}.get(field, "ServicePrincipals")
        if not self._named(kind, name):
            shown_kind = {"user_name": "UserName", "group_name": "GroupName"}.get(field, "ServicePrincipalName")
            raise not_found(f"Principal: {shown_kind}({name}) does not exist")

    def knows(self, name: str) -> bool:
        """Return whether a user, a group or a service principal is called so; every account has ``account users``."""
        return name == "account users" or any(self._named(kind, name) for kind in self.found)

    def display_name(self, field: str, name: str) -> str:
        """Return how a principal is shown, its own name if it has no other."""
        kind = {"user_name": "Users", "group_name": "Groups"}.get(field, "ServicePrincipals")
        return next((str(each.get("displayName") or name) for each in self._named(kind, name)), name)

    @route("GET", f"{ROOT}/Me", differs="one fixed user, an administrator")
    def me(self, _request: Request) -> object:
        """Return who is asking."""
        content = self._shown("Users", self.state.identity.user_id)
        headers = {"X-Databricks-Org-Id": str(self.state.identity.workspace_id)}  # `get_workspace_id` reads it
        return Reply(json.dumps(content).encode(), content_type="application/json", headers=headers)

    @route("POST", f"{ROOT}/{ALL_KINDS}", differs=ONE_USER)
    def create(self, request: Request) -> object:
        """Make one; 409 when the name is taken."""
        kind = str(request.path["kind"])
        content = {"active": True, **request.json} if kind != "Groups" else dict(request.json)
        if kind == "ServicePrincipals":
            content.setdefault("applicationId", str(uuid.uuid4()))
        content["id"] = f"{2_000_000_000_000_000 + self.state.number()}"
        self._keep(kind, content)
        if kind == "Users":
            self._join(content["id"], "users")
        return Reply(json.dumps(self._shown(kind, content["id"])).encode(), 201, "application/json")

    @route("GET", f"{ROOT}/{ALL_KINDS}", differs="filters know eq, ne, co, sw and ew, with and and or, no brackets")
    def list_found(self, request: Request) -> object:
        """Return those that fit the filter, in pages by index."""
        kind = str(request.path["kind"])
        found = [self._shown(kind, each) for each in self.found[kind]]
        found = [each for each in found if matches(each, request.get("filter"))]
        by = request.get("sortBy")
        if by:
            found.sort(key=lambda each: str(each.get(by, "")), reverse=request.get("sortOrder") == "descending")
        start = max(int(request.get("startIndex") or 1), 1)
        count = min(int(request.get("count") or 10000), request.page_limit or 10000)
        page = found[start - 1 : start - 1 + count]
        return {
            "totalResults": len(found),
            "startIndex": start,
            "itemsPerPage": len(page),
            "schemas": [LIST_SCHEMA],
            "Resources": [shown(each, request.get("attributes"), request.get("excludedAttributes")) for each in page],
        }

    @route("GET", f"{ROOT}/{ALL_KINDS}/<principal_id>")
    def get(self, request: Request) -> object:
        """Return one."""
        return shown(self._shown(*self._at(request)), request.get("attributes"), request.get("excludedAttributes"))

    @route("PUT", f"{ROOT}/{ALL_KINDS}/<principal_id>")
    def replace(self, request: Request) -> object:
        """Replace one."""
        kind, principal_id = self._at(request)
        fixed = {NAMES[kind]: self.found[kind][principal_id].as_dict().get(NAMES[kind])}
        self._keep(kind, {**fixed, **request.json, "id": principal_id})
        return self._shown(kind, principal_id)

    @route("PATCH", f"{ROOT}/{ALL_KINDS}/<principal_id>")
    def patch(self, request: Request) -> object:
        """Add, replace or remove parts of one."""
        kind, principal_id = self._at(request)
        content = patched(self.found[kind][principal_id].as_dict(), request.get("Operations") or [])
        self._keep(kind, {**content, "id": principal_id})
        return self._shown(kind, principal_id)

    @route("DELETE", f"{ROOT}/{ALL_KINDS}/<principal_id>")
    def delete(self, request: Request) -> object:
        """Delete one, also from the groups that it is in."""
        kind, principal_id = self._at(request)
        name = str(self.found[kind][principal_id].as_dict().get("displayName"))
        if principal_id == self.state.identity.user_id or (kind == "Groups" and name in BUILT_IN):
            raise ScimError(403, f"{kind[:-1]} {name} cannot be deleted")
        del self.found[kind][principal_id]
        for group in self.found["Groups"].values():
            group.members = [member for member in group.members or [] if member.value != principal_id]
        return Reply(status=204)

    def _at(self, request: Request) -> tuple[str, str]:
        kind, principal_id = str(request.path["kind"]), str(request.path["principal_id"])
        if principal_id not in self.found[kind]:
            raise ScimError(404, f"{kind[:-1]} with id {principal_id} not found.")
        return kind, principal_id

    def _named(self, kind: str, name: str) -> list[dict[str, Any]]:
        field, alike = NAMES[kind], str.casefold if kind == "Users" else str
        return [each for each in self._contents(kind) if alike(str(each.get(field))) == alike(name)]

    def _contents(self, kind: str) -> list[dict[str, Any]]:
        return [each.as_dict() for each in self.found[kind].values()]

    def _keep(self, kind: str, content: dict[str, Any]) -> None:
        """Keep one, if its name is its own and its members exist."""
        name = content.get(NAMES[kind])
        if not name:
            raise ScimError(400, f"{NAMES[kind]} is required", "invalidValue")
        if any(each["id"] != content["id"] for each in self._named(kind, str(name))):
            raise ScimError(409, f"{kind[:-1]} with {NAMES[kind]} {name} already exists.", "uniqueness")
        for member in content.get("members") or []:
            self._kind_of(str(member.get("value")))
        kept = {key: value for key, value in content.items() if key not in ("groups", "schemas", "meta")}
        kept["members"] = [{"value": each} for each in dict.fromkeys(m["value"] for m in content.get("members") or [])]
        self.found[kind][content["id"]] = typed(KINDS[kind], kept)

    def _kind_of(self, principal_id: str) -> str:
        for kind, table in self.found.items():
            if principal_id in table:
                return kind
        raise ScimError(404, f"A member with id {principal_id} does not exist", "invalidValue")

    def _join(self, principal_id: str, group_name: str) -> None:
        for group in self.found["Groups"].values():
            if group.display_name == group_name:
                content = group.as_dict()
                members = [*content.get("members", []), {"value": principal_id}]
                self.found["Groups"][group.id] = Group.from_dict({**content, "members": members})

    def _shown(self, kind: str, principal_id: str) -> dict[str, Any]:
        """Return one as the service shows it: with the groups that it is in, and the names of its members."""
        content: dict[str, Any] = {"schemas": [SCHEMAS[kind]], **self.found[kind][principal_id].as_dict()}
        name_of: Callable[[str], str] = self._name
        if kind == "Groups":
            content["meta"] = {"resourceType": "WorkspaceGroup" if content["displayName"] in BUILT_IN else "Group"}
            members = [(member["value"], self._kind_of(member["value"])) for member in content.get("members", [])]
            content["members"] = [{"value": m, "display": name_of(m), "$ref": f"{of}/{m}"} for m, of in members]
        within = [
            {"value": group.id, "display": group.display_name, "type": "direct", "$ref": f"Groups/{group.id}"}
            for group in self.found["Groups"].values()
            if any(member.value == principal_id for member in group.members or [])
        ]
        return {**content, "groups": within}

    def _name(self, principal_id: str) -> str:
        content = self.found[self._kind_of(principal_id)][principal_id].as_dict()
        return str(content.get("displayName") or content.get("userName") or content.get("applicationId"))
