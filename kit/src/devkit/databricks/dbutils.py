"""A stand-in for Databricks' ``dbutils``: secrets, widgets, fs, notebook, jobs.taskValues, library.

A `Place` says where secrets and folders are: a task of a local workspace (`local_workspace.task.context`), or a process
of this machine (`devkit.databricks.here`). Only the standard library is imported: tasks begin with it.

Source: https://docs.databricks.com/dev-tools/databricks-utils
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

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


class Place(Protocol):
    """Where code runs that uses ``dbutils``."""

    widgets: dict[str, str]

    @property
    def roots(self) -> list[tuple[str, str]]:
        """What paths begin with, and the folders that stand for it."""

    @property
    def values(self) -> Mapping[str, Mapping[str, Any]] | None:
        """The values that other tasks of the run left, by task and key; None outside of a job."""

    def local(self, path: str) -> str:
        """Return where a path lies on this machine; one that lies nowhere here stays as it is."""

    def secret(self, scope: str, key: str) -> bytes:
        """Return a secret."""

    def secret_scopes(self) -> Iterable[str]:
        """Return the names of the scopes."""

    def secret_keys(self, scope: str) -> Iterable[str]:
        """Return the keys of a scope."""

    def leave_values(self, values: dict[str, Any]) -> None:
        """Leave this task's values for other tasks."""


class DBUtils:
    """``dbutils``.

    Args:
        place: Where the code runs.
        run_notebook: Runs another notebook: path and arguments in, its result out.
    """

    def __init__(self, place: Place, run_notebook: Callable[[str, dict[str, str]], str]) -> None:
        self.secrets = Secrets(place)
        self.widgets = Widgets(place)
        self.fs = Files(place)
        self.notebook = Notebook(run_notebook)
        self.jobs = Jobs(place)
        self.library = Library()


class Secrets:
    """``dbutils.secrets``."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def get(self, scope: str, key: str) -> str:
        """Return a secret as text."""
        return self.getBytes(scope, key).decode("utf-8")

    def getBytes(self, scope: str, key: str) -> bytes:  # noqa: N802 - Databricks' own name
        """Return a secret as bytes."""
        return self._place.secret(scope, key)

    def listScopes(self) -> list[SecretScope]:  # noqa: N802 - Databricks' own name
        """Return the scopes."""
        return [SecretScope(name) for name in self._place.secret_scopes()]

    def list(self, scope: str) -> list[SecretMetadata]:
        """Return the keys of a scope."""
        return [SecretMetadata(key) for key in self._place.secret_keys(scope)]


class Widgets:
    """``dbutils.widgets``: the parameters of a notebook."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def get(self, name: str) -> str:
        """Return a parameter."""
        if name not in self._place.widgets:
            raise ValueError(f"InputWidgetNotDefined: No input widget named {name} is defined")
        return self._place.widgets[name]

    def getAll(self) -> dict[str, str]:  # noqa: N802 - Databricks' own name
        """Return all parameters."""
        return dict(self._place.widgets)

    def getArgument(self, name: str, default: str = "") -> str:  # noqa: N802 - Databricks' own name
        """Return a parameter or the default."""
        return self._place.widgets.get(name, default)

    def text(self, name: str, defaultValue: str = "", label: str = "") -> None:  # noqa: N803, ARG002
        """Declare a parameter; what the task was given wins over the default."""
        self._place.widgets.setdefault(name, str(defaultValue))

    def dropdown(self, name: str, defaultValue: str, choices: object = (), label: str = "") -> None:  # noqa: N803, ARG002
        """Declare a parameter with choices."""
        self.text(name, defaultValue)

    combobox = dropdown
    multiselect = dropdown

    def remove(self, name: str) -> None:
        """Forget a parameter."""
        self._place.widgets.pop(name, None)

    def removeAll(self) -> None:  # noqa: N802 - Databricks' own name
        """Forget all parameters."""
        self._place.widgets.clear()


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

    def __init__(self, place: Place) -> None:
        self.taskValues = TaskValues(place)


class TaskValues:
    """``dbutils.jobs.taskValues``: small values that tasks of one run leave for each other."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._own: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        """Leave a value, which must be JSON."""
        self._own[key] = value
        self._place.leave_values(self._own)

    def get(self, taskKey: str, key: str, default: Any = MISSING, debugValue: Any = None) -> Any:  # noqa: N803
        """Return the value that another task left, or the default; outside of a job the debug value."""
        if self._place.values is None:
            if debugValue is None:
                raise TypeError("Must pass debugValue when calling get outside of a job context: it cannot be None")
            return debugValue
        values = self._place.values.get(taskKey, {})
        if key in values:
            return values[key]
        if default is MISSING:
            raise ValueError(f"Task value {key!r} of task {taskKey!r} does not exist, and there is no default")
        return default


class Library:
    """``dbutils.library``."""

    def restartPython(self) -> None:  # noqa: N802 - Databricks' own name
        """Do nothing: nothing is installed here that a restart would load."""


class Files:
    """``dbutils.fs`` on folders of this machine; a path without a scheme is one of DBFS."""

    def __init__(self, place: Place) -> None:
        self._place = place

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
        found = self._place.local(known)
        if found == known and not known.startswith("file:"):
            beginnings = ", ".join(prefix for prefix, _ in self._place.roots)
            raise ValueError(f"The path {path!r} has no folder here: it must begin with file:/ or {beginnings}")
        local = Path(found.removeprefix("file:"))
        if existing and not local.exists():
            raise FileNotFoundError(f"No such file or directory: {path}")
        return local


def _info(path: str, found: Path) -> FileInfo:
    about = found.stat()
    end = "/" if found.is_dir() else ""
    size = 0 if found.is_dir() else about.st_size
    return FileInfo(path + end, found.name + end, size, int(about.st_mtime * 1000))
