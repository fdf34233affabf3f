"""Updates of pipelines: each is a process in which `local_pipelines` runs the sources on the workspace's tables.

Source: https://docs.databricks.com/ldp/updates
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from databricks.sdk.service.compute import Library
from databricks.sdk.service.pipelines import (
    PipelineLibrary,
    PipelineSpec,
    ReplaceWhereOverride,
    UpdateInfo,
    UpdateInfoState,
)
from databricks.sdk.service.workspace import ObjectType

from devkit.databricks import pip
from local_workspace.compute import spark_environment
from local_workspace.errors import ApiError, invalid, not_found
from local_workspace.runs import launching, libraries, process_tasks
from local_workspace.server.paths import local_path, roots_of
from local_workspace.server.state import State
from local_workspace.services.workspace_objects import WorkspaceObjects
from local_workspace.task.notebook_cells import cells_of
from local_workspace.task.pipeline import EVENTS
from spark_utils.errors import SparkUtilsError

CODE: Final = {"PYTHON": ".py", "SQL": ".sql"}
FILES: Final = (*CODE.values(), ".ipynb")
PIP: Final = re.compile(r"^# MAGIC %pip .*$", re.MULTILINE)
NOT_IN_PIPELINES: Final = ("run", "sh", "fs")
NOT_FOLLOWED: Final = ("refresh_flow_selection", "reset_checkpoint_selection", "rewind_spec")
NO_SOURCE: Final = "The pipeline has no source: give it a library of kind file, notebook or glob"


@dataclass
class Ending:
    """How an update ended.

    Attributes:
        state: COMPLETED, FAILED or CANCELED.
        problems: Why it failed, where no event of the log says so.
    """

    state: UpdateInfoState
    problems: list[str] = field(default_factory=list)


def refuse_selections(given: Mapping[str, Any]) -> None:
    """Refuse a selection that is not followed here.

    Raises:
        ApiError: 400 when there is one.
    """
    if refused := [name for name in NOT_FOLLOWED if given.get(name)]:
        remedy = "Select tables instead, by refresh_selection or full_refresh_selection"
        raise invalid(f"{', '.join(refused)} is not supported on a local workspace. {remedy}")


def conditions_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the conditions by flow that a request gives as ``replace_where_overrides``.

    Source: https://docs.databricks.com/ldp/flows-replace-where

    Raises:
        ApiError: 400 when one names no flow or no condition.
    """
    listed = given.get("replace_where_overrides") or []
    listed = listed if isinstance(listed, list) else [listed]
    found = [ReplaceWhereOverride.from_dict(each if isinstance(each, dict) else {}) for each in listed]
    for each in found:
        if not each.flow_name or not each.predicate_override:
            said = f"not {each.flow_name!r} and {each.predicate_override!r}"
            raise invalid(f"replace_where_overrides: each needs both flow_name and predicate_override, {said}")
    return {str(each.flow_name): str(each.predicate_override) for each in found}


def folder_of(state: State, update: UpdateInfo) -> Path:
    """Return the folder of an update's process, which may not exist."""
    return state.folder / "updates" / str(update.update_id)


def run(
    state: State,
    update: UpdateInfo,
    stop: launching.Stop,
    processes: launching.Processes,
    conditions: Mapping[str, str],
) -> Ending:
    """Run an update in a process, with these conditions of its flows (`conditions_of`), and say how it ended."""
    folder = folder_of(state, update)
    try:
        command, variables = _prepare(state, update, folder, conditions)
    except (ApiError, SparkUtilsError, libraries.LibraryError) as error:
        return Ending(UpdateInfoState.FAILED, [str(error)])
    status = processes.run(command, folder, variables, stop, lambda: None)
    shutil.rmtree(folder / "spark", ignore_errors=True)  # its settings may hold secrets
    found = launching.read(folder, "result.json")
    if found and found["succeeded"]:
        told = json.loads(found["result"])
        return Ending(UpdateInfoState(told["state"]), [shown(state, update, each) for each in told["problems"]])
    if stop.result is not None:
        return Ending(UpdateInfoState.CANCELED)
    problem = found["error"] if found else f"The process of the update exited with status {status} before its end"
    return Ending(UpdateInfoState.FAILED, [problem])


def events_of(state: State, update: UpdateInfo) -> Iterator[dict[str, Any]]:
    """Yield the events that an update has told so far, with the workspace's paths in them."""
    file = folder_of(state, update) / EVENTS
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(shown(state, update, line))


def shown(state: State, update: UpdateInfo, text: str) -> str:
    """Return a text with the workspace's paths for those of this machine."""
    text = text.replace(f"{folder_of(state, update)}/sources", "").replace(f"{state.path('warehouse')}/", "")
    return text.replace(str(state.path("files")), "/Workspace")


def forget(state: State, pipeline_id: str, *, cascade: bool) -> None:
    """Delete what a pipeline keeps and, with `cascade`, the tables that it has published."""
    storage = _storage(state, pipeline_id)
    for flows in storage.glob("flows/*/*/*") if cascade else ():
        name = flows.relative_to(storage / "flows").parts
        if not storage.joinpath("private", *name).exists():
            shutil.rmtree(state.path("warehouse").joinpath(*name), ignore_errors=True)
    shutil.rmtree(storage, ignore_errors=True)


def _storage(state: State, pipeline_id: str) -> Path:
    return state.folder / "pipelines" / pipeline_id


def _prepare(
    state: State, update: UpdateInfo, folder: Path, conditions: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Write the request, and return the command and its environment.

    Raises:
        ApiError: A source is missing.
        LibraryError: A library is missing.
        SparkUtilsError: Spark cannot be had on this machine.
    """
    spec = update.config or PipelineSpec()
    folder.mkdir(parents=True)
    with state.lock:
        found = _sources(state, spec)
        files = [_notebook(state, each, folder / "sources") if isinstance(each, str) else each for each in found]
        installed = [line for each in found if isinstance(each, str) for line in _pip(state, each)]
        folders = [local_path(state, spec.root_path)] if spec.root_path else []
        folders += [
            (local_path(state, f"/Workspace{each}") if isinstance(each, str) else each).parent for each in found
        ]
    request = {
        "kind": "pipeline",
        "pipeline": {
            "name": spec.name,
            "files": [str(file) for file in files],
            "folders": [str(each) for each in dict.fromkeys([*folders, *(file.parent for file in files)])],
            "catalog": spec.catalog or "main",
            "schema": spec.schema or spec.target or "default",
            "parameters": {**(spec.configuration or {}), **(update.parameters or {})},
            "storage": str(_storage(state, str(update.pipeline_id))),
            "options": {**_options(state, update), "replace_where": dict(conditions)},
        },
        "libraries": libraries.prepare(state, [*_libraries(spec), *libraries.of_environment(installed)]),
        "values": {},
    }
    given = (pair for each in spec.clusters or [] for pair in (each.spark_conf or {}).items())
    conf = {key: process_tasks.revealed(state, value) for key, value in given}
    spark = spark_environment.variables(state, folder / "spark", conf, f"update-{update.update_id}")
    command = launching.task_command(state, folder, request, roots_of(state))
    return command, launching.environment(state.host, state.token, spark)


def _options(state: State, update: UpdateInfo) -> dict[str, Any]:
    """Return the options of `run_update`."""
    return {
        "tables": str(state.path("warehouse")),
        "full_refresh": bool(update.full_refresh) or update.full_refresh_selection or False,
        "refresh": update.refresh_selection or [],
        "validate_only": bool(update.validate_only),
        "continuous": bool(update.config and update.config.continuous),
        "update_id": update.update_id,
    }


def _libraries(spec: PipelineSpec) -> list[Library]:
    wheels = [Library(whl=each.whl) for each in spec.libraries or [] if each.whl]
    return [*wheels, *libraries.of_environment((spec.environment and spec.environment.dependencies) or [])]


def _sources(state: State, spec: PipelineSpec) -> list[Path | str]:
    """Return a pipeline's sources: files of this machine, and paths of notebooks in the workspace.

    Raises:
        ApiError: A file is missing, or there is no source.
    """
    found = [source for library in spec.libraries or [] for source in _of_library(state, library)]
    if not found:
        raise invalid(NO_SOURCE)
    return list(dict.fromkeys(found))


def _of_library(state: State, library: PipelineLibrary) -> Iterator[Path | str]:
    if library.notebook:
        yield (library.notebook.path or "").removeprefix("/Workspace")
    elif library.file:
        file = local_path(state, str(library.file.path))
        if not file.is_file():
            raise not_found(f"The file {library.file.path} does not exist")
        yield file
    elif library.glob:
        include = str(library.glob.include)
        base = include.partition("*")[0].rpartition("/")[0]
        matches = local_path(state, f"{base}/").glob(include.removeprefix(base).lstrip("/") or "*")
        inside = [file for each in matches for file in ([each] if each.is_file() else each.rglob("*"))]
        files = sorted({file for file in inside if file.is_file()})
        found = [_notebook_at(state, file) or file for file in files]
        found = [each for each in found if isinstance(each, str) or each.suffix in FILES]
        if not found:
            raise not_found(f"No notebook and no .py, .sql or .ipynb file matches {include}")
        yield from found


def _notebook_at(state: State, file: Path) -> str | None:
    """Return the workspace's path of the notebook whose content a file holds, or nothing when it holds none."""
    objects = state.service(WorkspaceObjects)
    if not file.is_relative_to(objects.root):
        return None
    path = f"/{file.relative_to(objects.root).as_posix()}"
    for name in (path, path.rpartition(".")[0]):  # in a Git folder, its name has no suffix
        info = objects.find(name) if name else None
        if info and info.object_type is ObjectType.NOTEBOOK and objects.file(name) == file:
            return name
    return None


def _pip(state: State, path: str) -> Iterator[str]:
    """Yield what the cells `%pip install …` of a notebook name, as lines of requirements."""
    text, language, _ = state.service(WorkspaceObjects).notebook(path)
    for cell in cells_of(text, language):
        if cell.language in NOT_IN_PIPELINES:
            raise invalid(f"The notebook {path} has a cell %{cell.language}: of those, a pipeline takes %pip alone")
        yield from pip.named(cell.text) if cell.language == "pip" else ()


def _notebook(state: State, path: str, written: Path) -> Path:
    """Write a notebook's code as a file, its lines where they are."""
    text, language, kind = state.service(WorkspaceObjects).notebook(path)
    if language not in CODE:
        raise invalid(f"The notebook {path} is in {language}: a pipeline takes Python and SQL")
    if language == "SQL" or kind == "JUPYTER":
        cells = [cell.text for cell in cells_of(text, language) if cell.language == language.lower()]
        text = "".join(f"{cell.rstrip().removesuffix(';')};\n" if language == "SQL" else f"{cell}\n" for cell in cells)
    file = written / f"{path.lstrip('/')}{CODE[language]}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(PIP.sub("#", text), encoding="utf-8")  # `_pip` has read them
    return file
