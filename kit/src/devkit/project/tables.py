"""`devkit tables`: what a job or a pipeline has written, as a reader of its tables sees it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devkit.spark import catalog
from devkit.spark.catalog.folders import CatalogFolders
from spark_utils.errors import ConfigurationError
from spark_utils.names import counted, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql.types import StructField
    from rich.console import Console
    from rich.text import Text

    from spark_utils.streaming_utils.preview import Preview

WIDEST = 100_000  # columns of text, for who pipes a wide table into a pager


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit tables [WHERE] [--rows N] [--columns NAMES] [--wide] [--vertical]`."""
    where = "the folder that holds them, or a name: CATALOG.SCHEMA.TABLE, or CATALOG.SCHEMA for all of its tables"
    parser.add_argument("where", nargs="?", default="data/telemetry", metavar="WHERE", help=where)
    parser.add_argument("--rows", type=int, default=5, help="newest rows to show of each table")
    parser.add_argument("--columns", metavar="NAMES", help="only these columns, separated by commas")
    parser.add_argument("--wide", action="store_true", help="show every column in full, wider than the terminal")
    parser.add_argument("--vertical", action="store_true", help="show each row as a list of its columns")
    parser.set_defaults(run=show_tables)


def show_tables(arguments: argparse.Namespace) -> int:
    """Print count and newest rows of each table, and the reasons of rejected rows counted.

    Raises:
        ConfigurationError: If there is no such table, or none of them has a column that was named.
    """
    present = tables_at(arguments.where)
    if not present:
        raise ConfigurationError(
            f"there is no Delta table under {arguments.where!r}, and none of this name under {str(catalog.root())!r}",
            origin="the argument WHERE",
            remedy="Run the job first (`make run`), or give its --output-path, or a name like main.default.events.",
        )
    from rich.console import Console

    from spark_utils.session import get_session
    from spark_utils.streaming_utils.streaming_preview import preview_stream

    spark = get_session("devkit-tables", fast_start=True, config={"spark.ui.enabled": "false"})
    console = Console(highlight=False)
    frames = {name: spark.table(table) for name, table in present.items()}
    columns = [name.strip() for name in (arguments.columns or "").split(",") if name.strip()]
    known = {name for frame in frames.values() for name in frame.columns}
    if unknown := [name for name in columns if name not in known]:
        raise ConfigurationError(
            f"there is no column {', '.join(unknown)} (there are {', '.join(sorted(known))})", origin="--columns"
        )
    for name, frame in frames.items():
        count = frame.count()
        console.print(f"{name}: {counted(count, 'row')}", markup=False, style="bold")
        newest = frame.orderBy("enqueued_time", ascending=False) if "enqueued_time" in frame.columns else frame
        if shown := [column for column in columns if column in frame.columns] or new_columns_first(frame.columns):
            preview = preview_stream(newest.select(shown), rows=arguments.rows)
            print_rows(console, preview, wide=arguments.wide, vertical=arguments.vertical)
        if name.endswith("rejected"):
            reasons = frame.groupBy("reason").count().orderBy("count", ascending=False)
            print_rows(console, preview_stream(reasons), wide=False, vertical=False)
    spark.stop()
    return 0


def tables_at(where: str) -> dict[str, str]:
    """Return the tables in a folder or of a name, as SQL names them, by what they are called here."""
    if found := sorted(log.parent for log in Path(where).glob("*/_delta_log")):
        return {str(table): f"delta.{quote(str(table.resolve()))}" for table in found}
    parts, folders = where.split("."), CatalogFolders(catalog.root())
    if len(parts) not in (2, 3) or "/" in where:
        return {}
    known = [table for table in folders.tables(*parts[:2]) if table.lower() == parts[-1].lower() or len(parts) == 2]
    return {".".join([*parts[:2], table]): quote(*parts[:2], table) for table in known}


def new_columns_first(names: Sequence[str]) -> list[str]:
    """Put what a transformation added first: the columns behind `headers`, the last that an event comes with."""
    start = names.index("headers") + 1 if "headers" in names else 0
    return [*names[start:], *names[:start]]


def print_rows(console: Console, preview: Preview, *, wide: bool, vertical: bool) -> None:
    """Print the rows of a preview as a table as wide as the terminal, and its summary."""
    cells = [[(None, text) for text in row] for row in preview.cells()]
    print_cells(console, preview.schema.fields, cells, wide=wide, vertical=vertical)
    console.print(preview.summary(), markup=False, style="dim")


def print_cells(
    console: Console,
    fields: Sequence[StructField],
    rows: Sequence[Sequence[tuple[str | None, str]]],
    *,
    wide: bool = False,
    vertical: bool = False,
) -> None:
    """Print cells as a table as wide as the terminal.

    Columns that do not fit are left out and named; `wide` shows them all, `vertical` a list for each row.

    Args:
        console: Where to print.
        fields: A field for each column.
        rows: The cells of each row: the text before, where it was another, and the text.
        wide: Whether to print wider than the terminal.
        vertical: Whether to print a list.
    """
    from rich.table import Table
    from rich.text import Text

    from spark_utils.streaming_utils.preview import type_name, visible

    width = console.width
    if wide:
        console.width = WIDEST
    if vertical:
        for row in rows:
            table = Table.grid(padding=(0, 2))
            for field, texts in zip(fields, row, strict=True):
                table.add_row(Text(visible(field.name), style="bold"), _cell(*texts))
            console.print(table, "")
    elif rows:
        # Of texts and not of columns, which rich would cut off at the terminal's edge instead of narrowing them.
        in_one_line: dict[str, Any] = {"no_wrap": True, "overflow": "ellipsis"}
        fitting = len(fields) if wide else max(1, console.width // 14)
        table = Table(box=None, pad_edge=False, header_style="bold cyan")
        for field in fields[:fitting]:
            heading = Text(visible(field.name), **in_one_line)
            heading.append(f"\n{type_name(field.dataType)}", style="dim not bold")
            table.add_column(heading, min_width=8, max_width=None if wide else 40)
        for row in rows:
            table.add_row(*(_cell(*texts, **in_one_line) for texts in row[:fitting]))
        console.print(table)
        if hidden := [visible(field.name) for field in fields[fitting:]]:
            names = f"{len(hidden)} more columns (--wide or --vertical shows them): {', '.join(hidden)}"
            console.print(names, markup=False, style="dim")
    if wide:
        console.width = width


def _cell(before: str | None, text: str, **shape: Any) -> Text:
    from rich.text import Text

    from spark_utils.streaming_utils.preview import visible

    cell = Text(**shape)
    if before is None:
        return cell.append(visible(text), style="dim" if text == "null" else "")
    return cell.append(f"{visible(before)} → ", style="dim").append(visible(text), style="not dim bold yellow")
