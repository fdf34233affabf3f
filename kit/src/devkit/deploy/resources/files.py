"""Notebooks, files of the workspace and of volumes, wheels: owned by the project's own folder that they lie in."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from devkit.deploy.declaration.content import file_digest, notebook_digest
from devkit.deploy.declaration.model import Desired, Json, plain_path
from devkit.deploy.plan.model import Actual
from devkit.deploy.resources.base import Context, Recording, Resource, concurrently, gone
from devkit.deploy.workspace.client import repeat

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.workspace import ObjectInfo

WHEELS = "wheels"


class Files(Resource):
    """Plain files; this listing also gives the notebooks and the wheels, because they lie in the same folders."""

    kind = "files"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return every file beneath the project's own folders, or of the whole workspace."""
        client, declaration = recording.client, recording.declaration
        root = declaration.root if declaration else "/"
        jupyter = {plain_path(one.name) for one in recording.desired("notebooks") if one.body.get("jupyter")}
        yield from concurrently(lambda info: _workspace_file(client, info, jupyter, root), _listed(client, root))
        if declaration and declaration.volume_root:
            volume_root = declaration.volume_root
            paths = _volume_files(client, volume_root)
            yield from concurrently(lambda path: _volume_file(client, path, volume_root), paths)

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Write a file over whatever is there."""
        from databricks.sdk.service.workspace import ImportFormat

        folder, content, client = str(PurePosixPath(desired.name).parent), desired.content or b"", context.client
        if _in_volume(desired.name):
            client.files.create_directory(folder)
            # A big file goes up in parts, by calls that are not repeated one by one.
            repeat(lambda: client.files.upload(desired.name, io.BytesIO(content), overwrite=True), context.clock)
        else:
            client.workspace.mkdirs(folder)
            how = self._import_options(body) or {"format": ImportFormat.RAW}
            client.workspace.upload(desired.name, content, overwrite=True, **how)
        return desired.name

    def _import_options(self, body: dict[str, Json]) -> dict[str, Any]:  # noqa: ARG002  # a plain file has none
        return {}

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:  # noqa: ARG002  # it is overwritten
        """Write it again."""
        self.create(context, desired, body)

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a file."""
        _delete(context.client, actual.name)


class Wheels(Files):
    """Wheels: named by their content, so that an existing one is the right one, and a used one stays."""

    kind = WHEELS

    def record(self, recording: Recording) -> Iterable[Actual]:  # noqa: ARG002  # one listing gives all
        """Return nothing: `Files` has listed them."""
        return ()

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a wheel, and the folder named by its content unless it holds something else."""
        super().delete(context, actual)
        folder, in_volume = str(PurePosixPath(actual.name).parent), _in_volume(actual.name)
        if not any(True for _ in (_volume_files if in_volume else _listed)(context.client, folder)):
            _delete(context.client, folder, is_folder=True)


class Notebooks(Files):
    """Notebooks, source or ``.ipynb``."""

    kind = "notebooks"

    def record(self, recording: Recording) -> Iterable[Actual]:  # noqa: ARG002  # one listing gives all
        """Return nothing: `Files` has listed them."""
        return ()

    def _import_options(self, body: dict[str, Json]) -> dict[str, Any]:
        from databricks.sdk.service.workspace import ImportFormat, Language

        if body.get("jupyter"):
            return {"format": ImportFormat.JUPYTER}
        return {"format": ImportFormat.SOURCE, "language": Language(body["language"])}


def _delete(client: WorkspaceClient, path: str, *, is_folder: bool = False) -> None:
    if not _in_volume(path):
        gone(lambda: client.workspace.delete(path))
    elif is_folder:
        gone(lambda: client.files.delete_directory(path))
    else:
        gone(lambda: client.files.delete(path))


def _in_volume(path: str) -> bool:
    return path.startswith("/Volumes/")


def _listed(client: WorkspaceClient, root: str) -> Iterator[ObjectInfo]:
    """Iterate over everything beneath a folder; a missing folder is empty, a Git folder is not ours."""
    from databricks.sdk.errors import NotFound
    from databricks.sdk.service.workspace import ObjectType

    folders = [root]
    while folders:
        try:
            inside = list(client.workspace.list(folders.pop(0)))
        except NotFound:
            continue
        folders += [str(info.path) for info in inside if info.object_type is ObjectType.DIRECTORY]
        yield from (info for info in inside if info.object_type in (ObjectType.NOTEBOOK, ObjectType.FILE))


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


def _workspace_file(client: WorkspaceClient, info: ObjectInfo, jupyter: set[str], root: str) -> Actual:
    from databricks.sdk.service.workspace import ExportFormat, ObjectType

    path = str(info.path)
    if _is_wheel(path, root):
        return _wheel(path)
    is_notebook = info.object_type is ObjectType.NOTEBOOK
    format = ExportFormat.JUPYTER if plain_path(path) in jupyter and is_notebook else ExportFormat.AUTO
    content: bytes = client.workspace.download(path, format=format).read()
    if not is_notebook:
        return Actual("files", path, path, {"sha256": file_digest(content)})
    body: dict[str, Any] = {"language": info.language.value if info.language else None}
    body["jupyter"] = format is ExportFormat.JUPYTER or content.lstrip().startswith(b"{")
    return Actual("notebooks", path, path, {**body, "sha256": notebook_digest(content)})


def _volume_file(client: WorkspaceClient, path: str, root: str) -> Actual:
    if _is_wheel(path, root):
        return _wheel(path)
    contents = client.files.download(path).contents
    return Actual("files", path, path, {"sha256": file_digest(contents.read() if contents else b"")})


def _wheel(path: str) -> Actual:
    return Actual(WHEELS, path, path, {"content": PurePosixPath(path).parent.name})


def _is_wheel(path: str, root: str) -> bool:
    """Return whether a file lies where this tool puts wheels; of a whole workspace the roots are not known."""
    folder = PurePosixPath(plain_path(path)).parent
    placed = root == "/" or str(folder.parent) == str(PurePosixPath(plain_path(root), WHEELS))
    named = folder.parent.name == WHEELS and re.fullmatch("[0-9a-f]{12}", folder.name)
    return path.endswith(".whl") and placed and named is not None
