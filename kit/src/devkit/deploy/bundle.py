"""``databricks.yml``: the same resources as a bundle, which Databricks' own command line deploys.

Source: https://docs.databricks.com/dev-tools/bundles/resources
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from devkit.deploy.declaration.kinds import PRINCIPALS
from devkit.deploy.declaration.loading import load
from devkit.deploy.declaration.model import Declaration, Desired
from devkit.deploy.plan.references import referred_kind, replace_values

# Kinds that a bundle knows, and the fields that it calls by another name.
BUNDLED: Final = {"jobs": "jobs", "pipelines": "pipelines", "clusters": "clusters", "warehouses": "sql_warehouses"}
LOOKUPS: Final = {"cluster_policies": "cluster_policy"}  # a kind without its plural's s otherwise


def write_bundle(folder: Path, file: Path, base: Path | None = None) -> list[str]:
    """Write the bundle of all environments, a target each.

    Args:
        folder: The declaration.
        file: Where it is written.
        base: Where paths of local files start from.

    Returns:
        What a bundle cannot hold, a line each: `devkit deploy` deploys it, Databricks' command line does not.
    """
    import yaml

    names = sorted(each.stem for each in (folder / "environments").glob("*.yml"))
    declarations = [load(name, folder, base) for name in names]
    content, left_out = bundle(declarations)
    head = "# Written by `devkit deploy bundle` from " + str(folder) + ": change it there.\n"
    file.write_text(head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    return left_out


def bundle(declarations: list[Declaration]) -> tuple[dict[str, Any], list[str]]:
    """Return the bundle of several environments, and what it leaves out."""
    targets: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    left_out: dict[str, None] = {}
    for declaration in declarations:
        target, lookups, missing = _target(declaration)
        left_out |= dict.fromkeys(missing)
        variables |= {name: {"description": f"The id of a {name.partition('_')[0]}"} for name in lookups}
        first = {} if targets else {"default": True}
        targets[declaration.environment] = {**first, **target}
    content: dict[str, Any] = {"bundle": {"name": declarations[0].project if declarations else "empty"}}
    if variables:
        content["variables"] = variables
    return {**content, "targets": targets}, list(left_out)


def _target(declaration: Declaration) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return one environment as a target, the ids that it looks up, and what it leaves out."""
    resources: dict[str, dict[str, Any]] = {}
    lookups: dict[str, Any] = {}
    left_out = []
    for desired in declaration.resources:
        if desired.kind in BUNDLED:
            resources.setdefault(BUNDLED[desired.kind], {})[desired.key] = _body(declaration, desired, lookups)
        elif not desired.local and not (desired.kind == "permissions" and desired.key.partition(".")[0] in BUNDLED):
            left_out.append(f"{desired.address}: `devkit deploy` deploys it, a bundle has no such resource")
    where = {name: declaration.workspace[name] for name in ("host", "profile") if declaration.workspace.get(name)}
    target: dict[str, Any] = {"mode": "production"} if declaration.environment == "prod" else {}
    target["workspace"] = {**where, "root_path": f"{declaration.root}/bundle"}
    if lookups:
        target["variables"] = lookups
    return {**target, "resources": resources}, lookups, left_out


def _body(declaration: Declaration, desired: Desired, lookups: dict[str, Any]) -> dict[str, Any]:
    """Return a resource as a bundle has it: references for names, local files for paths, permissions inside."""
    declared = {(each.kind, each.name): each.key for each in declaration.resources}

    def change(path: str, field: str, value: Any) -> Any:
        kind = referred_kind(path, field, desired.kind)
        if kind is None or not isinstance(value, str):
            return value
        lookup = LOOKUPS.get(kind, kind.removesuffix("s"))
        key = declared.get((kind, value))
        if key is not None and kind in BUNDLED:
            return f"${{resources.{BUNDLED[kind]}.{key}.id}}"
        variable = re.sub(r"\W", "_", f"{lookup}_{key or value}").lower()
        lookups[variable] = {"lookup": {lookup: value}}
        return f"${{var.{variable}}}"

    body: dict[str, Any] = _local_paths(replace_values(desired.body, change), declaration)
    listed = (each for each in declaration.resources if each.kind == "permissions" and each.key == desired.address)
    fields = {what: field for field, what in PRINCIPALS.items()}
    for granted in listed:
        body["permissions"] = [
            {"level": level, fields[who.partition(":")[0]]: who.partition(":")[2]}
            for who, level in granted.body["principals"].items()
        ]
    return body


def _local_paths(content: Any, declaration: Declaration) -> Any:
    """Return a body that names local files, which Databricks' command line uploads itself."""
    if isinstance(content, dict):
        return {name: _local_paths(value, declaration) for name, value in content.items()}
    if isinstance(content, list):
        return [_local_paths(value, declaration) for value in content]
    if not isinstance(content, str):
        return content
    for each in declaration.resources:
        if each.local and each.name in content:
            whole = content == each.name and each.kind in ("wheels", "notebooks")
            content = content.replace(
                each.name, f"./{each.local}" if whole else f"${{workspace.file_path}}/{each.local}"
            )
    return content
