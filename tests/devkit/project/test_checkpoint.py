"""`devkit checkpoint`: what is known of a checkpoint, and one set up again from what the tables hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from devkit.cli import main
from devkit.testing import EventHub
from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import SourceOptions
from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks.write_stream import write_stream
from spark_utils.sources.read_stream import read_stream
from tests.job.oracle import assert_exactly_once, positions
from tests.spark_utils.sinks.sink_kit import Bench, forget_tables, parse, to_events


class Job:
    """A small job on an event hub."""

    def __init__(self, spark: SparkSession, hub: EventHub, folder: Path) -> None:
        self.spark, self.hub, self.output = spark, hub, folder / "out"
        self.checkpoint = self.output / "checkpoint"
        self.sent = 0

    def send(self) -> None:
        for partition in (0, 1):
            self.sent += self.hub.send([b"1", b"x"], partition=partition)

    def run(self) -> None:
        raw = read_stream(self.spark, SourceOptions(event_hubs_connection_string=Secret(self.hub.connection_string)))
        write_stream(
            raw,
            parse=parse,
            events=to_events,
            output_path=str(self.output),
            checkpoint_path=str(self.checkpoint),
            identity={"source": self.hub.name},
        ).awaitTermination()

    def assert_complete(self) -> None:
        assert_exactly_once(positions(self.spark, str(self.output)), self.sent)


@pytest.fixture(scope="module")
def run_twice(
    spark: SparkSession, make_event_hub: Callable[..., EventHub], tmp_path_factory: pytest.TempPathFactory
) -> Job:
    """A job that has run twice, with new events waiting."""
    job = Job(spark, make_event_hub(partitions=2), tmp_path_factory.mktemp("job"))
    for _ in range(2):
        job.send()
        job.run()
    job.send()
    return job


@pytest.fixture
def job(run_twice: Job, tmp_path: Path) -> Job:
    """A copy of what it has written, on the same hub."""
    shutil.copytree(run_twice.output, tmp_path / "out")
    copy = Job(run_twice.spark, run_twice.hub, tmp_path)
    copy.sent = run_twice.sent
    return copy


def test_a_sound_checkpoint_is_shown_with_what_comes_next(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "show", str(job.output)]) == 0
    shown = capsys.readouterr().out
    assert "committed up to batch 1" in shown
    assert """'{"0": 4, "1": 4}'""" in shown
    assert "they belong together" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(["offsets/1", "commits/1"], id="rewound"),
        pytest.param(["metadata", "commits/1"], id="without its id"),
        pytest.param(["offsets/0", "offsets/1"], id="without offsets"),
        pytest.param(["."], id="deleted"),
    ],
)
def test_a_checkpoint_set_up_from_its_tables_loses_and_doubles_nothing(
    job: Job, lost: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in lost:
        path = job.checkpoint / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointMismatchError, match="devkit checkpoint repair"):
        job.run()
    assert main(["checkpoint", "show", str(job.output)]) == 1
    assert main(["checkpoint", "repair", str(job.output)]) == 0
    assert "batch 1" in capsys.readouterr().out
    job.run()
    job.assert_complete()


def test_rejected_rows_that_are_missing_are_written_by_the_repaired_checkpoint(job: Job, tmp_path: Path) -> None:
    last = max((job.output / "rejected" / "_delta_log").glob("*.json"))
    for path in (last, last.with_name(f".{last.name}.crc"), last.with_suffix(".crc")):
        path.unlink(missing_ok=True)
    forget_tables(job.spark)
    shutil.rmtree(job.checkpoint)
    assert main(["checkpoint", "repair", str(job.output)]) == 0
    job.run()
    job.assert_complete()


@pytest.mark.slow
def test_the_list_of_files_that_were_read_is_taken_over_or_missed(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(spark, tmp_path)
    for number in range(2):
        bench.send(str(number), f"x{number}")
    bench.run()
    bench.send("2", "x2")
    Path(bench.checkpoint, "metadata").unlink()
    repair = ["checkpoint", "repair", bench.output, "--checkpoint-path", bench.checkpoint]
    assert main(repair) == 0
    bench.run()
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0, 2, 4], [1, 3, 5])
    Path(bench.checkpoint, "sources/0/2").unlink()
    assert main(repair) == 1
    assert "list of the files that were read is damaged: sources/0/2" in capsys.readouterr().err
