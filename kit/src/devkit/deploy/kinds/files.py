"""Notebooks, files of the workspace and of volumes, wheels: owned by where they lie, the project's own folder."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from devkit.deploy.client import repeat
from devkit.deploy.content import file_digest, notebook_digest
from devkit.deploy.kinds.base import Context, Operations, Recording, each, gone
from devkit.deploy.model import Action, Found, Json, Wanted, plain_path

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.workspace import ObjectInfo

WHEELS = "wheels"


class Files(Operations):
    """Plain files; this listing also gives the notebooks and the wheels, because they lie in the same folders."""

    kind = "files"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return every file beneath the project's own folders, or of the whole workspace."""
        declaration = recording.declaration
        root = declaration.root if declaration else "/"
        jupyter = {plain_path(one.name) for one in recording.wanted if one.body.get("jupyter")}
        objects = list(_listed(recording.client, root))
        yield from each(lambda info: _found(recording.client, info, jupyter, root), objects)
        if declaration and declaration.volume_root:
            paths = list(_volume_files(recording.client, declaration.volume_root))
            volume_root = declaration.volume_root
            yield from each(lambda path: _volume_file(recording.client, path, volume_root), paths)

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:  # noqa: ARG002  # the content says it all
        """Write a file over whatever is there."""
        from databricks.sdk.service.workspace import ImportFormat

        content = wanted.content or b""
        if wanted.name.startswith("/Volumes/"):
            context.client.files.create_directory(str(PurePosixPath(wanted.name).parent))
            files = context.client.files  # a big file goes up in parts, by calls that are not repeated one by one
            repeat(lambda: files.upload(wanted.name, io.BytesIO(content), overwrite=True), context.clock)
        else:
            context.client.workspace.mkdirs(str(PurePosixPath(wanted.name).parent))
            context.client.workspace.upload(wanted.name, content, format=ImportFormat.RAW, overwrite=True)
        return wanted.name

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Write it again."""
        assert action.wanted is not None  # noqa: S101  # an update has it
        self.create(context, action.wanted, body)

    def delete(self, context: Context, found: Found) -> None:
        """Delete a file."""
        if found.name.startswith("/Volumes/"):
            gone(lambda: context.client.files.delete(found.name))
        else:
            gone(lambda: context.client.workspace.delete(found.name))


class Wheels(Files):
    """Wheels: named by their content, so that one that is there is the right one, and a used one stays."""

    kind = "wheels"

    def record(self, recording: Recording) -> Iterable[Found]:  # noqa: ARG002  # one listing gives all
        """Return nothing: `Files` has listed them."""
        return ()

    def delete(self, context: Context, found: Found) -> None:
        """Delete a wheel, and the folder that its content names unless something else lies in it."""
        super().delete(context, found)
        folder = str(PurePosixPath(found.name).parent)
        in_volume = found.name.startswith("/Volumes/")
        if any(True for _ in (_volume_files if in_volume else _listed)(context.client, folder)):
            return
        if in_volume:
            gone(lambda: context.client.files.delete_directory(folder))
        else:
            gone(lambda: context.client.workspace.delete(folder))


class Notebooks(Files):
    """Notebooks, source or ``.ipynb``."""

    kind = "notebooks"

    def record(self, recording: Recording) -> Iterable[Found]:  # noqa: ARG002  # one listing gives all
        """Return nothing: `Files` has listed them."""
        return ()

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Import a notebook over whatever is there."""
        from databricks.sdk.service.workspace import ImportFormat, Language

        jupyter = bool(body.get("jupyter"))
        context.client.workspace.mkdirs(str(PurePosixPath(wanted.name).parent))
        context.client.workspace.upload(
            wanted.name,
            wanted.content or b"",
            format=ImportFormat.JUPYTER if jupyter else ImportFormat.SOURCE,
            language=None if jupyter else Language(body["language"]),
            overwrite=True,
        )
        return wanted.name


def _listed(client: WorkspaceClient, root: str) -> Iterator[ObjectInfo]:
    """Go through everything beneath a folder; a folder that is not there is empty, a Git folder is none of ours."""
    from databricks.sdk.errors import NotFound
    from databricks.sdk.service.workspace import ObjectType

    folders = [root]
    while folders:
        try:
            inside = list(client.workspace.list(folders.pop(0)))
        except NotFound:
            continue
        folders += [str(info.path) for info in inside if info.object_type is ObjectType.DIRECTORY]
        leaves = (ObjectType.NOTEBOOK, ObjectType.FILE)
        yield from (info for info in inside if info.object_type in leaves)


def _found(client: WorkspaceClient, info: ObjectInfo, jupyter: set[str], root: str) -> Found:
    from databricks.sdk.service.workspace import ExportFormat, ObjectType

    path = str(info.path)
    if _is_wheel(path, root):
        return Found(WHEELS, path, path, {"content": PurePosixPath(path).parent.name})
    is_notebook = info.object_type is ObjectType.NOTEBOOK
    format = ExportFormat.JUPYTER if plain_path(path) in jupyter and is_notebook else ExportFormat.AUTO
    content: bytes = client.workspace.download(path, format=format).read()
    if is_notebook:
        language = info.language.value if info.language else None
        body: dict[str, Any] = {"language": language, "sha256": notebook_digest(content)}
        body["jupyter"] = format is ExportFormat.JUPYTER or content.lstrip().startswith(b"{")
        return Found("notebooks", path, path, body)
    return Found("files", path, path, {"sha256": file_digest(content)})


def _volume_files(client: WorkspaceClient, root: str) -> Iterator[str]:
    from databricks.sdk.errors import NotFound

    folders = [root]
    while folders:
        try:
            inside = list(client.files.list_directory_contents(folders.pop(0)))
        except NotFound:
            continue
        folders += [str(entry.path) for entry in inside if entry.is_directory]
        yield from (str(entry.path) for entry in inside if not entry.is_directory)


def _is_wheel(path: str, root: str) -> bool:
    """Tell whether a file lies where this tool puts wheels; of a whole workspace nobody knows the roots."""
    folder = PurePosixPath(plain_path(path)).parent
    placed = root == "/" or str(folder.parent) == str(PurePosixPath(plain_path(root), WHEELS))
    named = folder.parent.name == WHEELS and re.fullmatch("[0-9a-f]{12}", folder.name)
    return path.endswith(".whl") and placed and named is not None


def _volume_file(client: WorkspaceClient, path: str, root: str) -> Found:
    if _is_wheel(path, root):
        return Found(WHEELS, path, path, {"content": PurePosixPath(path).parent.name})
    contents = client.files.download(path).contents
    return Found("files", path, path, {"sha256": file_digest(contents.read() if contents else b"")})
