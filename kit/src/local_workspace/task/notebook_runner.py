"""Runs a notebook cell by cell, with ``spark``, ``sc``, ``dbutils``, ``display`` and ``displayHTML`` ready.

Source: https://docs.databricks.com/notebooks/notebooks-code
"""

from __future__ import annotations

import ast
import html
import io
import json
import linecache
import os
import posixpath
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO, cast

from devkit.databricks import display, pip
from devkit.databricks.dbutils import DBUtils, NotebookExit
from devkit.databricks.names import Namespace
from local_workspace.task import session
from local_workspace.task.context import Context
from local_workspace.task.notebook_cells import Cell, cells_of, statements
from local_workspace.task.redaction import redact

PARAMETER: Final = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
SUFFIXES: Final = ("", ".py", ".ipynb", ".sql")


class NotebookRunner:
    """Runs the notebook of a task, and those that it runs.

    Args:
        context: The task.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shown: list[dict[str, Any]] = []
        self._number = 0
        self._run_by_language: dict[str, Callable[[Cell, Namespace], None]] = {
            "python": self._python,
            "sql": self._sql,
            "md": lambda cell, _: self._show("", f"<pre>{html.escape(cell.text)}</pre>"),
            "run": self._run_here,
            "sh": lambda cell, _: self._shell(cell.text),
            "fs": self._files,
            "pip": lambda cell, _: self._pip(cell.text),
        }

    def run_main(self) -> str:
        """Run the notebook of the task and wait for the streams that it started."""
        request = self._context.request
        self._enter_folder(request["path"])
        self._run(request["path"], request["source"], request["language"], request["parameters"])
        if session.is_started():
            for query in session.session().streams.active:
                query.awaitTermination()
        return ""

    def run_other(self, path: str, arguments: dict[str, str]) -> str:
        """Run another notebook in a namespace of its own and return its result: ``dbutils.notebook.run``."""
        context = self._context
        before = context.notebook, context.widgets
        try:
            path = self._absolute(path)
            self._run(path, self._read(path), "PYTHON", arguments)
        except NotebookExit as ended:
            return ended.value
        finally:
            context.notebook, context.widgets = before
        return ""

    def _run(self, path: str, text: str, language: str, parameters: dict[str, str]) -> None:
        self._context.notebook = path
        self._context.widgets = dict(parameters)
        self._cells(text, language, self.names())

    def names(self) -> Namespace:
        """Return the names that a notebook begins with, and that ``databricks.sdk.runtime`` gives to modules."""
        names = {
            "__name__": "__main__",
            "dbutils": DBUtils(self._context, self.run_other),
            "display": lambda value: self._show(*display.shown(value)),
            "displayHTML": lambda text: self._show("", str(text)),
            "getArgument": lambda name, default="": self._context.widgets.get(name, default),
        }
        return Namespace(session.session, names)

    def _cells(self, text: str, language: str, names: Namespace) -> None:
        for cell in cells_of(text, language):
            with self._recorded(cell):
                run = self._run_by_language.get(cell.language)
                if run is None:
                    raise NotImplementedError(f"%{cell.language} does not run in the local workspace")
                run(cell, names)

    @contextmanager
    def _recorded(self, cell: Cell) -> Iterator[None]:
        """Keep what a cell prints and shows, for the export."""
        record = {"language": cell.language, "text": cell.text, "title": cell.title, "outputs": []}
        self._shown.append(record)
        outer = sys.stdout
        sys.stdout = cast(TextIO, _Tee(outer, record["outputs"]))
        try:
            yield
        except NotebookExit as ended:
            self._show("", f"<p>Notebook exited: {html.escape(ended.value)}</p>")
            raise
        except BaseException as error:
            self._show("", f"<pre class='error'>{html.escape(f'{type(error).__name__}: {error}')}</pre>")
            raise
        finally:
            sys.stdout = outer
            self._context.write("cells.json", self._redacted())

    def _redacted(self) -> Any:
        """Return what was shown without secrets, also where markup or JSON writes them in another way."""
        plain = {form for each in self._context.secrets for form in (each, repr(each)[1:-1])}
        written = {json.dumps(form)[1:-1] for each in plain for form in (each, html.escape(each))}
        return json.loads(redact(json.dumps(self._shown), written))

    def _show(self, text: str, markup: str) -> None:
        if text:
            print(text, file=getattr(sys.stdout, "beneath", sys.stdout))
        if self._shown:  # only notebooks have cells
            self._shown[-1]["outputs"].append({"html": markup})

    def _python(self, cell: Cell, names: Namespace) -> None:
        self._number += 1
        file = f"<cell {self._number} of {self._context.notebook}>"
        linecache.cache[file] = (len(cell.text), None, cell.text.splitlines(keepends=True), file)
        tree = ast.parse(cell.text, file)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), names)  # noqa: S102 - running the notebook is the point
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), file, "eval"), names)  # noqa: S307 - and so is this
            if value is not None and not cell.text.rstrip().endswith(";"):
                names["_"] = value
                text = repr(value)
                self._show(text, f"<pre>{html.escape(text)}</pre>")

    def _sql(self, cell: Cell, names: Namespace) -> None:
        widgets = self._context.widgets
        for statement in statements(cell.text):
            named = {name: widgets[name] for name in PARAMETER.findall(statement) if name in widgets}
            text = re.sub(r"\$\{(\w+)\}", lambda match: widgets.get(match[1], match[0]), statement)
            frame = names["spark"].sql(text, args=named) if named else names["spark"].sql(text)
            names["_sqldf"] = frame
            if frame.columns:
                self._show(*display.shown(frame))

    def _run_here(self, cell: Cell, names: Namespace) -> None:
        """``%run``: another notebook in this one's namespace."""
        path, *settings = shlex.split(cell.text)
        for setting in settings:
            name, _, value = setting.removeprefix("$").partition("=")
            self._context.widgets[name] = value
        before = self._context.notebook
        self._context.notebook = path = self._absolute(path)
        try:
            self._cells(self._read(path), "PYTHON", names)
        finally:
            self._context.notebook = before

    def _shell(self, text: str) -> None:
        done = subprocess.run(["/bin/bash", "-c", text], capture_output=True, text=True, check=False)
        sys.stdout.write(done.stdout + done.stderr)
        if done.returncode:
            raise RuntimeError(f"%sh ended with status {done.returncode}")

    def _files(self, cell: Cell, names: Namespace) -> None:
        verb, *arguments = shlex.split(cell.text)
        value = getattr(names["dbutils"].fs, verb)(*arguments)
        self._show(str(value), f"<pre>{html.escape(str(value))}</pre>")

    def _pip(self, text: str) -> None:
        """Install nothing: what is missing is refused."""
        problems = [*pip.missing(text, lambda path: Path(self._context.local(path)))]
        if problems:
            raise RuntimeError("; ".join(problems))
        print("%pip installs nothing in the local workspace, and all that is named is here")

    def _absolute(self, path: str) -> str:
        here = posixpath.dirname(self._context.notebook or "/")
        return posixpath.normpath(posixpath.join(here, path.removeprefix("/Workspace") or "/"))

    def _read(self, path: str) -> str:
        files = Path(self._context.request["files"])
        found = [file for suffix in SUFFIXES if (file := Path(f"{files}{path}{suffix}")).is_file()]
        if not found:
            raise FileNotFoundError(f"Notebook not found: {path}. Notebooks can be specified by an absolute path")
        return found[0].read_text(encoding="utf-8")

    def _enter_folder(self, path: str) -> None:
        """A notebook works in its own folder, whose modules it can import."""
        folder = Path(self._context.request["files"] + posixpath.dirname(path))
        if folder.is_dir():
            os.chdir(folder)
            sys.path.insert(0, str(folder))


class _Tee(io.TextIOBase):
    """Text for the log that is also kept with its cell."""

    def __init__(self, beneath: TextIO, outputs: Any) -> None:
        self.beneath = beneath
        self._outputs = outputs

    def write(self, text: str) -> int:
        if self._outputs and "text" in self._outputs[-1]:
            self._outputs[-1]["text"] += text
        else:
            self._outputs.append({"text": text})
        return self.beneath.write(text)

    def flush(self) -> None:
        self.beneath.flush()

    def fileno(self) -> int:
        return self.beneath.fileno()

    def writable(self) -> bool:
        return True
