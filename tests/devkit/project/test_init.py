"""`devkit init`: the names are the new project's own, and what cannot be one is refused."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from devkit.project.init import write_project
from spark_utils.errors import ConfigurationError


@pytest.mark.parametrize("template", ["job", "pipeline"])
def test_a_new_project_has_names_of_its_own_everywhere(tmp_path: Path, template: str) -> None:
    files = write_project("order-events", tmp_path / "new", template)
    texts = {file: file.read_text() for file in files}
    assert not [file for file, text in texts.items() if re.search(r"__[A-Z]+__", f"{file} {text}")]
    assert not [file for file, text in texts.items() if re.search(r"streaming.job\\b|from transformation", text)]
    assert [ast.parse(text) for file, text in texts.items() if file.suffix == ".py"]
    project = tomllib.loads(texts[tmp_path / "new" / "pyproject.toml"])["project"]
    assert project["name"] == "order-events"
    scripts = {"order-events": "order_events.entry_points:job"} if template == "job" else None
    assert project.get("scripts") == scripts
    assert (tmp_path / "new" / ".gitignore").is_file()
    scripts_of_make = re.findall(r"^STAGE := @\$\(PYTHON\) (\S+)$", texts[tmp_path / "new" / "Makefile"], re.M)
    assert [(tmp_path / "new" / script).is_file() for script in scripts_of_make] == [True]


@pytest.mark.parametrize("name", ["Orders", "1st", "a b", "json", "class", "spark-utils", "../x"])
def test_a_name_that_cannot_be_a_package_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name"):
        write_project(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ConfigurationError, match="is not empty"):
        write_project("orders", tmp_path)
