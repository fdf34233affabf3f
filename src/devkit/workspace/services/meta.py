"""Who is asking, what clients report about themselves, and what this server does that the real service does not."""

from __future__ import annotations

from devkit.workspace.routing import Reply, Request, route
from devkit.workspace.state import Service


class Meta(Service):
    """Small routes around the other services."""

    name = "meta"

    @route("POST", "/telemetry-ext", differs="forgets what it is told")
    def telemetry(self, request: Request) -> object:
        """Take what Databricks' command line reports, and keep none of it."""
        return {"errors": [], "numProtoSuccess": len(request.json.get("protoLogs", []))}

    @route("GET", "2.0/preview/scim/v2/Me", differs="one fixed user, an administrator")
    def me(self, _request: Request) -> object:
        """Return the one user."""
        identity = self.state.identity
        user = {
            "id": identity.user_id,
            "userName": identity.user_name,
            "displayName": "Local engineer",
            "active": True,
            "emails": [{"value": identity.user_name, "type": "work", "primary": True}],
            "groups": [{"display": "admins", "value": "admins", "type": "direct"}],
        }
        return Reply(_dump(user), content_type="application/json", headers=self._workspace_header())

    def _workspace_header(self) -> dict[str, str]:
        return {"X-Databricks-Org-Id": str(self.state.identity.workspace_id)}  # `get_workspace_id` reads it


def _dump(content: object) -> bytes:
    import json

    return json.dumps(content).encode()
