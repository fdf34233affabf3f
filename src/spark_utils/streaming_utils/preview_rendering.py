"""Rows as a table: text for a terminal of any width, HTML for a notebook. Pure; no Spark session is needed.

Bodies come from anyone, so a cell never carries a control sequence into a terminal nor markup into a notebook.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from html import escape
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    NumericType,
    StructType,
    TimestampType,
)

Cells = Sequence[Sequence[str]]

NARROWEST = 10  # columns; a cell cut shorter than this says nothing
TEXT_LIMIT = 2_000  # characters of one cell that are looked at: a body may be a megabyte
HTML_LIMIT = 200  # characters of one cell that a notebook shows; the rest is in its tooltip
_ESCAPED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, bidi overrides, surrogates, unassigned
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Terminals disagree about how wide these are, so they are shown by code: conjoining Hangul, flag letters, skin tones.
_UNSURE = ((0x1160, 0x11FF), (0x3164, 0x3164), (0xD7B0, 0xD7FB), (0xFFA0, 0xFFA0), (0x1F1E6, 0x1F1FF))
_SKIN_TONES = (0x1F3FB, 0x1F3FF)
_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))  # they change a neighbour's width on some terminals only


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
    if isinstance(value, bytes | bytearray):
        return _binary_text(bytes(value))
    if isinstance(data_type, StructType):
        fields = zip(data_type.fields, value, strict=True)
        return "{" + ", ".join(f"{f.name}: {cell_text(v, f.dataType, zone)}" for f, v in fields) + "}"
    if isinstance(data_type, ArrayType):
        return "[" + ", ".join(cell_text(v, data_type.elementType, zone) for v in value) + "]"
    if isinstance(data_type, MapType):
        entries = (
            f"{cell_text(k, data_type.keyType, zone)}: {cell_text(v, data_type.valueType, zone)}"
            for k, v in value.items()
        )
        return "{" + ", ".join(entries) + "}"
    return _scalar_text(value, data_type, zone)


def _binary_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return "0x" + value[:TEXT_LIMIT].hex()


def _scalar_text(value: Any, data_type: DataType, zone: tzinfo) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.astimezone(zone).replace(tzinfo=None) if isinstance(data_type, TimestampType) else value
        return moment.isoformat(sep=" ")
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Return text that a terminal shows as it stands, on one line: controls become `\n`, `\x1b`, `\u202e`."""
    shown = "".join(_printable_character(c) for c in unicodedata.normalize("NFC", text[:TEXT_LIMIT]))
    if shown and unicodedata.category(shown[0]).startswith("M"):
        shown = "◌" + shown  # a leading combining mark would join the border before it
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _printable_character(character: str) -> str:
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    if _within(code, _SELECTORS):
        return ""
    if unicodedata.category(character) in _ESCAPED or _within(code, (*_UNSURE, _SKIN_TONES)):
        return _SHORT.get(character) or ascii(character)[1:-1]
    return character


def _within(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def display_width(text: str) -> int:
    """Return how many terminal columns printable text takes (Unicode Standard Annex 11: wide is two)."""
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if " " <= character <= "~":
        return 1
    if unicodedata.category(character).startswith("M"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, width: int, ellipsis: str) -> str:
    if display_width(text) <= width:
        return text
    kept, used = [], display_width(ellipsis)
    for character in text:
        used += _character_width(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + ellipsis


def _pad(text: str, width: int, *, right: bool) -> str:
    gap = " " * (width - display_width(text))
    return gap + text if right else text + gap


def fit_widths(natural: Sequence[int], width: int) -> list[int]:
    """Return the widths of the leading columns that fit a terminal, the widest ones cut first.

    Args:
        natural: The width each column would like.
        width: Terminal columns. Each column costs three more (its border and two spaces), the first one two.

    Returns:
        One width for each column that fits, at least one; columns beyond these are left out.
    """
    shown = len(natural)
    while shown > 1 and sum(min(w, NARROWEST) for w in natural[:shown]) + 3 * shown - 1 > width:
        shown -= 1
    wanted, room = list(natural[:shown]), max(width - 3 * shown + 1, 1)
    if sum(wanted) <= room:
        return wanted
    # The common ceiling: narrow columns keep what they want, the others share what is left.
    left, fitted = room, [0] * shown
    for rank, column in enumerate(sorted(range(shown), key=lambda c: wanted[c])):
        fitted[column] = min(wanted[column], max(left // (shown - rank), 1))
        left -= fitted[column]
    return fitted


def text_table(schema: StructType, cells: Cells, width: int, encoding: str = "utf-8") -> str:
    """Return a table whose lines are all equally wide and no wider than the terminal.

    Args:
        schema: The columns; names and types are the two heading lines.
        cells: One text per column and row, as `cell_text` gives them.
        width: Terminal columns.
        encoding: The terminal's. Borders are ASCII where it has no line drawing.
    """
    plain = not _can_draw(encoding)
    bar, line, cross, ellipsis = ("|", "-", "+", "~") if plain else ("│", "─", "┼", "…")
    heading = [[f.name for f in schema.fields], [_type_name(f.dataType) for f in schema.fields]]
    lines = [[printable(text, encoding) for text in row] for row in [*heading, *cells]]
    natural = [max(1, *(display_width(row[i]) for row in lines)) for i in range(len(schema.fields))]
    widths = fit_widths(natural, width)
    numeric = [isinstance(f.dataType, NumericType) for f in schema.fields]

    def row_text(row: Sequence[str]) -> str:
        columns = zip(row, widths, numeric, strict=False)  # columns that do not fit are left out
        return " " + f" {bar} ".join(_pad(_cut(t, w, ellipsis), w, right=n) for t, w, n in columns) + " "

    rule = cross.join(line * (w + 2) for w in widths)
    return "\n".join([*(row_text(row) for row in lines[:2]), rule, *(row_text(row) for row in lines[2:])])


def hidden_columns(schema: StructType, cells: Cells, width: int, encoding: str = "utf-8") -> list[str]:
    """Return the names of the columns that `text_table` leaves out at this width."""
    texts = [[f.name for f in schema.fields], [_type_name(f.dataType) for f in schema.fields], *cells]
    natural = [max(1, *(display_width(printable(t[i], encoding)) for t in texts)) for i in range(len(schema))]
    return [printable(name, encoding) for name in schema.names[len(fit_widths(natural, width)) :]]


def _can_draw(encoding: str) -> bool:
    try:
        return bool("│─┼…◌".encode(encoding))
    except (UnicodeEncodeError, LookupError):
        return False


def _type_name(data_type: DataType) -> str:
    nested = {StructType: "struct", ArrayType: "array", MapType: "map"}
    return nested.get(type(data_type)) or data_type.simpleString()


_STYLE = (
    "border-collapse:collapse;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;line-height:1.45;"
    "color:inherit"
)
_CELL = "padding:3px 10px;border:1px solid rgba(128,128,128,.35);vertical-align:top;max-width:36em;"
_ONE_LINE = "white-space:nowrap;overflow:hidden;text-overflow:ellipsis;"


def html_table(schema: StructType, cells: Cells) -> str:
    """Return a table for a notebook: everything escaped, light and dark themes alike, no script, no style sheet."""
    align = ["right" if isinstance(f.dataType, NumericType) else "left" for f in schema.fields]
    head = "".join(
        f'<th style="{_CELL}text-align:{a};background:rgba(128,128,128,.12)">{escape(visible(f.name))}'
        f'<br><span style="font-weight:normal;opacity:.6">{escape(_type_name(f.dataType))}</span></th>'
        for f, a in zip(schema.fields, align, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_html_cell(text, a) for text, a in zip(row, align, strict=True)) + "</tr>" for row in cells
    )
    table = f'<table style="{_STYLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div style="overflow-x:auto;max-width:100%">{table}</div>'


def _html_cell(text: str, align: str) -> str:
    shown = visible(text[:TEXT_LIMIT])
    faint = "opacity:.45;" if text == "null" else ""
    tooltip = f' title="{escape(shown)}"' if len(shown) > HTML_LIMIT else ""
    cut = shown if len(shown) <= HTML_LIMIT else shown[:HTML_LIMIT] + "…"
    return f'<td style="{_CELL}{_ONE_LINE}text-align:{align};{faint}"{tooltip}>{escape(cut)}</td>'


def visible(text: str) -> str:
    r"""Return text with controls and bidi overrides shown by code (a browser needs no help with widths)."""
    joiners = "\u200c\u200d"  # they make one emoji of several, and are harmless in a browser
    return "".join(
        c if c in joiners or unicodedata.category(c) not in _ESCAPED else (_SHORT.get(c) or ascii(c)[1:-1])
        for c in text
    )
