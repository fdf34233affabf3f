"""The reader in the JVM: it calls good what the reference calls good, and needs no Python for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.errors import RuntimeSetupError
from spark_utils.parsing import Reason, good_rows, java_reader, parse, rejected_rows
from spark_utils.parsing.jvm_engine import compile_explanation
from spark_utils.parsing.reference import Good, UnknownPolicy, compile_classifier
from tests.hostile_bodies import LIMITS, SCHEMA, plain
from tests.project import ROOT
from tests.random_bodies import random_bodies

OPTIONS: dict[str, Any] = {"max_body_bytes": LIMITS.max_body_bytes, "max_depth": LIMITS.max_depth, "engine": "jvm"}
MORE_THAN_ONE_TASK = 1_500  # rejected rows; the sink picks up fewer in a single task


def _frame(spark: SparkSession, bodies: list[bytes | None]) -> DataFrame:
    return spark.createDataFrame(list(enumerate(bodies)), "offset long, body binary")


def _plan(df: DataFrame) -> str:
    return str(df._jdf.queryExecution().executedPlan().toString())


@pytest.mark.parametrize(("unknown", "seed"), [("keep", 1), ("keep", 2), ("count", 3), ("reject", 4)])
def test_random_bodies_get_the_reference_s_verdicts_and_values(
    spark: SparkSession, unknown: UnknownPolicy, seed: int
) -> None:
    bodies = random_bodies(SCHEMA, 10_000, seed)
    parsed = parse(_frame(spark, [*bodies]), SCHEMA, unknown=unknown, **OPTIONS)
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


def test_a_reason_put_in_place_of_the_engine_s_is_heard(spark: SparkSession) -> None:
    parsed = parse(_frame(spark, [b'{"id":"a"}', b'{"id":"b"}', b"{}"]), SCHEMA, **OPTIONS)
    stricter = parsed.withColumn("reason", F.coalesce("reason", F.when(F.col("event.id") == "b", "not_b")))
    assert [row.event.id for row in good_rows(stricter).collect()] == ["a"]
    assert {row.reason for row in rejected_rows(stricter).collect()} == {"not_b", "missing_field"}


def test_rejected_rows_carry_no_mark_of_the_engine(spark: SparkSession) -> None:
    rejected = rejected_rows(parse(_frame(spark, [b"{}"]), SCHEMA, **OPTIONS))
    assert rejected.schema["reason"].metadata == {}


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
    monkeypatch.setattr(java_reader, "_CLASS", "no.such.Class")
    df = _frame(spark, [b'{"id":"a"}', b"{}"])
    assert [row.reason for row in parse(df, SCHEMA).orderBy("offset").collect()] == [None, "missing_field"]
    assert "read_body" not in _plan(parse(df, SCHEMA))
    with pytest.raises(RuntimeSetupError, match=r"no\.such\.Class.*engine='arrow'"):
        parse(df, SCHEMA, engine="jvm")


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
