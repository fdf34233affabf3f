"""The live page: a stream, as its process tells of it, its tables hold it and a browser shows it."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
from playwright.sync_api import Browser, Page, expect
from pyarrow import parquet
from pyspark.sql import SparkSession
from werkzeug.serving import make_server

from devkit.live import journal, reading, server
from spark_utils import attach_progress, parse_arguments
from tests.patience import PATIENCE
from tests.spark_utils.sinks.sink_kit import Bench

KEY = "c2VjcmV0IG9mIHRoZSBodWI="
HUB = (
    f"--event-hubs-connection-string=Endpoint=sb://h/;SharedAccessKeyName=k;SharedAccessKey={KEY};EntityPath=telemetry"
)
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def bench(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(spark, tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def streamed(bench: Bench) -> dict[str, Any]:
    """A short stream of three batches, to its end; the run as the page gets it."""
    for bodies in (("1", "x", "y"), ("2", "3"), ("z",)):
        bench.send(*bodies)
    return run_to_its_end(bench)


def run_to_its_end(bench: Bench) -> dict[str, Any]:
    """Stream what was sent, and return the run as the page gets it: the newest of this output."""
    config = parse_arguments([HUB, "--schema=a:INT", f"--output-path={bench.output}"], environ={})
    listener = attach_progress(bench.spark, config, stream=io.StringIO())
    bench.run(query_name=EVIL)
    listener.wait_until_idle(PATIENCE)
    run = reading.run_of(next(run["run"] for run in reading.runs() if run["output"] == bench.output))
    assert run is not None
    return run


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The page of a phone, from a server on loopback; whatever it complains of fails the test."""
    served = make_server("127.0.0.1", 0, server.Page("key"), threaded=True)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{served.server_port}", viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    served.shutdown()
    assert [each for each in complaints if "Failed to load resource" not in each] == []


def told(run: str, **about: object) -> None:
    """Write the file of a run by hand."""
    known = {"source": "sb://h/telemetry", "output": "/none", "folder": "/none", "query": "q", "ui": None}
    line = json.dumps(known | {"started": "2026-01-01T00:00:00Z", "config": []} | about)
    (journal.folder() / f"{run}.jsonl").write_text(f"{line}\n")


def test_a_run_is_known_by_its_batches_its_end_and_what_its_tables_hold(streamed: dict[str, Any]) -> None:
    assert (streamed["state"], [each["total_events"] for each in streamed["batches"]]) == ("stopped", [3, 5, 6])
    assert [reasons for _, reasons in streamed["reasons"]] == [{"not_a_number": 2}, {"not_a_number": 1}]
    rows = [dict(zip(streamed["rows"]["columns"], row, strict=True)) for row in streamed["rows"]["rows"]]
    assert streamed["rows"]["of"] == 2
    assert {row["number"] for row in rows} == {"2", "3"}


def test_a_run_that_has_ended_shows_what_it_wrote_and_not_what_later_ones_did(
    streamed: dict[str, Any], bench: Bench
) -> None:
    bench.send("9", "no", "nor", "this")
    later = run_to_its_end(bench)
    assert [reasons for _, reasons in later["reasons"]] == [{"not_a_number": 3}]
    assert later["rows"]["of"] == 1
    killed = journal.folder() / "killed.jsonl"
    about = (journal.folder() / f"{streamed['run']}.jsonl").read_text().splitlines()[0]
    killed.write_text(json.dumps(json.loads(about) | {"process_started": 1.0}) + "\n")
    for run in (streamed["run"], "killed"):
        shown = reading.run_of(run)
        assert shown is not None
        assert (shown["reasons"], shown["rows"]) == (streamed["reasons"], streamed["rows"])


def test_a_partition_column_that_stands_in_the_log_alone_is_among_the_newest_rows(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "part.parquet")
    added = {"path": "part.parquet", "dataChange": True, "partitionValues": {"day": "monday"}}
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_text(json.dumps({"add": added}))
    found = reading.newest_rows(tmp_path, reading.Span(0))
    assert found is not None
    assert (found["columns"], found["rows"]) == (["a", "day"], [["1", "monday"]])


def test_the_configuration_in_force_is_told_with_its_origins_and_no_secret(streamed: dict[str, Any]) -> None:
    config = {name: (value, origin) for name, value, origin in streamed["config"]}
    assert config["event-hubs-connection-string"] == ("***", "command line --event-hubs-connection-string")
    assert config["schema"] == ("a:INT", "command line --schema")
    file = journal.folder() / f"{streamed['run']}.jsonl"
    assert KEY not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_lag_is_told_by_partition_of_those_sources_that_have_some() -> None:
    hub: dict[str, Any] = {"endOffset": {"t": {"0": 5}}, "latestOffset": {"t": {"0": 7, "1": 3}}}
    assert journal.behind([hub, {"endOffset": {"logOffset": 1}}]) == {"t-0": 2, "t-1": 3}


def test_the_file_of_a_long_run_stays_small_and_an_error_has_no_secret(spark: SparkSession) -> None:
    text = f"--schema=a:INT --output-path=/none --storage-account-name=a --storage-account-key={KEY}"
    keep = journal.Journal(spark, parse_arguments([HUB, *text.split()], environ={}))
    keep("long", {"started": "2026-01-01T00:00:00Z", "query": "q"})
    for batch in range(1234):
        keep("long", {"batch": batch})
    run = reading.run_of("long")
    assert run is not None
    assert (run["state"], run["batches"][-1]["batch"]) == ("running", 1233)
    assert journal.KEPT_BATCHES <= len(run["batches"]) < 2 * journal.KEPT_BATCHES
    keep("long", {"ended": 1.0, "exception": f"refused: {KEY}\nat org.apache"})
    run = reading.run_of("long")
    assert run is not None
    assert (run["state"], run["error"]) == ("failed", "refused: ***")


def test_a_run_whose_process_is_gone_without_a_word_was_killed() -> None:
    told("gone", pid=os.getpid(), process_started=1.0)
    run = reading.run_of("gone")
    assert run is not None
    assert run["state"] == "killed"


def test_the_page_shows_a_stream_on_a_phone(page: Page, streamed: dict[str, Any]) -> None:
    page.goto(f"/key/#/{streamed['run']}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("sb://h/telemetry")
    expect(page.locator("#head")).to_contain_text("Events6")
    for title in ("Events per second", "Batch time, seconds", "Rejected by reason, events"):
        expect(page.get_by_role("region", name=title).locator("canvas")).to_be_visible()
    expect(page.get_by_role("region", name="Rejected by reason").locator(".u-legend")).to_contain_text("not_a_number")
    expect(page.get_by_role("table", name="Newest rows").get_by_role("row")).not_to_have_count(1)
    page.get_by_text("Configuration in force").click()
    expect(page.get_by_role("table", name="Configuration")).to_contain_text("max-events-per-trigger")
    expect(page.locator("#runs")).to_contain_text(EVIL)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_follows_a_stream_as_it_goes_on(page: Page, spark: SparkSession) -> None:
    keep = journal.Journal(spark, parse_arguments([HUB, "--schema=a:INT", "--output-path=/none"], environ={}))
    keep("follow", {"started": "2026-01-01T00:00:00Z", "query": "q"})
    page.goto("/key/#/follow")
    expect(page.locator("#head .badge")).to_have_text("running")
    expect(page.get_by_role("region", name="Events per second")).to_contain_text("No batch yet.")
    for batch, rate in enumerate((900.0, 7.0, 8.0, 9.0)):
        figures: dict[str, Any] = {"events_per_second": rate, "batch_seconds": 1.5, "rejected": 0, "total_rejected": 0}
        at, lag = f"2026-01-01T00:00:0{batch}Z", {f"hub-{partition}": partition for partition in range(12)}
        keep(
            "follow", {"time": at, "batch": batch, "events": 1, "total_events": 4321 + batch, "behind": lag, **figures}
        )
    expect(page.locator("#head")).to_contain_text("Events4,324")
    expect(page.get_by_role("region", name="Events per second")).to_contain_text("the first, 900, is beyond the scale")
    markers = page.get_by_role("region", name="Lag by partition").locator(".u-marker")
    expect(markers).to_have_count(13)
    drawn = markers.evaluate_all("all => all.slice(1).map(each => each.style.border)")
    assert len(set(drawn)) == 12  # no two lines look the same
    keep("follow", {"ended": 1.0, "exception": None})
    expect(page.locator("#head .badge")).to_have_text("stopped")


def test_the_page_shows_what_watch_made_of_the_last_edit(page: Page) -> None:
    shown = {"columns": ["scaled", "a"], "rows": [[["100", "7"], [None, EVIL]]], "schema": ["+ scaled bigint"]}
    watch = shown | {"line": "1 row", "rejected": "1 of 2 events rejected", "error": "transformation.py:5: SyntaxError"}
    alive = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
    told("watch-2", watch=shown | {"line": "1 row", "rejected": "0 events rejected"})
    page.goto("/key/#/watch-2")
    expect(page.locator("#rest")).to_contain_text("0 events rejected")
    expect(page.locator("#head")).not_to_contain_text("undefined")
    told("watch-1", watch=watch, ui="http://127.0.0.1:4040", **alive)
    page.goto("/key/#/watch-1")
    expect(page.locator("#head")).to_contain_text("transformation.py:5: SyntaxError")
    expect(page.get_by_role("table", name="Rows")).to_contain_text(f"100 → 7{EVIL}")
    expect(page.locator("#rest")).to_contain_text("+ scaled bigint")
    expect(page.locator("#charts")).to_be_hidden()
    expect(page.get_by_role("link", name="the warm Spark")).to_have_attribute("href", "http://127.0.0.1:4040")


def test_nobody_reads_the_page_without_its_key(page: Page) -> None:
    for path in ("/", "/streams", "/wrong/streams", "/key/page/%2e%2e%2fserver.py", "/key/streams/none"):
        assert page.request.get(path).status == 404
    answer = page.request.get("/key/")
    assert answer.status == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
