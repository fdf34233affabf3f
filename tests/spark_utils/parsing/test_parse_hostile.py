"""Both engines in a real session: every hostile body, one job per engine, the verdicts held to the reference."""

from __future__ import annotations

import io
import json
import random
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from devkit.hub.generator import Shares, generate
from spark_utils.configuration.settings import Engine
from spark_utils.errors import ConfigurationError, SchemaError
from spark_utils.parsing import good_rows, parse, rejected_rows
from spark_utils.parsing.arrow.engine import _judge_function, _whole_rows
from spark_utils.parsing.columns import verdict_type
from spark_utils.parsing.reference import Good, Rejected, UnknownPolicy, compile_classifier
from spark_utils.schemas import load_schema
from tests.project import ROOT
from tests.spark_utils.parsing.hostile_bodies import CASES, FITS, LIMITS, SCHEMA, plain

ENGINES: list[Engine] = ["arrow", "jvm"]
TELEMETRY = load_schema(ROOT / "configuration/schemas/telemetry.json")
OPTIONS: dict[str, Any] = {"max_body_bytes": LIMITS.max_body_bytes, "max_depth": LIMITS.max_depth}


def _frame(spark: SparkSession, bodies: list[bytes | None]) -> DataFrame:
    rows = [(number, body, f"key-{number}") for number, body in enumerate(bodies)]
    return spark.createDataFrame(rows, "offset long, body binary, `odd key` string").repartition(2)


def _verdicts(parsed: DataFrame) -> list[dict[str, Any]]:
    """Collect by Arrow: `collect` brings timestamps into the local zone, where the year 1 has no place."""
    return sorted(parsed.toArrow().to_pylist(maps_as_pydicts="strict"), key=lambda row: row["offset"])


def _assert_as_the_reference(rows: list[dict[str, Any]], bodies: list[bytes | None], judge: Any) -> None:
    assert [row["offset"] for row in rows] == list(range(len(bodies)))
    for row, body in zip(rows, bodies, strict=True):
        verdict: Good | Rejected = judge(body)
        if isinstance(verdict, Good):
            assert (row["reason"], row["path"], row["detail"]) == (None, None, None), body
            assert row["_unknown"] == verdict.unknown, body
            assert plain(row["event"]) == plain(verdict.values), body
        else:
            found = (row["event"], row["reason"], row["path"], row["detail"], row["_unknown"])
            assert found == (None, verdict.reason, verdict.path, verdict.detail, None), body


@pytest.mark.parametrize("engine", ENGINES)
def test_every_hostile_body_gets_the_reference_s_verdict(each_spark: SparkSession, engine: Engine) -> None:
    generator = random.Random(5)
    fitting = [case.body or b"" for case in FITS]
    edited = [_edited(generator.choice(fitting), generator) for _ in range(1_500)]
    bodies = [*(case.body for case in CASES), *edited]
    parsed = parse(_frame(each_spark, bodies), SCHEMA, engine=engine, **OPTIONS)
    _assert_as_the_reference(_verdicts(parsed), bodies, compile_classifier(SCHEMA, limits=LIMITS))


def _edited(body: bytes, generator: random.Random) -> bytes:
    place = generator.randrange(len(body))
    inserted = generator.choice([b"", b'"', b"{", b"}", b",", b"1", b".5", b"null", b"\\", b"\xff", b" ", b"e3", b"-"])
    return body[:place] + inserted + body[place + generator.randrange(3) :]


@pytest.mark.parametrize(("each_spark", "engine"), [("classic", "arrow"), ("connect", "jvm")], indirect=["each_spark"])
def test_telemetry_with_every_kind_of_fault_gets_the_reference_s_verdict(
    each_spark: SparkSession, engine: Engine
) -> None:
    shares = Shares(malformed=0.05, drifting=0.05, lossy=0.05, duplicate_keys=0.05)
    bodies: list[bytes | None] = [event.body for event in generate(1_000, seed=11, shares=shares)]
    parsed = parse(_frame(each_spark, bodies), TELEMETRY, engine=engine)
    _assert_as_the_reference(_verdicts(parsed), bodies, compile_classifier(TELEMETRY))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_row_is_good_or_rejected_and_keeps_its_columns(each_spark: SparkSession, engine: Engine) -> None:
    df = _frame(each_spark, [b'{"id":"a","extra":1}', b"{", None])
    parsed = parse(df, SCHEMA, engine=engine)
    assert parsed.columns == ["offset", "body", "odd key", "event", "reason", "path", "detail", "_unknown"]
    good = good_rows(parsed).select("event.id", "_unknown", "offset", "odd key").collect()
    assert good == [("a", '{"extra":1}', 0, "key-0")]
    rejected = rejected_rows(parsed).orderBy("offset")
    assert rejected.columns == ["reason", "path", "detail", "offset", "body", "odd key"]
    assert [(row["reason"], row["offset"], row["odd key"]) for row in rejected.collect()] == [
        ("truncated", 1, "key-1"),
        ("null_body", 2, "key-2"),
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("unknown", "expected"), [("count", (None, 2)), ("reject", ("unknown_field", None))])
def test_drift_is_counted_or_rejected_as_asked(
    each_spark: SparkSession, engine: Engine, unknown: UnknownPolicy, expected: tuple[str | None, int | None]
) -> None:
    parsed = parse(_frame(each_spark, [b'{"id":"a","x":1,"y":null}']), SCHEMA, engine=engine, unknown=unknown)
    (row,) = parsed.collect()
    assert (row["reason"], row["_unknown_count"] if unknown == "count" else row["_unknown"]) == expected


def test_a_filter_on_the_reason_does_not_parse_twice(each_spark: SparkSession) -> None:
    parsed = good_rows(parse(_frame(each_spark, [b"{}"]), SCHEMA, engine="arrow")).select("event.id")
    with redirect_stdout(io.StringIO()) as printed:
        parsed.explain()
    plan = printed.getvalue()
    assert plan.count("EvalPython") + plan.count("MapInArrow") == 1, plan


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_is_parsed_as_a_batch_is(each_spark: SparkSession, engine: Engine, tmp_path: Path) -> None:
    _frame(each_spark, [b'{"id":"a"}', b"[]", b'{"id":1}']).write.parquet(str(tmp_path / "in"))
    stream = each_spark.readStream.schema("offset long, body binary, `odd key` string").parquet(str(tmp_path / "in"))
    parsed = parse(stream, SCHEMA, engine=engine).select("offset", "event.id", "reason")
    name = f"parsed_by_{engine}"
    query = parsed.writeStream.format("memory").queryName(name).trigger(availableNow=True).start()
    query.awaitTermination()
    rows = each_spark.table(name).orderBy("offset").collect()
    assert rows == [(0, "a", None), (1, None, "not_an_object"), (2, None, "type_mismatch")]


def test_whole_rows_travel_where_spark_has_no_arrow_udf(each_spark: SparkSession) -> None:
    bodies = [case.body for case in CASES]
    df = _frame(each_spark, bodies)
    judge = _judge_function(SCHEMA.json(), LIMITS, "keep")
    out = t.StructType([*df.schema.fields, *verdict_type(SCHEMA, "keep").fields])
    parsed = df.mapInArrow(_whole_rows(judge, "body"), out)
    _assert_as_the_reference(_verdicts(parsed), bodies, compile_classifier(SCHEMA, limits=LIMITS))


def test_bodies_without_a_schema_become_variants_with_the_same_verdicts(each_spark: SparkSession) -> None:
    bodies = [*(case.body for case in CASES), b'{"a":1e400}', b'{"a":[1,{"b":' + b"9" * 400 + b"}]}"]
    parsed = parse(_frame(each_spark, bodies), t.VariantType(), **OPTIONS)
    columns = ["offset", "reason", "path", "detail", "to_json(event) AS text"]
    judge = compile_classifier(t.StructType(), limits=LIMITS)
    for row in parsed.selectExpr(*columns).orderBy("offset").collect():
        body = bodies[row["offset"]]
        verdict = judge(body)
        if isinstance(verdict, Rejected):
            assert row[1:] == (verdict.reason, verdict.path, verdict.detail, None), body
        elif row["reason"] is None:
            assert json.loads(row["text"]).keys() == json.loads(body or b"").keys(), body
        else:
            assert row["reason"] == "overflow", body
            assert re.search(rb"[0-9]{300}|e-?[0-9]{3}", body or b""), body


def test_mistakes_in_the_call_are_named(each_spark: SparkSession) -> None:
    df = _frame(each_spark, [b"{}"])
    with pytest.raises(ConfigurationError, match="engine is 'gpu': expected one of auto, jvm, arrow"):
        parse(df, SCHEMA, engine="gpu")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ConfigurationError, match=r"no column 'payload' \(it has .*body"):
        parse(df, SCHEMA, body_column="payload")
    with pytest.raises(ConfigurationError, match="column 'body' is string, not binary"):
        parse(df.withColumn("body", df.body.cast("string")), SCHEMA)
    with pytest.raises(ConfigurationError, match="already has event"):
        parse(df.withColumnRenamed("offset", "event"), SCHEMA)
    with pytest.raises(SchemaError, match="no field"):
        parse(df, t.StructType())
    twice = t.StructType([t.StructField("a", t.LongType())] * 2)
    with pytest.raises(SchemaError, match="o has a field twice"):
        parse(df, t.StructType([t.StructField("o", twice)]))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_schema_may_be_ddl(each_spark: SparkSession, engine: Engine) -> None:
    parsed = parse(
        _frame(each_spark, [b'{"id":7}', b'{"id":"x"}', b"{}"]), "id BIGINT NOT NULL, at TIMESTAMP", engine=engine
    )
    rows = parsed.orderBy("offset").select("event.id", "reason").collect()
    assert rows == [(7, None), (None, "type_mismatch"), (None, "missing_field")]
    with pytest.raises(SchemaError, match="line 1 column 4"):
        parse(_frame(each_spark, [b"{}"]), "id WHAT")


@pytest.mark.parametrize("engine", ENGINES)
def test_good_rows_drop_the_body_whatever_its_name(each_spark: SparkSession, engine: Engine) -> None:
    df = _frame(each_spark, [b'{"id":7}', b"{"]).withColumnRenamed("body", "payload")
    parsed = parse(df, "id BIGINT", engine=engine, body_column="payload")
    assert good_rows(parsed.withColumn("more", F.lit(1))).columns == ["event", "_unknown", "offset", "odd key", "more"]
    assert [row.payload for row in rejected_rows(parsed).collect()] == [b"{"]


@pytest.mark.parametrize("engine", ENGINES)
def test_timestamps_with_zeros_behind_the_microseconds_are_good(each_spark: SparkSession, engine: Engine) -> None:
    bodies: list[bytes | None] = [
        b'{"t":"2026-01-31T12:00:00.0000000Z"}',  # as .NET writes it
        b'{"t":"2026-01-31T12:00:00.123456000+01:00"}',
        b'{"t":"2026-01-31T12:00:00.1234567Z"}',
    ]
    parsed = parse(_frame(each_spark, bodies), "t TIMESTAMP", engine=engine).orderBy("offset")
    rows = parsed.selectExpr("CAST(event.t AS string) AS t", "reason").collect()
    assert rows[:2] == [("2026-01-31 12:00:00", None), ("2026-01-31 11:00:00.123456", None)]
    assert rows[2] == (None, "bad_timestamp")
