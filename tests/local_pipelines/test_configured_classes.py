"""Classes whose outputs are declared by configuration (`spark_utils.pipelines.DLTMetaMixin`)."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from devkit.cli import main
from local_pipelines import DefinitionError, PipelineError, run_update
from local_pipelines.declaring.api import create_auto_cdc_flow
from local_pipelines.declaring.sources import find
from local_pipelines.testing import PipelineTester
from spark_utils.pipelines.configured import CDC_KEYS

CLASSES = """
from spark_utils.pipelines import DLTMetaMixin
class Base:
    def __init__(self, spark, init_conf=None):
        self.more = "more"
class Shop(Base, DLTMetaMixin):
    def orders(self):
        return self.spark.readStream.table(self.conf["source"])
    def positive(self):
        return self.spark.readStream.table("orders")
    def changes(self):
        return self.spark.readStream.table("orders")
    def total(self):
        return self.spark.read.table("all_orders").groupBy().sum("amount").toDF(self.more)
"""
CONF = """
source: raw
dlt:
  - {func_name: orders, kind: view, expectations: [{name: known, inv: id is not null}], expectation_action: drop}
  - func_name: positive
    kind: table
    is_streaming_table: true
    expectations:
      - {name: positive, constraint: amount > 0, action: drop}
      - {name: small, constraint: amount < 100}
    append_config: {target: all_orders}
    write_opts: {comment: all of them, table_properties: {allow_reset: false}}
  - func_name: changes
    kind: table
    apply_chg_config: {target: latest, source: order_changes, keys: [id], sequence_by: amount, stored_as_scd_type: 1}
  - {func_name: total, kind: table, write_opts: {database: sales, tablename: total}}
"""
ROWS = [(1, 5), (1, 7), (2, 200), (3, -1), (None, 1)]


def test_a_configuration_takes_every_argument_of_auto_cdc() -> None:
    assert set(inspect.signature(create_auto_cdc_flow).parameters) == set(CDC_KEYS)


@pytest.mark.slow
def test_every_output_of_a_class_becomes_a_dataset(pipeline: PipelineTester) -> None:
    pipeline.given("raw", ROWS, "id int, amount int")
    source, conf = pipeline.file("shop.py", CLASSES), pipeline.file("conf/shop.yml", CONF)
    command = ["pipeline", "run", str(source), "--storage", str(pipeline.storage), "--conf-file", str(conf)]
    assert main(command) == 0
    assert pipeline.rows("all_orders") == [(1, 5), (1, 7), (2, 200)]
    assert pipeline.rows("latest") == [(1, 7), (2, 200), (3, -1)]
    assert pipeline.rows("sales.total") == [(212,)]
    quality = [event["details"]["flow_progress"].get("data_quality", {}) for event in pipeline.log("flow_progress")]
    failed = {r["name"]: r["failed_records"] for q in quality for r in q.get("expectations", [])}
    assert failed == {"known": 1, "positive": 1, "small": 1}


@pytest.mark.slow
def test_a_workflow_specification_names_files_and_configuration(pipeline: PipelineTester) -> None:
    pipeline.given("main.sales.raw", ROWS, "id int, amount int")
    pipeline.file("pipelines/shop.py", CLASSES)
    pipeline.file("conf/shop.yml", CONF)
    spec = pipeline.file(
        "workflows/shop.yml",
        """
dev:
  workflows:
    - name: shop
      target: sales
      tasks:
        items:
          - python_file: pipelines/shop.py
            parameters: ["--conf", conf/shop.yml]
""",
    )
    assert pipeline.run(spec).state == "COMPLETED"
    assert find([spec]).name == "shop"
    assert pipeline.rows("main.sales.latest") == [(1, 7), (2, 200), (3, -1)]
    spec.write_text(spec.read_text().replace("- python_file: pipelines/shop.py\n            p", "- p"))
    assert find([spec]).outputs.keys() == {pipeline.folder / "conf/shop.yml"}
    spec.write_text(spec.read_text().replace("--conf", "--cnf"))
    with pytest.raises(PipelineError, match="needs the key 'python_file'"):
        find([spec])


def test_a_configuration_is_read_as_it_is_deployed(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text("configuration: {answer: no, at: 12:30}\nlibraries: [file: {path: p.sql}]\n")
    (tmp_path / "p.sql").touch()
    assert find([tmp_path / "p.yml"]).configuration == {"answer": "no", "at": "12:30"}
    (tmp_path / "p.yml").write_text("name: a\nname: b\n")
    with pytest.raises(PipelineError, match=r"p.yml:2: 'name' is given again"):
        find([tmp_path / "p.yml"])


def test_all_mistakes_of_a_configuration_come_at_once(pipeline: PipelineTester) -> None:
    source = pipeline.file("shop.py", CLASSES)
    found = find([source])
    found.confs[None] = pipeline.file(
        "wrong.yml",
        """
dlt:
  - {func_nam: orders, kind: tabel, expectation_action: warn}
  - {func_name: order, write_opts: {coment: x}, append_config: {target: a}, apply_cdc_config: {target: b}}
""",
    )
    with pytest.raises(DefinitionError) as caught:
        run_update(found, pipeline.spark, pipeline.storage)
    for expected in (
        "dlt[0]: unknown key 'func_nam'; did you mean 'func_name'?",
        "dlt[0]: 'func_name' is missing",
        "dlt[0]: kind must be table or view, not 'tabel'",
        "must be allow, drop or fail, not 'warn'",
        "dlt[1]: Shop has no method 'order'; did you mean 'orders'?",
        "dlt[1].write_opts: unknown key 'coment'; did you mean 'comment'?",
        "dlt[1]: append_config and apply_cdc_config exclude each other",
    ):
        assert expected in str(caught.value)


OUTPUTS = """
name: shop
configuration: {least: 0}
dlt:
  - func_name: parsed
    source: {stream: raw}
    kind: view
    steps:
      - with_columns: {body: CAST(text AS BINARY)}
      - parse: {schema: order.ddl}
      - good_rows
      - flatten: {column: event}
      - rename: {order_id: id}
  - func_name: orders
    source: {stream: parsed}
    steps: [{select: [id, amount]}, {where: id > 1}, {drop: [nothing]}]
    expectations: [{name: positive, constraint: amount > 0, action: drop}]
  - {func_name: total, source: {sql: "SELECT sum(amount) AS total FROM orders"}}
"""


@pytest.mark.slow
def test_a_pipeline_of_yaml_alone_needs_no_class(pipeline: PipelineTester) -> None:
    bodies = ['{"order": {"id": 1}, "amount": 5}', '{"order": {"id": 2}, "amount": 7}', "no", '{"order": {"id": 3}}']
    pipeline.given("raw", [(body,) for body in bodies], "text string")
    pipeline.file("order.ddl", "order STRUCT<id: INT>, amount INT")
    result = pipeline.run(pipeline.file("shop.yml", OUTPUTS))
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("orders") == [(2, 7)]
    assert result.counts["orders"].dropped == 1
    assert pipeline.rows("total") == [(7,)]


def test_all_mistakes_of_yaml_alone_come_at_once_with_their_lines(pipeline: PipelineTester) -> None:
    source = pipeline.file(
        "wrong.yml",
        """dlt:
  - {func_name: a, source: {strem: raw}}
  - {source: {table: raw, path: x}, steps: [flaten, {where: 5}, {flatten: {seperator: _}}, {parse: {}}, {drop: a}]}
  - {func_name: b, source: {table: raw}, write_opts: {comments: x}}
  - 5
""",
    )
    with pytest.raises(DefinitionError) as caught:
        pipeline.run(source)
    for expected in (
        "wrong.yml:2: dlt[0].source: a mapping with one of stream, table, sql, format",
        "dlt[0].source: unknown key 'path'",
        "'func_name' is missing: it names the output",
        "dlt[0].steps[0]: unknown step 'flaten'; did you mean 'flatten'?",
        "dlt[0].steps[1]: where takes a text, not 5",
        "dlt[0].steps[2].flatten: unknown key 'seperator'; did you mean 'separator'?",
        "dlt[0].steps[3]: parse needs the key 'schema'",
        "dlt[0].steps[4]: drop takes a list, not 'a'",
        "wrong.yml:4: dlt[0].write_opts: unknown key 'comments'; did you mean",
        "wrong.yml:5: dlt[0]: a mapping is expected, not 5",
    ):
        assert expected in str(caught.value)
