"""A checkpoint and tables that do not belong together are an error that names the way on, before anything is lost."""

from __future__ import annotations

import dataclasses
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks.checkpoints import added_partitions, batch_size, damage, read_checkpoint, read_local_checkpoint
from spark_utils.sinks.guard import differences
from spark_utils.sinks.write_stream import write_stream
from tests.project import ROOT
from tests.spark_utils.sinks.sink_kit import Bench, forget_tables, parse, to_events

HERE = {"source": "sb://here/telemetry", "schema": "number BIGINT"}


@pytest.fixture
def bench(spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(spark, tmp_path)


@pytest.fixture(scope="module")
def two_batches(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench that has run twice, and a copy of its folder beside it."""
    bench = with_two_batches(Bench(spark, tmp_path_factory.mktemp("guard") / "bench"))
    shutil.copytree(bench.folder, bench.folder.with_name("kept"))
    return bench


@pytest.fixture
def run_twice(two_batches: Bench) -> Bench:
    """The bench as it was after two batches, in the same place: a source of files remembers whole paths."""
    shutil.rmtree(two_batches.folder)
    shutil.copytree(two_batches.folder.with_name("kept"), two_batches.folder)
    forget_tables(two_batches.spark)
    return dataclasses.replace(two_batches)


@pytest.fixture
def run_twice_on_each(each_spark: SparkSession, tmp_path: Path) -> Bench:
    """The same on both kinds of session."""
    return with_two_batches(Bench(each_spark, tmp_path))


def with_two_batches(bench: Bench) -> Bench:
    """Two batches, each with a good row and a rejected one; a copy of checkpoint and output from before the second."""
    bench.send("0", "x0")
    bench.run(identity=HERE)
    for name in ("checkpoint", "output"):
        shutil.copytree(bench.folder / name, bench.folder / f"older-{name}")
    bench.send("1", "x1")
    bench.run(identity=HERE)
    bench.send("2", "x2")
    return bench


def refused(bench: Bench, **options: Any) -> str:
    """Run, be refused, and see that neither table has changed; return the message."""
    before = (bench.offsets("events"), bench.offsets("rejected"))
    with pytest.raises(CheckpointMismatchError) as caught:
        bench.run(**{"identity": HERE, **options})
    assert (bench.offsets("events"), bench.offsets("rejected")) == before
    return str(caught.value)


def remove(folder: str, *names: str) -> None:
    for name in names:
        path = Path(folder, name)
        path.unlink()
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


def replace(bench: Bench, name: str) -> None:
    shutil.rmtree(bench.folder / name)
    shutil.copytree(bench.folder / f"older-{name}", bench.folder / name)


def test_a_rewound_checkpoint_is_refused_with_the_way_on(run_twice_on_each: Bench) -> None:
    remove(run_twice_on_each.checkpoint, "offsets/1", "commits/1")
    message = refused(run_twice_on_each)
    assert "it has come to batch 0, and they hold batch 1" in message
    assert "devkit checkpoint repair" in message


def test_a_checkpoint_restored_from_an_older_copy_is_refused(run_twice: Bench) -> None:
    replace(run_twice, "checkpoint")
    assert "the checkpoint is older than its tables" in refused(run_twice)


def test_tables_restored_from_an_older_copy_are_refused(run_twice: Bench) -> None:
    replace(run_twice, "output")
    assert "it has finished batch 1, and batch 1 of it is not in" in refused(run_twice)


def test_one_table_restored_from_an_older_copy_is_refused(run_twice: Bench) -> None:
    shutil.rmtree(run_twice.folder / "output" / "events")
    shutil.copytree(run_twice.folder / "older-output" / "events", run_twice.folder / "output" / "events")
    assert "is not in" in refused(run_twice)


@pytest.mark.slow
def test_a_checkpoint_without_its_querys_id_is_refused(run_twice_on_each: Bench) -> None:
    remove(run_twice_on_each.checkpoint, "metadata", "commits/1")
    assert "metadata (the query's id) is missing" in refused(run_twice_on_each)


def test_another_querys_checkpoint_is_refused(run_twice: Bench, tmp_path: Path) -> None:
    other = Bench(run_twice.spark, tmp_path / "other")
    other.send("0", "x0")
    other.run(identity=HERE)
    shutil.copytree(other.checkpoint, tmp_path / "taken")
    assert "not in" in refused(run_twice, checkpoint_path=str(tmp_path / "taken"))


@pytest.mark.slow
def test_a_deleted_checkpoint_does_not_double_what_the_tables_hold(run_twice: Bench) -> None:
    shutil.rmtree(run_twice.checkpoint)
    assert "a second time" in refused(run_twice)
    run_twice.run(identity=HERE, accept_new_checkpoint=True)
    assert Counter(run_twice.offsets("events")) == {0: 2, 2: 2, 4: 1}


@pytest.mark.slow
def test_a_checkpoint_that_moved_goes_on(run_twice_on_each: Bench, tmp_path: Path) -> None:
    shutil.move(run_twice_on_each.checkpoint, tmp_path / "moved")
    run_twice_on_each.run(identity=HERE, checkpoint_path=str(tmp_path / "moved"))
    assert (run_twice_on_each.offsets("events"), run_twice_on_each.offsets("rejected")) == ([0, 2, 4], [1, 3, 5])


def test_a_copy_of_a_checkpoint_that_went_on_elsewhere_is_refused(run_twice: Bench, tmp_path: Path) -> None:
    shutil.copytree(run_twice.checkpoint, tmp_path / "copy")
    run_twice.run(identity=HERE)
    assert "older than its tables" in refused(run_twice, checkpoint_path=str(tmp_path / "copy"))


@pytest.mark.parametrize("name", ["events", "rejected"])
def test_a_checkpoint_whose_tables_have_gone_is_an_error(run_twice: Bench, name: str) -> None:
    shutil.rmtree(run_twice.folder / "output" / name)
    with pytest.raises(CheckpointMismatchError, match=f"their table {name} is gone"):
        run_twice.run(identity=HERE)


def test_the_same_offsets_with_other_contents_are_refused(run_twice: Bench) -> None:
    log = Path(run_twice.checkpoint, "offsets/1")
    log.write_text(log.read_text().replace('{"logOffset":1}', '{"logOffset":0}'))
    log.with_name(".1.crc").unlink(missing_ok=True)
    assert '{"logOffset":0} in the checkpoint and at {"logOffset":1}' in refused(run_twice)


@pytest.mark.parametrize(("key", "value"), [("source", "sb://elsewhere/telemetry"), ("schema", "number STRING")])
def test_a_difference_names_both_values_and_what_to_do(run_twice: Bench, key: str, value: str) -> None:
    message = refused(run_twice, identity={**HERE, key: value})
    assert f"{key} was {HERE[key]!r} and is now {value!r}" in message
    assert "new checkpoint path" in message


def test_another_layout_than_the_tables_is_refused(run_twice: Bench) -> None:
    assert "partition_by was '' and is now 'number'" in refused(run_twice, partition_by="number")


def test_a_difference_that_is_accepted_is_remembered(run_twice: Bench) -> None:
    run_twice.run(identity={**HERE, "schema": "wider"}, schema_changes="merge")
    assert "schema was 'wider' and is now 'number BIGINT'" in refused(run_twice)


@pytest.mark.slow
def test_another_source_may_share_an_output(run_twice: Bench, tmp_path: Path) -> None:
    run_twice.run(identity={**HERE, "source": "sb://elsewhere/telemetry"}, checkpoint_path=str(tmp_path / "another"))
    run_twice.run(identity=HERE)
    assert Counter(run_twice.offsets("events")) == {0: 2, 2: 2, 4: 2}


def test_a_start_that_was_killed_while_it_wrote_the_first_offsets_goes_on(
    each_spark: SparkSession, tmp_path: Path
) -> None:
    bench = Bench(each_spark, tmp_path)
    bench.send("1")
    (tmp_path / "checkpoint" / "offsets").mkdir(parents=True)
    (tmp_path / "checkpoint" / "offsets" / ".0.b25fdcfa-5b74-41ce-88a3-3fff0ab1f3d8.tmp").write_text("v1")
    bench.run()
    assert bench.offsets("events") == [0]


@pytest.mark.slow
def test_tables_from_before_there_were_marks_go_on(spark: SparkSession, tmp_path: Path) -> None:
    bench = Bench(spark, tmp_path)
    bench.send("0", "x0")
    bench.run(identity=HERE)
    for name in ("events", "rejected"):  # what an earlier version left: the same commits, without marks and property
        for commit in Path(bench.output, name, "_delta_log").glob("*.json"):
            commit.write_text(commit.read_text().replace("userMetadata", "formerly").replace("spark_utils.", "other."))
            commit.with_name(f".{commit.name}.crc").unlink(missing_ok=True)
            commit.with_suffix(".crc").unlink(missing_ok=True)
    forget_tables(spark)
    bench.run(identity=HERE)
    bench.run(identity=HERE)
    bench.send("1", "x1")
    bench.run(identity=HERE)
    assert (bench.offsets("events"), bench.offsets("rejected")) == ([0, 2], [1, 3])


def test_a_second_query_of_this_session_on_a_checkpoint_is_refused(bench: Bench) -> None:
    bench.send("1")
    running = write_stream(
        bench.raw(),
        parse=parse,
        events=to_events,
        output_path=bench.output,
        checkpoint_path=bench.checkpoint,
        trigger="100 ms",
        query_name="first",
    )
    try:
        running.processAllAvailable()
        with pytest.raises(CheckpointMismatchError, match="first already runs"):
            bench.run()
    finally:
        running.stop()
    assert bench.offsets("events") == [0]


LOCKED = """
import sys
from spark_utils.sinks.locks import LOCK
LOCK.take(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_on_a_checkpoint_is_refused_until_the_first_has_ended(
    spark: SparkSession, tmp_path: Path
) -> None:
    bench = Bench(spark, tmp_path)
    bench.send("1")
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCKED, bench.checkpoint], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointMismatchError, match="another query runs with the checkpoint"):
            bench.run()
        holder.kill()
    bench.run()
    assert bench.offsets("events") == [0]


def newest(bench: Bench, folder: str) -> str:
    return max(Path(bench.checkpoint, folder).glob("[0-9]*"), key=lambda path: int(path.stem)).name


@pytest.mark.slow
def test_whatever_happens_to_files_of_a_checkpoint_each_event_is_there_once_or_the_run_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert_once_or_refused(Bench(spark, tmp_path), random.Random(0), damages=3)


def assert_once_or_refused(bench: Bench, choose: random.Random, damages: int) -> None:
    """Damage files, start on a copy with new events, and count; again and again from the same state."""
    for number in range(3):
        bench.send(str(number), f"x{number}")
    bench.run(identity=HERE)
    for name in ("checkpoint", "output"):
        shutil.copytree(bench.folder / name, bench.folder / f"older-{name}")
    bench.send("3", "x3")
    for _ in range(damages):
        for name in ("checkpoint", "output"):
            replace(bench, name)
        done = damage_files(Path(bench.checkpoint), choose)
        try:
            bench.run(identity=HERE)
        except CheckpointMismatchError:
            expected = [0, 2, 4]
        else:
            expected = [0, 2, 4, 6]
        forget_tables(bench.spark)
        assert (bench.offsets("events"), bench.offsets("rejected")) == (expected, [each + 1 for each in expected]), done


def damage_files(folder: Path, choose: random.Random) -> list[str]:
    """Remove, empty or replace some files by an earlier one of their kind; return what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    done = []
    for path in choose.sample(files, choose.randint(1, 3)):
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
        before = path.with_name(str(int(path.name) - 1)) if path.name.isdigit() else path
        kind = choose.choice(["removed", "emptied", "older"])
        if kind == "older" and before != path and before.exists():
            path.write_text(before.read_text())
        elif kind == "emptied":
            path.write_text("")
        else:
            path.unlink()
        done.append(f"{path.relative_to(folder)} {kind}")
    return done


def test_the_batch_that_was_begun_and_not_committed_is_the_last_one(each_spark: SparkSession, tmp_path: Path) -> None:
    assert read_checkpoint(each_spark, str(tmp_path / "none")).files == {}
    for name in ("offsets/0", "offsets/1", "commits/0", "offsets/.1.tmp", "state/0/0"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("v1")
    found = read_checkpoint(each_spark, str(tmp_path))
    assert (found.begun, found.committed) == ([0, 1], [0])


def test_every_kind_of_damage_is_named(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)

    write("metadata", '{"id":"q"}')
    for number in range(3):
        write(f"offsets/{number}", f'v1\n{{"batchWatermarkMs":0}}\n{{"logOffset":{number}}}')
        write(f"commits/{number}", 'v1\n{"nextBatchWatermarkMs":0}')
        write(f"sources/0/{number}", f'v1\n{{"path":"a","timestamp":1,"batchId":{number}}}')
    assert damage(read_local_checkpoint(tmp_path)) == []
    for name, text in [
        ("metadata", None),
        ("metadata", '{"id"'),
        ("offsets/2", ""),
        ("offsets/2", None),
        ("offsets/1", None),
        ("offsets/2", 'v1\n{"batchWatermarkMs":0}'),
        ("commits/2", ""),
        ("commits/1", None),
        ("sources/0/2", None),
        ("sources/0/1", ""),
        ("sources/0/2", 'v1\n{"path":"a","timestamp":1,"batchId":1}'),
    ]:
        path = tmp_path / name
        before = path.read_text()
        path.unlink() if text is None else path.write_text(text)
        assert any(name in each for each in damage(read_local_checkpoint(tmp_path))), (name, text)
        path.write_text(before)
    for number in range(2):
        (tmp_path / f"offsets/{number}").unlink()
    assert damage(read_local_checkpoint(tmp_path)) == ["offsets/1 is missing"]


def test_batch_size_and_added_partitions_are_read_from_kafka_offsets_and_from_nothing_else() -> None:
    two, more, files = '{"hub":{"0":10,"1":3}}', '{"hub":{"0":10,"1":3,"2":7}}', '{"logOffset":3}'
    assert batch_size('{"hub":{"0":5,"1":0}}', two) == 8
    assert batch_size(two, two) == 0
    assert [batch_size(two, more), batch_size(files, files), batch_size("", two), batch_size(two, f"{two}\n{two}")] == [
        None
    ] * 4
    assert [added_partitions(two, more), added_partitions("", two), added_partitions(files, more)] == [{2: 7}, {}, {}]


def test_differences_tell_what_was_absent() -> None:
    assert differences({"a": "1"}, {"b": "2"}) == ["a was '1' and is now 'absent'", "b was 'absent' and is now '2'"]
