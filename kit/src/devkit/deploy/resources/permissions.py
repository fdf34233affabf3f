"""Who may do what with a resource; owned with the resource, whose tag says that permissions were declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from devkit.deploy.declaration.kinds import KINDS, PRINCIPALS
from devkit.deploy.declaration.model import Desired, Json, Owner, plain_path
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Resource, concurrently

PERMITTED: Final = {name: kind.permissions for name, kind in KINDS.items() if kind.permissions}
FIELDS: Final = {what: field for field, what in PRINCIPALS.items()}


class Permissions(Resource):
    """Access lists."""

    kind = "permissions"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the permissions of resources that declare some, or that did when they were deployed."""
        declared = {one.key for one in recording.desired(self.kind)}
        objects = []
        for actual in recording.found:
            address = actual.address if actual.owner else self._by_path(recording, actual)
            if actual.kind in PERMITTED and (address in declared or (actual.owner and actual.owner.permissions)):
                objects.append((actual, address))
        me = str(recording.client.current_user.me().user_name) if objects else ""
        return concurrently(lambda pair: self._one(recording, *pair, me), objects)

    def _by_path(self, recording: Recording, actual: Actual) -> str:
        same = (
            one.address for one in recording.desired(actual.kind) if plain_path(one.name) == plain_path(actual.name)
        )
        return next(same, "")

    def _one(self, recording: Recording, actual: Actual, address: str, me: str) -> Actual:
        listed = recording.client.permissions.get(PERMITTED[actual.kind], actual.id)
        principals, given = {}, []
        for entry in listed.access_control_list or []:
            levels = [
                each.permission_level.value
                for each in entry.all_permissions or []
                if each.permission_level and not each.inherited
            ]
            who = next((f"{what}:{getattr(entry, name)}" for what, name in FIELDS.items() if getattr(entry, name)), "")
            if levels and who:
                principals[who] = levels[0]
                given += [who] if who == f"user:{me}" or "IS_OWNER" in levels else []
        owner, declaration = actual.owner, recording.declaration
        if owner is not None:
            ours: Owner | None = Owner(owner.project, owner.environment, address, owner.digest, owner.permissions)
        else:
            ours = Owner(declaration.project, declaration.environment, address, "0" * 12, True) if declaration else None
        identity = f"{PERMITTED[actual.kind]}/{actual.id}"
        return Actual(self.kind, identity, address, {"principals": principals}, ours, {"given": given})

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Set the permissions of a resource."""
        kind = desired.key.partition(".")[0]
        self._set(context, PERMITTED[kind], context.ids[desired.key], body["principals"])
        return desired.key

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:  # noqa: ARG002  # the list is set as a whole
        """Set the permissions of a resource again."""
        self.create(context, desired, body)

    def delete(self, context: Context, actual: Actual) -> None:
        """Take back every permission that was given."""
        kind, _, identity = actual.id.partition("/")
        self._set(context, kind, identity, {})

    def _set(self, context: Context, kind: str, identity: str, principals: Mapping[str, str]) -> None:
        from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

        entries = self._owners(context, kind, identity) if "IS_OWNER" not in principals.values() else []
        for who, level in principals.items():
            what, _, name = who.partition(":")
            entries.append(AccessControlRequest(permission_level=PermissionLevel(level), **{FIELDS[what]: name}))
        context.client.permissions.set(kind, identity, access_control_list=entries)

    def _owners(self, context: Context, kind: str, identity: str) -> list[Any]:
        """Return the owner, whom a new list must name again: a job, pipeline or warehouse has exactly one."""
        from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

        owner = PermissionLevel.IS_OWNER
        return [
            AccessControlRequest(permission_level=owner, **{name: getattr(entry, name) for name in FIELDS.values()})
            for entry in context.client.permissions.get(kind, identity).access_control_list or []
            if any(each.permission_level is owner and not each.inherited for each in entry.all_permissions or [])
        ]
