"""``dbutils`` and ``display`` of a process of this machine: a job, a cell or a test, without a workspace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from devkit.databricks import paths
from devkit.databricks.dbutils import DBUtils
from devkit.databricks.display import shown
from devkit.databricks.names import RUNTIME, Namespace, RuntimeOnImport
from spark_utils.configuration.secrets import Reference, Resolver, secrets_folder
from spark_utils.errors import ConfigurationError
from spark_utils.session import get_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_WIDGETS: Final[dict[str, str]] = {}  # one set for the process, as a notebook has


class ThisMachine:
    """Where the code runs.

    Args:
        roots: What paths of Databricks begin with, and their folders.
    """

    values = None

    def __init__(self, roots: paths.Roots) -> None:
        self.roots = roots
        self.widgets = _WIDGETS

    def local(self, path: str) -> str:
        """Return where a path lies: in its folder, or where it says if this machine has such a path itself."""
        top = Path(*Path(path).parts[:3])
        return f"file:{path}" if path.startswith("/") and top.exists() else paths.local(path, self.roots)

    def secret(self, scope: str, key: str) -> bytes:
        """Return a secret from where references are looked up: the environment, `.env`, files of ours, the keyring.

        Raises:
            ConfigurationError: No place has it.
        """
        return Resolver().resolve(Reference(scope, key), origin="dbutils.secrets").encode()

    def secret_scopes(self) -> list[str]:
        """Return the scopes that have files."""
        return sorted(each.name for each in secrets_folder().glob("*/"))

    def secret_keys(self, scope: str) -> list[str]:
        """Return the keys that have files."""
        return sorted(each.name for each in (secrets_folder() / scope).glob("*"))

    def leave_values(self, values: dict[str, Any]) -> None:
        """Do nothing: there are no other tasks."""


def dbutils(spark: SparkSession) -> DBUtils:
    """Return ``dbutils`` with the folders of a session."""
    return DBUtils(ThisMachine(paths.roots_of(spark)), _refuse_notebook)


def display(*values: Any, **options: Any) -> None:
    """Show frames as tables, as HTML in Jupyter and in an editor's cells, and other values as IPython shows them."""
    for value in values:
        if _shell() is None or hasattr(value, "isStreaming"):
            _publish(*shown(value))
        else:
            from IPython.display import display as ipython_display

            ipython_display(value, **options)  # type: ignore[no-untyped-call]  # IPython has no types here


def provide() -> None:
    """Let ``from databricks.sdk.runtime import dbutils, display, spark`` give those of this machine."""
    if RUNTIME not in sys.modules and not any(isinstance(finder, RuntimeOnImport) for finder in sys.meta_path):
        names = {"display": display, "displayHTML": lambda markup: _publish(markup, markup)}
        sys.meta_path.insert(0, RuntimeOnImport(Namespace(get_session, names, {"dbutils": dbutils})))
    if (shell := _shell()) is not None:
        shell.push({"display": display})


def _shell() -> Any:
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def _publish(text: str, markup: str) -> None:
    if not hasattr(_shell(), "kernel"):
        print(text)
        return
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": text, "text/html": markup})  # type: ignore[no-untyped-call]


def _refuse_notebook(path: str, _arguments: dict[str, str]) -> NoReturn:
    raise ConfigurationError(
        f"the notebook {path!r} cannot be run outside of a workspace",
        origin="dbutils.notebook.run",
        remedy="Run the caller as a task of a local one (`devkit workspace up`, docs/deploy.md), or import a module.",
    )
