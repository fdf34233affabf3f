"""What ``display`` shows: a frame, batch or streaming, as a table, and any other value as it shows itself."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any, Final

ROWS: Final = 1000
ROWS_AS_TEXT: Final = 20


def shown(value: Any) -> tuple[str, str]:
    """Return a value as text and as HTML; of a stream the rows that there are for now.

    Raises:
        StreamFailedError: The query of a streaming frame fails.
    """
    if hasattr(value, "isStreaming"):
        from spark_utils.streaming_utils.streaming_preview import preview_stream  # here: tasks bring their own wheel

        seen = preview_stream(value, ROWS)
        few = replace(seen, rows=seen.rows[:ROWS_AS_TEXT], more=seen.more or len(seen.rows) > ROWS_AS_TEXT)
        return str(few), seen._repr_html_()
    to_html = getattr(value, "to_html", None) or getattr(value, "_repr_html_", None)
    if callable(to_html) and not isinstance(value, type):
        return str(value), str(to_html())
    return repr(value), f"<pre>{html.escape(repr(value))}</pre>"
