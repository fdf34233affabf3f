"""Recordings of a workspace in a file: what a plan without a connection compares with.

`devkit workspace export` and `devkit deploy export` write the same JSON. Values of secrets are in it as salted digests
only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.declaration.model import Declaration, Owner
from devkit.deploy.errors import DeploymentError
from devkit.deploy.plan.model import Actual, ActualState

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

FORMAT: Final = "devkit workspace export"
VERSION: Final = 1
REMEDY: Final = "Record the workspace with `devkit workspace export`."


def write_export(client: WorkspaceClient, file: Path, declaration: Declaration | None = None) -> ActualState:
    """Record a workspace into a file that only this user can read."""
    from devkit.deploy.resources import record

    state = record(client, declaration)
    content = {"format": FORMAT, "version": VERSION, **asdict(state)}
    file.touch(mode=0o600)
    file.chmod(0o600)  # an existing file would keep its own mode
    file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return state


def read_export(file: Path) -> ActualState:
    """Read a recording.

    Raises:
        DeploymentError: If the file cannot be read, or holds no recording of this version.
    """
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        known = (content["format"], content["version"]) == (FORMAT, VERSION)
        items = [
            Actual(**{**item, "owner": Owner(**item["owner"]) if item["owner"] else None}) for item in content["items"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeploymentError(f"the recording cannot be read: {error!r}", origin=str(file), remedy=REMEDY) from None
    if not known:
        raise DeploymentError(f"not a recording of version {VERSION}", origin=str(file), remedy=REMEDY)
    return ActualState(content["host"], content["me"], tuple(items))
