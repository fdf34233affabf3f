"""The reference's verdicts, one body at a time, without Spark running."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyspark.sql import types as t

from spark_utils.errors import ConfigurationError, SchemaError
from spark_utils.parsing import Good, Limits, Reason, Rejected, classify, reference
from spark_utils.parsing.reference import compile_classifier
from tests.spark_utils.parsing.hostile_bodies import CASES, LIMITS, SCHEMA, Case

JUDGE = compile_classifier(SCHEMA, limits=LIMITS)


def _judge(fields: str) -> Good:
    verdict = JUDGE(b'{"id":"x",' + fields.encode() + b"}")
    assert isinstance(verdict, Good), verdict
    return verdict


def test_the_table_holds_at_least_120_different_bodies_and_every_reason() -> None:
    assert len({case.body for case in CASES}) == len(CASES) >= 120
    assert {case.reason for case in CASES} >= set(Reason) - {Reason.UNKNOWN_FIELD, Reason.INTERNAL_ERROR}


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.body)[:60])
def test_each_hostile_body_gets_its_verdict(case: Case) -> None:
    verdict = JUDGE(case.body)
    if case.reason is None:
        assert isinstance(verdict, Good), verdict
        assert verdict.unknown == case.unknown
    else:
        assert isinstance(verdict, Rejected), verdict
        assert (verdict.reason, verdict.path) == (case.reason, case.path), verdict.detail


def test_values_are_those_that_were_written() -> None:
    values = _judge(
        '"count":-7,"ratio":0.1,"price":"1.50","at":"2024-01-01T02:00:00.000001+02:00","local":"2024-01-01",'
        '"day":"2024-02-29","blob":"aGk=","tags":{"a":null,"b":"c"},"readings":[{"name":"a","samples":[1]}]'
    ).values
    assert values["count"] == -7
    assert values["ratio"] == 0.1
    assert str(values["price"]) == "1.50"
    assert values["at"] == datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    assert values["local"] == datetime(2024, 1, 1)
    assert values["day"] == date(2024, 2, 29)
    assert values["blob"] == b"hi"
    assert values["tags"] == {"a": None, "b": "c"}
    assert values["readings"] == [{"name": "a", "value": None, "samples": [1]}]


def test_a_timestamp_without_offset_is_utc() -> None:
    assert _judge('"at":"2024-07-01T12:00:00"').values["at"] == datetime(2024, 7, 1, 12, tzinfo=UTC)


def test_a_float_is_rounded_once() -> None:
    above_the_tie = "1.00000005960464477540"  # as a double it is the tie between two floats, which rounds to even
    assert _judge(f'"single":{above_the_tie}').values["single"] == 1.0000001192092896


def test_a_float_is_read_at_its_borders() -> None:
    largest = 340282346638528859811704183484516925440.0
    halfway = "340282356779733661637539395458142568448"  # from here on, the nearest float is infinite
    judge = compile_classifier(t.StructType().add("x", "float"))
    for written, expected in {
        "-0": -0.0,
        "-1e-50": -0.0,
        "340282356779733661637539395458142568447.9": largest,
        f"-{halfway[:-1]}7": -largest,
        "16777217." + "0" * 5000: 16777216.0,  # a tie goes to the even one; Python's int refuses so many digits
        "16777217." + "0" * 5000 + "1": 16777218.0,
    }.items():
        verdict = judge(b'{"x":%s}' % written.encode())
        assert isinstance(verdict, Good), verdict
        assert repr(verdict.values["x"]) == repr(expected), written[:50]
    for written in (halfway, f"-{halfway}", "1e39", "1e400", "-1e400", "9" * 400):
        verdict = judge(b'{"x":%s}' % written.encode())
        assert isinstance(verdict, Rejected)
        assert verdict.reason is Reason.OVERFLOW


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_comes_back_bit_for_bit(number: float) -> None:
    read = _judge(f'"ratio":{number!r}').values["ratio"]
    assert (read, math.copysign(1, read)) == (number, math.copysign(1, number))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-99999999, max_value=99999999))
def test_a_decimal_comes_back_exactly(number: Decimal) -> None:
    assert _judge(f'"price":{number}').values["price"] == number


def test_unknown_fields_can_be_counted_and_rejected() -> None:
    body = b'{"id":"x","a":1,"place":{"lat":1,"b":2}}'
    counted = classify(body, SCHEMA, unknown="count")
    assert isinstance(counted, Good)
    assert counted.unknown_count == 2
    rejected = classify(body, SCHEMA, unknown="reject")
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.path) == (Reason.UNKNOWN_FIELD, "place.b")


def test_a_detail_and_a_path_stay_short_however_long_the_value_is() -> None:
    long = "k" * 100_000
    for body in (
        f'{{"id":"x","at":"{long}"}}',
        f'{{"id":"x","tags":{{"{long}":1}}}}',
        f'{{"id":"x","count":{"9" * 99_999}}}',
    ):
        verdict = classify(body.encode(), SCHEMA)
        assert isinstance(verdict, Rejected)
        assert len(verdict.detail) < 200
        assert len(verdict.path or "") < 300


@pytest.mark.parametrize(
    "data_type", [t.MapType(t.IntegerType(), t.StringType()), t.NullType(), t.DayTimeIntervalType()]
)
def test_a_type_that_json_cannot_hold_is_an_error_that_names_the_path(data_type: t.DataType) -> None:
    schema = t.StructType().add("a", t.ArrayType(t.StructType().add("b", data_type)))
    with pytest.raises(SchemaError, match=r"a\[0\]\.b"):
        compile_classifier(schema)


@pytest.mark.parametrize("limits", [{"max_body_bytes": 0}, {"max_depth": 0}, {"max_depth": 1_000}])
def test_limits_that_cannot_be_kept_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Limits(**limits)


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"id":"x","count":' + b"9" * 5_000 + b"}")
@example(b'{"id":"x","e":1e' + b"9" * 5_000 + b"}")
@settings(max_examples=300)
def test_no_bytes_make_the_reference_fail(body: bytes) -> None:
    assert isinstance(JUDGE(body), Good | Rejected)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=10,
    )
)
def test_unknown_fields_come_back_as_they_were(value: object) -> None:
    verdict = classify(json.dumps({"id": "x", "extra": value}).encode(), SCHEMA)
    assert isinstance(verdict, Good)
    assert verdict.unknown is not None
    assert json.loads(verdict.unknown) == {"extra": value}


@pytest.mark.parametrize("part", ["read_tree", "json_text"])
def test_a_fault_of_the_library_rejects_one_body_and_stops_nothing(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("somewhere " + "deep " * 20)

    monkeypatch.setattr(reference, part, fail)
    verdict = compile_classifier(t.StructType().add("x", "integer"))(b'{"x": 1, "new": 2}')
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.INTERNAL_ERROR
    assert verdict.detail.startswith("ZeroDivisionError: somewhere deep")
    assert len(verdict.detail) < 80


def test_a_lack_of_memory_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(reference, "read_tree", fail)
    with pytest.raises(MemoryError):
        compile_classifier(t.StructType().add("x", "integer"))(b'{"x": 1}')


def test_unknown_fields_below_a_long_key_do_not_grow_with_the_square_of_the_body() -> None:
    schema = t.StructType().add("m", t.MapType(t.StringType(), t.StructType().add("x", "integer")))
    fields = ",".join(f'"u{number}":1' for number in range(1000))
    body = b'{"m":{"%s":{%s}}}' % (b"k" * 10_000, fields.encode())
    limits = Limits(max_body_bytes=20_000)
    kept = compile_classifier(schema, limits=limits)(body)
    assert isinstance(kept, Rejected)
    assert kept.reason is Reason.TOO_LARGE
    counted = compile_classifier(schema, limits=limits, unknown="count")(body)
    assert isinstance(counted, Good)
    assert counted.unknown_count == 1000
