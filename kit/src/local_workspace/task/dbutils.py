"""A stand-in for Databricks' ``dbutils``: secrets, widgets, fs, notebook, jobs.taskValues, library.

Secrets come from the workspace by the official client, so that its own rules apply.

Source: https://docs.databricks.com/dev-tools/databricks-utils
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from local_workspace.task.context import Context

MISSING: Any = object()


class NotebookExit(BaseException):
    """Ends a notebook with a result."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class FileInfo(NamedTuple):
    """What `fs.ls` returns for each file; sizes in bytes, times in milliseconds."""

    path: str
    name: str
    size: int
    modificationTime: int  # noqa: N815 - Databricks' own name

    def isDir(self) -> bool:  # noqa: N802 - Databricks' own name
        """Return whether it is a folder."""
        return self.name.endswith("/")


class SecretScope(NamedTuple):
    """The name of a scope."""

    name: str


class SecretMetadata(NamedTuple):
    """The key of a secret."""

    key: str


class DBUtils:
    """What a task calls ``dbutils``.

    Args:
        context: The task.
        run_notebook: Runs another notebook: path and arguments in, its result out.
    """

    def __init__(self, context: Context, run_notebook: Callable[[str, dict[str, str]], str]) -> None:
        self.secrets = Secrets(context)
        self.widgets = Widgets(context)
        self.fs = Files(context)
        self.notebook = Notebook(run_notebook)
        self.jobs = Jobs(context)
        self.library = Library()


class Secrets:
    """``dbutils.secrets``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, scope: str, key: str) -> str:
        """Return a secret as text; it is shown as ``[REDACTED]`` in the output from now on."""
        return self.getBytes(scope, key).decode("utf-8")

    def getBytes(self, scope: str, key: str) -> bytes:  # noqa: N802 - Databricks' own name
        """Return a secret as bytes."""
        content = base64.b64decode(_client().secrets.get_secret(scope, key).value or "")
        self._context.note_secret(scope, key, content.decode("utf-8", errors="replace"))
        return content

    def listScopes(self) -> list[SecretScope]:  # noqa: N802 - Databricks' own name
        """Return the scopes."""
        return [SecretScope(each.name or "") for each in _client().secrets.list_scopes()]

    def list(self, scope: str) -> list[SecretMetadata]:
        """Return the keys of a scope."""
        return [SecretMetadata(each.key or "") for each in _client().secrets.list_secrets(scope)]


class Widgets:
    """``dbutils.widgets``: the parameters of a notebook."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, name: str) -> str:
        """Return a parameter."""
        if name not in self._context.widgets:
            raise ValueError(f"InputWidgetNotDefined: No input widget named {name} is defined")
        return self._context.widgets[name]

    def getAll(self) -> dict[str, str]:  # noqa: N802 - Databricks' own name
        """Return all parameters."""
        return dict(self._context.widgets)

    def getArgument(self, name: str, default: str = "") -> str:  # noqa: N802 - Databricks' own name
        """Return a parameter or the default."""
        return self._context.widgets.get(name, default)

    def text(self, name: str, defaultValue: str = "", label: str = "") -> None:  # noqa: N803, ARG002
        """Declare a parameter; what the task was given wins over the default."""
        self._context.widgets.setdefault(name, str(defaultValue))

    def dropdown(self, name: str, defaultValue: str, choices: object = (), label: str = "") -> None:  # noqa: N803, ARG002
        """Declare a parameter with choices."""
        self.text(name, defaultValue)

    combobox = dropdown
    multiselect = dropdown

    def remove(self, name: str) -> None:
        """Forget a parameter."""
        self._context.widgets.pop(name, None)

    def removeAll(self) -> None:  # noqa: N802 - Databricks' own name
        """Forget all parameters."""
        self._context.widgets.clear()


class Notebook:
    """``dbutils.notebook``."""

    def __init__(self, run_notebook: Callable[[str, dict[str, str]], str]) -> None:
        self._run = run_notebook

    def exit(self, value: object = "") -> NoReturn:
        """End the notebook with a result."""
        raise NotebookExit(str(value))

    def run(self, path: str, timeout_seconds: int = 0, arguments: dict[str, Any] | None = None) -> str:  # noqa: ARG002
        """Run another notebook here, in a namespace of its own, and return its result; there is no time-out."""
        return self._run(path, {name: str(value) for name, value in (arguments or {}).items()})


class Jobs:
    """``dbutils.jobs``."""

    def __init__(self, context: Context) -> None:
        self.taskValues = TaskValues(context)


class TaskValues:
    """``dbutils.jobs.taskValues``: small values that tasks of one run leave for each other."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._own: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        """Leave a value, which must be JSON."""
        self._own[key] = value
        self._context.write("values.json", self._own)

    def get(self, taskKey: str, key: str, default: Any = MISSING, debugValue: Any = MISSING) -> Any:  # noqa: N803, ARG002
        """Return the value that another task left, or the default."""
        values = self._context.request["values"].get(taskKey, {})
        if key in values:
            return values[key]
        if default is MISSING:
            raise ValueError(f"Task value {key!r} of task {taskKey!r} does not exist, and there is no default")
        return default


class Library:
    """``dbutils.library``."""

    def restartPython(self) -> None:  # noqa: N802 - Databricks' own name
        """Do nothing: ``%pip`` installs nothing here that a restart would load."""


class Files:
    """``dbutils.fs`` on the folders of the workspace; a path without a scheme is one of DBFS."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def ls(self, dir: str) -> list[FileInfo]:
        """Return what is in a folder."""
        folder = self._local(dir, existing=True)
        shown = dir.rstrip("/")
        found = sorted(folder.iterdir()) if folder.is_dir() else [folder]
        return [_info(shown if folder.is_file() else f"{shown}/{each.name}", each) for each in found]

    def mkdirs(self, dir: str) -> bool:
        """Make a folder with those above it."""
        self._local(dir).mkdir(parents=True, exist_ok=True)
        return True

    def put(self, file: str, contents: str, overwrite: bool = False) -> bool:
        """Write text."""
        target = self._local(file)
        if target.exists() and not overwrite:
            raise FileExistsError(f"{file} already exists")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(contents, encoding="utf-8")
        return True

    def head(self, file: str, maxBytes: int = 65536) -> str:  # noqa: N803 - Databricks' own name
        """Return the beginning of a file as text."""
        with self._local(file, existing=True).open("rb") as opened:
            return opened.read(maxBytes).decode("utf-8", errors="replace")

    def rm(self, dir: str, recurse: bool = False) -> bool:
        """Delete a file, or a folder with all that is in it."""
        target = self._local(dir)
        if target.is_dir() and recurse:
            shutil.rmtree(target)
        elif target.is_dir():
            target.rmdir()
        elif target.exists():
            target.unlink()
        else:
            return False
        return True

    def cp(self, source: str, dest: str, recurse: bool = False) -> bool:
        """Copy a file, or a folder with all that is in it."""
        origin, target = self._local(source, existing=True), self._target(source, dest)
        if origin.is_dir() and not recurse:
            raise IsADirectoryError(f"{source} is a folder: copy it with recurse=True")
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(origin, target)
        return True

    def mv(self, source: str, dest: str, recurse: bool = False) -> bool:
        """Move a file, or a folder with all that is in it."""
        self.cp(source, dest, recurse)
        return self.rm(source, recurse)

    def _target(self, source: str, dest: str) -> Path:
        target = self._local(dest)
        return target / source.rstrip("/").rpartition("/")[2] if target.is_dir() else target

    def _local(self, path: str, *, existing: bool = False) -> Path:
        known = path if ":" in path or path.startswith(("/Volumes/", "/Workspace/", "/dbfs/")) else f"dbfs:{path}"
        found = self._context.local(known)
        if found == known and not known.startswith("file:"):
            known_roots = "dbfs:/, /Volumes/, /Workspace/ or file:/"
            raise ValueError(f"The path {path!r} is not in the workspace: it must begin with {known_roots}")
        local = Path(found.removeprefix("file:"))
        if existing and not local.exists():
            raise FileNotFoundError(f"No such file or directory: {path}")
        return local


def _info(path: str, found: Path) -> FileInfo:
    about = found.stat()
    end = "/" if found.is_dir() else ""
    size = 0 if found.is_dir() else about.st_size
    return FileInfo(path + end, found.name + end, size, int(about.st_mtime * 1000))


def _client() -> WorkspaceClient:
    from databricks.sdk import WorkspaceClient

    return WorkspaceClient(host=os.environ["DATABRICKS_HOST"], token=os.environ["DATABRICKS_TOKEN"], auth_type="pat")
