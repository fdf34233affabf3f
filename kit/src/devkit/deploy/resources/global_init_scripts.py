"""Global init scripts; the ownership tag is a comment beneath the first line."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

from devkit.deploy.declaration.model import Desired, Json, Owner
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Resource, concurrently, gone

HEADER: Final = "# deployed by "


class GlobalInitScripts(Resource):
    """Global init scripts."""

    kind = "global_init_scripts"
    is_named = True

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the scripts with their text."""
        api = recording.client.global_init_scripts
        for script in concurrently(lambda listed: api.get(str(listed.script_id)), api.list()):
            lines = base64.b64decode(script.script or "").decode(errors="replace").splitlines(keepends=True)
            headers = [line for line in lines[:2] if line.startswith(HEADER)]
            owner = Owner.parse(headers[0].removeprefix(HEADER).strip()) if headers else None
            bare = "".join(line for line in lines if not (owner and line.startswith(HEADER)))
            body = {"name": script.name, "enabled": script.enabled, "position": script.position, "script": bare}
            yield Actual(self.kind, str(script.script_id), str(script.name), body, owner)

    def make(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Create a script."""
        return str(context.client.global_init_scripts.create(**_sent(context, desired, body)).script_id)

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Change a script."""
        context.client.global_init_scripts.update(actual.id, **_sent(context, desired, body))

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a script."""
        gone(lambda: context.client.global_init_scripts.delete(actual.id))


def _sent(context: Context, desired: Desired, body: dict[str, Json]) -> dict[str, Any]:
    lines = str(body["script"]).splitlines(keepends=True)
    at = 1 if lines and lines[0].startswith("#!") else 0
    text = "".join([*lines[:at], f"{HEADER}{context.owner(desired)}\n", *lines[at:]])
    return {**body, "script": base64.b64encode(text.encode()).decode()}
