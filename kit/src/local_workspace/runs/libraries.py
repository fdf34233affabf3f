"""The libraries of a task or a cluster, made importable: a wheel is unpacked into a folder named by its content.

Source: https://docs.databricks.com/libraries/
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from databricks.sdk.service.compute import Library

from devkit import cache
from devkit.databricks import pip
from local_workspace.errors import ApiError
from local_workspace.server.paths import local_path
from local_workspace.server.state import State

# What a wheel keeps beside its packages and an installer moves into the same folder.
MERGED: Final = ("purelib", "platlib", "data")


class LibraryError(Exception):
    """A library cannot be had."""


def prepare(state: State, libraries: Iterable[Library]) -> list[str]:
    """Return the folders that make libraries importable, in their order.

    Args:
        state: The workspace that holds the files.
        libraries: Those of a task or of its cluster.

    Raises:
        LibraryError: A file is missing or not a wheel, or a library is of a kind that is not installed here.
    """
    folders: list[str] = []
    for library in libraries:
        if library.whl:
            folders.append(str(unpacked(state, library.whl)))
        elif library.pypi:
            _check_installed(library.pypi.package)
        elif library.requirements:
            for line in _file(state, library.requirements).read_text(encoding="utf-8").splitlines():
                folders += prepare(state, _requirement(line))
        else:
            kinds = ", ".join(library.as_dict())
            raise LibraryError(f"A library of kind {kinds} is not installed in the local workspace: it takes wheels")
    return list(dict.fromkeys(folders))


def of_environment(dependencies: Iterable[str]) -> list[Library]:
    """Return the dependencies of a job's environment as libraries."""
    return [library for line in dependencies for library in _requirement(line)]


def unpacked(state: State, path: str) -> Path:
    """Unpack a wheel, once, and return its folder.

    Raises:
        LibraryError: The file is missing or not a wheel.
    """
    wheel = _file(state, path)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()[:20]
    folder = state.path("libraries") / digest
    with cache.exclusive(folder.with_suffix(".lock")):
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            _unpack(wheel, part, path)
            part.rename(folder)
    return folder


def _unpack(wheel: Path, folder: Path, path: str) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            if not any(name.split("/")[0].endswith(".dist-info") for name in names):
                raise LibraryError(f"Library installation failed: {path} is not a wheel: it has no .dist-info folder")
            archive.extractall(folder)
    except zipfile.BadZipFile:
        raise LibraryError(f"Library installation failed: {path} is not a zip file, so not a wheel") from None
    for kind in MERGED:
        for data in folder.glob(f"*.data/{kind}"):
            shutil.copytree(data, folder, dirs_exist_ok=True)


def _file(state: State, path: str) -> Path:
    try:
        file = local_path(state, path)
    except ApiError as error:
        raise LibraryError(f"Library installation failed: {error}") from None
    if not file.is_file():
        raise LibraryError(f"Library installation failed: the file {path} does not exist")
    return file


def _requirement(line: str) -> list[Library]:
    text = line.split(" #", maxsplit=1)[0].strip()
    if text.startswith("-r "):
        return [Library(requirements=text.removeprefix("-r ").strip())]
    if not text or text.startswith(("#", "-")):
        return []
    return [Library.from_dict({"whl": text} if text.endswith(".whl") else {"pypi": {"package": text}})]


def _check_installed(requirement: str) -> None:
    if not pip.is_installed(requirement):
        problem = (
            f"Library installation failed: the local workspace installs no packages, and {requirement!r} is missing"
        )
        raise LibraryError(f"{problem}: install it where `devkit workspace` runs, or give it as a wheel")
