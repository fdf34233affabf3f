"""The process of one task: ``python -m local_workspace.task.main FOLDER``.

It reads ``request.json`` in the folder, runs the task as Databricks would, and leaves ``result.json``.
"""

from __future__ import annotations

import importlib.metadata
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from devkit.databricks import names
from devkit.databricks.dbutils import DBUtils, NotebookExit
from local_workspace.task import pipeline, session
from local_workspace.task.context import Context, local_arguments
from local_workspace.task.notebook_runner import NotebookRunner
from local_workspace.task.redaction import RedactingStream, redact

HERE = Path(__file__).parent


def main(folder: Path) -> int:
    """Run the task of a folder and return the exit status."""
    import json

    context = Context(folder, json.loads((folder / "request.json").read_text(encoding="utf-8")))
    sys.stdout = cast(TextIO, RedactingStream(sys.stdout, context.secrets))
    sys.stderr = cast(TextIO, RedactingStream(sys.stderr, context.secrets))
    request = context.request
    sys.path[:0] = request["libraries"]
    notebooks = NotebookRunner(context)
    names.provide_dbutils(lambda: DBUtils(context, notebooks.run_other))
    names.provide_runtime(notebooks.names())
    runs: dict[str, Callable[[], str | None]] = {
        "notebook": notebooks.run_main,
        "python": lambda: _run_python(context),
        "wheel": lambda: _run_wheel(context),
        "pipeline": lambda: pipeline.run(context),
    }
    if session.is_connect():
        session.provide_server(folder)
    result = _result_of(runs[request["kind"]], context)
    session.close()
    context.write("result.json", result)
    _flush()
    return 0 if result["succeeded"] else 1


def _result_of(run: Callable[[], str | None], context: Context) -> dict[str, Any]:
    try:
        return {"succeeded": True, "result": redact(run() or "", context.secrets)}
    except NotebookExit as ended:
        return {"succeeded": True, "result": redact(ended.value, context.secrets)}
    except SystemExit as ended:
        if ended.code in (None, 0):
            return {"succeeded": True, "result": ""}
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return _failure(ended, context)
    except BaseException as error:
        return _failure(error, context)


def _failure(error: BaseException, context: Context) -> dict[str, Any]:
    frames = _own_frames_left_out(error.__traceback__)
    trace = "".join(traceback.format_exception(type(error), error, frames))
    print(trace, file=sys.stderr)
    said = f"{type(error).__name__}: {error}"
    return {
        "succeeded": False,
        "error": redact(said, context.secrets),
        "trace": redact(trace, context.secrets),
    }


def _own_frames_left_out(trace: TracebackType | None) -> TracebackType | None:
    """Begin the trace at the task's own code."""
    own = (str(HERE), "<frozen runpy>", "<frozen importlib")
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(own):
        first = first.tb_next
    return first or trace


def _run_python(context: Context) -> None:
    path = Path(context.request["path"])
    sys.argv = [str(path), *local_arguments(context.request["parameters"], context.roots)]
    sys.path.insert(0, str(path.parent))
    os.chdir(path.parent if os.access(path.parent, os.W_OK) else context.folder)
    runpy.run_path(str(path), run_name="__main__")


def _run_wheel(context: Context) -> None:
    """Call the entry point of a package: by its metadata, else the function of the package with that name."""
    package, name = context.request["package"], context.request["entry_point"]
    sys.argv = [package, *local_arguments(context.request["parameters"], context.roots)]
    found = [each for each in _distributions(context) if _normal(each.metadata["Name"]) == _normal(package)]
    if not found:
        raise ModuleNotFoundError(
            f"Python wheel with name {package} could not be found in the libraries of the task or of its cluster"
        )
    points = [point for point in found[0].entry_points if point.name == name]
    if points:
        points[0].load()()
        return
    module = __import__(package.replace("-", "_"))
    function = getattr(module, name, None)
    if function is None:
        raise AttributeError(f"The package {package} has neither an entry point nor a function {name!r}")
    function()


def _distributions(context: Context) -> list[importlib.metadata.Distribution]:
    return list(importlib.metadata.distributions(path=context.request["libraries"]))


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(Path(sys.argv[1])))
