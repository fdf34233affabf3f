"""A rehearsal changes a copy of any declaration; `tests/long/test_rehearsal.py` plays one."""

from __future__ import annotations

from pathlib import Path

import pytest

from devkit.deploy.declaration.yaml_files import read_yaml
from local_workspace.rehearsal import DECLARATION, DeclarationCopy
from spark_utils.errors import RuntimeSetupError
from tests.project import ROOT

ENVIRONMENT = """
project: harvest
workspace:
  root: /Workspace/Shared/harvest/test
include: ["../*.yml"]
"""
RESOURCES = """
resources:
  notebooks:
    read:
      file: notes/read.py
    spare:
      file: notes/spare.py
  jobs:
    pick:
      name: pick-${environment}
      tasks:
        - task_key: pick
          notebook_task:
            notebook_path: ${notebooks.read.path}
"""
READ = """# Databricks notebook source
spark.createDataFrame([("plum", 3), ("pear", 4)], ["fruit", "weight"]).write.saveAsTable("crates")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of somebody else: no wheel, no hub, tables and columns of its own."""
    folder = tmp_path / "orchard"
    (folder / DECLARATION / "environments").mkdir(parents=True)
    (folder / "notes").mkdir()
    (folder / DECLARATION / "environments" / "test.yml").write_text(ENVIRONMENT, encoding="utf-8")
    (folder / DECLARATION / "all.yml").write_text(RESOURCES, encoding="utf-8")
    (folder / "notes" / "read.py").write_text(READ, encoding="utf-8")
    (folder / "notes" / "spare.py").write_text("# Databricks notebook source\n", encoding="utf-8")
    return folder


def test_what_others_refer_to_is_not_dropped(project: Path, tmp_path: Path) -> None:
    copy = DeclarationCopy(project, tmp_path / "copy", "test")
    assert copy.drop_a_resource() == "notebooks.spare"
    assert copy.drop_a_resource() == ""
    assert set(read_yaml(copy.folder / DECLARATION / "all.yml").content["resources"]["notebooks"]) == {"read"}


def test_the_first_job_is_described_anew(project: Path, tmp_path: Path) -> None:
    copy = DeclarationCopy(project, tmp_path / "copy", "test")
    assert copy.describe_a_job("new") == "jobs.pick"
    job = read_yaml(copy.folder / DECLARATION / "all.yml").content["resources"]["jobs"]["pick"]
    assert (job["description"], job["name"]) == ("new", "pick-${environment}")


def test_a_hub_is_started_for_those_who_name_a_connection_string(project: Path, tmp_path: Path) -> None:
    assert DeclarationCopy(project, tmp_path / "one", "test").hub_variables() == set()
    assert DeclarationCopy(ROOT, tmp_path / "two", "dev").hub_variables() == {"HUB_CONNECTION_STRING"}


def test_an_environment_that_is_not_declared_is_named(project: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeSetupError, match="dev"):
        DeclarationCopy(project, tmp_path / "copy", "dev")
