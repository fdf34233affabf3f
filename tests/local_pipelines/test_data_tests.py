"""Tests written as data: those in `data/` run as themselves; here is what wrong ones say."""

from __future__ import annotations

import pytest

from devkit.deploy.declaration.yaml_files import read_yaml
from local_pipelines.data_tests import differences, mistakes
from local_pipelines.testing import PipelineTester
from tests.documentation.blocks import blocks
from tests.project import ROOT

ONE = "import dlt\n@dlt.table\n@dlt.expect('small', 'n < 5')\ndef t():\n    return spark.readStream.table('raw')\n"


@pytest.mark.slow
def test_what_differs_is_named_with_its_line(pipeline: PipelineTester) -> None:
    pipeline.file("one.py", ONE)
    file = pipeline.file(
        "one.test.yml",
        """
pipeline: one.py
tests:
  differs:
    given: {raw: {schema: "n INT", rows: [[1], [7]]}}
    expect:
      t: {rows: [[1], [8]], written: 3, expectations: {small: {failed: 2}}}
      nothing: {count: 1}
    flows: {t: FAILED}
""",
    )
    document = read_yaml(file, "one.test.yml")
    assert list(mistakes(document)) == []
    assert list(differences(pipeline, document, ("tests", "differs"))) == [
        "one.test.yml:9: flow 't' is COMPLETED, not FAILED",
        "one.test.yml:7: 't': missing [8]",
        "one.test.yml:7: 't': surplus [7]",
        "one.test.yml:7: 't': rows_written is 2, not 3",
        "one.test.yml:7: 't': expectation 'small' counted {'passed': 1, 'failed': 1}, not {'failed': 2}",
        "one.test.yml:8: 'nothing': there is no such table",
    ]


@pytest.mark.slow
def test_the_examples_of_the_guide_hold(pipeline: PipelineTester) -> None:
    for block in blocks(ROOT / "docs/pipelines.md"):
        if block.target:
            pipeline.file(block.target, block.text)
    document = read_yaml(pipeline.folder / "orders.test.yml")
    assert list(differences(pipeline, document, ("tests", "bad orders are dropped"))) == []
    pipeline.given("raw", [('{"device": {"id": "a"}, "value": 5}',), ("{}",)], "text string")
    assert pipeline.run(pipeline.folder / "readings.yml").state == "COMPLETED"
    assert pipeline.rows("readings", "device_id", "value") == [("a", 5.0)]


def test_all_mistakes_of_a_file_come_at_once(pipeline: PipelineTester) -> None:
    text = "pipeline: p.py\ntest: {}\ntests:\n  a: {givn: {}, given: {t: {schem: n INT}}}\n  b: {expect: {t: 5}}\n"
    assert list(mistakes(read_yaml(pipeline.file("x.test.yml", text), "x"))) == [
        "x:2: unknown key 'test'; did you mean 'tests'?",
        "x:4: unknown key 'givn'; did you mean 'given'?",
        "x:4: unknown key 'schem'; did you mean 'schema'?",
        "x:5: rows are a list, not 5",
    ]
