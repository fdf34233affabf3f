"""The local workspace: Databricks' REST API on this machine, which really runs what is deployed to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_workspace.server.state import Options
    from local_workspace.server.workspace import Workspace

__all__ = ["Options", "Workspace"]


def __getattr__(name: str) -> object:
    """Import the server when it is asked for: a task's process imports from this package too, and must start fast."""
    if name == "Workspace":
        from local_workspace.server.workspace import Workspace

        return Workspace
    if name == "Options":
        from local_workspace.server.state import Options

        return Options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
