"""The reader in the JVM: it calls good what the reference calls good, and needs no Python for it."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils import timestamps
from spark_utils.configuration.settings import Engine
from spark_utils.errors import RuntimeSetupError
from spark_utils.parsing import Reason, good_rows, parse, rejected_rows
from spark_utils.parsing.jvm import engine as jvm_engine
from spark_utils.parsing.jvm import java_reader
from spark_utils.parsing.jvm.engine import compile_explanation
from spark_utils.parsing.jvm.java_reader import FUNCTION
from spark_utils.parsing.reference import Good, UnknownPolicy, compile_classifier
from spark_utils.sinks.batch import COLLECTED_ROWS, ROWS_PER_TASK, Observed, RejectedRows
from tests.project import ROOT, copy_project
from tests.spark_utils.parsing.hostile_bodies import LIMITS, SCHEMA, plain
from tests.spark_utils.parsing.random_bodies import random_bodies

OPTIONS: dict[str, Any] = {"max_body_bytes": LIMITS.max_body_bytes, "max_depth": LIMITS.max_depth, "engine": "jvm"}


def _frame(spark: SparkSession, bodies: list[bytes | None]) -> DataFrame:
    df = spark.createDataFrame(list(enumerate(bodies)), "offset long, body binary")
    return df.repartition(1)  # or the optimizer of Spark Connect reads them, and no plan shows it


def _plan(df: DataFrame) -> str:
    with redirect_stdout(io.StringIO()) as printed:
        df.explain()
    return printed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("each_spark", "engine", "unknown", "seed"),
    [
        ("classic", "jvm", "keep", 1),
        ("connect", "jvm", "keep", 2),
        ("classic", "jvm", "count", 3),
        ("connect", "jvm", "reject", 4),
        ("classic", "arrow", "keep", 5),
    ],
    indirect=["each_spark"],
)
def test_random_bodies_get_the_reference_s_verdicts_and_values(
    each_spark: SparkSession, engine: Engine, unknown: UnknownPolicy, seed: int
) -> None:
    bodies = random_bodies(SCHEMA, 10_000, seed)
    parsed = parse(_frame(each_spark, [*bodies]), SCHEMA, unknown=unknown, **{**OPTIONS, "engine": engine})
    judge = compile_classifier(SCHEMA, limits=LIMITS, unknown=unknown)
    rows = sorted(parsed.toArrow().to_pylist(maps_as_pydicts="strict"), key=lambda row: row["offset"])
    good = 0
    for body, row in zip(bodies, rows, strict=True):
        verdict = judge(body)
        why = (row["reason"], row["path"], row["detail"])
        if isinstance(verdict, Good):
            good += 1
            drift = verdict.unknown_count if unknown == "count" else verdict.unknown
            assert (why, row["_unknown_count" if unknown == "count" else "_unknown"]) == ((None,) * 3, drift), body
            assert plain(row["event"]) == plain(verdict.values), body
        else:
            assert (row["event"], *why) == (None, verdict.reason, verdict.path, verdict.detail), body
    assert 3_000 < good < 7_000, "bodies of both kinds"


def test_good_rows_are_read_once_and_without_python(each_spark: SparkSession) -> None:
    good = _plan(good_rows(parse(_frame(each_spark, [b'{"id":"a"}']), SCHEMA, **OPTIONS)))
    assert good.count(f"{FUNCTION}_") == 1
    assert "Python" not in good
    rejected = _plan(rejected_rows(parse(_frame(each_spark, [b'{"id":"a"}']), SCHEMA, **OPTIONS)))
    assert rejected.count(f"{FUNCTION}_") == 1
    assert rejected.count("EvalPython") == 1


IDS = t.StructType([t.StructField("id", t.LongType(), nullable=False)])
Step = Callable[[DataFrame], DataFrame]
PREFIX = b"\0\0\0\0\1"  # as a schema registry puts it before each body


def _picked_up(df: DataFrame, parse: Step) -> tuple[list[int | None], list[tuple[str, bytes]]]:
    """Write as the sink does; return the ids of the good rows, and reason and body of the rejected ones."""
    rejected = RejectedRows(df, parse)
    good = [row[0] for row in good_rows(rejected.attach()).select("event.id").collect()]
    seen = rejected.seen()
    assert seen is not None
    assert seen.collected is not None
    assert seen.rejected == seen.collected.count()
    return sorted(good), sorted((row.reason, bytes(row.body or b"")) for row in seen.collected.collect())


def _stricter(df: DataFrame) -> DataFrame:
    """Reject negative ids too, as a user may."""
    parsed = parse(df, IDS, engine="jvm")
    is_negative = F.coalesce(F.col("event.id") < 0, F.lit(False))
    negative = parsed.withColumn("reason", F.when(is_negative, "negative").otherwise(F.col("reason")))
    return negative.withColumn("event", F.when(~is_negative, F.col("event")))


WAYS: dict[str, Step] = {
    "as it comes": lambda df: parse(df, IDS, engine="jvm"),
    "a body made anew": lambda df: parse(df.withColumn("body", F.expr("substring(body, 1)")), IDS, engine="jvm"),
    "a column less": lambda df: parse(df.drop("key"), IDS, engine="jvm"),
    "a column of another type": lambda df: parse(df.withColumn("key", F.col("key").cast("string")), IDS, engine="jvm"),
    "by Arrow": lambda df: parse(df, IDS, engine="arrow"),
}


@pytest.mark.parametrize("way", WAYS)
def test_rejected_rows_are_picked_up_with_their_reasons(spark: SparkSession, way: str) -> None:
    bodies = [b'{"id":1}', b"{", b'{"id":"x"}', None]
    df = spark.createDataFrame([(body, b"k") for body in bodies], "body binary, key binary")
    expected = [("null_body", b""), ("truncated", b"{"), ("type_mismatch", b'{"id":"x"}')]
    assert _picked_up(df, WAYS[way]) == ([1], expected)


def test_few_rejected_rows_are_explained_without_a_python_worker(each_spark: SparkSession) -> None:
    rejected = RejectedRows(_frame(each_spark, [b'{"id":1}', b"{"]), WAYS["as it comes"])
    assert good_rows(rejected.attach()).count() == 1
    collected = rejected.seen().collected
    assert [row.reason for row in collected.collect()] == ["truncated"]
    assert "Python" not in _plan(collected)


def test_many_rejected_rows_are_explained_by_some_tasks_each_once(each_spark: SparkSession) -> None:
    bodies: list[bytes | None] = [b'{"id":%d' % number for number in range(2 * ROWS_PER_TASK + 1)]
    rejected = RejectedRows(_frame(each_spark, bodies), WAYS["as it comes"])
    assert good_rows(rejected.attach()).collect() == []
    collected = rejected.seen().collected
    assert sorted(bytes(row.body) for row in collected.select("body").collect()) == sorted(bodies)
    assert collected.select(F.spark_partition_id()).distinct().count() == 2


def test_too_many_rejected_rows_are_counted_and_left_to_a_second_reading(spark: SparkSession) -> None:
    bodies = [b'{"id":%d' % number for number in range(COLLECTED_ROWS + 1)]
    rejected = RejectedRows(_frame(spark, [b'{"id":1}', *bodies]), WAYS["as it comes"])
    assert [row[0] for row in good_rows(rejected.attach()).select("event.id").collect()] == [1]
    assert rejected.seen() == Observed(rows=COLLECTED_ROWS + 2, rejected=COLLECTED_ROWS + 1, collected=None)


def test_a_body_that_is_cut_before_parsing_is_cut_once(spark: SparkSession) -> None:
    bodies: list[bytes | None] = [PREFIX + b'{"id":1}', PREFIX + b'{"id":', PREFIX + PREFIX + b'{"id":3}']
    expected = [("not_json", PREFIX + b'{"id":3}'), ("truncated", b'{"id":')]

    def cut(df: DataFrame) -> DataFrame:
        return parse(df.withColumn("body", F.expr("substring(body, 6)")), IDS, engine="jvm")

    assert _picked_up(_frame(spark, bodies), cut) == ([1], expected)


def test_bodies_in_a_column_of_another_name_are_picked_up(spark: SparkSession) -> None:
    df = spark.createDataFrame([(b'{"id":1}', 7), (b"{", 8)], "payload binary, offset long")
    rejected = RejectedRows(df, partial(parse, schema=IDS, body_column="payload"))
    good = good_rows(rejected.attach())
    assert (good.columns, good.collect()) == (["event", "_unknown", "offset"], [((1,), None, 7)])
    assert [(row.reason, row.payload) for row in rejected.seen().collected.collect()] == [("truncated", b"{")]


def test_a_row_that_a_user_rejects_is_rejected_for_the_user_s_reason(spark: SparkSession) -> None:
    df = _frame(spark, [b'{"id":1}', b'{"id":-2}', b"{"])
    assert _picked_up(df, _stricter) == ([1], [("negative", b'{"id":-2}'), ("truncated", b"{")])


def test_texts_with_escapes_are_what_they_stand_for(each_spark: SparkSession) -> None:
    schema = t.StructType().add("at", "timestamp").add("day", "date").add("blob", "binary").add("price", "decimal(4,2)")
    escaped = (
        b'{"at":"2024-01-01T00:00:00\\u002B01:00","day":"2024\\u002d02-29","blob":"aGk\\u003d","price":"1\\u002e50"}'
    )
    parsed = parse(_frame(each_spark, [escaped]), schema, engine="jvm").select("event.*", "reason")
    row = parsed.selectExpr("CAST(at AS string)", "CAST(day AS string)", "blob", "price", "reason").first()
    assert row == ("2023-12-31 23:00:00", "2024-02-29", b"hi", Decimal("1.50"), None)


DAYS = [
    "2024-02-29",
    "2023-02-29",
    "0001-01-01",
    "9999-12-31",
    "0000-01-01",
    "2024-1-01",
    "\uff12024-01-01",
    "2024-13-01",
]
TIMES = ["", "T", "T00", " 23", "T24", "T00:00", "T12:60", "T12:00:59", "T12:00:60", "t12:00", "T1200", "T12:00:5"]
FRACTIONS = ["", ".", ".1", ".123456", ".1234560", ".1234567", ".0000000", ".12345600000000000", ".1x", ",5"]
OFFSETS = ["", "Z", "z", "+01", "-0130", "+23:59", "+24:00", "+1", "-01:60", " +01:00", "+01:00:00", "Z "]


@pytest.mark.parametrize(("each_spark", "engine"), [("classic", "jvm"), ("connect", "arrow")], indirect=["each_spark"])
def test_each_engine_reads_the_one_grammar_of_timestamps(each_spark: SparkSession, engine: Engine) -> None:
    texts = ["".join(parts) for parts in itertools.product(DAYS, TIMES, FRACTIONS, OFFSETS)]
    frame = _frame(each_spark, [json.dumps({"t": text, "local": text, "day": text}).encode() for text in texts])
    for name, data_type in (("t", "TIMESTAMP"), ("local", "TIMESTAMP_NTZ"), ("day", "DATE")):
        parsed = parse(frame, f"{name} {data_type}", engine=engine).select("offset", f"event.{name}").toArrow()
        found = dict(zip(parsed["offset"].to_pylist(), parsed[name].to_pylist(), strict=True))
        for place, text in enumerate(texts):
            assert found[place] == _as_the_grammar_says(name, text), (name, text)


def _as_the_grammar_says(name: str, text: str) -> datetime | date | None:
    moment = timestamps.read_timestamp(text)
    if name == "t" or moment is None:
        return moment if name == "t" else timestamps.read_date(text)
    if name == "day":
        return timestamps.read_date(text)
    return None if timestamps.has_offset(text) else moment.replace(tzinfo=None)


@pytest.mark.parametrize("engine", ["jvm", "arrow"])
def test_strings_of_any_collation_are_strings(each_spark: SparkSession, engine: Engine) -> None:
    schema = t.StructType([t.StructField("s", t.StringType("UNICODE_CI"))])
    parsed = parse(_frame(each_spark, [b'{"s":"abc"}', b'{"s":5}']), schema, engine=engine).orderBy("offset")
    plain = parsed.selectExpr("CAST(event.s AS STRING) AS s", "reason")  # as it is, Spark 4.0.0 collects no row of it
    assert plain.collect() == [("abc", None), (None, "type_mismatch")]


@pytest.mark.parametrize("metadata", [{"range": [0, 1.5]}, {"examples": [1, "x"]}, {"m": [[1]]}, {"o": {"a": [None]}}])
def test_metadata_of_any_kind_does_not_matter(spark: SparkSession, metadata: dict[str, Any]) -> None:
    schema = t.StructType([t.StructField("id", t.LongType(), True, metadata)])
    assert good_rows(parse(_frame(spark, [b'{"id":5}']), schema, engine="jvm")).first()["event"] == (5,)


def test_a_limit_beyond_java_s_arrays_is_none(each_spark: SparkSession) -> None:
    parsed = parse(_frame(each_spark, [b'{"id":5}']), IDS, engine="jvm", max_body_bytes=2**40)
    assert parsed.select("event.id").first() == (5,)


@pytest.mark.slow
def test_the_jar_is_named_by_its_source_and_always_the_same(tmp_path: Path) -> None:
    """Executors keep the classes of each version of the wheel that ever ran in their application."""
    project = copy_project(tmp_path)
    folder = project / "src/spark_utils/parsing/jvm"
    first = _built(project)
    assert first[0] == java_reader.packaged_jar().name, "older than its source: `make setup`"
    assert _built(project) == first
    source = folder / "java" / "BodyReader.java"
    source.write_text(source.read_text() + "// another version\n")
    assert _built(project)[0] != first[0]


def _built(project: Path) -> tuple[str, bytes]:
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", "build"]
    done = subprocess.run(build, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (jar,) = (project / "build/spark_utils/parsing/jvm").glob("*.jar")
    return jar.name, jar.read_bytes()


def test_without_a_compiler_the_build_says_what_to_install(tmp_path: Path) -> None:
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", "build"]
    environment = {**os.environ, "PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
    project = copy_project(tmp_path / "project")
    done = subprocess.run(build, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no javac in JAVA_HOME or on PATH. Install a JDK" in done.stderr


def test_a_body_that_the_readers_disagree_on_is_kept_with_a_reason() -> None:
    explain = compile_explanation(SCHEMA, LIMITS, "keep")
    assert explain(b'{"id":"a"}')[0] == Reason.INTERNAL_ERROR
    assert explain(b"{}")[:2] == ("missing_field", "id")


def test_long_digits_and_many_escapes_are_judged_at_once(each_spark: SparkSession) -> None:
    digits, schema = "9" * 500_000, t.StructType().add("d", "decimal(38,2)").add("f", "double").add("s", "string")
    bodies = [f'{{"d":{literal}}}' for literal in (digits, f'"{digits}x"', f'"0.{digits}"', f"1e{digits}")]
    bodies += [f'{{"f":{digits}}}', f'{{"s":"{chr(92)}n{"a" * 900_000}"}}', f'{{"d":"{"0" * 500_000}1"}}']
    parsed = parse(_frame(each_spark, [body.encode() for body in bodies]), schema, engine="jvm")
    expected = ["overflow", "type_mismatch", "lossy_number", "overflow", "overflow", None, None]
    assert [row.reason for row in parsed.orderBy("offset").select("reason").collect()] == expected


def test_where_the_jvm_refuses_arrow_reads_and_who_asked_for_the_jvm_is_told(
    each_spark: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (other := tmp_path / "no.such.package.jar").write_bytes(b"no archive")
    monkeypatch.setattr(java_reader, "_refused", set())
    monkeypatch.setattr(java_reader, "packaged_jar", lambda: other)
    df = _frame(each_spark, [b'{"id":"a"}', b"{}"])
    assert [row.reason for row in parse(df, SCHEMA).orderBy("offset").collect()] == [None, "missing_field"]
    assert FUNCTION not in _plan(parse(df, SCHEMA))
    assert caplog.text.count("read without the JVM") == 1
    with pytest.raises(RuntimeSetupError, match=r"bodies cannot be read in the JVM.*engine='arrow'"):
        parse(df, SCHEMA, engine="jvm")


def test_an_installation_without_the_jar_says_so(
    each_spark: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(java_reader, "_refused", set())
    monkeypatch.setattr(java_reader, "packaged_jar", lambda: None)
    df = _frame(each_spark, [b'{"id":"a"}'])
    assert [row.reason for row in parse(df, SCHEMA).collect()] == [None]
    assert "this installation has no reader in Java" in caplog.text
    with pytest.raises(RuntimeSetupError, match=r"has no reader in Java.*JDK"):
        parse(df, SCHEMA, engine="jvm")


def test_without_pyarrow_rows_are_explained_one_by_one(
    each_spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jvm_engine, "find_spec", lambda _name: None)
    rejected = rejected_rows(parse(_frame(each_spark, [b'{"id":1}', b"{", None]), IDS, engine="jvm"))
    assert "ArrowEvalPython" not in _plan(rejected)
    assert [row.reason for row in rejected.orderBy("offset").collect()] == ["truncated", "null_body"]


def test_where_it_can_the_jvm_reads_by_default(each_spark: SparkSession) -> None:
    assert FUNCTION in _plan(parse(_frame(each_spark, [b"{}"]), SCHEMA))


DRIVER = """
from pyspark.sql import SparkSession
from spark_utils.parsing import parse
spark = SparkSession.builder.master("local-cluster[1,1,1024]").config("spark.executor.memory", "1g").getOrCreate()
df = spark.createDataFrame([(b'{"id": "a"}',), (b"{",)], "body binary").repartition(1)
parsed = parse(df, spark.createDataFrame([], "id string").schema)
assert "spark_utils_read_body" in parsed._jdf.queryExecution().toString()
print("verdicts:", sorted((row.reason or row.event.id) for row in parsed.collect()))
"""


@pytest.mark.slow
def test_executors_get_the_classes_where_nothing_was_prepared(tmp_path: Path) -> None:
    """An executor of its own, and a plain configuration: as on a cluster that has only the wheel."""
    environment = {**os.environ, "SPARK_CONF_DIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "verdicts: ['a', 'truncated']" in done.stdout, done.stderr[-3000:]
