"""Triggers, durations and starting positions, from text to what Spark takes."""

from __future__ import annotations

import pytest

from spark_utils.configuration.values import StartingPosition, StopAfter, Trigger, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5 seconds", 5),
        ("1 second", 1),
        ("500 ms", 0.5),
        ("2 minutes", 120),
        ("1.5h", 5400),
        ("3s", 3),
        ("10 min", 600),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "seconds", "0 seconds", "-1 second", "5 parsecs", "5 seconds 3"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "options", "bounded"),
    [
        ("available-now", {"availableNow": True}, True),
        ("Once", {"once": True}, True),
        ("5 seconds", {"processingTime": "5000 milliseconds"}, False),
        ("200 ms", {"processingTime": "200 milliseconds"}, False),
    ],
)
def test_a_trigger_gives_sparks_own_arguments(text: str, options: dict[str, object], bounded: bool) -> None:
    trigger = Trigger.parse(text)
    assert (trigger.options, trigger.is_bounded) == (options, bounded)
    assert Trigger.parse(str(trigger)) == trigger


def test_a_trigger_that_is_none_says_what_there_is() -> None:
    with pytest.raises(ValueError, match="'available-now', 'once', or an interval"):
        Trigger.parse("continuous")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 seconds", StopAfter(seconds=30)),
        ("1000 events", StopAfter(events=1000)),
        ("1_000 events", StopAfter(events=1000)),
    ],
)
def test_a_demonstration_stops_after_a_time_or_a_number_of_events(text: str, expected: StopAfter) -> None:
    assert StopAfter.parse(text) == expected
    assert StopAfter.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["30", "0 events", "events", "soon"])
def test_anything_else_is_no_end(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        StopAfter.parse(text)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("earliest", {"startingOffsets": "earliest"}),
        ("LATEST", {"startingOffsets": "latest"}),
        ('{"1": 7, "0": -2}', {"startingOffsets": '{"hub": {"0": -2, "1": 7}}'}),
        (
            "1970-01-01T00:00:01Z",
            {"startingTimestamp": "1000", "startingOffsetsByTimestampStrategy": "latest"},
        ),
        (
            "1970-01-01 01:00:01+01:00",
            {"startingTimestamp": "1000", "startingOffsetsByTimestampStrategy": "latest"},
        ),
        (
            '{"0": "1970-01-01T00:00:02Z"}',
            {"startingOffsetsByTimestamp": '{"hub": {"0": 2000}}', "startingOffsetsByTimestampStrategy": "latest"},
        ),
    ],
)
def test_a_starting_position_gives_sparks_own_options(text: str, options: dict[str, str]) -> None:
    position = StartingPosition.parse(text)
    assert position.kafka_options("hub") == options
    assert StartingPosition.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "first", "{}", "[1]", '{"a": 1}', '{"0": 1.5}', '{"0": true}', '{"0": 1, "1": "2026-01-01"}']
)
def test_anything_else_is_no_starting_position(text: str) -> None:
    with pytest.raises(ValueError, match="expected 'earliest'"):
        StartingPosition.parse(text)
