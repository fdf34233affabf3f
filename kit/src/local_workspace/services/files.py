"""The Files API: files and folders of volumes and of the workspace, by their path in the address.

Source: https://docs.databricks.com/api/azure/workspace/files
"""

from __future__ import annotations

import re
import shutil
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Final

from databricks.sdk.service.workspace import ObjectType

from local_workspace.errors import ApiError, invalid
from local_workspace.server.paths import is_inside, local_path
from local_workspace.server.routing import Reply, Request, route
from local_workspace.server.state import Service
from local_workspace.services.workspace_objects import WorkspaceObjects, normal

RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")
VOLUME_PARTS: Final = 4  # Volumes, catalog, schema, volume
MADE: Final = Reply(status=204)


class Files(Service):
    """Keeps nothing: volumes lie in the workspace's folder ``volumes``, workspace files in ``files``."""

    name = "files"

    @route(
        "PUT",
        "2.0/fs/files/<path:path>",
        raw=True,
        differs="a volume need not be created first; files above 5 GB are not refused",
    )
    def upload(self, request: Request) -> object:
        """Write a file and the folders above it; 409 when there is one and ``overwrite`` is not true."""
        file = self.target(str(request.path["path"]), overwrite=request.flag("overwrite"))
        file.write_bytes(request.raw)
        return MADE

    @route("GET", "2.0/fs/files/<path:path>")
    @route("HEAD", "2.0/fs/files/<path:path>")
    def download(self, request: Request) -> object:
        """Return a file, or the range of it that is asked for; HEAD returns its size and time only."""
        path, file = self._file(request, least=VOLUME_PARTS + 1)
        if not file.is_file():
            raise _missing("file", path)
        stat = file.stat()
        headers = {"Last-Modified": formatdate(int(stat.st_mtime), usegmt=True), "Accept-Ranges": "bytes"}
        _refuse_changed(request, int(stat.st_mtime), path)
        content = file.read_bytes()
        asked = RANGE.fullmatch(request.headers.get("range", ""))
        if not asked:
            return Reply(content, headers=headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start >= len(content):
            raise ApiError(
                416, "INVALID_PARAMETER_VALUE", f"{path} has {len(content)} bytes; the range begins at {start}"
            )
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return Reply(content[start : end + 1], status=206, headers=headers)

    @route("DELETE", "2.0/fs/files/<path:path>")
    def delete_file(self, request: Request) -> object:
        """Delete a file."""
        path, file = self._file(request, least=VOLUME_PARTS + 1)
        if not file.is_file():
            raise _missing("file", path)
        file.unlink()
        return MADE

    @route("PUT", "2.0/fs/directories/<path:path>")
    def make_directory(self, request: Request) -> object:
        """Make a folder and the folders above it; an existing one is left as it is."""
        path, folder = self._file(request, least=VOLUME_PARTS)
        _make_folder(path, folder)
        return MADE

    @route("GET", "2.0/fs/directories/<path:path>")
    @route("HEAD", "2.0/fs/directories/<path:path>")
    def list_directory(self, request: Request) -> object:
        """Return a page of what lies in a folder, by name; HEAD answers only whether it exists."""
        path, folder = self._file(request, least=1)
        if not folder.is_dir():
            raise _missing("directory", path)
        if request.method == "HEAD":
            return Reply()
        inside = sorted(each for each in folder.iterdir() if is_inside(each, self.state.folder))
        page, token = request.page(inside, default=1000, maximum=1000)
        listed: dict[str, object] = {"contents": [entry for each in page if (entry := _entry(path, each))]}
        if token:
            listed["next_page_token"] = token
        return listed

    @route("DELETE", "2.0/fs/directories/<path:path>")
    def delete_directory(self, request: Request) -> object:
        """Delete an empty folder."""
        path, folder = self._file(request, least=VOLUME_PARTS + 1)
        if not folder.is_dir():
            raise _missing("directory", path)
        if any(folder.iterdir()):
            reason = "FILES_API_DIRECTORY_IS_NOT_EMPTY"
            raise ApiError(400, "BAD_REQUEST", f"The directory is not empty: {path}", reason=reason)
        if path.startswith("/Workspace") and normal(path) in self.state.service(WorkspaceObjects).protected:
            raise ApiError(400, "BAD_REQUEST", f"The directory is protected: {path}")
        shutil.rmtree(folder)
        return MADE

    def target(self, text: str, *, overwrite: bool) -> Path:
        """Return where a file is to be written, after making the folders above it.

        Raises:
            ApiError: 409 when something is there and must not be overwritten.
        """
        path, file = self._locate(text, least=VOLUME_PARTS + 1)
        if file.is_dir() or (file.exists() and not overwrite):
            raise ApiError(409, "ALREADY_EXISTS", f"The file or folder being created already exists: {path}")
        _make_folder(path, file.parent)
        return file

    def _file(self, request: Request, *, least: int) -> tuple[str, Path]:
        return self._locate(str(request.path["path"]), least=least)

    def _locate(self, text: str, *, least: int) -> tuple[str, Path]:
        """Return a path and where it lies; a path in a volume has at least so many parts."""
        parts = [part for part in text.split("/") if part]
        path = "/" + "/".join(parts)
        if parts[:1] == ["Volumes"] and len(parts) < least:
            raise invalid(f"{path} must begin with /Volumes/<catalog>/<schema>/<volume>")
        if parts[:1] == ["Workspace"]:
            return path, self._workspace_file(path)
        if parts[:1] != ["Volumes"]:
            raise invalid(f"The Files API knows /Volumes and /Workspace, not {path}")
        return path, local_path(self.state, f"{path}/")

    def _workspace_file(self, path: str) -> Path:
        objects, inner = self.state.service(WorkspaceObjects), normal(path)
        info = objects.find(inner)
        if info is not None and info.object_type is ObjectType.NOTEBOOK:
            raise invalid(f"{path} is a notebook: use workspace/import and workspace/export")
        return objects.file(inner)


def _make_folder(path: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ApiError(409, "ALREADY_EXISTS", f"A file stands where a folder is needed for {path}") from None


def _refuse_changed(request: Request, modified: int, path: str) -> None:
    asked = request.headers.get("if-unmodified-since")
    if asked and modified > parsedate_to_datetime(asked).timestamp():
        raise ApiError(412, "FAILED_PRECONDITION", f"{path} changed since {asked}")


def _missing(kind: str, path: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"The {kind} being accessed is not found: {path}")


def _entry(folder: str, file: Path) -> dict[str, object] | None:
    """Return what an entry of a folder is; None for one that went meanwhile, as a stream's files do."""
    try:
        stat, is_folder = file.stat(), file.is_dir()
    except FileNotFoundError:
        return None
    entry: dict[str, object] = {"path": f"{folder}/{file.name}", "name": file.name, "is_directory": is_folder}
    size = {} if is_folder else {"file_size": stat.st_size}
    return {**entry, **size, "last_modified": int(stat.st_mtime * 1000)}
