"""Canary secrets go through the real job; then everything it shows, writes and says is searched for them.

The one place where they stand is the environment of the job's own processes, when they were given by environment: that
is the process's memory, which its user and root can read, and nobody else. A reference (`{{secrets/scope/key}}`) from a
file or a keyring is not even there.
"""

import io
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from devkit import cache
from devkit.hub.generator import Shares, generate
from devkit.processes import free_port
from devkit.storage.azurite import Azurite
from devkit.testing import EventHub
from spark_utils import SparkUtilsError, configure_storage, parse_arguments, preview_stream, read_stream, show_config
from tests.job.job import Job
from tests.long import canaries as search
from tests.project import ROOT

EVENTS = 300
WRONG_KEY = "d3JvbmdrZXl3cm9uZ2tleXdyb25na2V5d3JvbmdrZXl3cm9uZ2tleXdyb25na2V5d3JvbmdrZXl3cm9uZ2tleQ=="


def key_of(connection_string: str) -> str:
    return next(part.partition("=")[2] for part in connection_string.split(";") if part.startswith("SharedAccessKey="))


def arguments_of(azurite: Azurite, output: str = "canaries", container: str = "lake") -> dict[str, str]:
    return {
        "--schema": str(ROOT / "configuration" / "schemas" / "telemetry.json"),
        "--storage-account-name": azurite.account,
        "--storage-container-name": container,
        "--storage-endpoint": azurite.endpoint,
        "--output-path": output,
        "--trigger": "1 second",
    }


def environment_of(event_hub: EventHub, storage_key: str) -> dict[str, str]:
    return {
        "STREAMING_EVENT_HUBS_CONNECTION_STRING": event_hub.connection_string,
        "STREAMING_STORAGE_KEY": storage_key,
    }


class Seen:
    """A job that has run with canaries, and everything that could be seen of it."""

    def __init__(self, folder: Path, event_hub: EventHub, azurite: Azurite) -> None:
        self.canaries = {"the hub's key": key_of(event_hub.connection_string), "the account key": azurite.account_key}
        self.event_log, self.storage = folder / "event-log", azurite.folder
        self.event_log.mkdir()
        site = f"http://127.0.0.1:{free_port()}"
        settings = {
            "spark.ui.enabled": "true",
            "spark.ui.port": site.rpartition(":")[2],
            "spark.eventLog.enabled": "true",
            "spark.eventLog.compress": "false",
            "spark.eventLog.dir": self.event_log.as_uri(),
        }
        conf = " ".join(f"--conf {name}={value}" for name, value in settings.items())
        environment = {
            **environment_of(event_hub, azurite.account_key),
            "PYSPARK_SUBMIT_ARGS": f"{conf} pyspark-shell",
            "COLUMNS": "2000",  # the preview leaves no column out
        }
        began = time.time()
        job = Job(folder / "job", {**arguments_of(azurite), "--preview": "5"}, environment)
        try:
            job.wait_for('"batch": 0')
            self.in_process_list = search.leaks_in_process_list(self.canaries)
            self.pages = dict(search.pages(f"{site}/jobs/"))
            self.rest = dict(search.rest_pages(site))
            self.status = job.stop()
        finally:
            job.kill()
        self.output = job.output
        logs = (cache.home() / "logs").glob(f"streaming-job-*-{job.process.pid}.log")
        self.logs = [log for log in logs if log.stat().st_mtime >= began]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, make_event_hub: Callable[..., EventHub], azurite: Azurite) -> Any:
    event_hub = make_event_hub(partitions=2)
    event_hub.send_events(generate(EVENTS, shares=Shares(malformed=0.1)))
    return Seen(tmp_path_factory.mktemp("secrets"), event_hub, azurite)


def test_the_job_that_is_searched_did_its_work(seen: Seen) -> None:
    assert seen.status == 0, seen.output
    assert f'"events": {EVENTS}' in seen.output
    assert "enqueued_date" in seen.output, "the preview showed no rows"


def test_no_canary_in_what_the_job_says(seen: Seen) -> None:
    assert search.leaks(seen.canaries, seen.output, "stdout or stderr") == []


def test_no_canary_in_the_process_list(seen: Seen) -> None:
    assert seen.in_process_list == []


def test_no_canary_on_any_page_of_the_spark_ui(seen: Seen) -> None:
    kinds = " ".join(seen.pages)
    for page in ("/jobs", "/stages", "/environment", "/executors", "/SQL/execution/?id=", "/StreamingQuery/statistics"):
        assert page in kinds, f"{page} was not looked at: {kinds}"
    assert [leak for page, content in seen.pages.items() for leak in search.leaks(seen.canaries, content, page)] == []


def test_no_canary_in_the_rest_interface(seen: Seen) -> None:
    assert json.loads(seen.rest["environment"])["sparkProperties"]
    assert [leak for page, content in seen.rest.items() for leak in search.leaks(seen.canaries, content, page)] == []


def test_no_canary_in_the_event_log(seen: Seen) -> None:
    assert b"SparkListenerEnvironmentUpdate" in b"".join(f.read_bytes() for f in seen.event_log.rglob("*events_*"))
    assert search.leaks_in_folder(seen.canaries, seen.event_log) == []


def test_no_canary_in_the_tables_and_the_checkpoint(seen: Seen) -> None:
    stored = [file.read_bytes() for file in seen.storage.rglob("__blobstorage__/*")]
    assert any(b'"commitInfo"' in content for content in stored)
    assert any(b"batchWatermarkMs" in content for content in stored)
    assert search.leaks_in_folder(seen.canaries, seen.storage) == []


def test_no_canary_in_the_jobs_log_file(seen: Seen) -> None:
    assert seen.logs, "the job wrote no log, so nothing was searched"
    assert [leak for log in seen.logs for leak in search.leaks(seen.canaries, log.read_bytes(), str(log))] == []


def test_no_canary_in_the_error_of_a_misspelt_column(
    spark: SparkSession, event_hub: EventHub, azurite: Azurite, capfd: pytest.CaptureFixture[str]
) -> None:
    environment = environment_of(event_hub, azurite.account_key)
    config = parse_arguments([p for pair in arguments_of(azurite).items() for p in pair], environ=environment)
    with pytest.raises(AnalysisException) as raised:
        read_stream(spark, config.source).select("misspelt")
    known = {"the hub's key": key_of(event_hub.connection_string)}

    assert "misspelt" in str(raised.value)
    assert (
        search.leaks(known, str(raised.value) + "".join(capfd.readouterr()), "an error, or what is logged of it") == []
    )


def test_no_canary_in_plans_settings_or_the_explained_configuration(
    spark: SparkSession, event_hub: EventHub, azurite: Azurite, capfd: pytest.CaptureFixture[str]
) -> None:
    known = {"the hub's key": key_of(event_hub.connection_string), "the account key": azurite.account_key}
    environment = environment_of(event_hub, azurite.account_key)
    arguments = [part for pair in arguments_of(azurite).items() for part in pair]
    config = parse_arguments(arguments, environ=environment)
    configure_storage(spark, config.storage)
    raw = read_stream(spark, config.source)
    explained = io.StringIO()
    with redirect_stdout(explained):
        raw.explain(extended=True)
        print(show_config(spark), config, raw, spark.sql("SET -v").collect())
        with pytest.raises(SystemExit):
            parse_arguments([*arguments, "--explain-config"], environ=environment)

    assert "StreamingRelation" in explained.getvalue()
    assert "storage-account-key" in explained.getvalue()
    assert search.leaks(known, explained.getvalue(), "explain, show_config, SET or --explain-config") == []
    assert search.leaks(known, "".join(capfd.readouterr()), "the JVM's output") == []


def test_no_canary_in_the_errors_of_wrong_keys(spark: SparkSession, event_hub: EventHub, azurite: Azurite) -> None:
    right = key_of(event_hub.connection_string)
    known = {"the wrong hub key": WRONG_KEY, "the wrong account key": WRONG_KEY, "the hub's key": right}
    environment = {
        "STREAMING_EVENT_HUBS_CONNECTION_STRING": event_hub.connection_string.replace(right, WRONG_KEY),
        "STREAMING_STORAGE_KEY": WRONG_KEY,
    }
    arguments = arguments_of(azurite, container="another")
    config = parse_arguments([part for pair in arguments.items() for part in pair], environ=environment)
    configure_storage(spark, config.storage)
    errors = []
    for attempt in (
        lambda: preview_stream(read_stream(spark, config.source), timeout=60),
        lambda: spark.range(1).write.format("delta").save(config.output.path),
    ):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - each of Spark's and ours; its text is what counts
            attempt()
        errors.append("".join(traceback.format_exception(raised.value)))

    assert all(errors)
    assert search.leaks(known, "".join(errors), "an exception") == []


def test_a_secret_given_on_the_command_line_is_refused_or_never_reaches_spark(event_hub: EventHub) -> None:
    with pytest.raises((SparkUtilsError, SystemExit)) as raised:
        parse_arguments(["--event-hubs-connection-string", event_hub.connection_string + ";Wrong=1", "--nonsense=1"])

    assert search.leaks({"key": key_of(event_hub.connection_string)}, str(raised.value), "an error") == []


@pytest.mark.parametrize("spelling", ["{}", "password=%s", '{"key": "{}"}'])
def test_a_planted_leak_is_found(tmp_path: Path, spelling: str) -> None:
    canary = {"planted": "p+L/a=nt&ed<secret>0123456789"}
    text = spelling.replace("{}", canary["planted"]).replace("%s", "p%2BL%2Fa%3Dnt%26ed%3Csecret%3E0123456789")
    (tmp_path / "leak.txt").write_text(text, encoding="utf-8")

    assert len(search.leaks_in_folder(canary, tmp_path)) == 1


def test_a_planted_leak_in_the_process_list_is_found() -> None:
    canary = {"planted": f"planted-canary-{os.getpid()}-0123456789"}
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, canary["planted"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        found = search.leaks_in_process_list(canary)
        process.stdin.close()

    assert found == [f"planted in the command line of process {process.pid}"]


def test_a_planted_leak_on_a_web_page_is_found() -> None:
    canary = {"planted": "<b>planted</b>/0123456789abcdef"}

    assert search.leaks(canary, b"&lt;b&gt;planted&lt;/b&gt;/0123456789abcdef", "a page")
    assert search.leaks(canary, json.dumps({"key": canary["planted"]}), "REST")
    assert search.leaks(canary, b"nothing here", "a page") == []
