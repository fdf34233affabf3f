"""An error reads as sentences: the problem, where the value came from, and what to do."""

from __future__ import annotations

import pytest

from spark_utils.errors import SparkUtilsError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SparkUtilsError("it is wrong"), "it is wrong."),
        (SparkUtilsError("it is wrong", origin="here"), "it is wrong (from here)."),
        (SparkUtilsError("it is wrong", origin="here", remedy="Mend it."), "it is wrong (from here). Mend it."),
        (SparkUtilsError("unknown key 'x'; did you mean 'y'?"), "unknown key 'x'; did you mean 'y'?"),
        (SparkUtilsError("did you mean 'y'?", remedy="See --help."), "did you mean 'y'? See --help."),
        (SparkUtilsError("did you mean 'y'?", origin="here"), "did you mean 'y'? (from here)."),
        (SparkUtilsError("it ended with a stop."), "it ended with a stop."),
    ],
)
def test_no_sentence_ends_with_two_marks(error: SparkUtilsError, text: str) -> None:
    assert str(error) == text
