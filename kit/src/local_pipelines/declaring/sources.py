"""What a SOURCE names: Python and SQL files, folders of them, a pipeline's YAML as Databricks and bundles write it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from devkit.databricks import paths
from local_pipelines.declaring.bundles import mapping_in, resolved
from local_pipelines.declaring.model import Definitions
from local_pipelines.declaring.notebooks import is_sql
from local_pipelines.declaring.python_source import run_file, run_outputs, ship_helpers
from local_pipelines.declaring.registry import Registry, collecting
from local_pipelines.errors import DefinitionError, PipelineError, Place, Problem
from local_pipelines.flows import reads
from local_pipelines.flows.resolving import OutsideOfQueries
from local_pipelines.storage import Storage
from spark_utils.names import suggestion
from spark_utils.session import get_dbutils

YAML = {".yml", ".yaml", ".json"}
CODE = {".py", ".sql", ".ipynb"}
PIPELINE_KEYS = {
    *("name", "id", "catalog", "schema", "target", "libraries", "configuration", "root_path", "storage"),
    *("continuous", "development", "serverless", "photon", "channel", "edition", "clusters", "notifications"),
    *("permissions", "tags", "budget_policy_id", "environment", "event_log", "run_as", "lifecycle", "filters"),
    *("allow_duplicate_names", "gateway_definition", "ingestion_definition", "restart_window", "trigger", "deployment"),
    *("dry_run", "definitions", "database", "usage_policy_id", "parameters", "serverless_compute_id", "parent_path"),
    "dlt",  # ours: outputs without a class
}
NOT_HERE = ("filters", "gateway_definition", "ingestion_definition")  # of the keys: what they ask for is not done here
CONF_OPTIONS = ("--conf", "--conf-file")  # of an item of a workflow specification


@dataclass
class PipelineSource:
    """What a SOURCE means.

    Attributes:
        name: Of the pipeline.
        files: Python and SQL files, in order.
        folders: Where helpers are imported from.
        catalog: Default catalog.
        schema: Default schema.
        configuration: The pipeline's parameters.
        continuous: Whether it is meant to run on and on.
        confs: Configuration of the configured classes in a file, by file; for all others under no file.
        outputs: Content of the pipelines' YAML whose key ``dlt`` declares outputs without a class, by file.
    """

    name: str = "pipeline"
    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    catalog: str = "main"
    schema: str = "default"
    configuration: dict[str, str] = field(default_factory=dict)
    continuous: bool = False
    confs: dict[Path | None, Path] = field(default_factory=dict)
    outputs: dict[Path, dict[str, Any]] = field(default_factory=dict)


def find(sources: Sequence[str | Path]) -> PipelineSource:
    """Return what sources name.

    Raises:
        PipelineError: One does not exist, is of no known kind, or is a YAML file with mistakes.
    """
    found = PipelineSource()
    for number, given in enumerate(sources):
        path = Path(given).absolute()
        if not path.exists():
            raise PipelineError(f"{given} does not exist", origin="SOURCE")
        if number == 0:
            found.name = path.stem
        if path.suffix in YAML:
            _add_yaml(found, path)
        else:
            _add_code(found, path, str(given))
    if not found.files:
        named = ", ".join(map(str, sources))
        raise PipelineError(f"no .py or .sql file in {named}, and no key 'dlt'", origin="SOURCE")
    found.files = list(dict.fromkeys(found.files))
    found.folders = list(dict.fromkeys([*found.folders, *(file.parent for file in found.files)]))
    return found


def _add_code(found: PipelineSource, path: Path, said: str) -> None:
    if path.is_dir():
        found.files += _code_in(path)
        found.folders.append(path)
    elif path.suffix in CODE:
        found.files.append(path)
    else:
        raise PipelineError(
            f"{said} is no pipeline source", remedy="Give a .py, .sql or .ipynb file, a folder, or a pipeline's YAML."
        )


def _code_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.suffix in CODE and not any(part.startswith((".", "__")) for part in inside):
            yield path


def _add_yaml(found: PipelineSource, path: Path) -> None:
    content = mapping_in(path)
    environments = {key: value for key, value in content.items() if isinstance(value, dict) and "workflows" in value}
    if environments:
        _add_workflow(found, environments.get("dev") or next(iter(environments.values())), path)
        return
    spec = resolved(_pipeline_of(content, path), content, path)
    wrong = [f"unknown key '{key}'{suggestion(key, PIPELINE_KEYS)}" for key in spec if key not in PIPELINE_KEYS]
    wrong += [f"the key '{key}' cannot be followed on this machine" for key in NOT_HERE if spec.get(key)]
    if wrong:
        raise DefinitionError(Problem(message, Place(str(path), 0)) for message in wrong)
    found.name = str(spec.get("name") or found.name)
    found.catalog = str(spec.get("catalog") or found.catalog)
    found.schema = str(spec.get("schema") or spec.get("target") or spec.get("database") or found.schema)
    found.continuous = bool(spec.get("continuous"))
    for key, value in (spec.get("configuration") or {}).items():
        found.configuration[str(key)] = str(value).lower() if isinstance(value, bool) else str(value)
    root = path.parent / str(spec["root_path"]) if spec.get("root_path") else path.parent
    found.folders.append(root.resolve())
    found.files += list(_libraries(spec.get("libraries") or [], path))
    if "dlt" in spec:
        found.files.append(path)
        found.outputs[path] = {**spec, "root_path": str(root)}


def _add_workflow(found: PipelineSource, environment: Mapping[str, Any], path: Path) -> None:
    """Add a workflow specification as dltflow writes it: ``ENVIRONMENT: {workflows: [{tasks: {items: […]}}]}``."""
    for workflow in environment["workflows"]:
        found.name = str(workflow.get("name") or found.name)
        found.catalog = str(workflow.get("catalog") or found.catalog)
        found.schema = str(workflow.get("schema") or workflow.get("target") or found.schema)
        found.continuous = found.continuous or bool(workflow.get("continuous"))
        for key, value in (workflow.get("configuration") or {}).items():
            found.configuration[str(key)] = str(value)
        for item in (workflow.get("tasks") or {}).get("items") or []:
            given = item if isinstance(item, dict) else {}
            words = [str(word) for word in given.get("parameters") or []]
            confs = [found_above(value, path) for option, value in itertools.pairwise(words) if option in CONF_OPTIONS]
            if "python_file" in given:
                file = found_above(str(given["python_file"]), path)
                found.files.append(file)
                found.confs |= {file: confs[-1]} if confs else {}
            elif confs and "dlt" in (content := mapping_in(confs[-1])):
                found.files.append(confs[-1])
                found.outputs[confs[-1]] = {**content, "root_path": str(confs[-1].parent)}
            else:
                problem = "an item of a workflow's tasks needs the key 'python_file', or a --conf with the key 'dlt'"
                raise PipelineError(problem, origin=str(path))


def found_above(said: str, path: Path) -> Path:
    """Return a file that is named from the folder of a specification, or from any folder above it.

    Raises:
        PipelineError: There is none.
    """
    for folder in path.parents:
        if (folder / said).is_file():
            return (folder / said).resolve()
    raise PipelineError(f"{said} does not exist", origin=str(path))


def conf_of(source: PipelineSource, file: Path) -> dict[str, Any] | None:
    """Return the configuration (JSON or YAML) of the configured classes in a file, or nothing when it has none."""
    path = source.confs.get(file) or source.confs.get(None)
    if path is None:
        return None
    if not path.is_file():
        raise PipelineError(f"{path} does not exist", origin="--conf-file")
    return mapping_in(path)


def _pipeline_of(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    pipelines = (content.get("resources") or {}).get("pipelines")
    if pipelines is None:
        return dict(content)
    if len(pipelines) != 1:
        raise PipelineError(f"{path} declares {len(pipelines)} pipelines ({', '.join(pipelines)}); one is expected")
    return dict(next(iter(pipelines.values())))


def _libraries(libraries: Iterable[Any], path: Path) -> Iterator[Path]:
    for library in libraries:
        kind = next(iter(library)) if isinstance(library, dict) and len(library) == 1 else None
        if kind in ("file", "notebook"):
            yield _library_file(str(library[kind]["path"]), path)
        elif kind == "glob":
            pattern = str(library["glob"]["include"])
            matches = [match for match in sorted(path.parent.glob(pattern.removeprefix("./"))) if match.exists()]
            files = [file for match in matches for file in ([*_code_in(match)] if match.is_dir() else [match])]
            files = [file for file in files if file.suffix in CODE]
            if not files:
                raise PipelineError(f"no .py or .sql file matches {pattern}", origin=str(path))
            yield from files
        elif kind not in ("whl", "jar", "maven"):
            raise PipelineError(f"cannot read the library {library!r}", origin=str(path))


def _library_file(said: str, path: Path) -> Path:
    given = path.parent / said
    for candidate in (given, *(given.with_name(given.name + suffix) for suffix in sorted(CODE))):
        if candidate.is_file():
            return candidate.resolve()
    raise PipelineError(f"{said} does not exist", origin=str(path))


def read(source: PipelineSource, spark: SparkSession, parameters: Mapping[str, str], storage: Storage) -> Definitions:
    """Run a pipeline's sources and return what they declare, with every mistake of all files.

    `local_pipelines.declaring.modules.importable` and `local_pipelines.flows.reads.patched` must be on.
    """
    definitions = Definitions(source.name, source.catalog, source.schema, parameters)
    registry, given = Registry(definitions), {"spark": spark, "dbutils": get_dbutils(spark)}
    with collecting(registry), reads.answered_by(OutsideOfQueries(definitions, spark, storage)):
        for file in source.files:
            if file in source.outputs:
                run_outputs(file, source.outputs[file], spark, registry)
            elif is_sql(file):
                from local_pipelines.sql.statements import run_sql_file

                run_sql_file(file, spark, registry)
            else:
                run_file(file, given, registry, conf_of(source, file))
        ship_helpers(source.folders)
    for dataset in registry.finish().datasets.values():
        dataset.path = dataset.path and paths.local(dataset.path, paths.roots_of(spark))
    return definitions
