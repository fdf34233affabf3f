"""An update whose end was lost goes on where it was; `tests/long` kills the process at any step."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from local_pipelines.cdc import snapshots
from local_pipelines.log.event_log import EventLog
from local_pipelines.testing import PipelineTester

COUNTED = """
import dlt
@dlt.table
@dlt.expect_or_drop("positive", "v > 0")
def bronze():
    return spark.readStream.table("events")
dlt.create_streaming_table("latest", expect_all={"small": "v < 5"})
dlt.create_auto_cdc_flow("latest", "bronze", ["id"], "v")
"""


@pytest.mark.slow
def test_counts_that_are_lost_behind_a_commit_are_counted_again(
    pipeline: PipelineTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pipeline.file("counted.py", COUNTED)
    pipeline.given("events", [(1, 1), (1, 7), (2, -1)], "id int, v int")
    write = EventLog.write
    for flow in ("bronze", "latest"):

        def full(self: EventLog, *said: Any, flow: str = flow, **more: Any) -> None:
            if more.get("level") == "METRICS" and more.get("flow_name") == flow:
                raise OSError("no space left on device")
            write(self, *said, **more)

        with monkeypatch.context() as patch:
            patch.setattr(EventLog, "write", full)
            result = pipeline.run(source)
        assert (result.state, result.errors) == ("FAILED", {flow: "OSError: no space left on device"})
    result = pipeline.run(source)
    assert result.state == "COMPLETED", result.errors
    assert pipeline.rows("bronze") == [(1, 1), (1, 7)]
    assert pipeline.rows("latest") == [(1, 7)]
    counted = [
        event["details"]["flow_progress"] for event in pipeline.log("flow_progress") if event["level"] == "METRICS"
    ]
    assert [(each["metrics"], each["data_quality"]["dropped_records"]) for each in counted] == [
        ({"num_output_rows": 2}, 1),
        ({"num_upserted_rows": 1, "num_deleted_rows": 0}, 0),
    ]
    rules = [rule for each in counted for rule in each["data_quality"]["expectations"]]
    assert [(rule["name"], rule["passed_records"], rule["failed_records"]) for rule in rules] == [
        ("positive", 2, 1),
        ("small", 1, 1),
    ]


@pytest.mark.slow
def test_a_checkpoint_and_tables_that_do_not_belong_together_are_refused(pipeline: PipelineTester) -> None:
    source = pipeline.file("counted.py", COUNTED)
    for rows in ([(1, -1)], [(1, 2)]):  # all rows of a batch may be dropped
        pipeline.given("events", rows, "id int, v int")
        assert pipeline.run(source).state == "COMPLETED"
    shutil.rmtree(pipeline.storage / "cdc")
    assert "which flow 'latest' has written to" in pipeline.run(source).errors["latest"]
    checkpoint = pipeline.storage / "flows/main/default/bronze/bronze/checkpoint"
    for kind in ("offsets", "commits"):
        (checkpoint / kind / "1").unlink()
    pipeline.given("events", [(3, 3)], "id int, v int")
    problem = r"the checkpoint of flow 'bronze' ends at batch 0, and .*/bronze at its batch 1.*--full-refresh bronze"
    assert re.search(problem, pipeline.run(source).errors["bronze"])
    assert pipeline.run(source, full_refresh=True).state == "COMPLETED"
    assert pipeline.rows("latest") == [(1, 2), (3, 3)]


SNAPSHOT = """
import dlt
dlt.create_streaming_table("current")
dlt.create_auto_cdc_from_snapshot_flow("current", "state", ["id"])
"""


@pytest.mark.slow
def test_a_snapshot_that_changes_after_a_kill_behind_its_commit_is_taken_as_it_is_now(
    pipeline: PipelineTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pipeline.file("snapshot.py", SNAPSHOT)
    pipeline.given("state", [(1,), (2,)], "id int")
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "_remember", _killed)
        assert pipeline.run(source).state == "FAILED"
    pipeline.given("state", [(3,)], "id int")
    assert pipeline.run(source).state == "COMPLETED"
    assert pipeline.rows("current") == [(1,), (2,), (3,)]
    upserted = [e["details"]["flow_progress"]["metrics"] for e in pipeline.log() if e["level"] == "METRICS"]
    assert [metrics["num_upserted_rows"] for metrics in upserted] == [2, 1]


def _killed(*_: object) -> None:
    raise OSError("no space left on device")
