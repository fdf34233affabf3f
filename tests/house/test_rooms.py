"""Rooms stay small: short modules, short functions, few files at a package's root."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.source import JOB, KIT, body_lines, functions, modules, parse, relative
from tests.project import known_files

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
LOOSE_FILES = {JOB / "spark_utils": 8, KIT / "devkit": 5, KIT / "local_workspace": 6}
REGISTRIES = [f"{name}.{rest}" for rest in ("org", "com") for name in ("pypi", "npmjs", "maven", "pythonhosted")]
REGISTRIES += ["/".join(("apache.org", "maven2"))]
TEXT = {".py", ".md", ".conf", ".lock", ".toml", ".yml", ".json", ".txt", ".ipynb"}


@pytest.mark.parametrize("path", modules(JOB, KIT), ids=relative)
def test_a_module_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", modules(JOB, KIT), ids=relative)
def test_a_function_is_short(path: Path) -> None:
    assert [each.name for each in functions(parse(path)) if body_lines(each) > MAX_FUNCTION_LINES] == []


@pytest.mark.parametrize("package", LOOSE_FILES, ids=lambda path: path.name)
def test_few_files_lie_loose_in_a_package(package: Path) -> None:
    loose = {path.name for path in package.iterdir() if path.is_file()} - {"py.typed"}
    assert len(loose) <= LOOSE_FILES[package], sorted(loose)


def test_no_file_names_the_host_of_a_package_registry() -> None:
    files = [path for path in known_files() if path.suffix in TEXT]
    assert len(files) > 300
    named = [
        f"{relative(path)}: {host}"
        for path in files
        for host in REGISTRIES
        if host in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert named == []
