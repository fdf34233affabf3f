"""SQL warehouses; the ownership tag is a custom tag, which this service keeps as a list of keys and values."""

from __future__ import annotations

from typing import Any

from devkit.deploy.declaration.model import TAG, Desired, Json, Owner
from devkit.deploy.resources.base import Context, Service


class Warehouses(Service):
    """SQL warehouses."""

    kind = "warehouses"
    identity = "id"
    tags = "tags"

    def read_owner(self, body: dict[str, Any]) -> Owner | None:
        """Return whom the tags name, and take the ownership tag out of them."""
        tags = _tags(body)
        body["tags"] = {"custom_tags": [tag for tag in tags if tag["key"] != TAG]}
        return Owner.parse(next((tag["value"] for tag in tags if tag["key"] == TAG), None))

    def with_owner(self, context: Context, desired: Desired, body: dict[str, Json]) -> dict[str, Json]:
        """Return a body with the ownership tag."""
        tags = [*_tags(body), {"key": TAG, "value": str(context.owner(desired))}]
        return {**body, "tags": {"custom_tags": tags}}


def _tags(body: dict[str, Any]) -> list[dict[str, str]]:
    listed = (body.get("tags") or {}).get("custom_tags") or []
    return [{"key": tag["key"], "value": tag.get("value", "")} for tag in listed]
