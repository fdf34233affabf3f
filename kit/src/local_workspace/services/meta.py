"""What clients report about themselves."""

from __future__ import annotations

from local_workspace.server.routing import Request, route
from local_workspace.server.state import Service


class Meta(Service):
    """Small routes around the other services."""

    name = "meta"

    @route("POST", "/telemetry-ext", differs="keeps nothing")
    def telemetry(self, request: Request) -> object:
        """Accept what Databricks' command line reports, and discard it."""
        return {"errors": [], "numProtoSuccess": len(request.json.get("protoLogs", []))}
