"""A pipeline's Python files, run as they are, with ``spark`` and ``dbutils`` given as globals."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # ships no types
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from devkit.databricks import pip
from devkit.databricks.dbutils import NotebookExit
from devkit.deploy.declaration.yaml_files import read_yaml
from local_pipelines.declaring.notebooks import source_of
from local_pipelines.declaring.registry import Registry, declared_at
from local_pipelines.errors import DefinitionError, PipelineError, Place, not_set
from spark_utils.pipelines import DLTMetaMixin

FAILED_STREAM = re.compile(r"^\[STREAM_FAILED\] Query \[[^]]*\] terminated with exception: ")
PIP = re.compile(r"^# MAGIC %pip(.*)$", re.MULTILINE)  # a comment in a notebook as source


def run_file(path: Path, given: Mapping[str, Any], registry: Registry, conf: dict[str, Any] | None = None) -> None:
    """Run one file so that what it declares goes to the current registry; note what it fails with.

    Args:
        path: The file.
        given: The globals that it finds, ``spark`` among them.
        registry: Where mistakes go.
        conf: Of the configured classes (`DLTMetaMixin`) in the file: each is made with it.
    """
    # As a notebook's: what stands in `__main__` is pickled whole, so that its functions reach Spark's Python workers.
    module = ModuleType("__main__")
    module.__dict__.update({**given, "__file__": str(path)})
    text = source_of(path)
    for match in PIP.finditer(text):
        place = Place(str(path), text.count("\n", 0, match.start()) + 1)
        for missing in pip.missing(match[1], path.parent.joinpath):
            registry.problem(missing, place)
    try:
        code = compile(text, str(path), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102  # the user's own program
        if conf is not None:
            for name in configured_classes(module):
                module.__dict__[name](spark=given["spark"], init_conf=conf)
    except SyntaxError as error:
        registry.problem(f"invalid syntax: {error.msg}", Place(str(path), error.lineno or 0), undeclared=True)
    except (Exception, SystemExit, NotebookExit) as error:
        registry.problem(reason_of(error), place_of(error, [path]) or Place(str(path), 0), undeclared=True)


def run_outputs(path: Path, conf: Mapping[str, Any], spark: SparkSession, registry: Registry) -> None:
    """Declare the outputs that a pipeline's YAML holds under ``dlt``; note what is wrong with each at its line."""
    lines = read_yaml(path).lines
    listed = conf["dlt"] if isinstance(conf["dlt"], list) else [conf["dlt"]]
    for number, output in enumerate(listed):
        found = [line for place, line in lines.items() if place[-2:] == ("dlt", number) or place[-1:] == ("dlt",)]
        place = Place(str(path), max(found, default=0))
        try:
            with declared_at(place):
                DLTMetaMixin(spark, {**conf, "dlt": [output]})
        except Exception as error:
            registry.problem(reason_of(error), place, undeclared=True)


def configured_classes(module: ModuleType) -> list[str]:
    """Return the names of the configured classes that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, DLTMetaMixin) and value.__module__ == module.__name__
    ]


def ship_helpers(folders: Sequence[Path]) -> None:
    """Let functions of the helper modules beside the sources reach Spark's Python workers too."""
    for name in _helpers(folders):
        cloudpickle.register_pickle_by_value(sys.modules[name])  # type: ignore[no-untyped-call]


def _helpers(folders: Sequence[Path]) -> list[str]:
    """Return the modules that were imported from folders; not what is installed, though it may lie there too.

    That is the library, where it is a project's own, and the packages of an environment beside the sources.
    """
    roots = tuple(f"{folder}/" for folder in folders)
    files = {name: str(getattr(module, "__file__", None) or "") for name, module in sys.modules.items()}
    inside = (name for name, file in files.items() if file.startswith(roots) and "/site-packages/" not in file)
    return [name for name in inside if name.partition(".")[0] != "spark_utils"]


def reason_of(error: BaseException) -> str:
    """Return one readable sentence of an error: its condition and message, without plans and stack traces."""
    if isinstance(error, PySparkException):
        if error.getCondition() == "SQL_CONF_NOT_FOUND":
            key = (error.getMessageParameters() or {}).get("sqlConf", "").strip('"')
            return not_set(key)
        text = FAILED_STREAM.sub("", str(error).strip())
        for beginning in ("\n\nJVM stacktrace", ";\n'", "\n== SQL", "\n"):
            text = text.split(beginning, maxsplit=1)[0]
        return _without_raise(text.rstrip("; "))
    if isinstance(error, DefinitionError):
        return str(error)
    if isinstance(error, Py4JJavaError):
        return _reason_of_java(error.java_exception)
    text = str(error)
    ours = type(error).__module__.startswith(("local_pipelines", "spark_utils"))
    return text if ours else f"{type(error).__name__}: {text}"


def _reason_of_java(error: Any) -> str:
    """Return the first line of the innermost message."""
    message, error = error.getMessage() or error.toString(), error.getCause()
    while error is not None and "ClassNotFound" not in error.getClass().getName():  # Spark's own says of what
        message = error.getMessage() or message
        error = error.getCause()
    return _without_raise(str(message).strip().split("\n", maxsplit=1)[0])


def _without_raise(line: str) -> str:
    """Return a message without what `raise_error`, ours too, puts around it."""
    return line.removeprefix("[USER_RAISED_EXCEPTION] ").removesuffix(" SQLSTATE: P0001")


def place_of(error: BaseException, files: Sequence[Path]) -> Place | None:
    """Return the innermost line of the given files, or else of any file of the user's, that an error passed."""
    if isinstance(error, PipelineError) and error.place is not None:
        return error.place
    frames = traceback.extract_tb(error.__traceback__)
    names = {str(path) for path in files}
    for frame in reversed(frames):
        if frame.filename in names:
            return Place(frame.filename, frame.lineno or 0)
    return None


@contextmanager
def importing_from(folders: Sequence[Path]) -> Iterator[None]:
    """Let files import helpers beside them; what is imported from there is forgotten afterwards, to be read anew."""
    before_path, before_modules = list(sys.path), set(sys.modules)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before_path
        for name in set(_helpers(folders)) - before_modules:
            del sys.modules[name]
