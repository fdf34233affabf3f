"""What a preview saw, and how it shows itself: a table in a terminal, HTML in a notebook."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from html import escape
from typing import TYPE_CHECKING, Any

from spark_utils.streaming_utils.preview_rendering import (
    cell_text,
    hidden_columns,
    html_table,
    printable,
    text_table,
    visible,
)

if TYPE_CHECKING:
    from pyspark.sql import Row
    from pyspark.sql.types import StructType

FALLBACK_WIDTH = 120  # columns, where the output is not a terminal


@dataclass(frozen=True)
class LiveFigures:
    """How a watched stream runs.

    Attributes:
        events: Events read so far.
        events_per_second: Rate of the last micro-batch, of event arrivals that were processed.
        rejected: Rows with a `reason` so far; None when the frame has no such column.
        lag_seconds: Age of the newest event of the last micro-batch when it was seen; None without `enqueued_time`.
        batch_seconds: Duration of the last micro-batch.
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
        """Render for the terminal: as wide as it is, in characters that it has."""
        return self.to_text(shutil.get_terminal_size((FALLBACK_WIDTH, 24)).columns, sys.stdout.encoding or "utf-8")

    __repr__ = __str__

    def to_text(self, width: int, encoding: str = "utf-8") -> str:
        """Render as text of at most `width` columns, plus a summary below the table."""
        if not self.rows or self.displayed:
            return printable_lines(self.summary(), encoding)
        cells = self._cells()
        hidden = hidden_columns(self.schema, cells, width, encoding)
        notes = [f"{len(hidden)} more columns: {', '.join(hidden)}"] if hidden else []
        return "\n".join(
            [
                text_table(self.schema, cells, width, encoding),
                "",
                printable_lines("\n".join([self.summary(), *notes]), encoding),
            ]
        )

    def _repr_html_(self) -> str:
        """Render for a notebook (the IPython display protocol)."""
        summary = "<br>".join(escape(visible(line)) for line in self.summary().splitlines())
        note = f'<div style="margin:6px 2px;font-size:12px;opacity:.75">{summary}</div>'
        return note if not self.rows or self.displayed else html_table(self.schema, self._cells()) + note

    def _cells(self) -> list[list[str]]:
        types = [field.dataType for field in self.schema.fields]
        return [[cell_text(v, t, self.zone) for v, t in zip(row, types, strict=True)] for row in self.rows]

    def summary(self) -> str:
        """Say how many rows there are, or what was found instead of rows."""
        if self.live:
            return str(self.live)
        took = f"{self.seconds:.1f} s"
        if self.rows:
            count = f"{len(self.rows)} row{'' if len(self.rows) == 1 else 's'}"
            return " · ".join([f"{count}, there are more" if self.more else count, took])
        if self.drained:
            read = f"{self.events:,} events were" if self.events else "the source was"
            return f"no rows: {read} read, and nothing of it is in this frame · {took}"
        if self.unfinished:
            return f"no rows yet: a micro-batch was still running after {took}; give it a longer timeout"
        if not self.sources:
            return f"no rows · {took}"
        return "\n".join([f"no data yet · {took}", *(f"  {name} at {offset}" for name, offset in self.sources)])


def printable_lines(text: str, encoding: str) -> str:
    """Make each line printable."""
    return "\n".join(printable(line, encoding) for line in text.splitlines())


def source_positions(reports: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return description and reached offset of each source in the last of a query's progress reports."""
    if not reports:
        return (("the source", "an offset it has not told yet"),)
    return tuple((s["description"], str(s["endOffset"] or "its start")) for s in reports[-1]["sources"])
