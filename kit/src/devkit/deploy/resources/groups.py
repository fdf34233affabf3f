"""Groups of users; the ownership tag is the external id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devkit.deploy.declaration.model import Desired, Json, Owner
from devkit.deploy.errors import DeploymentError
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Resource, gone


class Groups(Resource):
    """Groups of users."""

    kind = "groups"
    is_named = True

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the groups with the names of their members."""
        names = {str(user.id): str(user.user_name) for user in recording.client.users.list(attributes="id,userName")}
        for group in recording.client.groups.list(attributes="id,displayName,externalId,members"):
            members = sorted(names.get(str(one.value), str(one.display or one.value)) for one in group.members or [])
            body = {"display_name": group.display_name, "members": members}
            yield Actual(self.kind, str(group.id), str(group.display_name), body, Owner.parse(group.external_id))

    def make(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Create a group."""
        return str(context.client.groups.create(**self._sent(context, desired, body)).id)

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Overwrite a group."""
        context.client.groups.update(actual.id, **self._sent(context, desired, body))

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a group."""
        gone(lambda: context.client.groups.delete(actual.id))

    def _sent(self, context: Context, desired: Desired, body: dict[str, Json]) -> dict[str, Any]:
        from databricks.sdk.service.iam import ComplexValue

        ids = {str(user.user_name): str(user.id) for user in context.client.users.list(attributes="id,userName")}
        unknown = ", ".join(name for name in body["members"] if name not in ids)
        if unknown:
            remedy = "Add them to the workspace, or remove them from the group."
            problem = f"the group {desired.name!r} names users that the workspace does not have: {unknown}"
            raise DeploymentError(problem, origin=desired.origin, remedy=remedy)
        members = [ComplexValue(value=ids[name]) for name in body["members"]]
        owner = str(context.owner(desired))
        return {"display_name": body["display_name"], "external_id": owner, "members": members}
