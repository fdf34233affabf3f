"""From declared bodies to desired resources: files get their content, scopes give secrets, folders give files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from devkit.deploy.declaration.checking import suggestion
from devkit.deploy.declaration.content import (
    file_digest,
    is_notebook,
    is_wheel,
    language_of,
    notebook_digest,
    wheel_digest,
    wheel_path,
)
from devkit.deploy.declaration.job_checks import job_mistakes
from devkit.deploy.declaration.kinds import KINDS, PRINCIPALS
from devkit.deploy.declaration.model import Desired
from devkit.deploy.declaration.variables import secret_source
from devkit.deploy.declaration.yaml_files import Document
from devkit.deploy.errors import DeclarationError

ACL_LEVELS: Final = ("READ", "WRITE", "MANAGE")
STREAM_KEYS: Final = ("checkpoint", "batch_pattern", "within_seconds")
DEFAULT_STREAM: Final = {"batch_pattern": r"\bbatch\"?[ =:]+(\d+)", "within_seconds": 600}


@dataclass(frozen=True)
class Declared:
    """A body as it stands in a file."""

    kind: str
    key: str
    body: dict[str, Any]
    document: Document
    path: tuple[str | int, ...]

    @property
    def place(self) -> str:
        """Return ``file:line``."""
        return self.document.place(self.path)

    def at(self, *path: str | int) -> str:
        """Return ``file:line`` of a part of it."""
        return self.document.place((*self.path, *path))

    def places(self) -> dict[str, str]:
        """Return ``file:line`` of every part, by its path written with dots."""
        length, found = len(self.path), {}
        for path in self.document.lines:
            if path[:length] == self.path and len(path) > length:
                found[_dotted(path[length:])] = self.document.place(path)
        return found


@dataclass(frozen=True)
class _Expansion:
    """One declared body on its way to desired resources."""

    declared: Declared
    body: dict[str, Any]
    base: Path
    values: dict[str, Any]

    def desired(self, name: str, body: dict[str, Any], **more: Any) -> Desired:
        declared = self.declared
        kind = more.pop("kind", declared.kind)
        key = more.pop("key", declared.key)
        return Desired(kind, key, name, body, declared.place, places=declared.places(), **more)

    def mistake(self, message: str, *path: str | int) -> DeclarationError:
        return DeclarationError([f"{self.declared.at(*path)}: {message}"])

    def read(self, pattern: str, field: str = "file") -> tuple[Path, bytes]:
        """Read the one local file that a pattern matches."""
        files = _fitting(self.base, pattern)
        if len(files) != 1:
            found = "no file" if not files else f"{len(files)} files ({', '.join(each.name for each in files)})"
            raise self.mistake(f"{found} in {self.base} matches {pattern!r}; exactly one must", field)
        return files[0], files[0].read_bytes()

    def local(self, file: Path) -> str:
        """Return a local file as it is seen from the project's folder."""
        return str(file.relative_to(self.base)) if file.is_relative_to(self.base) else str(file)


def expand(declared: Declared, body: dict[str, Any], base: Path, values: dict[str, Any]) -> list[Desired]:
    """Return the desired resources of one declared body, its variables already replaced.

    Raises:
        DeclarationError: If a file is missing, or a value is not as its kind needs it.
    """
    granted = body.get("permissions")
    plain = {name: value for name, value in body.items() if name != "permissions"}
    expansion = _Expansion(declared, plain, base, values)
    desired = _EXPANDERS.get(declared.kind, _plain)(expansion)
    if granted is not None:
        name = f"{declared.kind}.{declared.key}"
        desired.append(
            expansion.desired(name, {"principals": _principals(expansion, granted)}, kind="permissions", key=name)
        )
    return desired


def paths_of(kind: str, key: str, body: dict[str, Any], base: Path, values: dict[str, Any]) -> dict[str, str]:
    """Return the variable that holds the path of a file, notebook or wheel, when there is a file."""
    file = body.get("file")
    if kind not in ("files", "notebooks", "wheels") or not isinstance(file, str):
        return {}
    found = _fitting(base, file)
    if len(found) != 1:
        return {f"{kind}.{key}.path": "(missing)"}  # the mistake is told where the file is read
    root = _root(body, values)
    if kind == "wheels":
        content = found[0].read_bytes()
        return {f"{kind}.{key}.path": wheel_path(root, found[0], content) if is_wheel(content) else "(no wheel)"}
    default = found[0].name if kind == "files" else found[0].stem
    return {f"{kind}.{key}.path": str(PurePosixPath(root, str(body.get("path") or default)))}


def _plain(expansion: _Expansion) -> list[Desired]:
    name = str(expansion.body[KINDS[expansion.declared.kind].name_field])
    return [expansion.desired(name, expansion.body)]


def _jobs(expansion: _Expansion) -> list[Desired]:
    body = dict(expansion.body)
    stream = body.pop("stream", None)
    if isinstance(stream, dict):
        for key in stream:
            if key not in STREAM_KEYS:
                raise expansion.mistake(
                    f"unknown key {key!r} of a stream; {suggestion(key, STREAM_KEYS)}", "stream", key
                )
    elif not isinstance(stream, bool | None):
        raise expansion.mistake("`stream` must be true, or a mapping with `checkpoint`", "stream")
    mistakes = [f"{expansion.declared.at(*path)}: {message}" for path, message in job_mistakes(body)]
    if mistakes:
        raise DeclarationError(mistakes)
    health = {**DEFAULT_STREAM, **(stream if isinstance(stream, dict) else {})} if stream else None
    return [expansion.desired(str(body["name"]), body, stream=health)]


def _groups(expansion: _Expansion) -> list[Desired]:
    members = sorted(expansion.body.get("members") or [])
    name = expansion.body["display_name"]
    return [expansion.desired(name, {"display_name": name, "members": members})]


def _secret_scopes(expansion: _Expansion) -> list[Desired]:
    body, name = expansion.body, expansion.body["name"]
    vault, secrets = body.get("keyvault"), body.get("secrets") or {}
    if vault and secrets:
        raise expansion.mistake("a scope backed by a Key Vault is read-only: write its secrets in the vault", "secrets")
    for principal, level in (body.get("acls") or {}).items():
        if level not in ACL_LEVELS:
            message = f"{principal!r} cannot have {level!r}; {suggestion(str(level), ACL_LEVELS)}"
            raise expansion.mistake(message, "acls", principal)
    scope: dict[str, Any] = {
        "backend_type": "AZURE_KEYVAULT" if vault else "DATABRICKS",
        "acls": body.get("acls") or {},
    }
    if vault:
        scope["keyvault"] = vault
    desired = [expansion.desired(name, scope)]
    for key, value in secrets.items():
        source, binary = _secret(expansion, key, value, name)
        full = f"{expansion.declared.key}/{key}"
        desired.append(expansion.desired(f"{name}/{key}", {"binary": binary}, kind="secrets", key=full, source=source))
    return desired


def _secret(expansion: _Expansion, key: str, value: Any, scope: str) -> tuple[str, bool]:
    """Return where the value of a secret comes from, and whether it is bytes."""
    given = value if isinstance(value, dict) else {"value": value}
    unknown = [each for each in given if each not in ("value", "binary")]
    if unknown:
        raise expansion.mistake(f"unknown key {unknown[0]!r} of a secret; known are value, binary", "secrets", key)
    source = given.get("value") or f"${{secret.{scope}/{key}}}"
    if secret_source(source) is None:
        remedy = "Write ${env.NAME}, ${file.PATH}, ${keyring.SERVICE/USER}, ${key_vault.VAULT/NAME} or nothing"
        raise expansion.mistake(
            f"the secret {key!r} is written here as plain text (not shown). {remedy}", "secrets", key
        )
    return source, bool(given.get("binary"))


def _files(expansion: _Expansion) -> list[Desired]:
    file, content = expansion.read(expansion.body["file"])
    path = _path(expansion, file.name)
    return [expansion.desired(path, {"sha256": file_digest(content)}, content=content, local=expansion.local(file))]


def _notebooks(expansion: _Expansion) -> list[Desired]:
    file, content = expansion.read(expansion.body["file"])
    return [_notebook(expansion, file, content, _path(expansion, file.stem))]


def _notebook(expansion: _Expansion, file: Path, content: bytes, path: str, key: str | None = None) -> Desired:
    language, jupyter = language_of(file), file.suffix == ".ipynb"
    if language is None:
        raise expansion.mistake(f"{file.name} is not a notebook: .py, .ipynb, .sql, .scala or .r", "file")
    body: dict[str, Any] = {"sha256": notebook_digest(content), "jupyter": jupyter}
    if not jupyter:  # of an .ipynb the service reads it from the metadata
        body["language"] = language
    key, local = key or expansion.declared.key, expansion.local(file)
    return expansion.desired(path, body, content=content, kind="notebooks", key=key, local=local)


def _folders(expansion: _Expansion) -> list[Desired]:
    folder = expansion.base / expansion.body["folder"]
    if not folder.is_dir():
        raise expansion.mistake(f"the folder {folder} does not exist", "folder")
    top = _path(expansion, folder.name)
    desired = []
    for file in sorted(each for each in folder.rglob("*") if each.is_file() and _is_plain(each.relative_to(folder))):
        relative = file.relative_to(folder)
        content, key = file.read_bytes(), f"{expansion.declared.key}/{relative}"
        if is_notebook(file, content):
            path = str(PurePosixPath(top, relative.with_suffix("")))
            desired.append(_notebook(expansion, file, content, path, key))
        else:
            path = str(PurePosixPath(top, relative))
            body = {"sha256": file_digest(content)}
            local = expansion.local(file)
            desired.append(expansion.desired(path, body, content=content, kind="files", key=key, local=local))
    return desired


def _is_plain(relative: Path) -> bool:
    """Return whether a file of a folder is deployed: ``.env`` and ``.git`` are the business of this machine."""
    return not any(part.startswith(".") or part == "__pycache__" for part in relative.parts)


def _wheels(expansion: _Expansion) -> list[Desired]:
    file, content = expansion.read(expansion.body["file"])
    if file.suffix != ".whl" or not is_wheel(content):
        why = "its name must end in .whl" if file.suffix != ".whl" else "it is not a zip archive; build it again"
        raise expansion.mistake(f"{file.name} is not a wheel: {why}", "file")
    path = wheel_path(_root(expansion.body, expansion.values), file, content)
    return [expansion.desired(path, {"content": wheel_digest(content)}, content=content, local=expansion.local(file))]


def _global_init_scripts(expansion: _Expansion) -> list[Desired]:
    _, content = expansion.read(expansion.body["file"])
    body = {name: value for name, value in expansion.body.items() if name != "file"}
    return [expansion.desired(body["name"], {**body, "script": content.decode()}, content=content)]


def _repos(expansion: _Expansion) -> list[Desired]:
    root = expansion.values["workspace.repos_root"]
    path = str(PurePosixPath(root, expansion.body.get("path") or expansion.declared.key))
    _within(expansion, path, root)
    return [expansion.desired(path, {**expansion.body, "path": path})]


def _table_changes(expansion: _Expansion) -> list[Desired]:
    folder = expansion.base / expansion.body["folder"]
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise expansion.mistake(f"{folder} has no .sql file", "folder")
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    body = {name: value for name, value in expansion.body.items() if name not in ("folder", "warehouse")}
    body["warehouse_id"] = expansion.body["warehouse"]
    body["files"] = {name: file_digest(text.encode()) for name, text in texts.items()}
    return [expansion.desired(body["ledger"], body, content=json.dumps(texts).encode())]


def _principals(expansion: _Expansion, granted: Any) -> dict[str, str]:
    """Return an access list as ``group:users`` to a level."""
    principals: dict[str, str] = {}
    levels = KINDS[expansion.declared.kind].levels
    for index, each in enumerate(granted if isinstance(granted, list) else [granted]):
        known = (*PRINCIPALS, "level")
        named = [name for name in each if name in PRINCIPALS] if isinstance(each, dict) else []
        if len(named) != 1 or set(each) != {named[0], "level"}:
            message = "a permission has `level` and one of `user_name`, `group_name`, `service_principal_name`"
            unknown = [name for name in each if name not in known] if isinstance(each, dict) else []
            hint = f": unknown key {unknown[0]!r}; {suggestion(unknown[0], known)}" if unknown else ""
            raise expansion.mistake(message + hint, "permissions", index)
        principal, level = f"{PRINCIPALS[named[0]]}:{each[named[0]]}", str(each["level"])
        if level not in levels:
            message = f"'level' of {expansion.declared.kind} cannot be {level!r}; {suggestion(level, levels)}"
            raise expansion.mistake(message, "permissions", index, "level")
        if principal in principals:
            message = f"{principal.replace(':', ' ')!r} is given again; a principal has one level"
            raise expansion.mistake(message, "permissions", index)
        principals[principal] = level
    owners = [who for who, level in principals.items() if level == "IS_OWNER"]
    if len(owners) > 1 or any(who.startswith("group:") for who in owners):
        raise expansion.mistake("IS_OWNER is one user or service principal, not a group", "permissions")
    return principals


def _path(expansion: _Expansion, default: str) -> str:
    root = _root(expansion.body, expansion.values)
    path = str(PurePosixPath(root, expansion.body.get("path") or default))
    _within(expansion, path, root)
    return path


def _within(expansion: _Expansion, path: str, root: str) -> None:
    if not root:
        raise expansion.mistake("`workspace.volume_root` is not set in the environment's file", "volume")
    if ".." in PurePosixPath(path).parts or not path.startswith(root.rstrip("/") + "/"):
        message = f"{path} lies outside {root}, the folder that belongs to this project and environment"
        raise expansion.mistake(message, "path")


def _root(body: dict[str, Any], values: dict[str, Any]) -> str:
    return str(values["workspace.volume_root" if body.get("volume") else "workspace.root"])


def _fitting(base: Path, pattern: str) -> list[Path]:
    if Path(pattern).is_absolute():
        return [Path(pattern)] if Path(pattern).is_file() else []
    return sorted(each for each in base.glob(pattern) if each.is_file()) if pattern.strip("./") else []


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


_EXPANDERS: Final[dict[str, Callable[[_Expansion], list[Desired]]]] = {
    "jobs": _jobs,
    "groups": _groups,
    "secret_scopes": _secret_scopes,
    "files": _files,
    "notebooks": _notebooks,
    "folders": _folders,
    "wheels": _wheels,
    "global_init_scripts": _global_init_scripts,
    "repos": _repos,
    "table_changes": _table_changes,
}
