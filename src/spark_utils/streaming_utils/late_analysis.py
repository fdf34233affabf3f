"""Mistakes that Spark Connect tells late: it looks at a frame when that is used, not where it is made.

So the trace of such an error passes no line of the user's code, and Spark says where a column was named for some
mistakes only: not for a function that does not exist, SQL that cannot be parsed, or an argument of a wrong type.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from pyspark.errors import ParseException, PySparkException
from pyspark.sql import DataFrame

from spark_utils.streaming_utils.failures import CALLED_FROM, users_line
from spark_utils.streaming_utils.users_code import is_users_file


def apply_step(step: Callable[[DataFrame], DataFrame], df: DataFrame) -> DataFrame:
    """Apply a step of the user's and let Spark look at its rows at once; a mistake is noted with the user's line.

    Args:
        step: From frame to frame, without effects: after a mistake it is applied again, to find the line.
        df: Its argument.

    Raises:
        PySparkException: Spark refuses the rows; `spark_utils.streaming_utils.failures.users_line` finds the line.
    """
    rows = step(df)
    try:
        rows.isStreaming  # noqa: B018 - Spark is asked, and looks at the frame; its `schema` may be a guess of pyspark's
    except PySparkException as refusal:
        # Of SQL that cannot be parsed, Spark Connect names the line of some other column.
        is_unplaced = isinstance(refusal, ParseException) or users_line(refusal) is None
        if is_unplaced and (line := _first_refused(step, df)):
            refusal.add_note(f"{CALLED_FROM}\n{line}")
        raise
    return rows


def _first_refused(step: Callable[[DataFrame], DataFrame], df: DataFrame) -> str | None:
    """Return ``FILE:LINE`` of the first call of the user's whose frame Spark refuses, by asking about each."""
    found: list[str] = []

    def look(frame: FrameType, event: str, returned: object) -> None:
        caller = frame.f_back
        if event != "return" or found or caller is None or not is_users_file(caller.f_code.co_filename):
            return
        if isinstance(returned, DataFrame) and not is_users_file(frame.f_code.co_filename) and _is_refused(returned):
            found.append(f"{caller.f_code.co_filename}:{caller.f_lineno}")

    before = sys.getprofile()
    sys.setprofile(look)  # called as each function returns; while it runs, it is not called itself
    try:
        with suppress(Exception):
            step(df)
    finally:
        sys.setprofile(before)
    return found[0] if found else None


def _is_refused(df: DataFrame) -> bool:
    try:
        df.isStreaming  # noqa: B018 - see above
    except PySparkException:
        return True
    return False
