"""The Databricks file system: files and folders beneath ``dbfs:/``.

Source: https://docs.databricks.com/api/azure/workspace/dbfs
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any, Final

from databricks.sdk.service.files import FileInfo

from local_workspace.errors import ApiError, already_exists, invalid, not_found
from local_workspace.server.paths import is_inside, local_path
from local_workspace.server.routing import Request, from_base64, route
from local_workspace.server.state import Service

BLOCK_BYTES: Final = 1024 * 1024
READ_BYTES: Final = 512 * 1024
IDLE_MILLISECONDS: Final = 10 * 60 * 1000


class Dbfs(Service):
    """Open uploads by handle; the files themselves lie in the workspace's folder ``dbfs``."""

    name = "dbfs"

    def prepare(self) -> None:
        """Make the table."""
        self.handles = self.table("handles", dict[str, Any])

    @route("POST", "2.0/dbfs/put")
    def put(self, request: Request) -> object:
        """Write a file: up to 1 MB in JSON, any size as a posted file."""
        path = _normal(request.required("path"))
        content = request.files.get("contents")
        if content is None:
            content = _block(request.get("contents") or "")
        self._check_target(path, overwrite=request.flag("overwrite"))
        self._file(path).write_bytes(content)
        return None

    @route("POST", "2.0/dbfs/create")
    def create(self, request: Request) -> object:
        """Begin an upload in blocks and return its handle."""
        path = _normal(request.required("path"))
        self._check_target(path, overwrite=request.flag("overwrite"))
        handle = self.state.number()
        self._part(handle).touch()
        self.handles[str(handle)] = {"path": path, "used": self.state.now()}
        return {"handle": handle}

    @route("POST", "2.0/dbfs/add-block")
    def add_block(self, request: Request) -> object:
        """Add up to 1 MB to an upload."""
        handle = self._handle(request)
        with self._part(handle).open("ab") as part:
            part.write(_block(request.required("data")))
        self.handles[str(handle)]["used"] = self.state.now()
        return None

    @route("POST", "2.0/dbfs/close", differs="the file appears when its upload is closed, not while it is written")
    def close(self, request: Request) -> object:
        """End an upload."""
        handle = self._handle(request)
        path = str(self.handles.pop(str(handle))["path"])
        self._file(path).parent.mkdir(parents=True, exist_ok=True)
        self._part(handle).replace(self._file(path))
        return None

    @route("GET", "2.0/dbfs/read")
    def read(self, request: Request) -> object:
        """Return up to 1 MB of a file, base64."""
        path = self._existing(request.required("path"))
        offset, length = int(request.get("offset") or 0), int(request.get("length") or READ_BYTES)
        if self._file(path).is_dir():
            raise invalid(f"{path} is a folder and cannot be read")
        if offset < 0 or length < 0:
            raise invalid(f"offset and length must not be negative: {offset}, {length}")
        if length > BLOCK_BYTES:
            raise ApiError(400, "MAX_READ_SIZE_EXCEEDED", f"A read returns at most {BLOCK_BYTES} bytes, not {length}")
        with self._file(path).open("rb") as file:
            file.seek(offset)
            content = file.read(length)
        return {"bytes_read": len(content), "data": base64.b64encode(content).decode()}

    @route("GET", "2.0/dbfs/get-status")
    def get_status(self, request: Request) -> object:
        """Return what a file or folder is."""
        return self._info(self._existing(request.required("path")))

    @route("GET", "2.0/dbfs/list")
    def list_files(self, request: Request) -> object:
        """Return what lies in a folder, or the file itself; this listing has no pages."""
        path = self._existing(request.required("path"))
        folder = self._file(path)
        listed = [path]
        if folder.is_dir():
            inside = (each.name for each in folder.iterdir() if is_inside(each, self.state.folder))
            listed = [f"{path.rstrip('/')}/{name}" for name in sorted(inside)]
        found = [info for info in map(self._info_if_there, listed) if info]
        return {"files": found} if found else {}

    @route("POST", "2.0/dbfs/mkdirs")
    def mkdirs(self, request: Request) -> object:
        """Make a folder and the folders above it."""
        path = _normal(request.required("path"))
        self._check_folders(path)
        self._file(path).mkdir(parents=True, exist_ok=True)
        return None

    @route("POST", "2.0/dbfs/delete")
    def delete(self, request: Request) -> object:
        """Delete a file or folder; what is not there is deleted without complaint."""
        path = _normal(request.required("path"))
        file = self._file(path)
        if path == "/":
            raise ApiError(400, "IO_ERROR", "The root of the file system cannot be deleted")
        if not file.is_dir():
            file.unlink(missing_ok=True)
        elif request.flag("recursive") or not any(file.iterdir()):
            shutil.rmtree(file)
        else:
            raise ApiError(400, "IO_ERROR", f"{path} is not empty: pass recursive=true to delete all that is in it")
        return None

    @route("POST", "2.0/dbfs/move")
    def move(self, request: Request) -> object:
        """Move a file, or a folder with all that is in it."""
        source = self._existing(request.required("source_path"))
        target = _normal(request.required("destination_path"))
        if self._file(target).is_dir() and not self._file(source).is_dir():
            target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
        if source == "/" or f"{target}/".startswith(f"{source}/"):
            raise invalid(f"{source} cannot be moved into itself: {target}")
        self._check_target(target, overwrite=False)
        shutil.move(self._file(source), self._file(target))
        return None

    def _check_target(self, path: str, *, overwrite: bool) -> None:
        """Refuse to write where something is; make the folders above."""
        file = self._file(path)
        if file.exists() and (file.is_dir() or not overwrite):
            kind = "folder" if file.is_dir() else "file"
            raise already_exists(f"A {kind} already exists at the path {path}")
        self._check_folders(path.rpartition("/")[0] or "/")
        file.parent.mkdir(parents=True, exist_ok=True)

    def _check_folders(self, path: str) -> None:
        parts = path.strip("/").split("/")
        above = ("/" + "/".join(parts[:number]) for number in range(1, len(parts) + 1))
        in_the_way = next((each for each in above if self._file(each).is_file()), None)
        if in_the_way:
            raise already_exists(f"A file already exists at the path {in_the_way}, so a folder cannot be made")

    def _handle(self, request: Request) -> int:
        handle = request.number("handle")
        kept = self.handles.get(str(handle))
        if kept is None or self.state.now() - int(kept["used"]) > IDLE_MILLISECONDS:
            raise not_found(f"No file was open for the handle {handle}")
        return handle

    def _part(self, handle: int) -> Path:
        return self.state.path("uploads") / str(handle)

    def _existing(self, text: object) -> str:
        path = _normal(text)
        if not self._file(path).exists():
            raise not_found(f"No file or directory exists on path {path}.")
        return path

    def _info_if_there(self, path: str) -> FileInfo | None:
        """Return what an entry of a folder is; None for one that went meanwhile, or whose name is not text."""
        try:
            return self._info(path)
        except (FileNotFoundError, ApiError):
            return None

    def _info(self, path: str) -> FileInfo:
        file = self._file(path)
        stat = file.stat()
        size = 0 if file.is_dir() else stat.st_size
        return FileInfo(path=path, is_dir=file.is_dir(), file_size=size, modification_time=int(stat.st_mtime * 1000))

    def _file(self, path: str) -> Path:
        return local_path(self.state, f"dbfs:{path}")


def _normal(text: object) -> str:
    path = str(text).removeprefix("dbfs:")
    if not path.startswith("/"):
        raise invalid(f"Path must be absolute: {path}")
    return "/" + "/".join(part for part in path.split("/") if part)


def _block(encoded: object) -> bytes:
    content = from_base64("The content", encoded)
    if len(content) > BLOCK_BYTES:
        raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", f"A block has at most {BLOCK_BYTES} bytes, not {len(content)}")
    return content
