"""`devkit watch`: what an edit changes in rows, columns and rejects, and the line of a mistake."""

from __future__ import annotations

import io
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from devkit.live import reading
from devkit.project.watch import Outcome, Watcher, row_changes, schema_changes
from devkit.spark.connect_server import ConnectServer
from tests.patience import PATIENCE
from tests.project import ROOT

TRANSFORMATION = """\
from pyspark.sql import functions as F


def times(number):
    return number * {factor}


@F.udf("bigint")
def scaled(number):
    return times(number)


def transform(events):
    return events.withColumn("scaled", scaled("a")){more}
"""
CONFIGURATION = """\
source = files
source-path = events.ndjson
schema = schema.ddl
output-path = out
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job of one's own: three good events and a broken one."""
    (tmp_path / "src").mkdir()
    (tmp_path / "configuration").mkdir()
    shutil.copy(ROOT / "src" / "streaming_job.py", tmp_path / "src")
    (tmp_path / "configuration" / "run_args_streaming.conf").write_text(CONFIGURATION)
    (tmp_path / "schema.ddl").write_text("a BIGINT")
    (tmp_path / "events.ndjson").write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n{\n')
    write(tmp_path, 10)
    monkeypatch.chdir(tmp_path)
    before = {name: module for name, module in sys.modules.items() if name == "transformation"}
    yield tmp_path
    sys.modules.pop("transformation", None)
    sys.modules.update(before)


def write(project: Path, factor: object, more: str = "") -> None:
    (project / "src" / "transformation.py").write_text(TRANSFORMATION.format(factor=factor, more=more))


class Watched:
    """A watcher of a project, and what it printed last."""

    def __init__(self, project: Path) -> None:
        self._text = io.StringIO()
        console = Console(file=self._text, width=150, highlight=False)
        self._watcher = Watcher(project / "src" / "streaming_job.py", [], console)

    def run(self) -> str:
        self._text.seek(0)
        self._text.truncate()
        self._watcher.run()
        return self._text.getvalue()


def told() -> dict[str, Any]:
    """What `devkit page` knows of the watcher of this process."""
    run = reading.run_of(f"watch-{os.getpid()}")
    assert run is not None
    assert run["state"] == "running"
    return dict(run["watch"])


def test_an_edit_shows_old_and_new_values_columns_and_reasons(connect: SparkSession, project: Path) -> None:
    watched = Watched(project)
    first = watched.run()
    assert "3 rows, the first after" in first
    assert "1 of 4 events rejected: truncated 1" in first
    assert re.search(r"^scaled", first, re.MULTILINE), "a new column stands first"
    write(project, 100, '.withColumn("b", F.lit("x")).drop("headers")')
    (project / "schema.ddl").write_text("a BIGINT NOT NULL, missing INT NOT NULL")
    second = watched.run()
    assert "0 rows (0 changed or new, 3 gone)" in second
    assert "column - headers array" in second
    assert "column + b string" in second
    assert "4 of 4 events rejected: missing_field 3 (was 0), truncated 1" in second
    (project / "schema.ddl").write_text("a BIGINT")
    assert "3 rows (3 changed or new" in watched.run()
    write(project, 7)
    last = watched.run()
    assert "100 → 7" in last, "a worker of Spark has the function as it is now"
    shown = told()
    assert ["100", "7"] in shown["rows"][0]
    assert shown["rejected"] == "1 of 4 events rejected: truncated 1"
    write(project, "(")
    mistake = watched.run()
    assert told() == shown | {"error": mistake.splitlines()[0]}, "the last rows stay"
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("factor", "more", "said"),
    [
        ("(", "", "src/transformation.py:5: SyntaxError: '(' was never closed"),
        (1, ".nothing()", "src/transformation.py:14: "),
        (1, '.select("missing")', "src/transformation.py:14: AnalysisException: [UNRESOLVED_COLUMN"),
        (1, '.where("nothing(a) > 1")', "src/transformation.py:14: AnalysisException: [UNRESOLVED_ROUTINE"),
        ("missing", "", "src/transformation.py:5: PythonException: NameError: name 'missing' is not defined"),
    ],
)
def test_a_mistake_is_one_line_that_begins_with_its_place(
    connect: SparkSession, project: Path, factor: object, more: str, said: str
) -> None:
    write(project, factor, more)
    assert Watched(project).run().startswith(said)


def test_a_mistake_in_the_configuration_is_told_with_its_line(connect: SparkSession, project: Path) -> None:
    watched = Watched(project)
    watched.run()
    (project / "configuration" / "run_args_streaming.conf").write_text(CONFIGURATION + "tigger = once\n")
    assert "configuration/run_args_streaming.conf:5: unknown key 'tigger'; did you mean 'trigger'?" in watched.run()


def test_rows_are_compared_by_position_and_columns_by_name_and_type() -> None:
    before = Outcome(("a", "gone"), {"a": "int", "gone": "int"}, {("0", "1"): ("1", "x"), ("0", "2"): ("2", "x")})
    now = Outcome(("new", "a"), {"a": "long", "new": "int"}, {("0", "2"): ("n", "3"), ("0", "3"): ("n", "4")})
    assert schema_changes(before, now) == ["+ new int", "- gone int", "~ a int → long"]
    assert row_changes(before, now) == {("0", "2"): {"a": "2"}, ("0", "3"): {}}


def test_a_save_runs_the_job_again_and_ctrl_c_ends_it_after_a_run(connect_server: ConnectServer, project: Path) -> None:
    output = project / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "devkit.cli", "watch", "--rows", "3"],
            env={**os.environ, **connect_server.state().variables, "COLUMNS": "150"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    deadline, factors = time.monotonic() + PATIENCE, itertools.count(11)
    try:
        while " → " not in (said := output.read_text()) and process.poll() is None and time.monotonic() < deadline:
            if "watching " in said:  # it begins to look a moment after it says so
                write(project, next(factors))
            time.sleep(0.5)
        slow = "import pathlib, time\npathlib.Path('busy').touch()\ntime.sleep(2)\n"
        (project / "src" / "transformation.py").write_text(slow + TRANSFORMATION.format(factor=999, more=""))
        while not (project / "busy").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        process.kill()
    assert "src/transformation.py" in said
    assert " → " in said
    after = output.read_text()
    assert "ending after this run" in after
    assert "→ 999" in after
    assert process.returncode == 0
