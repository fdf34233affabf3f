"""The reader in the JVM: it calls good what the reference calls good, and needs no Python for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkAttributeError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.configuration.settings import Engine
from spark_utils.errors import RuntimeSetupError
from spark_utils.parsing import Reason, good_rows, parse, rejected_rows
from spark_utils.parsing.jvm import engine as jvm_engine
from spark_utils.parsing.jvm import java_reader, java_sources
from spark_utils.parsing.jvm.engine import compile_explanation
from spark_utils.parsing.reference import Good, UnknownPolicy, compile_classifier
from spark_utils.sinks.observed_batch import RejectedRows
from tests.project import ROOT
from tests.spark_utils.parsing.hostile_bodies import LIMITS, SCHEMA, plain
from tests.spark_utils.parsing.random_bodies import random_bodies

OPTIONS: dict[str, Any] = {"max_body_bytes": LIMITS.max_body_bytes, "max_depth": LIMITS.max_depth, "engine": "jvm"}
MORE_THAN_ONE_TASK = 12_000  # rejected rows; the sink explains fewer in a single task


def _frame(spark: SparkSession, bodies: list[bytes | None]) -> DataFrame:
    return spark.createDataFrame(list(enumerate(bodies)), "offset long, body binary")


def _plan(df: DataFrame) -> str:
    return str(df._jdf.queryExecution().executedPlan().toString())


@pytest.mark.parametrize(
    ("engine", "unknown", "seed"),
    [("jvm", "keep", 1), ("jvm", "keep", 2), ("jvm", "count", 3), ("jvm", "reject", 4), ("arrow", "keep", 5)],
)
def test_random_bodies_get_the_reference_s_verdicts_and_values(
    spark: SparkSession, engine: Engine, unknown: UnknownPolicy, seed: int
) -> None:
    bodies = random_bodies(SCHEMA, 10_000, seed)
    parsed = parse(_frame(spark, [*bodies]), SCHEMA, unknown=unknown, **{**OPTIONS, "engine": engine})
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


def test_good_rows_are_read_once_and_without_python(spark: SparkSession) -> None:
    good = _plan(good_rows(parse(_frame(spark, [b'{"id":"a"}']), SCHEMA, **OPTIONS)))
    assert good.count("read_body(") == 1
    assert "Python" not in good
    rejected = _plan(rejected_rows(parse(_frame(spark, [b'{"id":"a"}']), SCHEMA, **OPTIONS)))
    assert rejected.count("read_body(") == 1
    assert rejected.count("EvalPython") == 1


IDS = t.StructType([t.StructField("id", t.LongType(), nullable=False)])
PREFIX = b"\0\0\0\0\1"  # as a schema registry puts it before each body


def _picked_up(parsed: DataFrame) -> tuple[list[int | None], list[tuple[str, bytes]]]:
    """Write as the sink does; return the ids of the good rows, and reason and body of the rejected ones."""
    rejected = RejectedRows(parsed)
    good = [row[0] for row in good_rows(rejected.attach()).select("event.id").collect()]
    seen = rejected.seen()
    assert seen is not None
    assert seen.collected is not None
    assert seen.rejected == seen.collected.count()
    return sorted(good), sorted((row.reason, bytes(row.body or b"")) for row in seen.collected.collect())


def _stricter(parsed: DataFrame) -> DataFrame:
    """Reject negative ids too, as a user may."""
    is_negative = F.coalesce(F.col("event.id") < 0, F.lit(False))
    return parsed.where(~is_negative).unionByName(parsed.where(is_negative).withColumn("reason", F.lit("negative")))


WAYS: dict[str, Callable[[DataFrame], DataFrame]] = {
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
    assert _picked_up(WAYS[way](df)) == ([1], expected)


def test_many_rejected_rows_are_explained_by_all_cores(spark: SparkSession) -> None:
    bodies = [b'{"id":%d' % number for number in range(MORE_THAN_ONE_TASK)]
    good, rejected = _picked_up(parse(_frame(spark, [b'{"id":1}', *bodies]), IDS, engine="jvm"))
    assert good == [1]
    assert rejected == sorted(("truncated", body) for body in bodies)


def test_a_body_that_is_cut_before_parsing_is_not_cut_again(spark: SparkSession) -> None:
    bodies: list[bytes | None] = [PREFIX + b'{"id":1}', PREFIX + b'{"id":', PREFIX + PREFIX + b'{"id":3}']
    df = _frame(spark, bodies).withColumn("body", F.expr("substring(body, 6)"))
    expected = [("not_json", PREFIX + b'{"id":3}'), ("truncated", b'{"id":')]
    assert _picked_up(parse(df, IDS, engine="jvm")) == ([1], expected)


def test_a_reason_put_in_place_of_the_engine_s_is_heard(spark: SparkSession) -> None:
    parsed = parse(_frame(spark, [b'{"id":1}', b'{"id":-2}', b"{"]), IDS, engine="jvm")
    assert _picked_up(_stricter(parsed)) == ([1], [("negative", b'{"id":-2}'), ("truncated", b"{")])
    later = parsed.withColumn("reason", F.coalesce("reason", F.when(F.col("event.id") < 0, "negative")))
    assert _picked_up(later) == ([1], [("negative", b'{"id":-2}'), ("truncated", b"{")])


def test_texts_with_escapes_are_what_they_stand_for(spark: SparkSession) -> None:
    schema = t.StructType().add("at", "timestamp").add("day", "date").add("blob", "binary").add("price", "decimal(4,2)")
    escaped = (
        b'{"at":"2024-01-01T00:00:00\\u002B01:00","day":"2024\\u002d02-29","blob":"aGk\\u003d","price":"1\\u002e50"}'
    )
    parsed = parse(_frame(spark, [escaped]), schema, engine="jvm").select("event.*", "reason")
    row = parsed.selectExpr("CAST(at AS string)", "CAST(day AS string)", "blob", "price", "reason").first()
    assert row == ("2023-12-31 23:00:00", "2024-02-29", b"hi", Decimal("1.50"), None)


@pytest.mark.parametrize("engine", ["jvm", "arrow"])
def test_strings_of_any_collation_are_strings(spark: SparkSession, engine: Engine) -> None:
    schema = t.StructType([t.StructField("s", t.StringType("UNICODE_CI"))])
    parsed = parse(_frame(spark, [b'{"s":"abc"}', b'{"s":5}']), schema, engine=engine).orderBy("offset")
    plain = parsed.selectExpr("CAST(event.s AS STRING) AS s", "reason")  # as it is, Spark 4.0.0 collects no row of it
    assert plain.collect() == [("abc", None), (None, "type_mismatch")]


@pytest.mark.parametrize("metadata", [{"range": [0, 1.5]}, {"examples": [1, "x"]}, {"m": [[1]]}, {"o": {"a": [None]}}])
def test_metadata_of_any_kind_does_not_matter(spark: SparkSession, metadata: dict[str, Any]) -> None:
    schema = t.StructType([t.StructField("id", t.LongType(), True, metadata)])
    assert good_rows(parse(_frame(spark, [b'{"id":5}']), schema, engine="jvm")).first()["event"] == (5,)


def test_a_limit_beyond_java_s_arrays_is_none(spark: SparkSession) -> None:
    parsed = parse(_frame(spark, [b'{"id":5}']), IDS, engine="jvm", max_body_bytes=2**40)
    assert parsed.select("event.id").first() == (5,)


def test_classes_of_another_source_have_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Executors keep the classes of each version of the wheel that ever ran in their application."""
    (other := tmp_path / "Other.java").write_text("package spark_utils.parsing;\n")
    before = java_sources.package()
    monkeypatch.setattr(java_sources, "_SOURCES", [other])
    java_sources.package.cache_clear()
    try:
        assert java_sources.package() != before
        (written,) = java_sources.write_sources(tmp_path)
        assert written.read_text() == f"package {java_sources.package()};\n"
    finally:
        java_sources.package.cache_clear()


def test_a_body_that_the_readers_disagree_on_is_kept_with_a_reason() -> None:
    explain = compile_explanation(SCHEMA, LIMITS, "keep")
    assert explain(b'{"id":"a"}')[0] == Reason.INTERNAL_ERROR
    assert explain(b"{}")[:2] == ("missing_field", "id")


def test_long_digits_and_many_escapes_are_judged_at_once(spark: SparkSession) -> None:
    digits, schema = "9" * 500_000, t.StructType().add("d", "decimal(38,2)").add("f", "double").add("s", "string")
    bodies = [f'{{"d":{literal}}}' for literal in (digits, f'"{digits}x"', f'"0.{digits}"', f"1e{digits}")]
    bodies += [f'{{"f":{digits}}}', f'{{"s":"{chr(92)}n{"a" * 900_000}"}}', f'{{"d":"{"0" * 500_000}1"}}']
    parsed = parse(_frame(spark, [body.encode() for body in bodies]), schema, engine="jvm")
    expected = ["overflow", "type_mismatch", "lossy_number", "overflow", "overflow", None, None]
    assert [row.reason for row in parsed.orderBy("offset").select("reason").collect()] == expected


def test_where_the_jvm_refuses_arrow_reads_and_who_asked_for_the_jvm_is_told(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java_reader, "_available", {})
    monkeypatch.setattr(java_reader, "_CLASS", "NoSuchReader")
    df = _frame(spark, [b'{"id":"a"}', b"{}"])
    assert [row.reason for row in parse(df, SCHEMA).orderBy("offset").collect()] == [None, "missing_field"]
    assert "read_body" not in _plan(parse(df, SCHEMA))
    with pytest.raises(RuntimeSetupError, match=r"NoSuchReader.*engine='arrow'"):
        parse(df, SCHEMA, engine="jvm")


def test_where_there_is_no_jvm_arrow_reads() -> None:
    class Connect:
        @property
        def sparkContext(self) -> None:  # noqa: N802 - Spark's name
            raise PySparkAttributeError("JVM_ATTRIBUTE_NOT_SUPPORTED")

    assert not java_reader.is_available(Connect())  # type: ignore[arg-type]  # as Spark Connect's sessions answer


def test_without_pyarrow_rows_are_explained_one_by_one(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm_engine, "find_spec", lambda _name: None)
    rejected = rejected_rows(parse(_frame(spark, [b'{"id":1}', b"{", None]), IDS, engine="jvm"))
    assert "ArrowEvalPython" not in _plan(rejected)
    assert [row.reason for row in rejected.orderBy("offset").collect()] == ["truncated", "null_body"]


def test_where_it_can_the_jvm_reads_by_default(spark: SparkSession) -> None:
    assert "read_body" in _plan(parse(_frame(spark, [b"{}"]), SCHEMA))


DRIVER = """
from pyspark.sql import SparkSession
from spark_utils.parsing import parse
spark = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.executor.memory", "1g").getOrCreate()
df = spark.createDataFrame([(b'{"id": "a"}',), (b"{",)], "body binary").repartition(2)
parsed = parse(df, spark.createDataFrame([], "id string").schema)
assert "read_body" in parsed._jdf.queryExecution().toString()
print("verdicts:", sorted((row.reason or row.event.id) for row in parsed.collect()))
"""


def test_executors_get_the_classes_where_nothing_was_prepared(tmp_path: Path) -> None:
    """Two executors of their own, and a plain configuration: as on a cluster that has only the wheel."""
    environment = {**os.environ, "SPARK_CONF_DIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "verdicts: ['a', 'truncated']" in done.stdout, done.stderr[-3000:]
