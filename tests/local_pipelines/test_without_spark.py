"""What needs no JVM: names, the log's file, resets, clauses of SQL."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from local_pipelines import PipelineError
from local_pipelines.analysis.schemas import split_at_commas, without_catalog_parts
from local_pipelines.declaring.model import Dataset, Definitions, Kind, TableName, split_name
from local_pipelines.declaring.modules import importable
from local_pipelines.log.drawing import Node, add_last_update, as_page, bar
from local_pipelines.log.event_log import EventLog, read_events
from local_pipelines.sql.arguments import read_files
from local_pipelines.sql.clauses import Cursor
from local_pipelines.sql.relations import tokens_of
from local_pipelines.storage import RESETTING, Storage, safe, write_whole
from spark_utils.names import suggestion


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a", ["a"]), ("c.s.t", ["c", "s", "t"]), ("`a.b`.t", ["a.b", "t"]), ("`a``b`", ["a`b"]), (" a . b ", ["a", "b"])],
)
def test_names_are_split_at_dots_outside_of_backticks(text: str, parts: list[str]) -> None:
    assert split_name(text) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "`a", "a..b"])
def test_a_name_with_an_empty_part_or_an_open_quote_is_refused(text: str) -> None:
    with pytest.raises(PipelineError, match="invalid name"):
        split_name(text)


def test_names_are_completed_by_the_pipelines_catalog_and_schema() -> None:
    definitions = Definitions(catalog="lake", schema="sales")
    assert definitions.table_name("t") == TableName("lake", "sales", "t")
    assert definitions.table_name("LIVE.t") == TableName("lake", "sales", "t")
    assert definitions.table_name("other.t") == TableName("lake", "other", "t")
    with pytest.raises(PipelineError, match="invalid name"):
        definitions.table_name("a.b.c.d")


def test_a_name_cannot_leave_the_storage() -> None:
    assert safe("../x/y") == "..%2Fx%2Fy"
    assert safe("..") == "%2E%2E"
    assert safe("größe_1") == "größe_1"


def test_keys_and_masks_are_left_out_of_a_schema() -> None:
    ddl = "id INT NOT NULL PRIMARY KEY, d DECIMAL(10, 2) MASK hide, m MAP<STRING, INT>, CONSTRAINT k PRIMARY KEY (id)"
    assert without_catalog_parts(ddl) == "id INT NOT NULL, d DECIMAL(10, 2), m MAP<STRING, INT>"


def test_a_comparison_opens_no_type() -> None:
    parts = split_at_commas("CONSTRAINT a EXPECT (x < 1), b ARRAY<MAP<INT, INT>>, c CHECK x < 2, d INT")
    assert [tokens[0].text for _, _, tokens in parts] == ["CONSTRAINT", "b", "c", "d"]


def test_a_suggestion_is_near_or_absent() -> None:
    assert suggestion("coment", ["comment", "name"]) == "; did you mean 'comment'?"
    assert suggestion("zzz", ["comment"]) == ""


def test_a_torn_line_of_the_log_is_cut_and_no_event_is_logged_twice(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    log = EventLog(storage, {"update_id": "1"})
    log.write("flow_progress", "one", key="uid/0")
    file = tmp_path / "event_log.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    again = EventLog(storage, {"update_id": "2"})
    again.write("flow_progress", "one", key="uid/0")
    again.write("flow_progress", "two", key="uid/1")
    assert [event["message"] for event in read_events(file)] == ["one", "two"]
    assert [event["sequence"]["control_plane_seq_no"] for event in read_events(file)] == [0, 1]


def test_a_hook_that_fails_too_often_is_said_and_not_asked_again(tmp_path: Path) -> None:
    heard: list[str] = []

    def hook(event: dict[str, object]) -> None:
        heard.append(str(event["message"]))
        raise ValueError("no")

    log = EventLog(Storage(tmp_path), {}, {hook: 1})
    for message in ("one", "two", "three"):
        log.write("create_update", message)
    assert heard == ["one", "two"]
    types = [event["event_type"] for event in read_events(tmp_path / "event_log.jsonl")]
    assert types == ["create_update", "hook_progress"] * 2 + ["create_update"]


def test_a_reset_that_a_kill_interrupts_is_finished_by_the_next_update(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    dataset = Dataset(TableName("main", "default", "t"), "t", Kind.STREAMING_TABLE, None)
    folders = [Path(storage.table(dataset)), Path(storage.hidden(dataset)), tmp_path / "flows/main/default/t"]
    for folder in folders:
        (folder / "inside").mkdir(parents=True)
    write_whole(tmp_path / RESETTING / "main.default.t", json.dumps([str(folder) for folder in folders]))
    storage.finish_resets()
    assert not any(folder.exists() for folder in folders)
    assert list((tmp_path / RESETTING).iterdir()) == []


def test_arguments_of_read_files_in_both_forms() -> None:
    path, settings = read_files("'p', format => 'csv', header => true, schema => 'a INT, b STRING'")
    assert (path, settings["schema"]) == ("p", "a INT, b STRING")
    assert settings["options"]["format"] == "csv"
    assert settings["options"]["header"] == "true"
    path, settings = read_files("\"p\", \"json\", map('multiLine', 'true')")
    assert (path, settings["options"]["format"]) == ("p", "json")
    assert settings["options"]["multiline"] == "true"
    with pytest.raises(PipelineError, match="the path is missing"):
        read_files("format => 'json'")


def test_a_cursor_reads_clauses_that_the_tokens_join() -> None:
    text = "CLUSTER BY (a, `b c`) TRACK HISTORY ON * EXCEPT (d)"
    cursor = Cursor(text, tokens_of(text), len(text))
    assert not cursor.take("CLUSTER", "BY", "AUTO")
    assert cursor.take("CLUSTER", "BY")
    assert cursor.names_in_parentheses() == ["a", "b c"]
    assert cursor.take("TRACK", "HISTORY", "ON")
    assert cursor.take("*")
    assert cursor.rest() == "EXCEPT (d)"


def test_a_single_failed_row_shows_in_a_bar() -> None:
    assert bar(999_999, 1) == "█████████░"
    assert bar(5, 0) == "██████████"
    assert bar(0, 0) == "██████████"


def test_dlt_is_there_only_while_a_pipeline_runs() -> None:
    assert "dlt" not in sys.modules
    with importable():
        import dlt  # type: ignore[import-not-found]
        from pyspark import pipelines as dp

        assert dlt.table is dp.table
        with pytest.raises(PipelineError, match="dlt has no 'tabel'; did you mean 'table'"):
            dlt.tabel  # noqa: B018
        with pytest.raises(PipelineError, match="only while a pipeline is read"):
            dlt.create_streaming_table("t")
    assert "dlt" not in sys.modules


def test_the_log_is_plain_json(tmp_path: Path) -> None:
    EventLog(Storage(tmp_path), {"update_id": "u"}).write("update_progress", "x", {"state": "RUNNING"}, error="why")
    event = json.loads((tmp_path / "event_log.jsonl").read_text())
    assert event["details"] == {"update_progress": {"state": "RUNNING"}}
    assert event["error"]["exceptions"][0]["message"] == "why"


def test_an_edge_past_a_level_goes_below_its_cards_and_names_are_escaped() -> None:
    nodes = [Node("a", "view"), Node("b", "view", ["a"], level=1), Node("c<b>", "view", ["b", "a"], level=2)]
    page = as_page(nodes, "shop & more")
    bottom_of_b = 20 + 56
    (lane,) = re.findall(r" C\d+,48 \d+,(\d+) 430,\1 H750 C", page)
    assert int(lane) > bottom_of_b
    assert "<title>shop &amp; more</title>" in page
    assert "c&lt;b&gt;" in page


def test_a_long_name_stays_within_its_card() -> None:
    name = "analytics.silver.customers_with_a_name_longer_than_a_card"
    page = as_page([Node(name, "view", rules={"r" * 60: (1, 2)})])
    shown = [text.partition("<title>")[0] for text in re.findall(r"<text[^>]*>(.*?)</text>", page)]
    assert max(map(len, shown)) <= 38
    assert f"<title>{name}</title>" in page


def test_a_failed_flow_shows_beside_one_that_ended_well() -> None:
    origin = {"update_id": "1", "dataset_name": "t"}
    statuses = (("a", "RUNNING"), ("b", "RUNNING"), ("a", "FAILED"), ("b", "COMPLETED"))
    events = [
        {
            "event_type": "flow_progress",
            "origin": {**origin, "flow_name": flow},
            "details": {"flow_progress": {"status": status}},
        }
        for flow, status in statuses
    ]
    node = Node("t", "streaming table")
    add_last_update({"t": node}, events)
    assert node.state == "FAILED"
