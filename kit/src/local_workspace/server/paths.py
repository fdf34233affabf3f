"""Where the paths of a workspace lie on this machine: one resolver for files, notebooks, DBFS and volumes."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Final

from devkit.databricks.paths import PREFIXES
from local_workspace.errors import invalid
from local_workspace.server.state import State

LONGEST_NAME: Final = 255  # bytes, on every common file system

# What a path of Databricks begins with, and the folder of the workspace that stands for it. The first that fits.
BARE: Final = ("/Users/", "/Repos/", "/Shared/")  # outside of the workspace they may be folders of this machine
ROOTS: Final = (
    *PREFIXES,
    ("file:/Workspace/", "files"),
    ("/Workspace/", "files"),
    ("/Users/", "files/Users"),
    ("/Repos/", "files/Repos"),
    ("/Shared/", "files/Shared"),
)


def roots_of(state: State, *, but: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return what paths of the workspace begin with, some beginnings left out, each with its folder of this machine."""
    return [(prefix, str(state.path(*folder.split("/")))) for prefix, folder in ROOTS if prefix not in but]


def is_remote(text: str) -> bool:
    """Return whether a text is a path that the workspace keeps."""
    return any(text.startswith(prefix) for prefix, _ in ROOTS)


def local_path(state: State, text: str) -> Path:
    """Return where a path of the workspace lies on this machine.

    Args:
        state: The workspace.
        text: Such as ``dbfs:/jobs/a.py``, ``/Volumes/main/default/raw``, ``/Workspace/Shared/a`` or ``/Shared/a``.

    Raises:
        ApiError: 400 when the path is of no known kind, has a name that no file can have, or leads out of its root.
    """
    for prefix, folder in ROOTS:
        if text.startswith(prefix):
            return beneath(state.path(*folder.split("/")), text.removeprefix(prefix), state.folder)
    kinds = ", ".join(prefix for prefix, _ in ROOTS)
    raise invalid(f"The path {text!r} is not in the workspace: it must begin with one of {kinds}")


def beneath(root: Path, text: str, workspace: Path) -> Path:
    """Return a path beneath a folder of a workspace.

    Raises:
        ApiError: 400 when it climbs out, when a link on the way leads out of the workspace, or when a part of it is
            no name that a file can have.
    """
    parts = [part for part in PurePosixPath("/" + text).parts[1:] if part != "."]
    if ".." in parts:
        raise invalid(f"The path {text!r} leads out of its root")
    if not all(map(is_file_name, parts)):
        raise invalid(
            f"Invalid name in the path {text!r}: a name has at most {LONGEST_NAME} bytes of UTF-8 and no zero byte"
        )
    path = root.joinpath(*parts)
    if not is_inside(path, workspace):
        raise invalid(f"A link on the path {text!r} leads out of the workspace")
    return path


def is_inside(path: Path, workspace: Path) -> bool:
    """Return whether a path, with all links followed, lies beneath a folder."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(workspace))


def is_file_name(part: str) -> bool:
    """Return whether a text can be the name of a file."""
    try:
        return "\0" not in part and len(part.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False
