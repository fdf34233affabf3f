"""The oracle notices each way of not being exactly once."""

from collections import Counter

import pytest

from tests.job.oracle import Positions, assert_exactly_once

GOOD = [(0, 0), (0, 1), (1, 0)]


def test_contiguous_positions_each_once_are_exactly_once() -> None:
    assert_exactly_once(Positions(Counter(GOOD), Counter([(0, 2)])), sent=4)


@pytest.mark.parametrize(
    ("events", "rejected", "noticed"),
    [
        ([*GOOD, (0, 1)], [], "more than once"),
        (GOOD, [(1, 0)], "more than once"),
        ([*GOOD, (0, 4)], [], "lacks 2 offsets"),
        (GOOD, [], "4 events were sent, 3"),
    ],
)
def test_a_lost_or_doubled_position_is_noticed(
    events: list[tuple[int, int]], rejected: list[tuple[int, int]], noticed: str
) -> None:
    with pytest.raises(AssertionError, match=noticed):
        assert_exactly_once(Positions(Counter(events), Counter(rejected)), sent=4)
