"""The Arrow engine's core against the reference, batch in and batch out, without a JVM."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import types as t

from devkit.hub.generator import Shares, generate
from spark_utils.parsing import Limits, Reason
from spark_utils.parsing.arrow.columns import StructNode
from spark_utils.parsing.arrow.reader import BLOCK, SMALLEST_BLOCK, ArrowReader
from spark_utils.parsing.arrow.slow_rows import verdicts_array
from spark_utils.parsing.reference import UnknownPolicy, compile_classifier
from tests.spark_utils.parsing.hostile_bodies import CASES, FITS, LIMITS, SCHEMA, plain

BODIES = [case.body for case in CASES]
FITTING = [case.body for case in FITS if case.body]


def _expected(bodies: list[bytes | None], schema: t.StructType, limits: Limits, unknown: UnknownPolicy) -> list[Any]:
    judge = compile_classifier(schema, limits=limits, unknown=unknown)
    rows = [plain(row) for row in verdicts_array(bodies, judge, schema, unknown).to_pylist()]
    assert not [row for row in rows if row["reason"] == Reason.INTERNAL_ERROR]
    return rows


def _assert_equal(
    bodies: list[bytes | None],
    *,
    schema: t.StructType = SCHEMA,
    limits: Limits = LIMITS,
    unknown: UnknownPolicy = "keep",
    reader: ArrowReader | None = None,
) -> ArrowReader:
    reader = reader or ArrowReader(schema, limits, unknown)
    found = reader.verdicts(pa.array(bodies, pa.binary()))
    found.validate(full=True)
    rows = [plain(row) for row in found.to_pylist()]
    for body, row, expected in zip(bodies, rows, _expected(bodies, schema, limits, unknown), strict=True):
        assert row == expected, body
    assert not reader.faults  # else the reference would be compared with itself
    return reader


@pytest.mark.parametrize("unknown", ["keep", "count", "reject"])
def test_all_hostile_bodies_in_one_batch_get_the_reference_s_verdicts(unknown: UnknownPolicy) -> None:
    _assert_equal(BODIES, unknown=unknown)


def test_each_hostile_body_between_good_ones_gets_its_verdict() -> None:
    reader = ArrowReader(SCHEMA, LIMITS, "keep")
    for case in CASES:
        _assert_equal([b'{"id":"before"}', case.body, b'{"id":"behind","count":1}'], reader=reader)


def test_each_hostile_body_alone_gets_its_verdict_from_a_fresh_reader() -> None:
    for case in CASES:
        _assert_equal([case.body])


def test_the_verdict_does_not_depend_on_the_neighbours() -> None:
    reader = ArrowReader(SCHEMA, LIMITS, "keep")
    for seed in range(10):
        bodies = random.Random(seed).sample(BODIES, 60)
        _assert_equal(bodies, reader=reader)


def test_each_hostile_body_is_judged_alone_among_good_ones() -> None:
    for body in BODIES:
        _assert_equal([*FITTING[:3], body])


class CountingReader(ArrowReader):
    """Counts the bodies that went the slow way."""

    judged = 0

    def _judged(self, bodies: pa.Array) -> pa.StructArray:
        self.judged += len(bodies)
        return super()._judged(bodies)


def test_good_telemetry_costs_the_reference_nothing(telemetry: t.StructType) -> None:
    reader = CountingReader(telemetry, Limits(), "keep")
    _assert_equal([event.body for event in generate(500)], schema=telemetry, limits=Limits(), reader=reader)
    assert reader.judged == 0


@pytest.mark.slow
def test_one_bad_body_costs_the_reference_few_others(telemetry: t.StructType) -> None:
    reader = CountingReader(telemetry, Limits(), "keep")
    for event in generate(40, seed=1, shares=Shares(malformed=0.5, lossy=0.5)):
        reader.judged = 0
        bodies = [each.body for each in generate(500)]
        _assert_equal([*bodies[:250], event.body, *bodies[250:]], schema=telemetry, limits=Limits(), reader=reader)
        assert reader.judged <= 2 * SMALLEST_BLOCK, event


def test_telemetry_with_every_kind_of_fault_gets_the_reference_s_verdicts(telemetry: t.StructType) -> None:
    shares = Shares(malformed=0.02, drifting=0.02, lossy=0.02, duplicate_keys=0.02)
    bodies: list[bytes | None] = [event.body for event in generate(5 * BLOCK, seed=3, shares=shares)]
    reader = _assert_equal(bodies, schema=telemetry, limits=Limits())
    _assert_equal(bodies, schema=telemetry, limits=Limits(), reader=reader)


def test_maps_whose_keys_are_data_are_still_read(telemetry: t.StructType) -> None:
    bodies: list[bytes | None] = [json.dumps({"id": "x", "tags": {f"k{i}": "v"}}).encode() for i in range(400)]
    reader = _assert_equal(bodies)
    _assert_equal(FITTING, reader=reader)


def test_nesting_beyond_what_arrow_survives_is_a_verdict() -> None:
    deep = b'{"id":"x","extra":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    _assert_equal([deep, b'{"id":"y","extra":[]}', deep], limits=Limits())


def test_bodies_that_make_one_object_together_are_told_apart() -> None:
    halves: list[bytes | None] = [b'{"id":"x","place":', b'{"lat":1}}', b'{"id":"y"}{"id":"z"}']
    _assert_equal(halves)
    _assert_equal([b'{"id":"a"}', *halves, b'{"id":"b"}', *reversed(halves)])


def test_a_slice_of_a_batch_is_judged_as_itself() -> None:
    whole = pa.array(BODIES, pa.binary())
    part = ArrowReader(SCHEMA, LIMITS, "keep").verdicts(whole.slice(100, 50))
    assert [plain(row) for row in part.to_pylist()] == _expected(BODIES[100:150], SCHEMA, LIMITS, "keep")


def test_no_rows_give_no_rows() -> None:
    assert len(ArrowReader(SCHEMA, LIMITS, "keep").verdicts(pa.array([], pa.binary()))) == 0


NUMBERS = ["0", "1", "-0", "1.5", "1e3", "1e400", "128", "9223372036854775808", "NaN"]
TEXTS = ['""', '"x"', '"2024-01-01"', '"2024-01-01T00:00:00Z"', '"aGk="', '"1.25"', '"\\u00e9"', '"\\ud800"']
OTHERS = ["null", "true", "[]", "{}", "[1]", "[null]", '{"a":null}', '{"a":"b"}', '{"lat":1}', '[{"name":"a"}]']
SCALARS = st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])
NAMES = st.sampled_from([*SCHEMA.fieldNames(), "extra", "Id", "\\u0069d"])
MEMBERS = st.lists(st.tuples(NAMES, SCALARS), max_size=4).map(
    lambda pairs: ('{"id":"x"' + "".join(f',"{name}":{value}' for name, value in pairs) + "}").encode()
)
EDITS = st.tuples(
    st.sampled_from(FITTING),
    st.integers(0, 200),
    st.integers(0, 3),
    st.sampled_from(list(b'{}[]",:\\\n 0-eE.\x00\xff')),
)


def _edited(edit: tuple[bytes, int, int, int]) -> bytes:
    body, place, cut, byte = edit
    place %= len(body)
    return body[:place] + bytes([byte]) + body[place + cut :]


NEAR_JSON = st.one_of(st.none(), st.binary(max_size=30), MEMBERS, EDITS.map(_edited), st.sampled_from(BODIES))
BATCHES = st.lists(NEAR_JSON, min_size=1, max_size=30)


@given(BATCHES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_batch_gets_the_reference_s_verdicts(bodies: list[bytes | None]) -> None:
    _assert_equal(bodies)


@given(BATCHES, st.sampled_from(["count", "reject"]))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_batch_gets_the_reference_s_verdicts_when_drift_is_counted_or_rejected(
    bodies: list[bytes | None], unknown: UnknownPolicy
) -> None:
    _assert_equal(bodies, unknown=unknown)


@pytest.fixture(scope="module")
def telemetry() -> t.StructType:
    from spark_utils.schemas import load_schema
    from tests.project import ROOT

    return load_schema(ROOT / "configuration/schemas/telemetry.json")


def test_a_drifting_field_is_looked_for_once_its_name_is_known() -> None:
    reader = CountingReader(t.StructType([t.StructField("a", t.LongType())]), Limits(), "keep")
    bodies = [b'{"a": 1}'] * 999 + [b'{"a": 1, "new": 2}']
    for judged in (lambda rows: rows <= 2 * SMALLEST_BLOCK, lambda rows: rows == 1):
        reader.judged = 0
        assert reader.verdicts(pa.array(bodies, pa.binary())).field("_unknown").to_pylist()[-1] == '{"new":2}'
        assert judged(reader.judged)


def test_keys_of_maps_are_learned_from_a_few_bodies(telemetry: t.StructType) -> None:
    schema = t.StructType().add("tags", t.MapType(t.StringType(), t.LongType()))
    reader = CountingReader(schema, Limits(), "keep")
    bodies: list[bytes | None] = [b'{"tags":{"k%d":%d}}' % (number % 40, number) for number in range(2_000)]
    _assert_equal(bodies, schema=schema, limits=Limits(), reader=reader)
    reader.judged = 0
    _assert_equal(bodies, schema=schema, limits=Limits(), reader=reader)
    assert reader.judged == 0


def test_timestamps_with_seven_digits_are_read_by_arrow_once_they_are_known() -> None:
    schema = t.StructType().add("t", "timestamp")
    reader = CountingReader(schema, Limits(), "keep")
    bodies: list[bytes | None] = [b'{"t":"2026-01-31T12:00:%02d.1234560Z"}' % (number % 60) for number in range(500)]
    _assert_equal(bodies, schema=schema, limits=Limits(), reader=reader)
    assert reader.judged == 0
    odd: list[bytes | None] = [b'{"t":"2026-01-31T12:00:00.1234567Z"}', b'{"t":"0001-01-01T00:00:00.0000000Z"}']
    _assert_equal([*bodies[:20], *odd, b'{"t":null}'], schema=schema, limits=Limits(), reader=reader)


LONG_EXPONENTS = """
import random, sys
import pyarrow as pa
from pyspark.sql import types as t
from spark_utils.parsing import Limits
from spark_utils.parsing.arrow.reader import ArrowReader
draw = random.Random(int(sys.argv[1]))
schema = t.StructType().add("v", "decimal(10,2)").add("w", t.MapType(t.StringType(), t.DecimalType(38, 10)))
pick = lambda *choices: draw.choice(choices)
def number():
    digits = "".join(draw.choices("0123456789", k=draw.randint(1, 12)))
    odd = pick("+1", "." + digits, digits + ".", "0" + digits)
    mantissa = odd if draw.random() < 0.05 else pick("", "-") + pick("0", "1", "9" + digits, "1." + digits)
    exponent = pick("e", "E", "\\\\u0065", "\\\\u0045") + pick("", "-", "+", "\\\\u002d")
    exponent += pick("", "0" * draw.randint(1, 9))
    text = mantissa + pick("", exponent + str(draw.randint(0, 10 ** draw.randint(1, 12))))
    return pick(text, '"%s"' % text)
reader = ArrowReader(schema, Limits(), "keep")
for _ in range(int(sys.argv[2]) // 4):
    bodies = [('{"v":%s,"w":{"k":%s}}' % (number(), number())).encode() for _ in range(4)]
    assert len(reader.verdicts(pa.array(bodies, pa.binary()))) == 4
print("survived with", reader.faults, "faults")
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_no_number_ends_the_process(seed: int) -> None:
    """Arrow's reader ends the process on long exponents in a decimal column, so it must not see them."""
    command = [sys.executable, "-c", LONG_EXPONENTS, str(seed), "4000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "survived with 0 faults\n", f"status {done.returncode}: {done.stderr[-2000:]}"


NUMBERS = ("0", "-0", "1", "-17", "1.50", "-0.0", "1e3", "1E-2", "12345678901234567890123", "9" * 300, "9" * 5000)
LEADING_NULLS = ("[null,1]", '[null,"a"]', "[[null],[1]]", '[null,{"y":1}]', '{"y":[null,true]}', "[{},null]")
NESTED = ("[-0]", "[1.50,2]", '{"y":-0}', '{"y":[0.10]}', '{"y":false}', '["\\u00e9"]', '"\\/"', '{"b c":[]}')


@pytest.mark.parametrize("written", [*NUMBERS, *NESTED, *LEADING_NULLS, "NaN", "Inf", "-NaN", "[" * 70 + "]" * 70])
def test_an_unknown_field_is_kept_as_it_was_written(written: str) -> None:
    schema = t.StructType().add("a", "long").add("s", t.StructType().add("k", "long"))
    reader = ArrowReader(schema, Limits(), "keep")
    for body in (b'{"a": 1, "new": %s}', b'{"a": 1, "s": {"k": 2, "new": %s}}'):
        bodies: list[bytes | None] = [body % written.encode(), b'{"a": 2}'] * 40
        _assert_equal(bodies, schema=schema, limits=Limits(), reader=reader)


def test_a_batch_on_which_the_reader_fails_is_judged_by_the_reference(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = ArrowReader(SCHEMA, LIMITS, "keep")

    def fail(*_: object) -> None:
        raise pa.ArrowInvalid("cut off in the secret middle")

    monkeypatch.setattr(StructNode, "finish", fail)
    rows = reader.verdicts(pa.array([b'{"id": "x", "count": 7}', b"{"], pa.binary())).to_pylist()
    assert [row["event"] and row["event"]["count"] for row in rows] == [7, None]
    assert rows[1]["reason"] == "truncated"
    assert reader.faults == 1
    assert "ArrowInvalid" in caplog.text
    assert "secret" not in caplog.text
