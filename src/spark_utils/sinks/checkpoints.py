"""What a checkpoint was made with: compared before a stream starts, so that a mix-up is an error, not lost data.

A checkpoint is Spark's folder of offsets and commits. Spark itself checks neither that the source is the one the
offsets belong to, nor that the output is the one the finished batches went to. Two small files close the gap:

* ``CHECKPOINT/spark_utils.json``: what the checkpoint was made with, and an id of its own;
* ``OUTPUT/_sources/<hash of the source>.json``: which checkpoint feeds this output from that source, so that a
  deleted checkpoint cannot silently write the same events a second time.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # py4j ships no types
from pyspark.sql import SparkSession

from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks import hadoop_files

GUARD_NAME = "spark_utils.json"
_OFFSET_LOG_HEADER_LINES = 2


@dataclass(frozen=True)
class CheckpointState:
    """What is known of a checkpoint before its query starts.

    Attributes:
        guard_id: The id in the guard file, made at the checkpoint's first start.
        replayed_batch: The batch that an earlier run began and did not commit: Spark runs it again, with the same
            offsets. None when there is none.
    """

    guard_id: str
    replayed_batch: int | None


def guard_checkpoint(
    spark: SparkSession,
    checkpoint_path: str,
    output_path: str,
    identity: Mapping[str, str],
    *,
    accept_changes: frozenset[str] = frozenset(),
    accept_new_checkpoint: bool = False,
) -> CheckpointState:
    """Compare a checkpoint with what it is about to be used for, and remember that at its first start.

    Args:
        spark: The session; its Hadoop settings reach the checkpoint's storage.
        checkpoint_path: The checkpoint's folder, which need not exist yet.
        output_path: The folder of the two tables.
        identity: What must stay the same, such as ``{"source": "sb://…/telemetry", "schema": "a INT"}``. Never a
            secret: the values are stored, and named in errors.
        accept_changes: Keys of ``identity`` that may differ; the new value is stored.
        accept_new_checkpoint: Let a new checkpoint write to an output that another one has fed from this source.

    Raises:
        CheckpointMismatchError: It was made with something else, or the output belongs to another checkpoint, or a
            query of this session runs with it now.
    """
    _refuse_running(spark, checkpoint_path)
    wanted = {**identity, "output": output_path}
    guard_path = f"{checkpoint_path}/{GUARD_NAME}"
    stored = _read_json(spark, guard_path)
    guard_id = str(stored.get("id") or uuid.uuid4())
    found = stored.get("made_with")
    if isinstance(found, dict):
        _compare(guard_path, found, wanted, accept_changes)
    claim = _claim_path(output_path, wanted)
    claimed_by = _read_json(spark, claim)
    _compare_output(spark, checkpoint_path, output_path, claimed_by, guard_id, accept_new_checkpoint)
    if found != wanted:
        _write_json(spark, guard_path, {"version": 1, "id": guard_id, "made_with": wanted})
    if claimed_by.get("id") != guard_id:
        _write_json(spark, claim, {"id": guard_id, "checkpoint": checkpoint_path})
    return CheckpointState(guard_id, replayed_batch(spark, checkpoint_path))


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Name each key whose two values differ, with both values."""
    return [
        f"{key} was {found.get(key, 'absent')!r} and is now {wanted.get(key, 'absent')!r}"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    ]


def replayed_batch(spark: SparkSession, checkpoint_path: str) -> int | None:
    """Return the batch whose offsets are logged and whose commit is not."""
    begun = _numbers(hadoop_files.list_names(spark, f"{checkpoint_path}/offsets"))
    committed = _numbers(hadoop_files.list_names(spark, f"{checkpoint_path}/commits"))
    return max(begun - committed, default=None)


def batch_size(spark: SparkSession, checkpoint_path: str, batch_id: int) -> int | None:
    """Return how many events the offset log gives a batch of one Kafka source, or None when it does not tell.

    The log is Spark's own (``OffsetSeqLog``): a version, a line of settings, then a line for each source; Kafka's is
    ``{"topic": {"partition": offset}}``. The offsets that batch 0 starts from are in ``sources/0/0``.
    """
    ends = _kafka_offsets(hadoop_files.read_text(spark, f"{checkpoint_path}/offsets/{batch_id}"))
    before = f"offsets/{batch_id - 1}" if batch_id else "sources/0/0"
    starts = _kafka_offsets(hadoop_files.read_text(spark, f"{checkpoint_path}/{before}"))
    if ends is None or starts is None or ends.keys() != starts.keys():
        return None
    return sum(ends[place] - starts[place] for place in ends)


def _kafka_offsets(text: str | None) -> dict[tuple[str, str], int] | None:
    """Read the last line of an offset file, if it is a single Kafka source's."""
    lines = (text or "").strip("\0\n").splitlines()
    if not lines or len(lines) > _OFFSET_LOG_HEADER_LINES + 1:
        return None
    try:
        topics = json.loads(lines[-1])
        return {(topic, place): int(at) for topic, places in topics.items() for place, at in places.items()}
    except (ValueError, AttributeError, TypeError):
        return None


def _compare(guard_path: str, found: Mapping[str, str], wanted: Mapping[str, str], accept: frozenset[str]) -> None:
    kept = {key: value for key, value in found.items() if key not in accept}
    problems = differences(kept, {key: value for key, value in wanted.items() if key not in accept})
    if problems:
        raise CheckpointMismatchError(
            f"The checkpoint was made with something else: {'; '.join(problems)}",
            origin=guard_path,
            remedy="Put the old value back, or give a new checkpoint path and a new output path.",
        )


def _refuse_running(spark: SparkSession, checkpoint: str) -> None:
    """Refuse a checkpoint in use here; one in use elsewhere fails at its next batch, and nothing is written twice."""
    query_id = _read_json(spark, f"{checkpoint}/metadata").get("id")
    running = [query for query in spark.streams.active if query_id is not None and str(query.id) == query_id]
    if running:
        raise CheckpointMismatchError(
            f"The query {running[0].name or query_id} runs already with the checkpoint {checkpoint}",
            origin="the queries of this session",
            remedy="Stop it first, or give another checkpoint path and another output path.",
        )


def _claim_path(output: str, wanted: Mapping[str, str]) -> str:
    """Name the file by which a checkpoint claims to be the one that feeds this output from this source."""
    return f"{output}/_sources/{hashlib.sha256(wanted.get('source', '').encode()).hexdigest()[:16]}.json"


def _compare_output(
    spark: SparkSession,
    checkpoint: str,
    output: str,
    claimed_by: Mapping[str, object],
    guard_id: str,
    accept_new: bool,
) -> None:
    """Refuse an output fed by another checkpoint from the same source, and an output that has gone."""
    tables_exist = hadoop_files.exists(spark, f"{output}/events/_delta_log")
    if not tables_exist and hadoop_files.list_names(spark, f"{checkpoint}/commits"):
        raise CheckpointMismatchError(
            f"The checkpoint {checkpoint} has finished batches, and their table {output}/events is gone",
            origin=f"{checkpoint}/commits",
            remedy="Put the table back, or delete the checkpoint too, to read the source from its start.",
        )
    is_this_one = claimed_by.get("id") in (None, guard_id) or (
        # its guard file was damaged or deleted, but it is the same folder and has been used
        claimed_by.get("checkpoint") == checkpoint and bool(hadoop_files.list_names(spark, f"{checkpoint}/offsets"))
    )
    if tables_exist and not is_this_one and not accept_new:
        raise CheckpointMismatchError(
            f"{output} already holds events of this source, written with the checkpoint "
            f"{claimed_by.get('checkpoint')}; the checkpoint {checkpoint} knows nothing of them and would write "
            "them a second time",
            origin=f"{output}/_sources",
            remedy="Use that checkpoint, or give a new output path, or start with accept_new_checkpoint=True "
            "if the starting position makes sure that nothing is read twice.",
        )


def _read_json(spark: SparkSession, path: str) -> dict[str, object]:
    """Read a small JSON object; a file that is missing or was damaged counts as not written."""
    try:
        value = json.loads(hadoop_files.read_text(spark, path) or "{}")
    except ValueError:
        return {}
    except Py4JJavaError as refusal:
        if "ChecksumException" not in str(refusal):  # damaged by a crash, as Hadoop's local file system sees it
            raise
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(spark: SparkSession, path: str, value: Mapping[str, object]) -> None:
    hadoop_files.write_text(spark, path, json.dumps(value, indent=2, sort_keys=True))


def _numbers(names: list[str]) -> set[int]:
    return {int(name) for name in names if name.isdigit()}
