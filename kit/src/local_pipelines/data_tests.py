"""Tests written as data beside a pipeline: files ``NAME.test.yml``, which pytest collects.

::

    pipeline: orders.py                 # a SOURCE, or a list of them, named from this file's folder
    parameters: {least: "0"}            # ${folder} in a value is the test's own folder, where `files` go
    tests:
      bad orders are dropped:
        given:
          raw_orders: {schema: "id int, amount int", rows: [[1, 5], [2, -1]]}
        expect:
          orders: {rows: [{id: 1, amount: 5}], dropped: 1, expectations: {positive: {passed: 1, failed: 1}}}

A test is one update, or ``updates``, a list of them. An update has ``given`` (rows by table, appended), ``files`` (text
by name), ``parameters``, ``refresh``, ``full_refresh``, ``expect`` (by table: rows, or a mapping as above), ``flows``
(status by name), ``state`` (COMPLETED, unless an error is expected) and ``error`` (a part of its text).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Row
from pyspark.sql import functions as F

from devkit.deploy.declaration.yaml_files import Document, read_yaml
from devkit.deploy.errors import DeclarationError
from local_pipelines.declaring import sources
from local_pipelines.declaring.python_source import reason_of
from local_pipelines.errors import DefinitionError, PipelineError
from local_pipelines.storage import is_table, schema_of
from spark_utils.names import suggestion

if TYPE_CHECKING:
    from local_pipelines.testing import PipelineTester

ENDINGS = (".test.yml", ".test.yaml")
OF_A_FILE = ("pipeline", "conf", "parameters", "tests")
OF_AN_UPDATE = ("given", "files", "parameters", "refresh", "full_refresh", "expect", "flows", "state", "error")
OF_GIVEN = ("schema", "rows")
OF_EXPECTED = ("rows", "columns", "count", "written", "dropped", "expectations")
YamlPath = tuple[str | int, ...]


class DataTests(pytest.File):
    """One file of tests."""

    def collect(self) -> Iterator[pytest.Item]:
        """Return its tests.

        Raises:
            CollectError: With every mistake of the file, each with its line.
        """
        try:
            document = read_yaml(self.path)
        except DeclarationError as error:
            raise self.CollectError(str(error)) from None
        found = [*document.mistakes, *mistakes(document)]
        if found:
            raise self.CollectError("\n".join(found))
        for name in document.content["tests"]:
            yield DataTest.from_parent(self, name=name, callobj=_test_of(document, name))


class DataTest(pytest.Function):
    """One test."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the test stands."""
        line = read_yaml(self.path).lines["tests", self.name]
        return self.path, line - 1, self.name


def mistakes(document: Document) -> Iterator[str]:
    """Return what is wrong with a file, each mistake with its line."""
    content = document.content
    if not isinstance(content, dict) or not isinstance(content.get("tests"), dict) or not content.get("pipeline"):
        yield f"{document.place(())}: a file of tests is a mapping with the keys 'pipeline' and 'tests'"
        return
    yield from _unknown(document, (), OF_A_FILE)
    for name in content["tests"]:
        for path in _updates(document, name):
            yield from _unknown(document, path, OF_AN_UPDATE)
            update = _at(document, path)
            for key, known in (("given", OF_GIVEN), ("expect", OF_EXPECTED)):
                for table, value in _mapping(update, key).items():
                    if isinstance(value, dict):
                        yield from _unknown(document, (*path, key, table), known)
                    elif not isinstance(value, list):
                        yield f"{document.place((*path, key, table))}: rows are a list, not {value!r}"


def _unknown(document: Document, path: YamlPath, known: Iterable[str]) -> Iterator[str]:
    found = _at(document, path)
    if not isinstance(found, dict):
        yield f"{document.place(path)}: a mapping is expected, not {found!r}"
        return
    for key in found:
        if key not in known:
            yield f"{document.place((*path, key))}: unknown key '{key}'{suggestion(key, known)}"


def _at(document: Document, path: YamlPath) -> Any:
    found = document.content
    for part in path:
        found = found[part]
    return found


def _mapping(update: Any, key: str) -> dict[str, Any]:
    found = update.get(key) if isinstance(update, dict) else None
    return found if isinstance(found, dict) else {}


def _updates(document: Document, name: str) -> list[YamlPath]:
    test: Any = document.content["tests"][name]
    if isinstance(test, dict) and list(test) == ["updates"] and isinstance(test["updates"], list):
        return [("tests", name, "updates", number) for number in range(len(test["updates"]))]
    return [("tests", name)]


def _test_of(document: Document, name: str) -> Callable[[PipelineTester], None]:
    def test(pipeline: PipelineTester) -> None:
        for path in _updates(document, name):
            try:
                found = list(differences(pipeline, document, path))
            except PipelineError as error:
                found = [str(error)]
            if found:
                pytest.fail("\n".join(found), pytrace=False)

    return test


def differences(pipeline: PipelineTester, document: Document, path: YamlPath) -> Iterator[str]:
    """Give, run, and return what is not as expected."""
    content, update = document.content, _at(document, path)
    for table in _mapping(update, "given"):
        _give(pipeline, document, (*path, "given", table), table)
    for file, text in _mapping(update, "files").items():
        pipeline.file(file, text)
    given = _mapping(content, "parameters") | _mapping(update, "parameters")
    parameters = {key: str(value).replace("${folder}", str(pipeline.folder)) for key, value in given.items()}
    named = content["pipeline"] if isinstance(content["pipeline"], list) else [content["pipeline"]]
    source = sources.find([document.file.parent / each for each in named])
    if "conf" in content:
        source.confs[None] = document.file.parent / content["conf"]
    options = {key: update[key] for key in ("refresh", "full_refresh") if key in update}
    try:
        report = pipeline.run(source, parameters=parameters, **options).report()
    except DefinitionError as error:
        report = {"state": "FAILED", "error": str(error), "flows": {}, "datasets": {}}
    yield from _state(document, path, report)
    for table, value in _mapping(update, "expect").items():
        expected = value if isinstance(value, dict) else {"rows": value}
        place = document.place((*path, "expect", table))
        for difference in (*_rows(pipeline, table, expected), *_counts(expected, report["datasets"].get(table) or {})):
            yield f"{place}: '{table}': {difference}"


def _give(pipeline: PipelineTester, document: Document, path: YamlPath, table: str) -> None:
    value, place = _at(document, path), document.place(path)
    given = value if isinstance(value, dict) else {"rows": value}
    schema: Any = given.get("schema") or schema_of(pipeline.spark, pipeline.path(table))
    if schema is None:
        raise PipelineError(
            f"'{table}' is not there yet", origin=place, remedy="Write its schema: {schema: …, rows: …}."
        )
    columns = pipeline.spark.createDataFrame([], schema).columns
    rows = []
    for row in given.get("rows") or []:
        named = row if isinstance(row, dict) else dict(zip(columns, row, strict=len(row) != len(columns)))
        unknown = [name for name in named if name not in columns]
        if unknown:
            near = suggestion(unknown[0], columns)
            raise PipelineError(f"'{table}' has no column '{unknown[0]}'{near}", origin=place)
        rows.append((json.dumps(named),))
    texts = pipeline.spark.createDataFrame(rows, "value string")
    parsed = texts.select(F.from_json("value", schema, {"mode": "FAILFAST"}).alias("row")).select("row.*")
    try:
        pipeline.given(table, parsed.collect(), schema)
    except PySparkException as error:
        raise PipelineError(f"rows of '{table}' do not fit its schema: {reason_of(error)}", origin=place) from None


def _state(document: Document, path: YamlPath, report: Mapping[str, Any]) -> Iterator[str]:
    update, said = _at(document, path), report["error"] or ""
    if report["state"] != update.get("state", "FAILED" if "error" in update else "COMPLETED"):
        yield f"{document.place(path)}: the update is {report['state']}{': ' if said else ''}{said}"
    elif update.get("error", "") not in said:
        yield f"{document.place((*path, 'error'))}: the error is: {said}"
    for flow, status in _mapping(update, "flows").items():
        found = report["flows"].get(flow)
        if found != status:
            yield f"{document.place((*path, 'flows', flow))}: flow '{flow}' is {found}, not {status}"


def _rows(pipeline: PipelineTester, table: str, expected: Mapping[str, Any]) -> Iterator[str]:
    if not {"count", "rows"} & set(expected):
        return
    if not is_table(pipeline.path(table)):
        yield "there is no such table"
        return
    rows = expected.get("rows") or []
    names = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row)
    columns = expected.get("columns") or list(names)
    stored = pipeline.rows(table, *columns)
    if len(stored) != expected.get("count", len(stored)):
        yield f"{len(stored)} rows, not {expected['count']}"
    if "rows" in expected:
        wanted = Counter(_text([row.get(c) for c in columns] if isinstance(row, dict) else row) for row in rows)
        found = Counter(map(_text, stored))
        yield from (f"missing {row}" for row in (wanted - found).elements())
        yield from (f"surplus {row}" for row in (found - wanted).elements())


def _counts(expected: Mapping[str, Any], counted: Mapping[str, Any]) -> Iterator[str]:
    for key, name in (("written", "rows_written"), ("dropped", "dropped_records")):
        if key in expected and counted.get(name) != expected[key]:
            yield f"{name} is {counted.get(name)}, not {expected[key]}"
    for rule, counts in (expected.get("expectations") or {}).items():
        found = (counted.get("expectations") or {}).get(rule)
        if found != {**(found or {}), **counts}:
            yield f"expectation '{rule}' counted {found}, not {counts}"


def _text(row: Iterable[Any]) -> str:
    return json.dumps([_plain(value) for value in row], ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return _plain(value.asDict())
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal | float) and value % 1 == 0:
        return int(value)
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, str | int | float | None) else str(value)  # a time is 2026-11-27 12:00:00
