"""A pipeline's YAML, and what it says by the references of a bundle: ``${var.…}``, ``${bundle.…}``, ``${workspace.…}``.

Source: https://docs.databricks.com/dev-tools/bundles/variables.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devkit.deploy.declaration.yaml_files import read_yaml
from devkit.deploy.errors import DeclarationError
from local_pipelines.errors import PipelineError
from spark_utils.names import suggestion

REFERENCE = re.compile(r"\$\{((?:var|bundle|workspace|resources)\.[\w.-]+)\}")
USER = ("workspace.current_user.userName", "workspace.current_user.short_name")
BUNDLE_FILES = ("databricks.yml", "databricks.yaml")


def mapping_in(path: Path) -> dict[str, Any]:
    """Return what a YAML file holds, read as the deployment reads it: ``no`` is a text, and no key stands twice."""
    try:
        document = read_yaml(path)
    except DeclarationError as error:
        raise PipelineError(str(error)) from None
    if document.mistakes:
        raise PipelineError("; ".join(document.mistakes))
    if not isinstance(document.content, dict):
        raise PipelineError(f"{path} holds no mapping", remedy="A pipeline or a configuration is one.")
    return document.content


def resolved(value: Any, content: Mapping[str, Any], path: Path) -> Any:
    """Return a value of a YAML file with its references replaced, by the bundle that the file belongs to.

    The bundle's file is the nearest one in the file's folder or above it; its target is that of
    ``DATABRICKS_BUNDLE_TARGET``, else its default one, else the first. Files of the workspace are those of its folder.

    Raises:
        PipelineError: A reference means nothing here, or a variable has no value.
    """
    above = (folder / name for folder in path.parents for name in BUNDLE_FILES)
    file = next((each for each in above if each.is_file()), path)
    bundle = content if file == path else mapping_in(file)
    targets = bundle.get("targets") or {}
    default = next((name for name, each in targets.items() if (each or {}).get("default")), next(iter(targets), "dev"))
    target = os.environ.get("DATABRICKS_BUNDLE_TARGET", default)
    if targets and target not in targets:
        raise PipelineError(f"no target '{target}'{suggestion(target, targets)}", origin=str(file))
    known = {
        "bundle.name": (bundle.get("bundle") or {}).get("name"),
        "bundle.target": target,
        **dict.fromkeys(("workspace.root_path", "workspace.file_path"), str(file.parent)),
    }
    of_target = ((targets.get(target) or {}).get("variables")) or {}
    for name, each in {**(bundle.get("variables") or {}), **(content.get("variables") or {}), **of_target}.items():
        given = each.get("default") if isinstance(each, dict) else each
        known[f"var.{name}"] = os.environ.get(f"BUNDLE_VAR_{name}", given)
    return _replaced(value, known, path)


def _replaced(value: Any, known: Mapping[str, Any], path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, known, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, known, path) for item in value]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        found = getpass.getuser() if match[1] in USER else known.get(match[1])
        if found is None:
            kind, _, name = match[1].partition(".")
            remedy = f"Set BUNDLE_VAR_{name}, or give a default." if kind == "var" else None
            raise PipelineError(f"'{match[0]}' has no value on this machine", origin=str(path), remedy=remedy)
        return str(_replaced(found, {**known, match[1]: None}, path))  # a variable may name others, not itself

    return REFERENCE.sub(replacement, value)
