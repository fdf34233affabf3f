"""The editor's files point at things that exist."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from devkit.cli import COMMANDS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".vscode").glob("*.json"))
STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read_jsonc(file: Path) -> Any:
    """JSON with comments, as the editor reads it; a comment mark inside a string is text."""
    return json.loads(STRING_OR_COMMENT.sub(lambda found: found[1] or "", file.read_text(encoding="utf-8")))


def tasks() -> list[dict]:
    return read_jsonc(ROOT / ".vscode" / "tasks.json")["tasks"]


def configurations() -> list[dict]:
    return read_jsonc(ROOT / ".vscode" / "launch.json")["configurations"]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *strings(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def test_the_four_files_are_there() -> None:
    assert {file.name for file in FILES} == {"extensions.json", "launch.json", "settings.json", "tasks.json"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_valid_and_every_path_of_the_workspace_in_it_exists(file: Path) -> None:
    paths = [text.removeprefix("${workspaceFolder}/") for text in strings(read_jsonc(file)) if "Folder}/" in text]
    missing = [path for path in paths if not path.startswith(".venv/") and not (ROOT / path).exists()]

    assert missing == []


def test_every_make_task_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {task["args"][0] for task in tasks() if task["command"] == "make"}

    assert wanted == {"setup", "run", "test", "check", "wheel"}
    assert wanted <= targets


def test_every_devkit_task_is_a_verb_of_the_command() -> None:
    verbs = {task["args"][0] for task in tasks() if task["command"] == ".venv/bin/devkit"}

    assert verbs == {"hub"}
    assert verbs <= set(COMMANDS)


def test_every_launch_runs_an_installed_module_or_a_file_after_a_task_that_exists() -> None:
    labels = {task["label"] for task in tasks()}
    for configuration in configurations():
        assert configuration["justMyCode"] is False, configuration["name"]
        assert configuration.get("preLaunchTask", "setup") in labels
        assert ("module" in configuration) != ("program" in configuration)
        assert importlib.util.find_spec(configuration.get("module", "pytest"))


def test_job_test_and_current_file_can_be_debugged() -> None:
    names = " ".join(configuration["name"] for configuration in configurations())

    assert "Job" in names
    assert "Test: current file" in names
    assert "cells" in names


def test_the_debugger_of_the_launches_is_recommended() -> None:
    types = {configuration["type"] for configuration in configurations()}
    recommended = read_jsonc(ROOT / ".vscode" / "extensions.json")["recommendations"]

    assert {f"ms-python.{kind}" for kind in types} <= set(recommended)
