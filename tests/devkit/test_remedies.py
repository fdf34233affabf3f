"""A command that a message, a docstring or a document names exists, with its options."""

from __future__ import annotations

import argparse
import re

import pytest

from devkit.cli import build_parser, commands
from tests.project import ROOT

QUOTED = re.compile(r"`devkit ([a-z][^`\n]*)`")
FOLDERS = ("src", "kit/src", "configuration", "docs", "notebooks")
SUFFIXES = {".py", ".js", ".md", ".yml", ".conf", ".ipynb"}


def named() -> list[tuple[str, str]]:
    """Return the commands that files name, each with one file that does."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in SUFFIXES]
    found: dict[str, str] = {}
    for file in sorted([*files, *ROOT.glob("*.md")]):
        for match in QUOTED.finditer(file.read_text(encoding="utf-8")):
            found.setdefault(match[1], str(file.relative_to(ROOT)))
    return sorted(found.items())


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return {name: sub for each in actions for name, sub in each.choices.items()}


def mistake(command: str) -> str:
    """Return what a command names and argparse does not know, or an empty text."""
    words = [word for word in re.split(r"[\s|]+", command) if word.strip("…[](){}")]
    verb = words.pop(0)
    if verb not in commands():
        return f"there is no verb {verb!r}"
    parser = subparsers(build_parser(verb))[verb]
    verbs = subparsers(parser)
    while words and verbs and re.fullmatch("[a-z][a-z-]*", words[0]):
        if words[0] not in verbs:
            return f"`devkit {verb}` has no verb {words[0]!r}"
        parser = verbs[words.pop(0)]
        if "|" not in command:
            verbs = subparsers(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    given = [word.strip("[](),.").partition("=")[0] for word in words if word.strip("[(").startswith("--")]
    unknown = [option for option in given if option not in options]
    return f"`devkit {verb}` has no option {unknown[0]!r}" if unknown else ""


@pytest.mark.parametrize(("command", "file"), named(), ids=str)
def test_a_command_that_is_named_exists(command: str, file: str) -> None:
    assert mistake(command) == "", f"{file} names `devkit {command}`"


@pytest.mark.parametrize("command", ["doctored", "hub generated", "deploy plan --offlin", "deploy applied"])
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    assert mistake(command) != ""
