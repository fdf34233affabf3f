"""Workflow specifications of dltflow, deployed to a local workspace by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devkit.cli import main
from local_pipelines.deploying import classes_of
from local_workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

CLASSES = """
from pipelines.base import Base
from spark_utils.pipelines import DLTMetaMixin
class Shop(Base, DLTMetaMixin):
    def orders(self):
        return self.spark.readStream.table(self.conf["source"])
"""
CONF = "source: raw\ndlt: [{func_name: orders, kind: table}]\n"
SPECIFICATION = """
dev:
  workflows:
    - name: the shop
      target: sales
      development: "true"
      data_sampling: false
      clusters: [{label: default, autoscale: {min_workers: 1, max_workers: 2, mode: ENHANCED}}]
      access_control_list: [{group_name: users, permission_level: CAN_VIEW}]
      tasks:
        items:
          - {python_file: pipelines/shop.py, parameters: ["--conf", conf/shop.yml]}
          - {python_file: totals.py}
        dependencies:
          - whl: dist/*.whl
          - whl: /Volumes/main/default/other-1.0-py3-none-any.whl
          - pypi: {package: simplejson==3.19}
"""
SOURCE = '''"""The pipeline the shop, written by `devkit pipeline deploy` from workflows/shop.yml: change it there."""

from pipelines.shop import Shop

Shop(spark=spark, init_conf={'source': 'raw', 'dlt': [{'func_name': 'orders', 'kind': 'table'}]})
'''
COMMAND = ("pipeline", "deploy", "--deployment-file", "workflows/shop.yml", "--environment")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WorkspaceClient]:
    project = tmp_path / "project"
    for name, text in {
        "pipelines/shop.py": CLASSES,
        "pipelines/base.py": "class Base:\n    def __init__(self, spark, init_conf=None): ...\n",
        "conf/shop.yml": CONF,
        "totals.py": "import dlt\n",
        "workflows/shop.yml": SPECIFICATION,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(project)
    with Workspace() as workspace:
        monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
        yield workspace.client()


def test_a_specification_becomes_a_pipeline_that_is_edited_by_the_next_deployment(
    client: WorkspaceClient, built_wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = Path("dist", built_wheel.name)
    wheel.parent.mkdir()
    wheel.write_bytes(built_wheel.read_bytes())
    assert main([*COMMAND, "dev"]) == 0
    (listed,) = client.pipelines.list_pipelines()
    root = "/Workspace/Shared/project.pipelines/dev"
    spec = client.pipelines.get(listed.pipeline_id).spec
    assert (spec.name, spec.target, spec.development) == ("the shop", "sales", True)
    assert spec.root_path == f"{root}/pipelines/the-shop"
    assert [each.file.path for each in spec.libraries] == [
        f"{spec.root_path}/totals.py",
        f"{spec.root_path}/the-shop.py",
    ]
    uploaded, *others = spec.environment.dependencies
    assert uploaded.startswith(f"{root}/wheels/")
    assert others == ["/Volumes/main/default/other-1.0-py3-none-any.whl", "simplejson==3.19"]
    for path, text in {"the-shop.py": SOURCE, "pipelines/shop.py": CLASSES, "totals.py": "import dlt\n"}.items():
        assert client.workspace.download(f"{spec.root_path}/{path}").read().decode() == text
    granted = client.permissions.get("pipelines", listed.pipeline_id).access_control_list
    assert [each.group_name for each in granted if each.all_permissions[0].permission_level.value == "CAN_VIEW"] == [
        "users"
    ]
    capsys.readouterr()
    assert main([*COMMAND, "dev"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    Path("workflows/shop.yml").write_text(SPECIFICATION.replace("target: sales", "target: shop"), encoding="utf-8")
    assert main([*COMMAND, "dev"]) == 0
    (edited,) = client.pipelines.list_pipelines()
    assert edited.pipeline_id == listed.pipeline_id
    assert client.pipelines.get(edited.pipeline_id).spec.target == "shop"


def test_a_copy_of_ones_own_stands_beside_that_of_everyone(client: WorkspaceClient) -> None:
    Path("workflows/shop.yml").write_text(SPECIFICATION.replace("          - whl: dist/*.whl\n", ""), encoding="utf-8")
    assert main([*COMMAND, "dev"]) == main([*COMMAND, "dev", "--as-individual"]) == 0
    names = {each.name: each.pipeline_id for each in client.pipelines.list_pipelines()}
    assert set(names) == {"the shop", "[dev_engineer@localhost] the shop"}
    own = client.pipelines.get(names["[dev_engineer@localhost] the shop"]).spec
    assert own.root_path.startswith("/Workspace/Users/engineer@localhost/")


OUTPUTS = """
name: readings
catalog: main
schema: sales
environment: {dependencies: [simplejson==3.19]}
dlt:
  - func_name: readings
    source: {stream: raw}
    steps: [parse: {schema: event.ddl}, good_rows]
"""


def test_a_pipeline_of_yaml_alone_is_deployed_with_its_schemas(client: WorkspaceClient) -> None:
    Path("readings.yml").write_text(OUTPUTS, encoding="utf-8")
    assert main([*COMMAND[:3], "readings.yml", "--environment", "dev"]) == 1  # the file of the schema is missing
    Path("event.ddl").write_text("id INT", encoding="utf-8")
    assert main([*COMMAND[:3], "readings.yml", "--environment", "dev"]) == 0
    (listed,) = client.pipelines.list_pipelines()
    spec = client.pipelines.get(listed.pipeline_id).spec
    assert (spec.name, spec.catalog, spec.schema) == ("readings", "main", "sales")
    assert spec.environment.dependencies == ["simplejson==3.19"]
    source = client.workspace.download(f"{spec.root_path}/readings.py").read().decode()
    assert "from spark_utils.pipelines import DLTMetaMixin\n\nDLTMetaMixin(spark=spark, init_conf={" in source
    assert "'steps': [{'parse': {'schema': 'id INT'}}, 'good_rows']" in source


def test_texts_that_look_like_numbers_stay_texts(client: WorkspaceClient) -> None:
    texts = {"a": "0o17", "b": "1e3", "c": "no", "d": "1_000", "e": "12:30", "f": "0x1F", "g": "é\t\n'\"", "h": "007"}
    body = {"name": "texts", "configuration": texts, "tasks": {"items": [{"python_file": "totals.py"}]}}
    Path("texts.yml").write_text(json.dumps({"dev": {"workflows": [body]}}), encoding="utf-8")
    assert main([*COMMAND[:3], "texts.yml", "--environment", "dev"]) == 0
    (listed,) = client.pipelines.list_pipelines()
    assert client.pipelines.get(listed.pipeline_id).spec.configuration == texts


def test_every_mistake_is_told_with_its_line_and_nothing_is_deployed(
    client: WorkspaceClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, "dve"]) == 1
    assert "the environment 'dve' has no workflows; did you mean 'dev'?" in capsys.readouterr().err
    wrong = SPECIFICATION.replace("target: sales", "tagret: sales").replace("python_file: totals", "pyton_file: totals")
    assert main([*COMMAND, "dev"]) == 1
    assert "workflows/shop.yml:15: 0 files match 'dist/*.whl'; exactly one must" in capsys.readouterr().err
    Path("workflows/shop.yml").write_text(wrong, encoding="utf-8")
    assert main([*COMMAND, "dev"]) == 1
    said = capsys.readouterr().err
    assert "workflows/shop.yml:5: unknown field 'tagret'; did you mean 'target'?" in said
    assert "workflows/shop.yml:13: unknown field 'pyton_file'; did you mean 'python_file'?" in said
    assert list(client.pipelines.list_pipelines()) == []


def test_the_configured_classes_of_a_file_are_those_with_the_mixin(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text("class A(dlt.DLTMetaMixin): ...\nclass B(A): ...\nclass C: ...\nclass D(Exception): ...\n")
    assert classes_of(file) == ["A", "B"]
    file.write_text("from base import Pipeline\nclass C: ...\nclass D(Pipeline): ...\n")
    assert classes_of(file) == ["D"]
