"""A job's own file, run down to where it would write: its steps, for who tries them on a sample.

The file is a flat script of `# %%` cells that reads arguments, builds its steps, and calls `write_stream`. Here it runs
as it is, but ends above the cell with that call, so nothing is written and no query starts.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from spark_utils.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_utils import StreamingConfig

STEPS = ("spark", "config", "to_parsed", "to_events", "to_rejected")
CELL = "# %%"
LIBRARY = "spark_utils"


@dataclass(frozen=True)
class JobSteps:
    """What a job's file defines above its write, by these names.

    Attributes:
        spark: Its session.
        config: Its arguments.
        to_parsed: From source rows to all of them with a verdict.
        to_events: From these to the rows of the table `events`.
        to_rejected: From these to the rows of the table `rejected`.
    """

    spark: SparkSession
    config: StreamingConfig
    to_parsed: Callable[[DataFrame], DataFrame]
    to_events: Callable[[DataFrame], DataFrame]
    to_rejected: Callable[[DataFrame], DataFrame]


def load_steps(file: Path, arguments: Sequence[str]) -> JobSteps:
    """Run a job's file down to its write, with every module beside it as it is on disk now.

    Raises:
        ConfigurationError: The file has no call of `write_stream`, or lacks a name that is needed.
        Exception: What the user's own code raises, its trace cut to begin in the file.
    """
    file = file.resolve()
    code = _above_the_write(file)
    _forget_modules(file.parent)
    names: dict[str, object] = {"__name__": "__main__", "__file__": str(file)}
    try:
        with _as_script(file, arguments):
            exec(code, names)  # noqa: S102 - the user's own job, as `python FILE` would run it
    except Exception as error:
        raise error.with_traceback(error.__traceback__ and error.__traceback__.tb_next) from None
    if missing := [name for name in STEPS if name not in names]:
        raise ConfigurationError(
            f"there is no {', '.join(missing)} above the call of write_stream",
            origin=str(file),
            remedy="Define the steps by these names, as src/streaming_job.py does.",
        )
    return JobSteps(**{name: names[name] for name in STEPS})  # type: ignore[arg-type]  # what a script defines


def own_modules(folder: Path) -> list[str]:
    """Return the names of the loaded modules that lie under a folder: not the library's, nor installed ones."""
    found = [(name, Path(getattr(module, "__file__", None) or "/")) for name, module in list(sys.modules.items())]
    return [name for name, path in found if is_own_file(path, folder) and name != "__main__"]


def is_own_file(path: Path, folder: Path) -> bool:
    """Return whether a file is the user's own under a folder: not the library's, nor an installed package's."""
    return path.is_relative_to(folder) and not {LIBRARY, "site-packages"} & {*path.relative_to(folder).parts}


def _above_the_write(file: Path) -> CodeType:
    """Compile what stands above the cell that calls `write_stream`."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text, str(file))
    writes = next((each.lineno for each in tree.body if _calls(each, "write_stream")), None)
    if writes is None:
        raise ConfigurationError(
            "no statement calls write_stream",
            origin=str(file),
            remedy="Name the job's own file by --job; it is run down to that call.",
        )
    marks = [number for number, line in enumerate(text.splitlines(), start=1) if line.startswith(CELL)]
    end = max((number for number in marks if number < writes), default=writes)
    tree.body = [each for each in tree.body if each.lineno < end]
    code: CodeType = compile(tree, str(file), "exec")
    return code


def _calls(statement: ast.stmt, name: str) -> bool:
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    return any(name in (getattr(func, "id", None), getattr(func, "attr", None)) for func in calls)


def _forget_modules(folder: Path) -> None:
    for name in own_modules(folder):
        del sys.modules[name]
    importlib.invalidate_caches()


@contextmanager
def _as_script(file: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Give the script its arguments and its folder, and keep compiled modules of an older second out of the way."""
    before = (sys.argv, sys.path, sys.dont_write_bytecode, sys.excepthook)
    sys.argv, sys.path = [str(file), *arguments], [str(file.parent), *sys.path]
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.argv, sys.path, sys.dont_write_bytecode, sys.excepthook = before
