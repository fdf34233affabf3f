"""`devkit watch`: the job on a sample, run again at every save; what changed in its rows, columns and rejects.

The sample is taken once and stays, so that what differs between two runs comes from the edit.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from devkit.live.journal import Journal
from devkit.project.job_file import JobSteps, load_steps
from devkit.project.tables import new_columns_first, print_cells
from spark_utils.errors import ConfigurationError
from spark_utils.names import counted
from spark_utils.streaming_utils.failures import error_line
from spark_utils.streaming_utils.preview import Preview, type_name, visible
from spark_utils.streaming_utils.streaming_preview import preview_stream

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType
    from rich.console import Console

POSITION = ("partition", "offset")
ROWS_PER_EVENT = 20  # of an exploded array, at most, that are compared


@dataclass(frozen=True)
class Outcome:
    """What the job makes of the sample.

    Attributes:
        names: The columns of `events`, those behind the source's own first.
        types: The type of each.
        rows: The cells of `events` as text, by position of the event and number of the row among its own.
        reasons: How many events were rejected for each reason; None until that is known.
    """

    names: tuple[str, ...]
    types: dict[str, str]
    rows: dict[tuple[str, ...], tuple[str, ...]]
    reasons: Counter[str] | None = None


def outcome_of(preview: Preview) -> Outcome:
    """Return the rows of a preview so that two runs can be compared."""
    before = preview.schema.names
    names = new_columns_first(before)
    order = [before.index(name) for name in names]
    place = [before.index(name) for name in POSITION if name in before]
    seen: Counter[tuple[str, ...]] = Counter()
    rows = {}
    for cells in preview.cells():
        position = tuple(cells[index] for index in place)
        rows[*position, str(seen[position])] = tuple(cells[index] for index in order)
        seen[position] += 1
    return Outcome(tuple(names), {field.name: type_name(field.dataType) for field in preview.schema.fields}, rows)


def schema_changes(before: Outcome, now: Outcome) -> list[str]:
    """Return a line for each column that came, went, or has another type."""
    return [
        *(f"+ {name} {now.types[name]}" for name in now.names if name not in before.types),
        *(f"- {name} {before.types[name]}" for name in before.names if name not in now.types),
        *(
            f"~ {name} {before.types[name]} → {now.types[name]}"
            for name in now.names
            if before.types.get(name, now.types[name]) != now.types[name]
        ),
    ]


def row_changes(before: Outcome, now: Outcome) -> dict[tuple[str, ...], dict[str, str]]:
    """Return for each row with another value than before the old values by column; a new row has none."""
    index = {name: place for place, name in enumerate(before.names)}
    changes = {}
    for key, cells in now.rows.items():
        old = before.rows.get(key)
        was = {
            name: old[index[name]]
            for name, cell in zip(now.names, cells, strict=True)
            if old is not None and name in index and old[index[name]] != cell
        }
        if was or old is None:
            changes[key] = was
    return changes


def _file(schema: str) -> Path | None:
    """Return the file of a schema that is not DDL text."""
    with suppress(OSError):  # a text may be longer than a name may be
        return Path(schema) if Path(schema).is_file() else None
    return None


class Watcher:
    """Runs a job on one sample as often as it is asked to, and prints what it makes of it.

    Args:
        job: The job's file.
        arguments: Its arguments.
        console: Where to print.
        events: How many events the sample has at most.
        rows: How many rows are shown.
        shape: How: `wide`, `vertical`.
    """

    def __init__(
        self,
        job: Path,
        arguments: Sequence[str],
        console: Console,
        *,
        events: int = 1000,
        rows: int = 5,
        shape: Mapping[str, bool] | None = None,
    ) -> None:
        self._job, self._arguments, self._console, self._shape = job, arguments, console, shape or {}
        self._events, self._rows = events, rows
        self._source: object = None
        self._sample: DataFrame | None = None
        self._size = 0
        self._last: Outcome | None = None
        self._journal: Journal | None = None
        self._shown: dict[str, object] = {}
        self.schema: Path | None = None

    def run(self, saved: float | None = None) -> bool:
        """Run the job on the sample and print; an error of the user's code is one line. Return whether it ran.

        Args:
            saved: When the edit was saved, in seconds since 1970; by default now.
        """
        began = saved or time.time()
        try:
            steps = load_steps(self._job, self._arguments)
            self.schema = _file(steps.config.schema)
            self._journal = Journal(steps.spark, steps.config)
            sample = self._take_sample(steps)
            parsed = steps.to_parsed(sample)
            preview = preview_stream(parsed, rows=self._events * ROWS_PER_EVENT, step=steps.to_events)
            outcome = outcome_of(preview)
            shown = self._show_events(outcome, preview.schema, time.time() - began)
            rejected = preview_stream(steps.to_rejected(parsed), rows=self._events)
        except Exception as error:
            self._console.print(line := error_line(error), style="bold red", markup=False)
            self._tell(self._shown | {"error": line})
            if self._last is not None:
                self._console.print("mend it and save: rows are compared with the last run that worked", style="dim")
            return False
        outcome = replace(outcome, reasons=Counter(row["reason"] for row in rejected.rows))
        self._shown = shown | {"rejected": self._show_rejected(outcome)}
        self._tell(self._shown)
        self._last = outcome
        return True

    def _tell(self, shown: dict[str, object]) -> None:
        """Let `devkit page` show what stands on the terminal, in place of what the last run told."""
        if self._journal:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._journal(f"watch-{os.getpid()}", {"started": now, "query": f"watch {self._job.name}", "watch": shown})

    def _take_sample(self, steps: JobSteps) -> DataFrame:
        """Read the source once, and again when it is configured differently."""
        from spark_utils.sources.read_stream import read_batch

        source = steps.config.source
        if self._sample is None or source != self._source:
            raw = read_batch(steps.spark, source)
            rows = raw.limit(self._events).toArrow()
            if not rows.num_rows:
                raise ConfigurationError(
                    "the source has no events to take a sample of",
                    origin=source.identity,
                    remedy="Send some (`devkit hub send --generate 1000 --malformed 0.02`), or name a --recording.",
                )
            self._sample, self._size = steps.spark.createDataFrame(rows, raw.schema), rows.num_rows
            self._source, self._last = source, None
        return self._sample

    def _show_events(self, now: Outcome, schema: StructType, seconds: float) -> dict[str, object]:
        before = self._last
        changes = {} if before is None else row_changes(before, now)
        said = schema_changes(before, now) if before is not None else []
        for line in said:
            style = {"+": "green", "-": "red", "~": "yellow"}[line[0]]
            self._console.print(f"column {visible(line)}", style=style, markup=False)
        came = [name for name in now.names if before is not None and name not in before.types]
        touched = [name for name in now.names if any(name in was for was in changes.values())]
        names = list(dict.fromkeys([*came, *touched, *now.names]))
        keys = [*changes, *(key for key in now.rows if key not in changes)][: self._rows]
        cells = [
            [(changes.get(key, {}).get(name), now.rows[key][now.names.index(name)]) for name in names] for key in keys
        ]
        print_cells(self._console, [schema[name] for name in names], cells, **self._shape)
        gone = f", {len(before.rows.keys() - now.rows.keys()):,} gone" if before is not None else ""
        compared = f" ({len(changes):,} changed or new{gone})" if before is not None else ""
        line = f"{counted(len(now.rows), 'row')}{compared}, the first after {seconds:.2f} s"
        self._console.print(line, style="bold")
        return {"columns": names, "rows": cells, "schema": said, "line": line}

    def _show_rejected(self, now: Outcome) -> str:
        reasons = now.reasons or Counter()
        before = self._last.reasons if self._last is not None and self._last.reasons is not None else reasons
        told = []
        for reason in dict.fromkeys([*reasons, *before]):
            was = "" if before[reason] == reasons[reason] else f" (was {before[reason]:,})"
            told.append(f"{reason} {reasons[reason]:,}{was}")
        total = f"{reasons.total():,} of {self._size:,} events rejected"
        line = f"{total}{': ' if told else ''}{', '.join(told)}"
        self._console.print(line, markup=False)
        return line
