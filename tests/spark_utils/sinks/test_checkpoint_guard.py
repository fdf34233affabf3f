"""A checkpoint used for something else is an error that names both values, before anything is read or written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks import checkpoints
from spark_utils.sinks.checkpoints import GUARD_NAME, batch_size, differences, replayed_batch
from spark_utils.sinks.write_stream import write_stream
from tests.spark_utils.sinks.sink_kit import Bench, parse, to_events

HERE = {"source": "sb://here/telemetry", "schema": "number BIGINT"}


@pytest.fixture
def bench(spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(spark, tmp_path)


@pytest.fixture
def guard(spark: SparkSession, tmp_path: Path) -> Any:
    """The guard alone, on folders of the test, without a query."""

    def run(identity: Any = HERE, *, output: str = "output", checkpoint: Any = "checkpoint", **options: Any) -> Any:
        return checkpoints.guard_checkpoint(
            spark, str(tmp_path / checkpoint), str(tmp_path / output), identity, **options
        )

    return run


def pretend_to_have_run(folder: Path) -> None:
    """Make what a query leaves: a committed batch and a table."""
    for name in ("checkpoint/commits", "checkpoint/offsets", "output/events/_delta_log"):
        (folder / name).mkdir(parents=True)
    (folder / "checkpoint/offsets/0").touch()
    (folder / "checkpoint/commits/0").touch()


def test_the_same_source_schema_and_output_pass_again(guard: Callable[..., Any]) -> None:
    assert guard().guard_id == guard().guard_id


@pytest.mark.parametrize(
    ("key", "value"), [("source", "sb://elsewhere/telemetry"), ("schema", "number STRING"), ("partition_by", "day")]
)
def test_a_difference_names_both_values_and_what_to_do(guard: Callable[..., Any], key: str, value: str) -> None:
    guard()
    with pytest.raises(CheckpointMismatchError) as mismatch:
        guard({**HERE, key: value})
    message = str(mismatch.value)
    assert repr(HERE.get(key, "absent")) in message
    assert repr(value) in message
    assert "new checkpoint path" in message


def test_all_differences_are_told_at_once(guard: Callable[..., Any]) -> None:
    guard()
    with pytest.raises(CheckpointMismatchError, match=r"(?s)output was .* schema was .* source was "):
        guard({"source": "a", "schema": "b"}, output="elsewhere")


def test_a_difference_that_is_accepted_is_remembered(guard: Callable[..., Any], tmp_path: Path) -> None:
    guard()
    guard({**HERE, "schema": "wider"}, accept_changes=frozenset({"schema"}))
    stored = json.loads((tmp_path / "checkpoint" / GUARD_NAME).read_text())
    assert stored["made_with"]["schema"] == "wider"
    with pytest.raises(CheckpointMismatchError):
        guard()


def test_a_new_checkpoint_may_not_write_the_same_events_to_the_same_output_again(
    guard: Callable[..., Any], tmp_path: Path
) -> None:
    guard()
    pretend_to_have_run(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="a second time"):
        guard(checkpoint="another")
    guard(checkpoint="another", accept_new_checkpoint=True)


def test_another_source_may_share_an_output(guard: Callable[..., Any], tmp_path: Path) -> None:
    guard()
    pretend_to_have_run(tmp_path)
    guard({**HERE, "source": "sb://elsewhere/telemetry"}, checkpoint="another")


def test_a_checkpoint_whose_tables_have_gone_is_an_error(guard: Callable[..., Any], tmp_path: Path) -> None:
    guard()
    pretend_to_have_run(tmp_path)
    shutil.rmtree(tmp_path / "output" / "events")
    with pytest.raises(CheckpointMismatchError, match="is gone"):
        guard()


def test_a_guard_file_damaged_by_a_crash_is_written_again(guard: Callable[..., Any], tmp_path: Path) -> None:
    guard()
    pretend_to_have_run(tmp_path)
    (tmp_path / "checkpoint" / GUARD_NAME).write_text('{"id": "1')
    guard()
    assert json.loads((tmp_path / "checkpoint" / GUARD_NAME).read_text())["made_with"]["source"] == HERE["source"]


def test_a_deleted_checkpoint_does_not_double_what_the_tables_hold(bench: Bench) -> None:
    bench.send("1", "x")
    bench.run(identity=HERE)
    shutil.rmtree(bench.checkpoint)
    with pytest.raises(CheckpointMismatchError, match="a second time"):
        bench.run(identity=HERE)
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0], [1])


def test_a_second_query_on_a_running_checkpoint_is_refused(bench: Bench) -> None:
    bench.send("1")
    options: dict[str, Any] = {
        "output_path": bench.output,
        "checkpoint_path": bench.checkpoint,
        "trigger": "100 ms",
        "query_name": "first",
    }
    running = write_stream(bench.raw(), parse=parse, events=to_events, **options)
    try:
        running.processAllAvailable()
        with pytest.raises(CheckpointMismatchError, match="first runs already"):
            bench.run()
    finally:
        running.stop()
    assert bench.offsets("events") == [0]


def test_the_batch_that_was_begun_and_not_committed_is_the_one_replayed(spark: SparkSession, tmp_path: Path) -> None:
    assert replayed_batch(spark, str(tmp_path)) is None
    for name in ("offsets/0", "offsets/1", "commits/0", "offsets/.1.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert replayed_batch(spark, str(tmp_path)) == 1


def test_a_batch_size_is_read_from_kafka_offsets_and_from_nothing_else(spark: SparkSession, tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)

    header = 'v1\n{"batchWatermarkMs":0}\n'
    write("sources/0/0", '\0v1\n{"hub":{"0":5,"1":0}}')
    write("offsets/0", header + '{"hub":{"0":10,"1":3}}')
    write("offsets/1", header + '{"hub":{"0":10,"1":3}}')
    write("offsets/2", header + '{"hub":{"0":10,"1":3,"2":7}}')
    write("offsets/3", header + '{"logOffset":3}')
    write("offsets/4", header + '{"hub":{"0":10}}\n{"other":{"0":10}}')
    sizes = [batch_size(spark, str(tmp_path), batch) for batch in range(6)]
    assert sizes == [8, 0, None, None, None, None]


def test_differences_tell_what_was_absent() -> None:
    assert differences({"a": "1"}, {"b": "2"}) == ["a was '1' and is now 'absent'", "b was 'absent' and is now '2'"]
