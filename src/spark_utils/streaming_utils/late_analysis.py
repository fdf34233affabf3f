"""A user's step that is applied so that its mistakes are told with the user's line.

Spark Connect looks at a frame when that is used, not where it is made. So the trace of an error passes no line of the
user's code, and Spark says where a column was named for some mistakes only: not for a function that does not exist, SQL
that cannot be parsed, or an argument of a wrong type. And a step without `return` fails in pyspark, on any session.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TypeVar

from pyspark.errors import ParseException, PySparkException
from pyspark.sql import DataFrame

from spark_utils.errors import StreamFailedError
from spark_utils.streaming_utils.failures import CALLED_FROM, users_line
from spark_utils.streaming_utils.users_code import is_users_file

T = TypeVar("T")
_NO_FRAME = "should have been DataFrame"  # so pyspark's DataFrame.transform ends its message
_RETURN = "End it with `return` and the frame."


def apply_step(step: Callable[[DataFrame], DataFrame], df: DataFrame) -> DataFrame:
    """Apply a step of the user's and let Spark look at its rows at once; a mistake is noted with the user's line.

    Args:
        step: From frame to frame, without effects: after a mistake it is applied again, to find the line.
        df: Its argument.

    Raises:
        PySparkException: Spark refuses the rows; `spark_utils.streaming_utils.failures.users_line` finds the line.
        StreamFailedError: The step returns no frame; the line is found likewise.
    """
    try:
        rows = step(df)
    except AssertionError as failure:
        if _NO_FRAME in str(failure):
            raise _without_frame(step, df) from None
        raise
    if not isinstance(rows, DataFrame):
        raise _without_frame(step, df)
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

    def look(frame: FrameType, caller: FrameType, returned: object) -> str | None:
        if not is_users_file(caller.f_code.co_filename) or is_users_file(frame.f_code.co_filename):
            return None
        is_it = isinstance(returned, DataFrame) and _is_refused(returned)
        return f"{caller.f_code.co_filename}:{caller.f_lineno}" if is_it else None

    return _first_found(step, df, look)


def _without_frame(step: Callable[[DataFrame], DataFrame], df: DataFrame) -> StreamFailedError:
    """Return the error for the first function of the user that is called from elsewhere and gives no frame."""

    def look(frame: FrameType, caller: FrameType, returned: object) -> StreamFailedError | None:
        code = frame.f_code
        if is_users_file(caller.f_code.co_filename) or not is_users_file(code.co_filename):
            return None
        if isinstance(returned, DataFrame):
            return None
        error = StreamFailedError(f"{code.co_name}() returned {_shown(returned)}, not a DataFrame", remedy=_RETURN)
        error.add_note(f"{CALLED_FROM}\n{code.co_filename}:{frame.f_lineno}")
        return error

    return _first_found(step, df, look) or StreamFailedError("a step returned no DataFrame", remedy=_RETURN)


def _shown(returned: object) -> str:
    return "None" if returned is None else f"a {type(returned).__name__}"


def _first_found(
    step: Callable[[DataFrame], DataFrame], df: DataFrame, look: Callable[[FrameType, FrameType, object], T | None]
) -> T | None:
    """Apply a step again and return the first thing that `look` finds in a function that returns, and its caller."""
    found: list[T] = []

    def returning(frame: FrameType, event: str, returned: object) -> None:
        if event == "return" and not found and frame.f_back is not None:
            seen = look(frame, frame.f_back, returned)
            found.extend([] if seen is None else [seen])

    before = sys.getprofile()
    sys.setprofile(returning)  # while it runs, it is not called itself
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
