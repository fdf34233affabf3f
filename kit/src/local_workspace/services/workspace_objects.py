"""Notebooks, files and folders of the workspace.

Contents are real files beneath the workspace's folder ``files``, so that what runs sees them, and what it writes is
seen here: the disk says what exists, the tables say what it is.

Source: https://docs.databricks.com/api/azure/workspace/workspace
"""

from __future__ import annotations

import base64
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any, Final, TypeVar

from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language, ObjectInfo, ObjectType

from local_workspace.errors import ApiError, already_exists, invalid, not_found
from local_workspace.server.paths import beneath, is_inside
from local_workspace.server.routing import Reply, Request, from_base64, route
from local_workspace.server.state import Service
from local_workspace.services import notebooks

MAXIMUM_BYTES: Final = 10 * 1024 * 1024
MAXIMUM_NAME_BYTES: Final = 240
HIDDEN: Final = frozenset({".git"})
E = TypeVar("E", ImportFormat, ExportFormat)


class WorkspaceObjects(Service):
    """Objects by their path without ``/Workspace``; of a notebook also its format and the suffix of its file."""

    name = "workspace"
    permission_kinds = ("directories", "files", "notebooks")

    def prepare(self) -> None:
        """Make the tables, and the folders that every workspace has."""
        self.objects = self.table("objects", ObjectInfo)
        self.notebooks = self.table("notebooks", dict[str, Any])
        self.root = self.state.path("files")
        self.protected = {"/", "/Users", "/Shared", "/Repos", f"/Users/{self.state.identity.user_name}"}
        for path in self.protected:
            beneath(self.root, path, self.state.folder).mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Know the folders that every workspace has, so that a stale read knows them too."""
        for path in sorted(self.protected):
            self.find(path)

    @route(
        "POST",
        "2.0/workspace/import",
        differs="HTML, DBC and R_MARKDOWN are refused, and so is a zip of a folder; nothing is sent to a Git provider",
    )
    def import_object(self, request: Request) -> object:
        """Import a notebook (SOURCE, JUPYTER), a file (RAW), or what the file says that it is (AUTO)."""
        path, content = normal(request.required("path")), _content(request)
        wanted = _format(ImportFormat, request.get("format"))
        language = _language(request.get("language"))
        if wanted is ImportFormat.AUTO:
            self.import_as_found(path, content, overwrite=request.flag("overwrite"))
        elif wanted is ImportFormat.RAW:
            self.write_file(path, content, overwrite=request.flag("overwrite"))
        elif wanted is ImportFormat.SOURCE:
            if language is None:
                raise invalid(f"To import the single file {path} as SOURCE, the language field must be set")
            self._write_notebook(path, content, language, "SOURCE", overwrite=request.flag("overwrite"))
        elif wanted is ImportFormat.JUPYTER:
            found = notebooks.jupyter_language(_text(content))
            self._write_notebook(path, content, language or found, "JUPYTER", overwrite=request.flag("overwrite"))
        else:
            raise invalid(f"The local workspace does not import {wanted.value}: use SOURCE, JUPYTER, AUTO or RAW")
        return None

    @route(
        "POST",
        "2.0/workspace-files/import-file/<path:file_path>",
        raw=True,
        differs="takes files of any size",
    )
    def import_file(self, request: Request) -> object:
        """Import the body as a file or as the notebook that it is; 404 without a parent, 409 when there is one."""
        path = normal("/" + str(request.required("file_path")))
        self.import_as_found(path, request.raw, overwrite=request.flag("overwrite"), status=409)
        return None

    @route("GET", "2.0/workspace/export", differs="DBC and R_MARKDOWN are refused; HTML is plain")
    def export(self, request: Request) -> object:
        """Return a notebook in a format, a file as it is, or a folder as a zip; ``direct_download`` gives bytes."""
        path = normal(request.required("path"))
        wanted = _format(ExportFormat, request.get("format"))
        kind = self.info(path).object_type
        if kind is ObjectType.NOTEBOOK:
            content, file_type = self._export_notebook(path, wanted)
        elif wanted not in (ExportFormat.SOURCE, ExportFormat.AUTO, ExportFormat.RAW):
            raise invalid(f"{path} is not a notebook: it is exported as SOURCE or AUTO, not {wanted.value}")
        elif kind is ObjectType.FILE:
            content, file_type = self.file(path).read_bytes(), self.file(path).suffix.removeprefix(".")
        else:
            content, file_type = self._zip(path, notebooks_only=wanted is ExportFormat.SOURCE), "zip"
        if request.flag("direct_download"):
            return Reply(content)
        _refuse_too_big(path, len(content))
        return {"content": base64.b64encode(content).decode(), "file_type": file_type}

    @route("GET", "2.0/workspace/list")
    def list_objects(self, request: Request) -> object:
        """Return what lies in a folder, or the object itself; this listing has no pages."""
        path = normal(request.required("path"))
        info = self.info(path)
        after = int(request.get("notebooks_modified_after") or 0)
        listed = self.children(path) if _is_folder(info) else [info]
        kept = [each for each in listed if each.object_type is not ObjectType.NOTEBOOK or _modified(each) > after]
        return {"objects": kept} if kept else {}

    @route("GET", "2.0/workspace/get-status")
    def get_status(self, request: Request) -> object:
        """Return what an object is."""
        path = normal(request.required("path"))
        status = self.info(path).as_dict()
        if path in self.notebooks and request.flag("return_export_info"):
            status["repos_export_format"] = self.notebooks[path]["format"]
        return status

    @route("POST", "2.0/workspace/mkdirs")
    def mkdirs(self, request: Request) -> object:
        """Make a folder and the folders above it; an existing one is left as it is."""
        path = normal(request.required("path"))
        parts = path.strip("/").split("/")
        steps = ["/" + "/".join(parts[:number]) for number in range(1, len(parts) + 1)]
        for above in steps:
            info = self.find(above)
            if info is not None and not _is_folder(info):
                raise already_exists(f"{above} is {_kind(info)}, so a folder of that name cannot be made")
            self.file(above).mkdir(exist_ok=True)
            self.find(above)
        return None

    @route("POST", "2.0/workspace/delete")
    def delete(self, request: Request) -> object:
        """Delete an object, or a folder with all that is in it when ``recursive``."""
        path = normal(request.required("path"))
        info = self.info(path)
        if path in self.protected:
            raise ApiError(400, "DIRECTORY_PROTECTED", f"Folder {path} is protected")
        if _is_folder(info):
            if not request.flag("recursive") and any(self.file(path).iterdir()):
                raise ApiError(400, "DIRECTORY_NOT_EMPTY", f"Folder ({path}) is not empty")
            shutil.rmtree(self.file(path))
        else:
            self.file(path).unlink()
        self._forget(path)
        return None

    def import_as_found(self, path: str, content: bytes, *, overwrite: bool, status: int = 400) -> None:
        """Import as a notebook, its suffix taken off, if suffix and first line say so; as a file otherwise."""
        found = notebooks.analyse(path, content)
        if found is None:
            self.write_file(path, content, overwrite=overwrite, status=status)
            return
        language = notebooks.jupyter_language(_text(content)) if found.format == "JUPYTER" else found.language
        stem = path.rpartition(".")[0]
        self._write_notebook(stem, content, language, found.format, overwrite=overwrite)

    def write_file(self, path: str, content: bytes, *, overwrite: bool, status: int = 400) -> None:
        """Write a plain file; `status` is that of the refusal when there is one already."""
        self._check_target(path, ObjectType.FILE, overwrite=overwrite, status=status)
        self.file(path).write_bytes(content)
        self._remember(path, ObjectType.FILE)

    def notebook(self, path: str) -> tuple[str, str, str]:
        """Return text, language (``PYTHON``) and format (``SOURCE`` or ``JUPYTER``) of a notebook.

        Raises:
            ApiError: 404 when there is none.
        """
        path = normal(path)
        info = self.find(path)
        if info is None or info.object_type is not ObjectType.NOTEBOOK or info.language is None:
            raise not_found(f"There is no notebook {path}" + (f": it is of type {_kind(info)}" if info else ""))
        text = self.file(path).read_text(encoding="utf-8")
        return text, info.language.value, str(self.notebooks[path]["format"])

    def exists(self, path: str) -> bool:
        """Return whether there is anything at a path."""
        return self.find(normal(path)) is not None

    def info(self, path: str) -> ObjectInfo:
        """Return what is at a path.

        Raises:
            ApiError: 404 when there is nothing.
        """
        info = self.find(normal(path))
        if info is None:
            raise not_found(f"Path ({path}) doesn't exist.")
        return info

    def find(self, path: str) -> ObjectInfo | None:
        """Return what is at a path, as the disk has it now, or None; in a stale read as the tables have it."""
        info, file = self.objects.get(path), self.file(path)
        if self.state.is_past:
            return info
        if not file.exists():
            if info is not None:
                self._forget(path)
            return self._notebook_file(path)
        if info is None or _is_folder(info) != file.is_dir():
            return self._remember(path, ObjectType.DIRECTORY if file.is_dir() else ObjectType.FILE)
        if info.object_type is ObjectType.FILE:
            info.size, info.modified_at = file.stat().st_size, int(file.stat().st_mtime * 1000)
        return info

    def children(self, path: str) -> list[ObjectInfo]:
        """Return what lies in a folder, by name."""
        if self.state.is_past:
            return [self.objects[each] for each in sorted(self.objects) if each != "/" and _parent(each) == path]
        own_suffix = {str(self.file(each)): each for each, kept in self.notebooks.items() if kept.get("suffix")}
        names: set[str] = set()
        for file in self.file(path).iterdir():
            child = own_suffix.get(str(file)) or f"{path.rstrip('/')}/{file.name}"
            known = child in self.objects
            if file.name not in HIDDEN and is_inside(file, self.state.folder) and file.exists():
                names.add(child if known or file.is_dir() else self._adopted_path(child, file))
        return [info for info in map(self.find, sorted(names)) if info is not None]

    def holds(self, kind: str, object_id: str) -> bool:
        """Return whether there is a folder, file or notebook of this id."""
        wanted = {"directories": ObjectType.DIRECTORY, "files": ObjectType.FILE, "notebooks": ObjectType.NOTEBOOK}
        same_id = [path for path, info in self.objects.items() if str(info.object_id) == object_id]
        found = [info.object_type for info in map(self.find, same_id) if info]
        return wanted[kind] in found

    def mark_repo(self, path: str) -> ObjectInfo:
        """Let a folder be a Git folder."""
        return self._remember(path, ObjectType.REPO)

    def file(self, path: str) -> Path:
        """Return where the content of an object lies."""
        suffix = self.notebooks.get(path, {}).get("suffix", "")
        return beneath(self.root, path + suffix, self.state.folder)

    def _adopted_path(self, path: str, file: Path) -> str:
        """Return the path that a file which nobody imported has: a notebook in a Git folder shows no suffix."""
        found = notebooks.analyse(file.name, file.read_bytes()) if path.startswith("/Repos/") else None
        return path.rpartition(".")[0] if found else path

    def _notebook_file(self, path: str) -> ObjectInfo | None:
        """Find the notebook whose file has a suffix, as Git folders keep them."""
        for suffix in (".py", ".ipynb", ".sql", ".scala", ".r", ".R") if path.startswith("/Repos/") else ():
            file = beneath(self.root, path + suffix, self.state.folder)
            found = notebooks.analyse(file.name, file.read_bytes()) if file.is_file() else None
            if found:
                self.notebooks[path] = {"format": found.format, "suffix": suffix}
                return self._remember(path, ObjectType.NOTEBOOK, found.language)
        return None

    def _write_notebook(self, path: str, content: bytes, language: Language, format: str, *, overwrite: bool) -> None:
        _refuse_too_big(path, len(content))
        text = _text(content)
        self._check_target(path, ObjectType.NOTEBOOK, overwrite=overwrite, status=400)
        suffix = self.notebooks.get(path, {}).get("suffix", "")
        self.notebooks[path] = {"format": format, "suffix": suffix}
        self.file(path).write_text(text, encoding="utf-8", newline="")
        self._remember(path, ObjectType.NOTEBOOK, language)

    def _check_target(self, path: str, kind: ObjectType, *, overwrite: bool, status: int) -> None:
        parent = _parent(path)
        above = self.find(parent)
        if above is None or not _is_folder(above):
            raise not_found(f"The parent folder ({parent}) does not exist.")
        info = self.find(path)
        if info is None:
            return
        if not overwrite:
            message = f"Path ({path}) already exists. Pass overwrite=true to overwrite it."
            raise ApiError(status, "RESOURCE_ALREADY_EXISTS", message)
        if info.object_type is not kind:
            asked = f"(asked: {kind.value}, actual: {_kind(info)})"
            raise invalid(f"Cannot overwrite the asset at {path} due to type mismatch {asked}")

    def _remember(self, path: str, kind: ObjectType, language: Language | None = None) -> ObjectInfo:
        now, before = self.state.now(), self.objects.get(path)
        info = ObjectInfo(path=path, object_type=kind, language=language)
        info.object_id = (before and before.object_id) or self.state.number()
        info.resource_id = str(info.object_id)
        if kind in (ObjectType.FILE, ObjectType.NOTEBOOK):
            info.created_at, info.modified_at = (before and before.created_at) or now, now
        if kind is ObjectType.FILE:
            stat = self.file(path).stat()
            info.size, info.modified_at = stat.st_size, int(stat.st_mtime * 1000)
        self.objects[path] = info
        return info

    def _forget(self, path: str) -> None:
        for table in (self.objects, self.notebooks):
            table.forget(lambda key, _: key == path or key.startswith(f"{path}/"))

    def _export_notebook(self, path: str, wanted: ExportFormat) -> tuple[bytes, str]:
        text, language_name, format = self.notebook(path)
        language = Language(language_name)
        if wanted is ExportFormat.AUTO:
            wanted = ExportFormat(format)
        if wanted is ExportFormat.JUPYTER:
            return (text if format == "JUPYTER" else notebooks.to_jupyter(text, language)).encode(), "ipynb"
        source = notebooks.to_source(text, language) if format == "JUPYTER" else notebooks.with_header(text, language)
        if wanted is ExportFormat.SOURCE:
            return source.encode(), notebooks.FILE_TYPES[language]
        if wanted is ExportFormat.HTML:
            return notebooks.to_html(path.rpartition("/")[2], source, language).encode(), "html"
        raise invalid(f"The local workspace does not export {wanted.value}: use SOURCE, JUPYTER, HTML or AUTO")

    def _zip(self, path: str, *, notebooks_only: bool) -> bytes:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            self._zip_folder(path, path, archive, notebooks_only=notebooks_only)
        return written.getvalue()

    def _zip_folder(self, top: str, path: str, archive: zipfile.ZipFile, *, notebooks_only: bool) -> None:
        for info in self.children(path):
            child = str(info.path)
            name = child.removeprefix(top.rstrip("/") + "/")
            if _is_folder(info):
                self._zip_folder(top, child, archive, notebooks_only=notebooks_only)
            elif info.object_type is ObjectType.NOTEBOOK:
                content, suffix = self._export_notebook(child, ExportFormat.AUTO)
                archive.writestr(f"{name}.{suffix}", content)
            elif not notebooks_only:
                archive.writestr(name, self.file(child).read_bytes())


def normal(path: object) -> str:
    """Return a path as the tables have it: absolute, without ``/Workspace``, no slash at the end.

    Raises:
        ApiError: 400 when it is relative or climbs.
    """
    text = str(path)
    if not text.startswith("/"):
        raise invalid(f"Path ({text}) doesn't start with '/'")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in text or any(len(part.encode()) > MAXIMUM_NAME_BYTES for part in parts):
        raise invalid(f"Path ({text}) must not contain '..', nor a name of more than {MAXIMUM_NAME_BYTES} bytes")
    if parts and parts[0] == "Workspace":
        parts = parts[1:]
    return "/" + "/".join(parts)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _is_folder(info: ObjectInfo) -> bool:
    return info.object_type in (ObjectType.DIRECTORY, ObjectType.REPO)


def _kind(info: ObjectInfo) -> str:
    return info.object_type.value if info.object_type else "nothing known"


def _modified(info: ObjectInfo) -> int:
    return info.modified_at or 0


def _content(request: Request) -> bytes:
    if "content" in request.files:
        return request.files["content"]
    content = from_base64("content", request.get("content") or "")
    _refuse_too_big(request.get("path"), len(content))
    return content


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(f"A notebook must be UTF-8 text: {error}") from None


def _refuse_too_big(path: object, size: int) -> None:
    if size > MAXIMUM_BYTES:
        message = f"{path} has {size} bytes: more than {MAXIMUM_BYTES}. For a file use the Files API or direct_download"
        raise ApiError(400, "MAX_NOTEBOOK_SIZE_EXCEEDED", message)


def _format(kinds: type[E], name: object) -> E:
    if str(name or "SOURCE") not in kinds.__members__:
        raise invalid(f"format must be one of {', '.join(kinds.__members__)}, not {name!r}")
    return kinds[str(name or "SOURCE")]


def _language(name: object) -> Language | None:
    if not name:
        return None
    if str(name) not in Language.__members__:
        raise invalid(f"language must be one of {', '.join(Language.__members__)}, not {name!r}")
    return Language[str(name)]
