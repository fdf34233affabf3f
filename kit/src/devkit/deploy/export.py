"""The recording of a workspace: what a plan compares with, from the workspace itself or from a file.

`devkit workspace export` and `devkit deploy export` write the same JSON; a plan against it needs no connection.
Values of secrets are in it as salted digests only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.errors import DeploymentError
from devkit.deploy.model import Declaration, Findings, Found, Owner

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

FORMAT: Final = "devkit workspace export"
VERSION: Final = 1


def record(client: WorkspaceClient, declaration: Declaration | None = None) -> Findings:
    """Ask a workspace for everything that a plan needs.

    Args:
        client: The workspace.
        declaration: What is wanted: files are looked for in its own folders, and active runs of its streams are
            told. Without it the whole workspace is recorded, but for files of volumes, which no listing names.
    """
    from devkit.deploy.kinds import OPERATIONS
    from devkit.deploy.kinds.base import Recording

    recording = Recording(client, declaration)
    for operations in OPERATIONS.values():
        recording.found += list(operations.record(recording))
    return Findings(str(client.config.host), str(client.current_user.me().user_name), tuple(recording.found))


def to_json(findings: Findings) -> dict[str, Any]:
    """Return a recording as JSON."""
    items = []
    for found in findings.items:
        item = {"kind": found.kind, "id": found.id, "name": found.name, "body": found.body, "extra": dict(found.extra)}
        items.append({**item, "owner": asdict(found.owner) if found.owner else None})
    return {"format": FORMAT, "version": VERSION, "host": findings.host, "me": findings.me, "items": items}


def from_json(content: dict[str, Any], origin: str = "") -> Findings:
    """Return a recording out of JSON.

    Raises:
        DeploymentError: If it is none.
    """
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        remedy = "Record one with `devkit workspace export`."
        raise DeploymentError(f"this is no recording of version {VERSION}", origin=origin, remedy=remedy)
    return Findings(content["host"], content["me"], tuple(_items(content["items"])))


def write_export(client: WorkspaceClient, file: Path, declaration: Declaration | None = None) -> Findings:
    """Record a workspace into a file, which only this user can read."""
    findings = record(client, declaration)
    file.touch(mode=0o600)
    file.chmod(0o600)  # one that was there keeps its own mode else
    file.write_text(json.dumps(to_json(findings), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return findings


def read_export(file: Path) -> Findings:
    """Read a recording.

    Raises:
        DeploymentError: If it cannot be read.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeploymentError(f"the recording cannot be read: {error}", origin=str(file)) from None
    return from_json(content, str(file))


def _items(items: Iterable[dict[str, Any]]) -> Iterable[Found]:
    for item in items:
        owner = Owner(**item["owner"]) if item.get("owner") else None
        yield Found(item["kind"], item["id"], item["name"], item["body"], owner, item.get("extra") or {})
