"""Loading a declaration: one environment file over shared resource files, all mistakes of all files at once."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from devkit.deploy.declaration.checking import mistakes_of, suggestion
from devkit.deploy.declaration.expanding import Declared, expand, paths_of
from devkit.deploy.declaration.kinds import KINDS
from devkit.deploy.declaration.model import LONGEST_TAG, PATH_KINDS, Declaration, Desired, Owner
from devkit.deploy.declaration.variables import SECRET_SOURCES, VARIABLE, Variables
from devkit.deploy.declaration.yaml_files import Document, read_yaml
from devkit.deploy.errors import DeclarationError

DEFAULT_FOLDER: Final = Path("configuration") / "deploy"
ROOTS: Final = ("root", "volume_root", "repos_root")
WORKSPACE_KEYS: Final = (
    *ROOTS,
    "host",
    "profile",
    "proxy",
    "auth_type",
    "token",
    "client_id",
    "client_secret",
    "azure_client_id",
    "azure_client_secret",
    "azure_tenant_id",
    "azure_workspace_resource_id",
    "login_endpoint",
)
Workspace = make_dataclass("Workspace", [(name, str | None, None) for name in WORKSPACE_KEYS])
RESOURCE_FILE: Final = {
    "include": list[str],
    "variables": dict[str, Any],
    "resources": dict[str, dict[str, Any] | None],
}
ENVIRONMENT_FILE: Final = {**RESOURCE_FILE, "project": str, "workspace": Workspace, "protect": list[str]}
MOUNTS: Final = (
    "mounts are not deployed: they give every user of the workspace the same rights, and Databricks deprecated them. "
    "Declare a Unity Catalog volume over an external location instead, and read /Volumes/<catalog>/<schema>/<volume>"
)


@dataclass
class _Loading:
    """What is gathered while the files are read."""

    environment: str
    folder: Path
    base: Path
    documents: list[Document] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def load(environment: str, folder: Path = DEFAULT_FOLDER, base: Path | None = None) -> Declaration:
    """Read the desired state of an environment.

    Args:
        environment: The name of a file of ``environments/``, such as ``dev``.
        folder: The folder that holds ``environments/``.
        base: The folder that paths of local files start from; by default the one that holds ``configuration/``.

    Raises:
        DeclarationError: With every mistake of every file.
    """
    folder = folder.resolve()
    inside = folder.parent.name == DEFAULT_FOLDER.parent.name
    loading = _Loading(environment, folder, (base or (folder.parent.parent if inside else folder)).resolve())
    top = _open_environment(loading)
    _include(loading, top)
    settings = top.content
    if not settings.get("project") and not any("'project' must be" in each for each in loading.mistakes):
        loading.mistakes.append(f"{top.place(())}: `project` is missing: the name that marks what this project owns")
    variables = _variables(loading, settings)
    _names(loading, variables)
    desired = _desired(loading, variables)
    if loading.mistakes:
        raise DeclarationError(sorted(set(loading.mistakes), key=_by_place))
    place = variables.values
    return Declaration(
        project=str(settings["project"]),
        environment=environment,
        root=place["workspace.root"],
        volume_root=place["workspace.volume_root"],
        repos_root=place["workspace.repos_root"],
        workspace=variables.resolve(settings.get("workspace") or {}),
        resources=tuple(desired),
        protect=tuple(settings.get("protect") or ()),
    )


def workspace_settings(environment: str, folder: Path = DEFAULT_FOLDER) -> dict[str, Any]:
    """Return how to reach the workspace, from an environment's file; empty without such a file."""
    file = folder / "environments" / f"{environment}.yml"
    content = read_yaml(file).content if file.is_file() else None
    settings = content.get("workspace") if isinstance(content, dict) else None
    return {name: value for name, value in settings.items() if name not in ROOTS} if isinstance(settings, dict) else {}


def _open_environment(loading: _Loading) -> Document:
    file = loading.folder / "environments" / f"{loading.environment}.yml"
    if not file.is_file():
        known = [each.stem for each in sorted(file.parent.glob("*.yml"))]
        hint = suggestion(loading.environment, known)
        raise DeclarationError([f"{_shown(loading, file)}: unknown environment {loading.environment!r}; {hint}"])
    return _read(loading, file, ENVIRONMENT_FILE)


def _read(loading: _Loading, file: Path, known: Mapping[str, Any]) -> Document:
    """Read a file, and take out of it what has the wrong shape."""
    read = read_yaml(file, _shown(loading, file))
    loading.mistakes += read.mistakes
    content: dict[str, Any] = {}
    if isinstance(read.content, dict):
        for name, value in read.content.items():
            found = [] if name.startswith("x-") else list(mistakes_of({name: value}, known, read.place, ()))
            loading.mistakes += found  # beneath x-… is a place for anchors
            if not found and value is not None:
                content[name] = value
    elif read.content is not None:
        loading.mistakes.append(f"{read.place(())}: the file must be a mapping")
    document = replace(read, content=content)
    loading.documents.append(document)
    return document


def _include(loading: _Loading, document: Document) -> None:
    """Take the resources of a file, and go through the files that it includes."""
    _gather(loading, document, document.content.get("resources") or {})
    for index, pattern in enumerate(document.content.get("include") or []):
        found = _matching(document.file.parent, pattern)
        files = sorted(Path(os.path.normpath(file)) for file in found)  # without `..`, as a reader would name them
        if not files:
            loading.mistakes.append(f"{document.place(('include', index))}: no file matches {pattern!r}")
        for file in files:
            if file.resolve() not in [each.file.resolve() for each in loading.documents]:
                try:
                    _include(loading, _read(loading, file, RESOURCE_FILE))
                except DeclarationError as error:
                    loading.mistakes += error.mistakes


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern matches; a pattern that leaves the folder's tree matches nothing."""
    try:
        return list(folder.glob(pattern))
    except (ValueError, NotImplementedError):
        return []


def _gather(loading: _Loading, document: Document, resources: dict[str, Any]) -> None:
    for kind, items in resources.items():
        where = document.place(("resources", kind))
        if kind == "mounts":
            loading.mistakes.append(f"{where}: {MOUNTS}")
        elif kind not in KINDS or kind in ("permissions", "secrets"):
            known = [each for each in KINDS if each not in ("permissions", "secrets")]
            loading.mistakes.append(f"{where}: {kind!r} is not a kind of resource; {suggestion(kind, known)}")
        else:
            for key, body in (items or {}).items():
                _declare(loading, document, kind, key, body)


def _declare(loading: _Loading, document: Document, kind: str, key: str, body: Any) -> None:
    path = ("resources", kind, key)
    earlier = next((each for each in loading.declared if (each.kind, each.key) == (kind, key)), None)
    if earlier is not None:
        loading.mistakes.append(f"{document.place(path)}: {kind}.{key} is already declared at {earlier.place}")
    elif not isinstance(body, dict):
        loading.mistakes.append(f"{document.place(path)}: {kind}.{key} must be a mapping of its settings")
    else:
        loading.declared.append(Declared(kind, key, body, document, path))


def _variables(loading: _Loading, settings: dict[str, Any]) -> Variables:
    """Return the variables: those of the environment over the defaults of the resource files."""
    values: dict[str, Any] = {"project": settings.get("project", ""), "environment": loading.environment}
    texts: dict[str, str] = {}
    for document in reversed(loading.documents):
        for name, value in document.content.get("variables", {}).items():
            values[f"var.{name}"] = value
            texts.pop(f"var.{name}", None)
            if ("variables", name) in document.texts:
                texts[f"var.{name}"] = document.texts["variables", name]
    place = settings.get("workspace") or {}
    project, environment = values["project"], loading.environment
    defaults = {"root": f"/Workspace/Shared/{project}/{environment}", "repos_root": f"/Repos/{project}+{environment}"}
    top = loading.documents[0]
    for name in ROOTS:
        early = Variables(values)
        values[f"workspace.{name}"] = early.resolve(place.get(name) or defaults.get(name, ""), ("workspace", name))
        loading.mistakes += [f"{top.place(path)}: {message}" for path, message in early.mistakes]
        root = values[f"workspace.{name}"]
        if root and not _is_own(str(root), str(project), loading.environment):
            remedy = "what lies in it is deleted by prune, so it must belong to one project and environment alone"
            message = f"`{name}` must contain the folders {project}/{environment}, and {root!r} does not: {remedy}"
            loading.mistakes.append(f"{top.place(('workspace', name))}: {message}")
    return Variables(values, texts)


def _is_own(root: str, project: str, environment: str) -> bool:
    """Return whether a folder belongs to one project and environment, as two folders of its path or as one.

    Joined by a hyphen, ``a-b`` of ``c`` and ``a`` of ``b-c`` would share one. Beneath ``/Repos`` there is one level
    of folders only, so there a ``+`` joins them, which neither name can hold.
    Source: https://docs.databricks.com/api/workspace/repos/create.
    """
    parts = PurePosixPath(root).parts
    joined = {f"{project}+{environment}"} | ({f"{project}-{environment}"} if "-" not in environment else set())
    own = (project, environment) in itertools.pairwise(parts) or not joined.isdisjoint(parts)
    return own and ".." not in parts


def _names(loading: _Loading, variables: Variables) -> None:
    """Let resources name each other: ``${clusters.small.name}``, ``${wheels.job.path}``."""
    early = Variables(
        variables.values, variables.texts
    )  # a name may hold variables, but not the name of another resource
    for each in loading.declared:
        body = early.resolve(each.body)
        name = body.get(KINDS[each.kind].name_field)
        if isinstance(name, str):
            variables.values[f"{each.kind}.{each.key}.name"] = name
        variables.values |= paths_of(each.kind, each.key, body, loading.base, variables.values)


def _desired(loading: _Loading, variables: Variables) -> list[Desired]:
    desired: list[Desired] = []
    for each in loading.declared:
        variables.mistakes.clear()
        body = variables.resolve(each.body, each.path)
        found = [f"{each.document.place(path)}: {message}" for path, message in variables.mistakes]
        found += _mistakes(each, body)
        if found:
            loading.mistakes += found
            continue
        try:
            desired += expand(each, body, loading.base, variables.values)
        except DeclarationError as error:
            loading.mistakes += error.mistakes
    loading.mistakes += [*_twice(desired), *_illegible(loading, desired, str(variables.values["project"]))]
    return desired


def _illegible(loading: _Loading, desired: list[Desired], project: str) -> Iterator[str]:
    """Yield the names that an ownership tag cannot hold: what carries one would be nobody's after its creation."""
    letters = "letters, digits, `_`, `-` and `.`"
    first = loading.documents[0]
    for what, name in (("project", project), ("environment", loading.environment)):
        if name and not Owner(name, name, "key", "0" * 12).is_legible:
            yield f"{first.place((what,))}: the {what} {name!r} may hold {letters} only, and not be too long"
            return
    for each in desired:
        owner = Owner(project or "project", loading.environment, each.key, "0" * 12, permissions=True)
        if each.kind not in (*PATH_KINDS, "permissions") and not owner.is_legible:
            limit = f"{letters}, `/`, `@` and spaces only, and its tag {LONGEST_TAG} characters"
            yield f"{each.origin}: the key {each.key!r} may hold {limit}"


def _mistakes(declared: Declared, body: dict[str, Any]) -> list[str]:
    kind = KINDS[declared.kind]
    found = list(mistakes_of(body, kind.fields, declared.document.place, declared.path))
    missing = sorted(kind.required - {name for name, value in body.items() if value is not None})
    found += [f"{declared.place}: {declared.kind}.{declared.key} needs {name!r}" for name in missing]
    plain = {name: value for name, value in body.items() if name not in ("permissions", "stream")}
    if declared.kind != "secret_scopes":
        found += list(_stray_secrets(declared, plain))
    return found


def _stray_secrets(declared: Declared, content: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Refuse references to secrets outside of secret values: there they would be shown."""
    if isinstance(content, dict | list):
        for part, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _stray_secrets(declared, value, (*path, part))
    match = VARIABLE.search(content) if isinstance(content, str) else None
    if match and match["name"].partition(".")[0] in SECRET_SOURCES:
        remedy = "Declare it in a secret scope, and write {{secrets/scope/key}} here"
        yield f"{declared.at(*path)}: {path[-1]!r} refers to a secret ({match[0]}), which would show it. {remedy}"


def _twice(desired: list[Desired]) -> list[str]:
    """Refuse two resources that want the same key or the same place."""
    mistakes: list[str] = []
    places: dict[tuple[str, str, str], Desired] = {}
    for each in desired:
        for what in {(each.kind, "key", each.key), (each.kind, "name", each.name)}:
            earlier = places.setdefault(what, each)
            if earlier is not each:
                kind, field_name, value = what
                mistakes.append(
                    f"{each.origin}: the {field_name} {value!r} of {kind} is already declared at {earlier.origin}"
                )
    return mistakes


def _shown(loading: _Loading, file: Path) -> str:
    resolved = file.resolve()
    return str(resolved.relative_to(loading.base)) if resolved.is_relative_to(loading.base) else str(file)


def _by_place(mistake: str) -> tuple[str, int, str]:
    file, _, rest = mistake.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0, mistake
