"""Where the paths of a workspace lie on this machine: one resolver for files, notebooks, DBFS and volumes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from devkit.workspace.errors import invalid
from devkit.workspace.state import State

# What a path of Databricks begins with, and the folder of the workspace that stands for it. The first that fits.
ROOTS: Final = (
    ("dbfs:/Volumes/", "volumes"),
    ("/dbfs/Volumes/", "volumes"),
    ("/Volumes/", "volumes"),
    ("dbfs:/", "dbfs"),
    ("/dbfs/", "dbfs"),
    ("file:/Workspace/", "files"),
    ("/Workspace/", "files"),
    ("/Users/", "files/Users"),
    ("/Repos/", "files/Repos"),
    ("/Shared/", "files/Shared"),
)


def is_remote(text: str) -> bool:
    """Tell whether a text is a path that the workspace keeps."""
    return any(text.startswith(prefix) for prefix, _ in ROOTS)


def local_path(state: State, text: str) -> Path:
    """Return where a path of the workspace lies on this machine.

    Args:
        state: The workspace.
        text: Such as ``dbfs:/jobs/a.py``, ``/Volumes/main/default/raw``, ``/Workspace/Shared/a`` or ``/Shared/a``.

    Raises:
        ApiError: 400 when the path is of no known kind, or climbs out of its root.
    """
    for prefix, folder in ROOTS:
        if text.startswith(prefix):
            return beneath(state.path(*folder.split("/")), text.removeprefix(prefix))
    kinds = ", ".join(prefix for prefix, _ in ROOTS)
    raise invalid(f"The path {text!r} is none of the workspace's: it must begin with one of {kinds}")


def beneath(root: Path, text: str) -> Path:
    """Return a path beneath a folder.

    Raises:
        ApiError: 400 when it climbs out.
    """
    parts = [part for part in PurePosixPath("/" + text).parts[1:] if part != "."]
    if ".." in parts:
        raise invalid(f"The path {text!r} climbs out of its root")
    return root.joinpath(*parts)
