"""Scripts that run at the start of every cluster, in their order.

Source: https://docs.databricks.com/api/azure/workspace/globalinitscripts
"""

from __future__ import annotations

from typing import Any, Final

from databricks.sdk.service.compute import GlobalInitScriptDetailsWithContent as Script

from local_workspace.errors import invalid
from local_workspace.server.routing import Request, from_base64, route, typed
from local_workspace.server.state import Service

MAXIMUM_BYTES: Final = 64 * 1024
ROOT: Final = "2.0/global-init-scripts"


class GlobalInitScripts(Service):
    """Scripts by id; their positions are 0, 1, 2 and so on."""

    name = "global_init_scripts"

    def prepare(self) -> None:
        """Make the table."""
        self.scripts = self.table("scripts", Script)

    @route("POST", ROOT, differs="keeps scripts, and runs none")
    def create(self, request: Request) -> object:
        """Make a script, which is disabled unless asked for otherwise, and last unless it is given a position."""
        script_id = f"{self.state.number():016X}"
        user, now = self.state.identity.user_name, self.state.now()
        made = {"script_id": script_id, "created_by": user, "created_at": now, "enabled": request.flag("enabled")}
        _check_content(str(request.required("script")))
        content = {**request.json, "name": str(request.required("name")), **made}
        self._place(content | {"updated_by": user, "updated_at": now}, request.get("position"))
        return {"script_id": script_id}

    @route("GET", ROOT)
    def list_all(self, _request: Request) -> object:
        """Return the scripts in their order, without their contents; this listing has no pages."""
        shown = [script.as_dict() for script in self._in_order()]
        return {"scripts": [{key: value for key, value in each.items() if key != "script"} for each in shown]}

    @route("GET", f"{ROOT}/<script_id>")
    def get(self, request: Request) -> object:
        """Return a script with its content, base64."""
        return self._script(request)

    @route("PATCH", f"{ROOT}/<script_id>")
    def update(self, request: Request) -> object:
        """Change the given fields of a script."""
        script = self._script(request)
        change = {key: request.json[key] for key in ("name", "script", "enabled") if key in request.json}
        if "script" in change:
            _check_content(change["script"])
        updated = {"updated_by": self.state.identity.user_name, "updated_at": self.state.now()}
        self._place(script.as_dict() | change | updated, request.get("position", script.position))
        return None

    @route("DELETE", f"{ROOT}/<script_id>")
    def delete(self, request: Request) -> object:
        """Delete a script; those after it move up."""
        del self.scripts[str(self._script(request).script_id)]
        for position, script in enumerate(self._in_order()):
            script.position = position
        return None

    def _script(self, request: Request) -> Script:
        script_id = request.path["script_id"]
        return self.scripts.existing(script_id, f"Global init script with id {script_id} does not exist")

    def _in_order(self) -> list[Script]:
        return sorted(self.scripts.values(), key=lambda script: script.position or 0)

    def _place(self, content: dict[str, Any], position: int | None) -> None:
        """Keep a script at a position, those from there on one further; beyond the end is the end."""
        if position is not None and (not isinstance(position, int) or position < 0):
            raise invalid(f"position must be a whole number that is not negative, and is {position!r}")
        script = self.scripts[content["script_id"]] = typed(Script, content)
        others = [each for each in self._in_order() if each.script_id != script.script_id]
        others.insert(len(others) if position is None else min(position, len(others)), script)
        for each_position, each in enumerate(others):
            each.position = each_position


def _check_content(script: str) -> None:
    content = from_base64("The script", script)
    if not content or len(content) > MAXIMUM_BYTES:
        raise invalid(f"A script must have 1 to {MAXIMUM_BYTES} bytes, not {len(content)}")
