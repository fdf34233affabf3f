"""The end of a stream: done, stopped between two batches, or failed with one readable line."""

from __future__ import annotations

import inspect
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from spark_utils.configuration.values import StopAfter
from spark_utils.errors import StreamFailedError
from spark_utils.parsing import good_rows
from spark_utils.sinks.write_stream import write_stream
from spark_utils.streaming_utils.failures import error_line
from spark_utils.streaming_utils.termination import await_termination, readable_errors
from tests.project import ROOT
from tests.spark_utils.sinks.sink_kit import Bench, parse, transform

Told = Callable[[Callable[[DataFrame], DataFrame]], str]


@pytest.fixture
def bench(each_spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(each_spark, tmp_path)


def fail(events: DataFrame) -> DataFrame:
    melted = F.raise_error(F.lit("sensor 7 melted; password=hunter2")).cast("bigint")
    return transform(events).withColumn("number", F.when(F.col("number") == 2, melted).otherwise(F.col("number")))


@pytest.mark.slow
def test_sigterm_lets_the_batch_commit_and_the_script_ends_with_status_0(tmp_path: Path) -> None:
    bench = Bench(None, tmp_path)  # only its folders and files are used here
    for number in range(400):
        bench.send(str(number), "x")
    job = subprocess.Popen(
        [sys.executable, "-m", "tests.spark_utils.streaming_utils.stop_driver", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    with job:
        assert job.stderr is not None
        lines = (line for line in job.stderr if line.startswith("{"))
        first = json.loads(next(lines))
        job.send_signal(signal.SIGTERM)
        later = [json.loads(line) for line in lines]
    assert job.returncode == 0
    committed = numbered_files(Path(bench.checkpoint, "commits"))
    written = numbered_files(Path(bench.output, "events", "_delta_log")) - {0}  # commit 0 creates the table
    assert len(written) == len(committed)
    assert first["query"] == "numbers"
    assert (first["events"], first["rejected"], first["lag"]) == (2, 1, None)
    assert len(committed) < 400
    if later:
        assert later[-1]["total_events"] == 2 * len(committed)


@pytest.mark.slow
def test_ctrl_c_names_the_batch_that_is_finished_and_twice_ends_the_script_at_once_and_quietly(tmp_path: Path) -> None:
    bench = Bench(None, tmp_path)  # only its folders and files are used here
    bench.send("1", "x")
    bench.send("2", "slow")
    screen, terminal = pty.openpty()
    job = subprocess.Popen(
        [sys.executable, "-m", "tests.spark_utils.streaming_utils.stop_driver", str(tmp_path)],
        cwd=ROOT,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    told = read_until(screen, "batch 0  2 events")
    time.sleep(1)  # the second batch has begun, and takes ten minutes
    started = time.monotonic()
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the job and to what it has started
    told += read_until(screen, "finishing batch 1; press Ctrl-C again to stop now")
    os.killpg(job.pid, signal.SIGINT)
    told += read_until(screen, "")
    assert job.wait() == 0, told
    assert time.monotonic() - started < 300
    assert not re.search(r"Error|WARN|\tat |incubator", told), told


def read_until(screen: int, text: str) -> str:
    """Return what a terminal shows up to a text, or to its end; fail when it ends before."""
    shown = b""
    with suppress(OSError):  # the other side has closed it
        while not text or text not in shown.decode(errors="replace"):
            shown += os.read(screen, 4096)
    assert text in shown.decode(errors="replace"), shown
    return shown.decode(errors="replace")


def test_a_failure_is_one_line_with_its_cause_and_the_log_and_without_secrets(bench: Bench) -> None:
    bench.send("1", "2")
    query = start(bench, fail)
    with pytest.raises(StreamFailedError) as failure:
        await_termination(query)
    message = str(failure.value)
    assert "sensor 7 melted" in message
    assert "whole error is in" in message
    assert "\n" not in message
    assert "hunter2" not in message
    assert "\tat " not in message


def crash(number: int) -> int:
    return 1 // (number - 2)


def crash_in_worker(events: DataFrame) -> DataFrame:
    return transform(events).withColumn("number", F.udf(crash, "bigint", useArrow=False)("number"))


def test_a_failing_function_is_named_by_file_and_line(bench: Bench) -> None:
    bench.send("1", "2")
    with pytest.raises(StreamFailedError, match="ZeroDivisionError") as failure:
        await_termination(start(bench, crash_in_worker))
    assert error_line(failure.value).startswith(
        f"tests/spark_utils/streaming_utils/test_termination.py:{line_of(crash, 'return')}: ZeroDivisionError: "
    )


def misspell(events: DataFrame) -> DataFrame:
    return events.withColumn("day", F.to_date("enqeued_time"))


def test_a_mistake_before_there_is_a_session_begins_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from spark_utils import readable_errors\nreadable_errors()\nx = 1\nx.y\n")
    run = subprocess.run([sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stderr.startswith("own.py:4: AttributeError: 'int' object has no attribute 'y'\n")


def test_a_misspelt_column_is_one_line_that_begins_with_file_and_line(
    told_of_the_start: Told,
) -> None:
    told = told_of_the_start(misspell)
    assert told.startswith(
        f"tests/spark_utils/streaming_utils/test_termination.py:{line_of(misspell, 'return')}: AnalysisException: "
    )
    assert "`enqeued_time` cannot be resolved. Did you mean one of the following? [`enqueued_time`" in told


def call_nothing(events: DataFrame) -> DataFrame:
    events = transform(events).withColumn("right", F.expr("number + 1"))
    events = events.withColumn("wrong", F.expr("nofunc(number)"))
    return events.drop("right")


def write_no_sql(events: DataFrame) -> DataFrame:
    kept = transform(events).where("number > ")
    return kept.select("number")


def take_the_root_of_a_list(events: DataFrame) -> DataFrame:
    root = F.sqrt(F.array("number"))
    return transform(events).withColumn("wrong", root)


@pytest.mark.parametrize(
    ("step", "line", "cause"),
    [
        pytest.param(call_nothing, "nofunc", "Cannot resolve routine `nofunc`", id="an unknown function in SQL"),
        pytest.param(write_no_sql, "where", "Syntax error", id="what is no SQL"),
        pytest.param(take_the_root_of_a_list, "return", "requires the .DOUBLE. type", id="an argument of a wrong type"),
    ],
)
def test_a_mistake_that_spark_connect_tells_late_begins_with_file_and_line_too(
    told_of_the_start: Told,
    step: Callable[[DataFrame], DataFrame],
    line: str,
    cause: str,
) -> None:
    told = told_of_the_start(step)
    assert told.startswith(f"tests/spark_utils/streaming_utils/test_termination.py:{line_of(step, line)}: ")
    assert re.search(cause, told)


def forget_to_return(events: DataFrame) -> DataFrame:  # type: ignore[return]  # the mistake
    transform(events).select("number")


def make_rows(events: DataFrame) -> DataFrame:
    return events.columns  # type: ignore[return-value]  # the mistake


@pytest.mark.parametrize(
    ("step", "line", "said"),
    [
        (forget_to_return, "select", "forget_to_return() returned None, not a DataFrame"),
        (make_rows, "return", "make_rows() returned a list, not a DataFrame"),
    ],
)
def test_a_step_that_returns_no_frame_is_named_by_file_and_line(
    told_of_the_start: Told,
    step: Callable[[DataFrame], DataFrame],
    line: str,
    said: str,
) -> None:
    told = told_of_the_start(lambda parsed: parsed.transform(step))
    place = f"tests/spark_utils/streaming_utils/test_termination.py:{line_of(step, line)}"
    assert told == f"{place}: StreamFailedError: {said}. End it with `return` and the frame."


@pytest.fixture
def told_of_the_start(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """The one line that a script ends with when its stream cannot start with a step."""

    def told(step: Callable[[DataFrame], DataFrame]) -> str:
        bench.send("1")
        with pytest.raises((AnalysisException, StreamFailedError)) as failure:
            start(bench, step)
        monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
        readable_errors()
        sys.excepthook(failure.type, failure.value, failure.tb)
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return told


def line_of(function: Callable[..., object], text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


@pytest.mark.slow
def test_a_stream_ends_by_itself_after_a_number_of_events(bench: Bench) -> None:
    for number in range(60):
        bench.send(str(number))
    await_termination(start(bench, transform, trigger="100 ms"), StopAfter(events=2))
    assert 2 <= len(bench.offsets("events")) < 60


def test_awaiting_leaves_the_signal_handlers_as_they_were(bench: Bench) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    bench.send("1")
    await_termination(start(bench, transform))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def numbered_files(folder: Path) -> set[int]:
    return {int(path.stem) for path in folder.iterdir() if path.stem.isdigit() and path.suffix in ("", ".json")}


def start(bench: Bench, step: Callable[[DataFrame], DataFrame], trigger: str = "available-now") -> StreamingQuery:
    return write_stream(
        bench.raw(),
        parse=parse,
        events=lambda parsed: step(good_rows(parsed)),
        output_path=bench.output,
        checkpoint_path=bench.checkpoint,
        trigger=trigger,
    )
