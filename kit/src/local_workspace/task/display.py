"""What a notebook shows: tables, HTML and text, kept for the export of the run and printed as text."""

from __future__ import annotations

import html
from typing import Any, Final

ROWS: Final = 1000
SHOWN_ROWS: Final = 20


def shown(value: Any) -> tuple[str, str]:
    """Return a value as text for the log and as HTML for the export.

    Raises:
        NotImplementedError: For a streaming frame, which Databricks would run until the notebook is stopped.
    """
    if getattr(value, "isStreaming", False):
        raise NotImplementedError("display() of a stream: write it to a table or a memory sink, and display that")
    if hasattr(value, "toPandas") and hasattr(value, "columns"):
        rows = value.limit(ROWS).collect()
        return table_text(list(value.columns), rows), table_html(list(value.columns), rows)
    to_html = getattr(value, "to_html", None) or getattr(value, "_repr_html_", None)
    if callable(to_html) and not isinstance(value, type):
        return str(value), str(to_html())
    return repr(value), f"<pre>{html.escape(repr(value))}</pre>"


def table_text(columns: list[str], rows: list[Any]) -> str:
    """Return rows as a table of text."""
    texts = [[str(value) if value is not None else "null" for value in row] for row in rows[:SHOWN_ROWS]]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    lines = [
        " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in [columns, *texts]
    ]
    more = [f"… {len(rows) - SHOWN_ROWS} rows more"] if len(rows) > SHOWN_ROWS else []
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *more])


def table_html(columns: list[str], rows: list[Any]) -> str:
    """Return rows as a table of HTML."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(str(value) if value is not None else 'null')}</td>" for value in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
