"""A preview's table and HTML, for any content: hostile bodies included."""

import builtins
import io
import sys
import unicodedata
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from spark_utils.streaming_utils.failures import failure_sentence
from spark_utils.streaming_utils.preview import LiveFigures, Preview, cell_text, visible
from spark_utils.streaming_utils.streaming_preview import databricks_display, live_screen

TWO = StructType([StructField("id", LongType()), StructField("text", StringType())])
ANY_TEXT = st.text(st.characters(exclude_categories=[]))


def table_of(rows: Any, schema: Any = TWO) -> Any:
    return str(Preview(schema, [Row(*row) for row in rows], seconds=1.25)).split("\n\n")[0].splitlines()


@given(st.lists(st.tuples(st.integers(), ANY_TEXT), min_size=1, max_size=5))
def test_lines_of_a_table_are_equally_long_whatever_the_text(rows: Any) -> None:
    lines = table_of(rows)

    assert len(lines) == 3 + len(rows)
    assert len({len(line) for line in lines}) == 1


@given(ANY_TEXT)
def test_no_control_sequence_reaches_the_terminal(text: str) -> None:
    categories = {unicodedata.category(character) for character in visible(text) if character not in "\u200c\u200d"}

    assert not categories & {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def test_terminal_escapes_bidi_overrides_and_line_breaks_are_shown_by_code() -> None:
    assert visible("a\x1b[31m\nb\u202ec") == "a\\x1b[31m\\nb\\u202ec"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_a_table_can_be_written_in_the_terminals_own_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))

    assert str(Preview(TWO, [Row(1, "héé 中 \U0001f600 " + "x" * 100)])).encode(encoding)  # type: ignore[call-overload]  # values by position


def test_a_long_cell_is_cut() -> None:
    assert table_of([(1, "x" * 5000)])[-1] == "     1 | " + "x" * 39 + "…"


class Collected(HTMLParser):
    """The tags, attributes' names and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: Any) -> None:
        self.text += data


@pytest.mark.parametrize("place", ["cell", "name", "long cell"])
@given(hostile=st.one_of(ANY_TEXT, st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])))
def test_hostile_text_is_only_ever_text_in_html(place: Any, hostile: str) -> None:
    name = hostile if place == "name" else "body"
    body = {"cell": hostile, "name": "x", "long cell": hostile + "y" * 300}[place]
    page = Collected()
    page.feed(Preview(StructType([StructField(name, StringType())]), [Row(body)])._repr_html_())

    assert page.tags <= {"div", "table", "thead", "tbody", "tr", "th", "td", "br", "span"}
    assert page.attributes <= {"style", "title"}


def test_html_shows_the_hostile_text_itself() -> None:
    html = Preview(TWO, [Row(1, "<script>alert(1)</script>")])._repr_html_()  # type: ignore[call-overload]  # values by position

    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize(
    ("value", "data_type", "shown"),
    [
        (None, StringType(), "null"),
        (True, StringType(), "true"),
        (1.5, DoubleType(), "1.5"),
        (bytearray(b'{"a": 1}'), BinaryType(), '{"a": 1}'),
        (bytearray("héé".encode()), BinaryType(), "héé"),
        (bytearray(b"\xff\x00"), BinaryType(), "0xff00"),
        ([1, None], ArrayType(LongType()), "[1, null]"),
        ({"a": [1]}, MapType(StringType(), ArrayType(LongType())), "{a: [1]}"),
        (Row(id=7, text=None), TWO, "{id: 7, text: null}"),
        (datetime(2026, 1, 2, 3, 4), TimestampNTZType(), "2026-01-02 03:04:00"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), TimestampType(), "2026-01-02 04:04:00"),
    ],
)
def test_a_value_is_shown_compactly(value: Any, data_type: Any, shown: Any) -> None:
    assert cell_text(value, data_type, ZoneInfo("Europe/Berlin")) == shown


def test_numbers_stand_to_the_right_below_name_and_type() -> None:
    lines = table_of([(7, "a"), (1234567, "bcd")])

    assert lines == [
        "     id | text  ",
        " bigint | string",
        "--------+-------",
        "      7 | a     ",
        "1234567 | bcd   ",
    ]


def test_a_stream_without_data_says_so_with_the_offsets_of_its_source() -> None:
    text = str(Preview(TWO, seconds=10.0, sources=(("KafkaV2[Subscribe[telemetry]]", '{"telemetry": {"0": 7}}'),)))

    assert text == 'no data yet · 10.0 s\n  KafkaV2[Subscribe[telemetry]] at {"telemetry": {"0": 7}}'


def test_a_stream_whose_events_are_all_filtered_out_does_not_claim_that_nothing_came() -> None:
    assert str(Preview(TWO, events=2000, drained=True)).startswith("no rows: 2,000 events were read")


def test_a_slow_micro_batch_is_not_called_an_empty_stream() -> None:
    text = str(Preview(TWO, unfinished=True, seconds=10.9, sources=(("Kafka", "its start"),)))

    assert text == "no rows yet: a micro-batch was still running after 10.9 s; give it a longer timeout"


def test_the_figures_of_a_live_preview_are_one_line() -> None:
    figures = LiveFigures(events=1200, events_per_second=400.4, rejected=3, lag_seconds=1.25, batch_seconds=0.5)

    assert str(figures) == "400 events/s · 1,200 events · 3 rejected · lag 1.2 s · batch 0.5 s"


class Screen:
    """A text stream that keeps what is written to it."""

    def __init__(self, *, terminal: bool) -> None:
        self.isatty = lambda: terminal
        self.written = ""

    def write(self, text: str) -> None:
        self.written += text

    def flush(self) -> None: ...


def test_a_live_terminal_redraws_in_place() -> None:
    screen = Screen(terminal=True)
    show = live_screen(screen)  # type: ignore[arg-type]  # what is used of a terminal
    show(Preview(TWO, [Row(1, "a")], live=LiveFigures(events=1)))  # type: ignore[call-overload]  # values by position
    first = screen.written
    show(Preview(TWO, [Row(2, "b")], live=LiveFigures(events=2)))  # type: ignore[call-overload]  # values by position

    assert "\x1b" not in first
    assert screen.written[len(first) :].startswith(f"\x1b[{first.count(chr(10))}F\x1b[J")


def test_a_live_preview_into_a_file_is_one_line_each_without_control_sequences() -> None:
    screen = Screen(terminal=False)
    show = live_screen(screen)  # type: ignore[arg-type]  # what is used of a terminal
    for events in (1, 2):
        show(Preview(TWO, [Row(1, "a")], live=LiveFigures(events=events)))  # type: ignore[call-overload]  # values by position

    assert len(screen.written.splitlines()) == 2
    assert "\x1b" not in screen.written


def test_display_is_taken_on_databricks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(builtins, "display", print, raising=False)
    assert databricks_display() is None
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.0")
    assert databricks_display() is print
    shell = SimpleNamespace(user_ns={"display": repr})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert databricks_display() is repr
    shell.user_ns = {}
    monkeypatch.delattr(builtins, "display")
    assert databricks_display() is None


@pytest.mark.parametrize(
    "secret",
    [
        "Endpoint=sb://h/;SharedAccessKeyName=Root;SharedAccessKey=c4n4ry=;EntityPath=t",
        'required username="$ConnectionString" password="c4n4ry";',
        "https://a.blob.core.windows.net/c?sv=1&sig=c4n4ry&se=2",
        "{'client_secret': 'c4n4ry'}",
    ],
)
def test_a_failure_is_one_line_without_traces_or_secrets(secret: str) -> None:
    error = RuntimeError(f"[SOME_CONDITION] it broke with {secret}. SQLSTATE: 42000\n=== Streaming Query ===\nplan")
    sentence = failure_sentence(error)

    assert sentence.startswith("[SOME_CONDITION] it broke with ")
    assert "c4n4ry" not in sentence
    assert "plan" not in sentence
    assert "\n" not in sentence
