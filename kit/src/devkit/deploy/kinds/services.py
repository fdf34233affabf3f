"""SQL warehouses, Git folders, groups and permissions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Final

from devkit.deploy.catalogue import KINDS
from devkit.deploy.errors import DeploymentError
from devkit.deploy.kinds.base import Context, Operations, Recording, call, each, gone, tagged
from devkit.deploy.model import TAG, Action, Found, Json, Owner, Wanted, plain_path

PERMITTED: Final = {name: kind.permissions for name, kind in KINDS.items() if kind.permissions}
FIELDS: Final = {"user": "user_name", "group": "group_name", "service_principal": "service_principal_name"}


class Warehouses(Operations):
    """SQL warehouses; the ownership tag is a custom tag."""

    kind = "warehouses"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the warehouses."""
        for warehouse in recording.client.warehouses.list():
            body = warehouse.as_dict()
            tags = {tag["key"]: tag.get("value", "") for tag in (body.get("tags") or {}).get("custom_tags") or []}
            owner = Owner.parse(tags.pop(TAG, None))
            body["tags"] = {"custom_tags": [{"key": key, "value": value} for key, value in tags.items()]}
            yield Found(self.kind, str(warehouse.id), str(warehouse.name), body, owner)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a warehouse."""
        waiting: Any = context.client.warehouses.create(
            **call("sql:WarehousesAPI.create", self._sent(context, wanted, body))
        )
        return str(waiting.response.id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Edit a warehouse."""
        assert action.wanted is not None and action.found is not None  # noqa: S101, PT018  # an update has both
        known = call("sql:WarehousesAPI.edit", self._sent(context, action.wanted, body))
        context.client.warehouses.edit(**{**known, "id": action.found.id})

    def delete(self, context: Context, found: Found) -> None:
        """Delete a warehouse."""
        gone(lambda: context.client.warehouses.delete(found.id))

    def _sent(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> dict[str, Json]:
        declared = {tag["key"]: tag.get("value", "") for tag in (body.get("tags") or {}).get("custom_tags") or []}
        tags = tagged(declared, context.owner(wanted))
        return {**body, "tags": {"custom_tags": [{"key": key, "value": value} for key, value in tags.items()]}}


class Repos(Operations):
    """Git folders, owned by where they lie."""

    kind = "repos"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the Git folders."""
        for repo in recording.client.repos.list():
            body = repo.as_dict()
            yield Found(self.kind, str(repo.id), str(repo.path), body)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Clone a repository and check its branch or tag out."""
        context.client.workspace.mkdirs(str(PurePosixPath(wanted.name).parent))
        made = context.client.repos.create(body["url"], body["provider"], path=wanted.name)
        return str(made.id)

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Clone a repository exactly once, then check out."""
        identity = super().create(context, wanted, body)
        self._check_out(context, int(identity), body)
        return identity

    def look(self, context: Context, wanted: Wanted) -> str | None:
        """Find it by its path."""
        found = (
            one for one in self.record(Recording(context.client)) if plain_path(one.name) == plain_path(wanted.name)
        )
        return next((one.id for one in found), None)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Check another branch or tag out."""
        assert action.found is not None  # noqa: S101  # an update has it
        self._check_out(context, int(action.found.id), body)

    def delete(self, context: Context, found: Found) -> None:
        """Delete a Git folder."""
        gone(lambda: context.client.repos.delete(int(found.id)))

    def _check_out(self, context: Context, identity: int, body: dict[str, Json]) -> None:
        if body.get("branch") or body.get("tag"):
            context.client.repos.update(identity, branch=body.get("branch"), tag=body.get("tag"))


class Groups(Operations):
    """Groups of users; the ownership tag is the external id."""

    kind = "groups"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the groups with the names of their members."""
        names = {str(user.id): str(user.user_name) for user in recording.client.users.list(attributes="id,userName")}
        for group in recording.client.groups.list(attributes="id,displayName,externalId,members"):
            members = sorted(names.get(str(one.value), str(one.display or one.value)) for one in group.members or [])
            body = {"display_name": group.display_name, "members": members}
            owner = Owner.parse(group.external_id)
            yield Found(self.kind, str(group.id), str(group.display_name), body, owner)

    def make(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a group."""
        made = context.client.groups.create(
            display_name=body["display_name"],
            external_id=str(context.owner(wanted)),
            members=self._members(context, wanted, body),
        )
        return str(made.id)

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Write a group anew."""
        assert action.wanted is not None and action.found is not None  # noqa: S101, PT018  # an update has both
        context.client.groups.update(
            action.found.id,
            display_name=body["display_name"],
            external_id=str(context.owner(action.wanted)),
            members=self._members(context, action.wanted, body),
        )

    def delete(self, context: Context, found: Found) -> None:
        """Delete a group."""
        gone(lambda: context.client.groups.delete(found.id))

    def _members(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> list[Any]:
        from databricks.sdk.service.iam import ComplexValue

        ids = {str(user.user_name): str(user.id) for user in context.client.users.list(attributes="id,userName")}
        unknown = [name for name in body["members"] if name not in ids]
        if unknown:
            remedy = "Add them to the workspace, or take them out of the group."
            problem = f"the group {wanted.name!r} names users that the workspace does not know: {', '.join(unknown)}"
            raise DeploymentError(problem, origin=wanted.origin, remedy=remedy)
        return [ComplexValue(value=ids[name]) for name in body["members"]]


class Permissions(Operations):
    """Who may do what with a resource; owned with the resource, whose tag says that they were declared."""

    kind = "permissions"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the permissions of the resources that declare some, or that did when they were deployed."""
        wanted = {one.key for one in recording.wanted if one.kind == self.kind}
        objects = []
        for found in recording.found:
            address = f"{found.kind}.{found.owner.key}" if found.owner else self._by_path(recording, found)
            if found.kind in PERMITTED and (address in wanted or (found.owner and found.owner.permissions)):
                objects.append((found, address))
        me = _me(recording) if objects else ""
        return each(lambda pair: self._one(recording, *pair, me), objects)

    def _by_path(self, recording: Recording, found: Found) -> str:
        same = (
            one for one in recording.wanted if one.kind == found.kind and plain_path(one.name) == plain_path(found.name)
        )
        return next((one.address for one in same), "")

    def _one(self, recording: Recording, found: Found, address: str, me: str) -> Found:
        listed = recording.client.permissions.get(PERMITTED[found.kind], found.id)
        principals, given = {}, []
        for entry in listed.access_control_list or []:
            direct = [
                p.permission_level.value for p in entry.all_permissions or [] if p.permission_level and not p.inherited
            ]
            named = {
                "user": entry.user_name,
                "group": entry.group_name,
                "service_principal": entry.service_principal_name,
            }
            who = next((f"{kind}:{name}" for kind, name in named.items() if name), "")
            if direct and who:
                principals[who] = direct[0]
                given += [who] if who == f"user:{me}" or "IS_OWNER" in direct else []
        owner = found.owner
        if owner is None and recording.declaration is not None:
            owner = Owner(recording.declaration.project, recording.declaration.environment, address, "0" * 12, True)
        ours = Owner(owner.project, owner.environment, address, owner.digest, owner.permissions) if owner else None
        identity = f"{PERMITTED[found.kind]}/{found.id}"
        return Found(self.kind, identity, address, {"principals": principals}, ours, {"given": given})

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Set the permissions of a resource."""
        kind = wanted.key.partition(".")[0]
        self._set(context, PERMITTED[kind], context.ids[wanted.key], body["principals"])
        return wanted.key

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Set the permissions of a resource anew."""
        assert action.wanted is not None  # noqa: S101  # an update has it
        self.create(context, action.wanted, body)

    def delete(self, context: Context, found: Found) -> None:
        """Take every permission back that was given."""
        kind, _, identity = found.id.partition("/")
        self._set(context, kind, identity, {})

    def _set(self, context: Context, kind: str, identity: str, principals: dict[str, str]) -> None:
        from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

        entries = self._owners(context, kind, identity) if "IS_OWNER" not in principals.values() else []
        for who, level in principals.items():
            what, _, name = who.partition(":")
            entries.append(AccessControlRequest(permission_level=PermissionLevel(level), **{FIELDS[what]: name}))
        context.client.permissions.set(kind, identity, access_control_list=entries)

    def _owners(self, context: Context, kind: str, identity: str) -> list[Any]:
        """Return the owner, whom a list that is set must name again: a job, pipeline or warehouse has exactly one."""
        from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

        owner = PermissionLevel.IS_OWNER
        return [
            AccessControlRequest(
                permission_level=owner,
                user_name=entry.user_name,
                group_name=entry.group_name,
                service_principal_name=entry.service_principal_name,
            )
            for entry in context.client.permissions.get(kind, identity).access_control_list or []
            if any(each.permission_level is owner and not each.inherited for each in entry.all_permissions or [])
        ]


def _me(recording: Recording) -> str:
    return str(recording.client.current_user.me().user_name)
