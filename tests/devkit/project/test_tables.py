"""`devkit tables` fits a table to the terminal, and shows everything when asked."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyspark.sql import Row
from pyspark.sql.types import LongType, StringType, StructField, StructType
from rich.console import Console

from devkit.project.tables import new_columns_first, print_rows, tables_at
from devkit.spark import catalog
from spark_utils.streaming_utils.preview import Preview

NAMES = [f"column_{number}" for number in range(12)]
WIDE = StructType([StructField(name, LongType()) for name in NAMES[:-1]] + [StructField(NAMES[-1], StringType())])
BODY = "a long body, " * 20
ROWS = [Row(*range(11), BODY), Row(*range(100, 111), "\x1b[31m[red]x")]


def printed(*, wide: bool = False, vertical: bool = False) -> str:
    text = io.StringIO()
    print_rows(Console(file=text, width=70), Preview(WIDE, ROWS), wide=wide, vertical=vertical)
    return text.getvalue()


def test_columns_that_do_not_fit_are_named_below_a_table_that_does() -> None:
    lines = printed().splitlines()
    assert max(map(len, lines)) <= 70
    assert "column_0" in lines[0]
    assert "column_11" not in lines[0]
    assert "column_11" in " ".join(lines[4:])


def test_wide_shows_every_column_in_full() -> None:
    assert BODY.strip() in printed(wide=True)
    assert all(name in printed(wide=True).splitlines()[0] for name in NAMES)


def test_vertical_shows_a_line_for_each_column() -> None:
    assert [line.split()[0] for line in printed(vertical=True).splitlines() if line.startswith("column_")] == NAMES * 2


@pytest.mark.parametrize("way", [{}, {"wide": True}, {"vertical": True}])
def test_what_a_body_holds_is_text(way: dict[str, bool]) -> None:
    assert "\x1b" not in printed(**way)
    if way:
        assert "[red]x" in printed(**way)


def test_a_long_cell_leaves_room_for_the_other_columns() -> None:
    schema = StructType([StructField("body", StringType()), StructField("reason", StringType())])
    text = io.StringIO()
    preview = Preview(schema, [Row(BODY * 10, "truncated")])
    print_rows(Console(file=text, width=70), preview, wide=False, vertical=False)
    assert "truncated" in text.getvalue()


def test_the_last_column_is_narrowed_like_the_others_and_not_cut_off_at_the_terminals_edge() -> None:
    texts = ["ok", *["a text of some length"] * 3, "the last"]
    schema = StructType([StructField(f"name_{number}", StringType()) for number in range(len(texts))])
    text = io.StringIO()
    print_rows(Console(file=text, width=70), Preview(schema, [Row(*texts)]), wide=False, vertical=False)
    heading, types, row, *_ = text.getvalue().splitlines()
    assert heading.split() == schema.names
    assert types.split() == ["string"] * 5
    assert row.endswith("…  the last")


def test_what_a_transformation_added_stands_first() -> None:
    assert new_columns_first(["a", "offset", "headers", "mine"]) == ["mine", "a", "offset", "headers"]
    assert new_columns_first(["reason", "offset"]) == ["reason", "offset"]


def test_tables_are_named_by_a_folder_a_name_or_a_schema(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(catalog.ROOT_VARIABLE, str(tmp_path))
    for table in ("events", "rejected"):
        (tmp_path / "main" / "default" / table / "_delta_log").mkdir(parents=True)
    output = tmp_path / "main" / "default"
    assert list(tables_at(str(output))) == [f"{output}/events", f"{output}/rejected"]
    assert tables_at("main.default.Events") == {"main.default.events": "`main`.`default`.`events`"}
    assert list(tables_at("main.default")) == ["main.default.events", "main.default.rejected"]
    assert tables_at("main.default.nothing") == tables_at("/nowhere") == {}
