"""A plain model of AUTO CDC, one key at a time, and histories of keys to try it with."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from local_pipelines.testing import PipelineTester

SCHEMA = "id int, a string, b int, op string, seq int, known int"


class Event(NamedTuple):
    """A change of one key, effective at `seq`, known since `known`."""

    id: int
    a: str | None
    b: int | None
    op: str
    seq: int
    known: int


Row = tuple[Any, ...]


def history(events: Iterable[Event], *, ignore_nulls: bool = False) -> list[Row]:
    """Return the type 2 rows of a key's events, straight from the documentation."""
    rows: list[Row] = []
    state: Row | None = None
    start = 0
    for event in sorted(events, key=lambda each: each.seq):
        new: Row | None = None if event.op == "D" else (event.a, event.b)
        if new is not None and state is not None and ignore_nulls:
            new = tuple(old if value is None else value for old, value in zip(state, new, strict=True))
        if new == state:
            continue
        if state is not None:
            rows.append((event.id, *state, start, event.seq))
        state, start = new, event.seq
    if state is not None:
        rows.append((event.id, *state, start, None))
    return rows


def latest(rows: Iterable[Row]) -> list[Row]:
    """Return the type 1 rows: the versions that have no end."""
    return [row[:3] for row in rows if row[4] is None]


def bitemporal(events: list[Event]) -> list[Row]:
    """Return every type 2 row with the times from and until which it was what was known."""
    rows: dict[Row, int] = {}
    finished: list[Row] = []
    for now in sorted({event.known for event in events}):
        seen = set(history(event for event in events if event.known <= now))
        finished += [(*row, since, now) for row, since in rows.items() if row not in seen]
        rows = {row: rows.get(row, now) for row in seen}
    return [*finished, *((*row, since, None) for row, since in rows.items())]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows in an order that nulls do not mind."""
    return sorted(rows, key=repr)


def arrivals(seed: int, keys: int) -> tuple[list[Event], list[list[Event]]]:
    """Return the events of many keys, and two batches in which they arrive: in any order, half of them twice."""
    rng = random.Random(seed)
    events = []
    for key in range(keys):
        for seq in rng.sample(range(1, 13), rng.randint(1, 7)):
            a, b, op = rng.choice(["x", "y", None]), rng.choice([1, 2, None]), rng.choice("UUUD")
            events.append(Event(key, a, b, op, seq, rng.randint(1, 6)))
    arriving = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(arriving)
    cut = len(arriving) // 2
    return events, [arriving[:cut], arriving[cut:]]


FLOWS = """
import dlt
flow = dict(source="changes", keys=["id"], sequence_by="seq", apply_as_deletes="op = 'D'")
flow |= dict(except_column_list=["op", "seq", "known"])
for scd in (1, 2):
    for nulls in (False, True):
        name = f"scd{scd}{'_partial' if nulls else ''}"
        dlt.create_streaming_table(name)
        dlt.create_auto_cdc_flow(target=name, stored_as_scd_type=scd, ignore_null_updates=nulls, **flow)
dlt.create_streaming_table("bitemporal")
dlt.create_auto_cdc_flow(target="bitemporal", stored_as_scd_type="bitemporal", system_sequence_by="known", **flow)
@dlt.view
def changes():
    return spark.readStream.table("raw")
"""


def check(pipeline: PipelineTester, events: list[Event], batches: list[list[Event]]) -> None:
    """Run the batches through every kind of flow, and compare each key's rows with the model's."""
    source = pipeline.file("flows.py", FLOWS)
    for batch in batches:
        pipeline.given("raw", batch, SCHEMA)
        result = pipeline.run(source)
        assert result.state == "COMPLETED", result.errors
    tables: dict[str, dict[int, list[Row]]] = {name: defaultdict(list) for name in result.flows}
    for name, rows in tables.items():
        for row in pipeline.rows(name):
            rows[row[0]].append(row)
    of_keys = defaultdict(list)
    for event in events:
        of_keys[event.id].append(event)
    for key, own in of_keys.items():
        expected = {f"scd2{suffix}": history(own, ignore_nulls=bool(suffix)) for suffix in ("", "_partial")}
        expected |= {name.replace("2", "1"): latest(rows) for name, rows in expected.items()}
        expected["bitemporal"] = bitemporal(own)
        for name, rows in expected.items():
            assert in_order(tables[name][key]) == in_order(rows), (
                name,
                own,
                [[e for e in b if e.id == key] for b in batches],
            )
