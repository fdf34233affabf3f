"""What a preview saw, and how it shows itself: a plain table in a terminal or a log, HTML in a notebook.

Bodies come from anyone, so a cell never carries a control sequence into a terminal nor markup into a notebook. Tables
that fit the terminal, in colour, are the kit's (`devkit tables`).
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from html import escape
from typing import Any

from pyspark.sql import Row
from pyspark.sql.types import ArrayType, DataType, MapType, NumericType, StructType, TimestampType

from spark_utils.names import counted

CELL_WIDTH = 40  # characters of one cell in a plain table
HTML_LIMIT = 200  # characters of one cell that a notebook shows; the rest is in its tooltip
TEXT_LIMIT = 2_000  # characters of one cell that are looked at: a body may be a megabyte
_ESCAPED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, bidi overrides, surrogates, unassigned
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_JOINERS = "\u200c\u200d"  # they make one emoji of several, and are harmless


@dataclass(frozen=True)
class LiveFigures:
    """How a watched stream runs.

    Attributes:
        events: Events read so far.
        events_per_second: Rate of the last micro-batch that had events.
        rejected: Rows with a `reason` so far; None when the frame has no such column.
        lag_seconds: Age of the newest event when it was seen; None without `enqueued_time`.
        batch_seconds: Duration of the last micro-batch that had events.
    """

    events: int = 0
    events_per_second: float = 0.0
    rejected: int | None = None
    lag_seconds: float | None = None
    batch_seconds: float = 0.0

    def __str__(self) -> str:
        """Join the figures that are known in one line."""
        parts = [f"{self.events_per_second:,.0f} events/s", f"{self.events:,} events"]
        if self.rejected is not None:
            parts.append(f"{self.rejected:,} rejected")
        if self.lag_seconds is not None:
            parts.append(f"lag {self.lag_seconds:,.1f} s")
        return " · ".join([*parts, f"batch {self.batch_seconds:,.1f} s"])


@dataclass(frozen=True, repr=False)
class Preview:
    """The rows that a preview saw. `print` it in a terminal; as the last value of a notebook cell it is HTML.

    Attributes:
        schema: The frame's schema.
        rows: At most as many rows as were asked for, as `DataFrame.collect` gives them.
        more: Whether the frame is known to have more rows than these.
        events: Events that were read from the sources to get there; 0 for a batch frame.
        drained: Whether a stream was read up to its end of that moment.
        unfinished: Whether a micro-batch was still running when the time was up.
        seconds: How long it took.
        sources: The sources of a stream and the offset each had reached, as text; empty for a batch frame.
        live: Figures of a watched stream; None for a single look.
        zone: The session's time zone, in which timestamps are shown.
        displayed: Whether a notebook's own `display` has shown the rows, so that only the summary is left to show.
    """

    schema: StructType
    rows: Sequence[Row] = ()
    more: bool = False
    events: int = 0
    drained: bool = False
    unfinished: bool = False
    seconds: float = 0.0
    sources: tuple[tuple[str, str], ...] = ()
    live: LiveFigures | None = None
    zone: tzinfo = UTC
    displayed: bool = False

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def __str__(self) -> str:
        """Render as a plain table with a summary below it, in characters that the output has."""
        encoding = sys.stdout.encoding or "utf-8"
        lines = [visible(line) for line in self.summary().splitlines()]
        if self.rows and not self.displayed:
            lines = [*text_table(self.schema, self.cells()), "", *lines]
        return "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Render for a notebook (the IPython display protocol)."""
        summary = "<br>".join(escape(visible(line)) for line in self.summary().splitlines())
        note = f'<div style="margin:6px 2px;font-size:12px;opacity:.75">{summary}</div>'
        return note if not self.rows or self.displayed else html_table(self.schema, self.cells()) + note

    def cells(self) -> list[list[str]]:
        """Return each value as one compact text."""
        types = [field.dataType for field in self.schema.fields]
        return [[cell_text(v, t, self.zone) for v, t in zip(row, types, strict=True)] for row in self.rows]

    def summary(self) -> str:
        """Say how many rows there are, or what was found instead of rows."""
        if self.live:
            return str(self.live)
        took = f"{self.seconds:.1f} s"
        if self.rows:
            count = counted(len(self.rows), "row")
            parts = [f"{count}, there are more" if self.more else count, took]
            return " · ".join([*parts, "a micro-batch was still running"] if self.unfinished else parts)
        if self.drained:
            read = f"{self.events:,} events were" if self.events else "the source was"
            return f"no rows: {read} read, and nothing of it is in this frame · {took}"
        if self.unfinished:
            return f"no rows yet: a micro-batch was still running after {took}; give it a longer timeout"
        if not self.sources:
            return f"no rows · {took}"
        return "\n".join([f"no data yet · {took}", *(f"  {name} at {offset}" for name, offset in self.sources)])


def cell_text(value: Any, data_type: DataType, zone: tzinfo = UTC) -> str:
    """Return a value of a collected row as one compact text.

    Args:
        value: What `DataFrame.collect` gave.
        data_type: Its Spark type.
        zone: The session's time zone. PySpark hands timestamps over in the time zone of the Python process, without
            saying so; they are shown in this one.

    Returns:
        `null`, plain text, `{name: value, …}` for structs and maps, `[value, …]` for arrays; binary as text when it is
        UTF-8, else as `0x…`.
    """
    if value is None:
        return "null"
    if isinstance(data_type, StructType):
        fields = zip(data_type.fields, value, strict=True)
        return "{" + ", ".join(f"{f.name}: {cell_text(v, f.dataType, zone)}" for f, v in fields) + "}"
    if isinstance(data_type, ArrayType):
        return "[" + ", ".join(cell_text(v, data_type.elementType, zone) for v in value) + "]"
    if isinstance(data_type, MapType):
        texts = (
            (cell_text(k, data_type.keyType, zone), cell_text(v, data_type.valueType, zone)) for k, v in value.items()
        )
        return "{" + ", ".join(f"{key}: {text}" for key, text in texts) + "}"
    return _scalar_text(value, data_type, zone)


def _scalar_text(value: Any, data_type: DataType, zone: tzinfo) -> str:
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            return "0x" + value[:TEXT_LIMIT].hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.astimezone(zone).replace(tzinfo=None) if isinstance(data_type, TimestampType) else value
        return moment.isoformat(sep=" ")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def visible(text: str) -> str:
    r"""Return text on one line with controls and bidi overrides shown by code: `\n`, `\x1b`, `\u202e`."""
    return "".join(
        c if c in _JOINERS or unicodedata.category(c) not in _ESCAPED else (_SHORT.get(c) or ascii(c)[1:-1])
        for c in text[:TEXT_LIMIT]
    )


def text_table(schema: StructType, cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a plain table: names, types, rows; a long cell is cut."""
    heading = [schema.names, [type_name(field.dataType) for field in schema.fields]]
    rows = [[_cut(visible(text)) for text in row] for row in [*heading, *cells]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(schema.fields))]
    numeric = [isinstance(field.dataType, NumericType) for field in schema.fields]

    def line(row: Sequence[str]) -> str:
        columns = zip(row, widths, numeric, strict=True)
        return " | ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in columns)

    return [*map(line, rows[:2]), "-+-".join("-" * width for width in widths), *map(line, rows[2:])]


def _cut(text: str) -> str:
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


def type_name(data_type: DataType) -> str:
    """Return a type as a heading shows it, nested ones without what is in them."""
    nested = {StructType: "struct", ArrayType: "array", MapType: "map"}
    return nested.get(type(data_type)) or data_type.simpleString()


_STYLE = "border-collapse:collapse;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;color:inherit"
_CELL = (
    "padding:3px 10px;border:1px solid rgba(128,128,128,.35);vertical-align:top;max-width:36em;white-space:nowrap;"
    "overflow:hidden;text-overflow:ellipsis;"
)


def html_table(schema: StructType, cells: Sequence[Sequence[str]]) -> str:
    """Return a table for a notebook: everything escaped, light and dark themes alike, no script, no style sheet."""
    align = ["right" if isinstance(field.dataType, NumericType) else "left" for field in schema.fields]
    head = "".join(
        f'<th style="{_CELL}text-align:{side}">{escape(visible(field.name))}'
        f'<br><span style="font-weight:normal;opacity:.6">{escape(type_name(field.dataType))}</span></th>'
        for field, side in zip(schema.fields, align, strict=True)
    )
    rows = ("".join(_html_cell(text, side) for text, side in zip(row, align, strict=True)) for row in cells)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f'<table style="{_STYLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div style="overflow-x:auto;max-width:100%">{table}</div>'


def _html_cell(text: str, align: str) -> str:
    shown = visible(text)
    faint = "opacity:.45;" if text == "null" else ""
    tooltip = f' title="{escape(shown)}"' if len(shown) > HTML_LIMIT else ""
    cut = shown if len(shown) <= HTML_LIMIT else shown[:HTML_LIMIT] + "…"
    return f'<td style="{_CELL}text-align:{align};{faint}"{tooltip}>{escape(cut)}</td>'
