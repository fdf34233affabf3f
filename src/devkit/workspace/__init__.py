"""The local workspace: Databricks' REST API on this machine, which really runs what is deployed to it."""

from devkit.workspace.server import Workspace
from devkit.workspace.state import Options

__all__ = ["Options", "Workspace"]
