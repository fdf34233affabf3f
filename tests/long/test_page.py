"""The web page, in a real browser."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from databricks.sdk.service.jobs import NotebookTask, SparkPythonTask, Task, TaskDependency
from databricks.sdk.service.workspace import ImportFormat
from playwright.sync_api import Browser, Page, expect

from local_workspace import Workspace
from tests.local_workspace.run_kit import execute

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

EVIL = "Orders <script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
BROKEN = "# Databricks notebook source\nraise ValueError('no <b>rows</b> today')"
FINE = "# Databricks notebook source\nprint('counted 7 rows')\ndbutils.notebook.exit('seven')"
SLOW = "import time\nprint('waiting', flush=True)\ntime.sleep(600)"


@pytest.fixture
def client(workspace: Workspace) -> WorkspaceClient:
    return workspace.client()


@pytest.fixture
def stranger(browser: Browser, workspace: Workspace) -> Iterator[Page]:
    """A page that nobody signed in to; whatever it complains of fails the test."""
    context = browser.new_context(base_url=workspace.host)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    yield page
    context.close()
    assert [each for each in complaints if "Failed to load resource" not in each] == []


@pytest.fixture
def page(stranger: Page, workspace: Workspace) -> Page:
    stranger.goto(f"/#token={workspace.token}")
    expect(stranger.get_by_role("heading", name="Jobs")).to_be_visible()
    return stranger


def notebook(key: str, *after: str) -> Task:
    client_path = f"/Shared/{key}"
    dependencies = [TaskDependency(task_key=each) for each in after]
    return Task(task_key=key, notebook_task=NotebookTask(notebook_path=client_path), depends_on=dependencies)


def upload(client: WorkspaceClient, **notebooks: str) -> None:
    for name, text in notebooks.items():
        client.workspace.upload(f"/Shared/{name}.py", text.encode(), format=ImportFormat.AUTO)


def go(page: Page, view: str) -> None:
    page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()
    expect(page.get_by_role("heading", name=view, exact=True)).to_be_visible()


def test_the_token_goes_from_the_address_into_memory_and_nowhere_else(page: Page, workspace: Workspace) -> None:
    assert page.url == f"{workspace.host}/#/jobs"
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert workspace.token not in kept
    expect(page.locator("#user")).to_contain_text("engineer@localhost")
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_wrong_token_says_so_and_a_right_one_opens(stranger: Page, workspace: Workspace) -> None:
    stranger.goto("/#token=wrong")
    expect(stranger.get_by_role("alert")).to_contain_text("This token opens no workspace here")
    stranger.get_by_label("Token").fill(workspace.token)
    stranger.get_by_role("button", name="Open the workspace").click()
    expect(stranger.get_by_role("heading", name="Jobs")).to_be_visible()
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.get_by_label("Token")).to_be_visible()


def test_a_name_with_markup_is_shown_as_the_text_that_it_is(page: Page, client: WorkspaceClient) -> None:
    client.jobs.create(name=EVIL, tasks=[notebook("a")])
    client.pipelines.create(name=EVIL)
    client.dbfs.put(
        "/<img src=x onerror=alert(2)>.txt", contents=base64.b64encode(b"<script>alert(3)</script>").decode()
    )
    page.reload()
    page.goto("about:blank")
    page.goto(f"/#token={client.config.token}")
    page.get_by_role("link", name=EVIL).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    go(page, "Pipelines")
    expect(page.get_by_role("link", name=EVIL)).to_be_visible()
    go(page, "Files")
    page.get_by_role("link", name="DBFS").click()
    page.get_by_role("link", name="<img src=x onerror=alert(2)>.txt").click()
    expect(page.locator("pre")).to_have_text("<script>alert(3)</script>")
    assert page.title() == "Files · Local workspace"


def test_a_job_runs_by_its_button_and_the_trace_of_what_failed_is_shown(page: Page, client: WorkspaceClient) -> None:
    upload(client, fine=FINE, broken=BROKEN, never=FINE)
    client.jobs.create(name="daily", tasks=[notebook("fine"), notebook("broken", "fine"), notebook("never", "broken")])
    go(page, "Runs")
    go(page, "Jobs")
    page.get_by_role("button", name="Run now: daily").click()
    expect(page.get_by_role("heading", name="daily")).to_be_visible()
    expect(page.locator(".trace")).to_contain_text("ValueError: no <b>rows</b> today")
    tasks = page.get_by_role("table", name="Tasks")
    for key, state in (("fine", "success"), ("broken", "failed"), ("never", "upstream failed")):
        row = tasks.get_by_role("row").filter(has=page.get_by_role("link", name=key, exact=True))
        expect(row).to_contain_text(state)
    expect(page.locator("svg.graph .edge")).to_have_count(2)
    tasks.get_by_role("link", name="fine").click()
    section = page.get_by_role("region", name="Task fine")
    expect(section).to_contain_text("counted 7 rows")
    expect(section).to_contain_text("seven")
    go(page, "Runs")
    expect(page.get_by_role("table", name="Runs").get_by_role("row").last).to_contain_text("failed")


def test_a_running_job_is_shown_as_it_goes_on_and_is_cancelled_by_its_button(
    page: Page, client: WorkspaceClient
) -> None:
    client.workspace.upload("/Shared/slow.py", SLOW.encode(), format=ImportFormat.RAW)
    task = Task(task_key="slow", spark_python_task=SparkPythonTask(python_file="/Workspace/Shared/slow.py"))
    job = client.jobs.create(name="slow", tasks=[task]).job_id or 0
    run = client.jobs.run_now(job).run_id
    page.goto(f"/#/runs/{run}")
    expect(page.get_by_role("region", name="Tasks").get_by_text("running")).to_be_visible()
    clock = page.locator("dl .clock")
    expect(clock).to_be_visible()
    before = clock.text_content() or ""
    expect(clock).not_to_have_text(before)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("dl .badge")).to_have_text("canceled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_what_is_refused_is_told_and_the_page_stays(page: Page, client: WorkspaceClient, workspace: Workspace) -> None:
    job = client.jobs.create(name="gone", tasks=[notebook("a")]).job_id or 0
    page.goto(f"/#/jobs/{job}")
    expect(page.get_by_role("heading", name="gone")).to_be_visible()
    workspace.faults.add("status", path="*/run-now", status=500)
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("status")).to_contain_text("A requested fault: 500")
    page.goto("/#/jobs/99")
    expect(page.get_by_role("heading", name="The request failed")).to_be_visible()
    expect(page.locator(".problem")).to_contain_text("Job 99 does not exist")


def test_an_update_of_a_pipeline_shows_why_it_failed(page: Page, client: WorkspaceClient) -> None:
    client.pipelines.create(name="bronze")
    go(page, "Pipelines")
    page.get_by_role("link", name="bronze").click()
    page.get_by_role("button", name="Start update").click()
    expect(page.get_by_role("table", name="Updates")).to_contain_text("failed")
    expect(page.get_by_role("table", name="Events")).to_contain_text("The pipeline has no source")


def test_clusters_show_their_state_and_are_terminated_by_a_button(page: Page) -> None:
    go(page, "Clusters")
    page.get_by_role("table", name="Clusters").get_by_role("link").first.click()
    button = page.get_by_role("button", name="Terminate").or_(page.get_by_role("button", name="Start"))
    name = button.text_content()
    button.click()
    expect(page.get_by_role("button", name="Start" if name == "Terminate" else "Terminate")).to_be_visible()


def test_files_are_walked_read_and_downloaded(page: Page, client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/a b/ü%2F")
    client.workspace.upload("/Shared/a b/ü%2F/nb.py", FINE.encode(), format=ImportFormat.AUTO)
    client.files.upload("/Volumes/main/default/raw/x.bin", io.BytesIO(b"\x00\xff" * 700_000))
    client.dbfs.upload("/big.txt", io.BytesIO(b"line\n" * 300_000))
    go(page, "Files")
    for name in ("Shared/", "a b/", "ü%2F/", "nb"):
        page.get_by_role("link", name=name, exact=True).click()
    expect(page.locator("pre")).to_have_text(FINE)
    page.get_by_role("navigation", name="Path").get_by_role("link", name="a b").click()
    expect(page.get_by_role("link", name="ü%2F/")).to_be_visible()
    page.goto("/#/files/volumes/main/default/raw/x.bin")
    expect(page.locator("main")).to_contain_text("The file is not text.")
    page.goto("/#/files/dbfs/big.txt")
    expect(page.locator("main")).to_contain_text("1.4 MiB. The first 512.0 KiB are shown.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == b"line\n" * 300_000


def test_micro_batches_of_a_stream_are_shown(page: Page, workspace: Workspace) -> None:
    go(page, "Streams")
    expect(page.locator("main")).to_contain_text("No streaming query has a checkpoint")
    checkpoint = workspace.state().path("dbfs", "checkpoints", "events")
    for name in ("offsets", "commits"):
        (checkpoint / name).mkdir()
    (checkpoint / "metadata").write_text('{"id": "1"}')
    planned = json.dumps({"batchTimestampMs": 1})
    (checkpoint / "offsets" / "12").write_text(f'v1\n{planned}\n{{"hub": {{"0": 345}}}}')
    (checkpoint / "commits" / "12").write_text("v1\n{}")
    go(page, "Jobs")
    go(page, "Streams")
    expect(page.get_by_role("heading", name="dbfs/checkpoints/events")).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text('{"hub": {"0": 345}}')


def test_a_table_is_counted_and_its_newest_rows_are_shown(page: Page, client: WorkspaceClient) -> None:
    rows = "(7, timestamp'2026-01-02', '<b>new</b>'), (8, timestamp'2026-01-01', NULL)"
    make = f"CREATE TABLE events AS SELECT * FROM VALUES {rows} AS t(number, at, body)"
    made = execute(client, make)
    assert made.status is not None
    assert made.status.error is None
    go(page, "Tables")
    page.get_by_role("link", name="main.default.events").click()
    shown = page.get_by_role("table", name="Newest rows by at").get_by_role("row")
    expect(shown).to_have_count(3)
    expect(shown.nth(1)).to_contain_text("<b>new</b>")
    expect(shown.nth(2)).to_contain_text("null")
    expect(page.locator("dl")).to_contain_text("Rows2")


def test_the_page_is_used_without_a_mouse(page: Page, client: WorkspaceClient) -> None:
    client.jobs.create(name="keyed", tasks=[notebook("a")])
    page.goto("/#/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.goto("/#/jobs")
    link = page.get_by_role("link", name="keyed")
    expect(link).to_be_visible()
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="keyed")).to_be_visible()
    nameless = "(each) => !each.textContent.trim() && !each.labels?.length"
    assert page.evaluate(f"[...document.querySelectorAll('a, button, input')].filter({nameless}).length") == 0


def test_a_workspace_that_stopped_is_told(browser: Browser) -> None:
    workspace = Workspace().start()
    page = browser.new_page(base_url=workspace.host)
    page.goto(f"/#token={workspace.token}")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    workspace.stop()
    page.get_by_role("link", name="Clusters").click()
    expect(page.locator(".problem")).to_contain_text("The workspace does not answer")
    page.close()


def test_the_link_of_a_run_opens_it_once_signed_in(
    stranger: Page, client: WorkspaceClient, workspace: Workspace
) -> None:
    client.dbfs.put("dbfs:/a.py", contents=base64.b64encode(b"print('hello')").decode())
    job = client.jobs.create(name="Nightly", tasks=[Task("a", spark_python_task=SparkPythonTask("dbfs:/a.py"))])
    run = client.jobs.run_now(job.job_id).result()
    links = [run.run_page_url, f"/jobs/{job.job_id}/runs/{run.run_id}?o=1", run.tasks[0].run_page_url]
    for link in links:
        stranger.goto("about:blank")
        stranger.goto(str(link))
        stranger.get_by_label("Token").fill(workspace.token)
        stranger.get_by_role("button", name="Open the workspace").click()
        expect(stranger.get_by_text("hello")).to_be_visible()
    stranger.get_by_role("link", name="Jobs").click()
    expect(stranger.get_by_role("link", name="Nightly")).to_be_visible()
