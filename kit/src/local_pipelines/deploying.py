"""``devkit pipeline deploy``: the workflow specifications of dltflow, deployed as `devkit deploy` deploys.

A specification (``ENVIRONMENT: {workflows: [{name, …, tasks: {items, dependencies}}]}``) becomes a declaration: the
folders of its files, its wheels, a small source that makes the configured classes, and the pipeline. Each environment
has resources of its own, and with ``--as-individual`` so has each user. A pipeline's YAML without code (key ``dlt``) is
deployed too: its source makes `DLTMetaMixin` itself.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import pprint
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Final

from devkit.deploy.commands import add_workspace_arguments, apply_declaration, masked
from devkit.deploy.declaration.checking import mistakes_of, suggestion
from devkit.deploy.declaration.kinds import KINDS
from devkit.deploy.declaration.loading import workspace_settings
from devkit.deploy.declaration.yaml_files import Document, read_yaml
from devkit.deploy.errors import DeclarationError
from local_pipelines.declaring import sources
from spark_utils.pipelines.steps import SCHEMA_FILES

# What a specification of dltflow says beside the SDK's settings of a pipeline.
OWN_KEYS: Final = ("tasks", "access_control_list", "pipeline_type", "workflow_type", "data_sampling", "dlt")
BASE: Final = "DLTMetaMixin"
BASE_MODULE: Final = "spark_utils.pipelines"
HEAD: Final = '"""The pipeline {name}, written by `devkit pipeline deploy` from {file}: change it there."""\n'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--deployment-file FILE [--environment NAME] [--as-individual] [--adopt]`, and those of a workspace."""
    parser.add_argument(
        "--deployment-file", type=Path, required=True, metavar="FILE", help="workflow specifications by environment"
    )
    parser.add_argument(
        "--as-individual", action="store_true", help="deploy copies of your own, named [ENVIRONMENT_USER] NAME"
    )
    parser.add_argument("--adopt", action="store_true", help="take over what has a declared name and no owner")
    add_workspace_arguments(parser)
    parser.set_defaults(run=masked(deploy), expect=None)


def deploy(arguments: argparse.Namespace) -> int:
    """Deploy the pipelines of an environment: create them, or edit those that an earlier deployment created.

    Raises:
        DeclarationError: The specification has mistakes, all of them told; nothing was changed.
    """
    from devkit.deploy.workspace.sign_in import sign_in

    file = arguments.folder / "environments" / f"{arguments.environment}.yml"
    declared = (read_yaml(file).content if file.is_file() else None) or {}
    settings = workspace_settings(arguments.environment, arguments.folder)
    project, home = f"{declared.get('project') or _plain(Path.cwd().name)}.pipelines", "/Workspace/Shared"
    prefix = ""
    if arguments.as_individual:
        given = {"profile": arguments.profile, "proxy": arguments.proxy}
        client = sign_in({**settings, **{name: value for name, value in given.items() if value}}, arguments.values)
        user = str(client.current_user.me().user_name)
        project, home = f"{project}.{_plain(user)}", f"/Workspace/Users/{user}"
        prefix = f"[{arguments.environment}_{user}] "
    root = f"{home}/{project}/{arguments.environment}"
    document = read_yaml(arguments.deployment_file)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        resources = Specification(document, arguments.environment, folder, prefix).resources()
        top = {"project": project, "workspace": {**settings, "root": root}, "resources": resources}
        place = folder / "environments" / f"{arguments.environment}.yml"
        place.parent.mkdir()
        place.write_text(json.dumps(top, ensure_ascii=False), encoding="utf-8")  # YAML 1.2 has JSON in it
        arguments.folder, arguments.base = folder, arguments.base or Path.cwd()
        return apply_declaration(arguments)


@dataclass
class Specification:
    """The workflow specifications of one environment, on their way to a declaration.

    Attributes:
        document: The file.
        environment: One of its keys.
        folder: Where generated sources are written.
        prefix: Of the pipelines' names.
    """

    document: Document
    environment: str
    folder: Path
    prefix: str = ""
    _found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the resources by kind and key.

        Raises:
            DeclarationError: With every mistake of the file.
        """
        content = self.document.content if isinstance(self.document.content, dict) else {}
        environment = content.get(self.environment)
        place: tuple[str | int, ...] = (self.environment, "workflows")
        if "dlt" in content:
            environment, place = {"workflows": [_of_outputs(content, self.document.file)]}, ()
        if not isinstance(environment, dict) or not isinstance(environment.get("workflows"), list):
            known = [name for name, value in content.items() if isinstance(value, dict) and "workflows" in value]
            hint = suggestion(self.environment, known)
            problem = f"the environment {self.environment!r} has no workflows; {hint}"
            raise DeclarationError([f"{self.document.place((self.environment,))}: {problem}"])
        bodies = [_with_flags(each) for each in environment["workflows"]]
        paths = [(*place, index) if place else () for index in range(len(bodies))]
        mistakes = [*self.document.mistakes]
        for body, path in zip(bodies, paths, strict=True):
            mistakes += self._mistakes(body, path)
        if mistakes:
            raise DeclarationError(mistakes)
        for body, path in zip(bodies, paths, strict=True):
            self._add(body, path)
        return self._found

    def _mistakes(self, body: Any, path: tuple[str | int, ...]) -> Iterator[str]:
        known = {**KINDS["pipelines"].fields, **dict.fromkeys(OWN_KEYS, Any), "tasks": _tasks()}
        if not isinstance(body, dict):
            yield f"{self.document.place(path)}: a workflow must be a mapping"
            return
        yield from mistakes_of(body, known, self.document.place, path)
        tasks = body.get("tasks")
        items = (tasks.get("items") if isinstance(tasks, dict) else None) or []
        missing = [] if body.get("name") else ["name"]
        missing += [] if items else ["tasks.items"]
        missing += ["python_file or --conf of each item"] if any(_is_empty(each) for each in items) else []
        for what in missing:
            yield f"{self.document.place(path)}: a workflow needs {what}"

    def _add(self, workflow: Mapping[str, Any], path: tuple[str | int, ...]) -> None:
        """Add a pipeline with its files, its wheels, and the source that makes its configured classes."""
        name, tasks = str(workflow["name"]), workflow["tasks"]
        key = _plain(name)
        place = f"pipelines/{key}"
        libraries: list[str] = []
        made: list[tuple[str, list[str], dict[str, Any]]] = []
        for item in tasks["items"]:
            conf = self._conf([str(word) for word in item.get("parameters") or []])
            if "python_file" not in item:
                made.append((BASE_MODULE, [BASE], conf or {}))
                continue
            said = str(item["python_file"])
            file = sources.found_above(said, self.document.file)
            self._upload(said, file, key)
            if conf is None:
                libraries.append(said)
            else:
                made.append((said.removesuffix(".py").replace("/", "."), classes_of(file), conf))
        if made:
            source = self.folder / f"{key}.py"
            source.write_text(source_text(name, self.document.shown_as, made), encoding="utf-8")
            self._resource("files", f"{key}-source", {"file": str(source), "path": f"{place}/{key}.py"})
            libraries.append(f"{key}.py")
        body = {field: value for field, value in workflow.items() if field not in OWN_KEYS}
        root = f"${{workspace.root}}/{place}"
        body |= {"name": f"{self.prefix}{name}", "root_path": root}
        body["libraries"] = [*body.get("libraries", []), *({"file": {"path": f"{root}/{each}"}} for each in libraries)]
        if dependencies := [*self._dependencies(tasks.get("dependencies") or [], key, path)]:
            body["environment"] = {"dependencies": dependencies}
        if listed := workflow.get("access_control_list"):
            body["permissions"] = [
                {"level" if field == "permission_level" else field: value for field, value in each.items()}
                for each in listed
            ]
        self._resource("pipelines", key, body)

    def _upload(self, said: str, file: Path, key: str) -> None:
        """Declare a file beneath the pipeline's root, with the folder that it stands in and imports from."""
        top, *rest = Path(said).parts
        path, name = f"pipelines/{key}/{top}", f"{key}-{_plain(top)}"
        if rest:
            self._resource("folders", name, {"folder": str(file.parents[len(rest) - 1]), "path": path})
        else:
            self._resource("files", name, {"file": str(file), "path": path})

    def _conf(self, words: list[str]) -> dict[str, Any] | None:
        """Return the configuration that parameters name (``--conf FILE``), or nothing."""
        named = [value for option, value in itertools.pairwise(words) if option in sources.CONF_OPTIONS]
        if not named:
            return None
        file = sources.found_above(named[-1], self.document.file)
        content = read_yaml(file).content
        return with_schemas(content, file.parent) if isinstance(content, dict) else {}

    def _dependencies(self, declared: list[dict[str, Any]], key: str, path: tuple[str | int, ...]) -> Iterator[str]:
        """Yield what pip takes; a wheel of this machine is uploaded."""
        for number, each in enumerate(declared):
            wheel = str(each.get("whl", ""))
            if not wheel:
                yield str(each["pypi"]["package"])
            elif wheel.startswith(("/", "dbfs:")):
                yield wheel
            elif (count := len([*Path.cwd().glob(wheel)])) != 1:
                place = self.document.place((*path, "tasks", "dependencies", number))
                raise DeclarationError([f"{place}: {count} files match {wheel!r}; exactly one must: build the wheel"])
            else:
                self._resource("wheels", f"{key}-{number}", {"file": wheel})
                yield f"${{wheels.{key}-{number}.path}}"

    def _resource(self, kind: str, key: str, body: dict[str, Any]) -> None:
        self._found.setdefault(kind, {})[key] = body


def source_text(name: str, file: str, made: list[tuple[str, list[str], dict[str, Any]]]) -> str:
    """Return the source that makes configured classes: module, names of the classes, configuration of each."""
    imports = [f"from {module} import {', '.join(classes)}\n" for module, classes, _ in made]
    calls = [
        f"\n{each}(spark=spark, init_conf={pprint.pformat(conf, width=100, sort_dicts=False)})\n"
        for _, classes, conf in made
        for each in classes
    ]
    return "".join([HEAD.format(name=name, file=file), "\n", *imports, *calls])


def classes_of(file: Path) -> list[str]:
    """Return the configured classes of a file, found in its text: those with the mixin, else those with any base.

    Raises:
        DeclarationError: It has none.
    """
    classes = [each for each in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(each, ast.ClassDef)]
    bases = {each.name: {ast.unparse(base).rpartition(".")[2] for base in each.bases} for each in classes}
    mixed = {BASE}
    for _ in bases:
        mixed |= {name for name, above in bases.items() if above & mixed}
    found = [name for name in bases if name in mixed] or [name for name, above in bases.items() if above]
    if not found:
        raise DeclarationError([f"{file}: it has a configuration, but no class that inherits from {BASE}"])
    return found


def _tasks() -> type:
    """Return the type of a workflow's tasks; the SDK is imported when a specification is read, not by every verb."""
    from databricks.sdk.service.compute import Library

    item = make_dataclass("Item", [("python_file", str | None, None), ("parameters", list[str] | None, None)])
    return make_dataclass("Tasks", [("items", list[item]), ("dependencies", list[Library] | None, None)])  # type: ignore[valid-type]


def _of_outputs(content: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return a pipeline's YAML without code as a workflow: its one item has a configuration, which is the file."""
    listed = (content.get("environment") or {}).get("dependencies") or []
    needed = [{"whl": each} if each.endswith(".whl") else {"pypi": {"package": each}} for each in listed]
    settings = {key: value for key, value in content.items() if key not in ("dlt", "environment")}
    item = {"parameters": [sources.CONF_OPTIONS[0], file.name]}
    return {"name": file.stem, **settings, "tasks": {"items": [item], "dependencies": needed}}


def with_schemas(value: Any, folder: Path) -> Any:
    """Return a configuration with the texts of the schema files that it names, which the workspace has not.

    Raises:
        DeclarationError: There is no such file.
    """
    if isinstance(value, list):
        return [with_schemas(each, folder) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: with_schemas(each, folder) for key, each in value.items()}
    if isinstance(schema := found.get("schema"), str) and schema.endswith(SCHEMA_FILES):
        if not (folder / schema).is_file():
            raise DeclarationError([f"{folder / schema}: the file does not exist"])
        found["schema"] = (folder / schema).read_text(encoding="utf-8-sig")
    return found


def _is_empty(item: Any) -> bool:
    words = item.get("parameters") or [] if isinstance(item, dict) else []
    return not (isinstance(item, dict) and "python_file" in item) and not {*sources.CONF_OPTIONS} & {*map(str, words)}


def _with_flags(workflow: Any) -> Any:
    """Return a workflow whose flags are no texts: dltflow's own examples write "true"."""
    flags = {"true": True, "false": False}
    if not isinstance(workflow, dict):
        return workflow
    return {key: flags.get(value, value) if isinstance(value, str) else value for key, value in workflow.items()}


def _plain(name: str) -> str:
    """Return a name as a key: letters, digits, dots, hyphens."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-")
