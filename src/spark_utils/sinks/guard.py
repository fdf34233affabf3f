"""Whether a checkpoint and its tables belong together, decided before a stream starts, so that nothing is lost.

Spark checks neither that the source is the one the offsets belong to, nor that the tables are those the finished
batches went to. The table `events` says so itself, by two things that travel with it:

* each commit of the sink carries a :class:`~spark_utils.sinks.delta_tables.Mark`: query, batch, offsets;
* the property ``spark_utils.checkpoint.<hash of the source>`` says what is written from there: checkpoint, source,
  schema, layout.

Every batch leaves its mark in `events`, so a table ends with the checkpoint's last batch, or with the one before it
when that batch is not committed yet. Anything else is a checkpoint or a table from another time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks.checkpoints import Checkpoint, damage
from spark_utils.sinks.delta_tables import Table

PROPERTY = "spark_utils.checkpoint."
_REPAIR = "set the checkpoint up from what the tables hold: devkit checkpoint repair OUTPUT_PATH"


@dataclass(frozen=True)
class Guard:
    """What is about to be written, from where, with which checkpoint.

    Attributes:
        identity: What must stay the same, such as ``{"source": "sb://…/telemetry", "schema": "a INT"}``. Never a
            secret: the values are stored, and named in errors.
        accept_changes: Keys of ``identity`` that may differ; the new value is stored.
        accept_new_checkpoint: Let a new checkpoint write to an output that another one has fed from this source.
    """

    identity: Mapping[str, str]
    accept_changes: frozenset[str] = frozenset()
    accept_new_checkpoint: bool = False

    @property
    def source(self) -> str:
        """The hash that stands for the source in marks and properties."""
        return source_key(self.identity.get("source", ""))

    def check(self, checkpoint: Checkpoint, events: Table | None, rejected: Table | None) -> None:
        """Compare everything with everything.

        Raises:
            CheckpointMismatchError: They do not belong together, or the checkpoint is damaged.
        """
        problem = self._problem(checkpoint, events, rejected)
        if problem is not None:
            text, remedy = problem
            raise CheckpointMismatchError(text, origin=f"the checkpoint {checkpoint.path}", remedy=remedy)

    def properties(self, checkpoint: Checkpoint, events: Table | None) -> dict[str, str]:
        """Return the property to store; empty when it is stored already."""
        claim: dict[str, object] = {**self.identity, "checkpoint": checkpoint.path}
        before = claims_of(events).get(self.source)
        if before is not None and before.get("unmarked") is not None:
            claim["unmarked"] = before["unmarked"]
        elif before is None and events is not None and checkpoint.last_begun >= 0 and not events.marks:
            claim["unmarked"] = checkpoint.last_begun  # written before there were marks
        return {} if claim == before else {PROPERTY + self.source: json.dumps(claim, sort_keys=True)}

    def _problem(self, checkpoint: Checkpoint, events: Table | None, rejected: Table | None) -> tuple[str, str] | None:
        if found := damage(checkpoint):
            listed = "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
            return f"the checkpoint is damaged: {listed}", f"Put these files back, or {_REPAIR}."
        claims = claims_of(events)
        if changed := self._changes(checkpoint, claims):
            remedy = "Put the old value back, or give a new checkpoint path and a new output path."
            return f"the checkpoint was made with something else: {'; '.join(changed)}", remedy
        if checkpoint.last_begun < 0:
            return self._new_on_old(checkpoint, events, claims)
        if (events is None or rejected is None) and checkpoint.last_committed >= 0:
            gone = "events" if events is None else "rejected"
            return (
                f"the checkpoint has finished batches, and their table {gone} is gone",
                "Put the table back, or delete the checkpoint and what is left of the output, to read the source again "
                "from its start.",
            )
        return None if events is None else _compare_progress(checkpoint, events, rejected, claims.get(self.source, {}))

    def _changes(self, checkpoint: Checkpoint, claims: Mapping[str, Mapping[str, object]]) -> list[str]:
        mine = [claim for claim in claims.values() if claim.get("checkpoint") == checkpoint.path]
        before = mine[0] if mine else claims.get(self.source)
        if before is None or checkpoint.last_begun < 0:
            return []
        kept = {key: str(value) for key, value in before.items() if key not in {"checkpoint", "unmarked"}}
        return differences(kept, self.identity, self.accept_changes)

    def _new_on_old(
        self, checkpoint: Checkpoint, events: Table | None, claims: Mapping[str, Mapping[str, object]]
    ) -> tuple[str, str] | None:
        """Refuse a checkpoint without batches for a table that holds batches of the same source."""
        marks = [mark for mark in events.marks if mark.source == self.source] if events else []
        claim = claims.get(self.source, {})
        if self.accept_new_checkpoint or events is None or not (marks or claim.get("unmarked") is not None):
            return None
        return (
            f"{events.path} already holds events of this source, up to batch "
            f"{marks[0].batch if marks else claim['unmarked']} of the checkpoint {claim.get('checkpoint')}; the "
            f"checkpoint {checkpoint.path} has no batch and would write them a second time",
            f"Use that checkpoint, or {_REPAIR}; or give a new output path, or --accept-new-checkpoint if the starting "
            "position makes sure that nothing is read twice.",
        )


def _compare_progress(
    checkpoint: Checkpoint, events: Table, rejected: Table | None, claim: Mapping[str, object]
) -> tuple[str, str] | None:
    """Compare how far checkpoint and tables have come."""
    begun, committed = checkpoint.last_begun, checkpoint.last_committed
    mark = events.last_batch(checkpoint.query_id)
    if not events.marks:
        return None  # written before there were marks, or so long ago that Delta has cleaned its history up
    written = mark.batch if mark else int(str(claim.get("unmarked", -1)))
    rejects = rejected.last_batch(checkpoint.query_id) if rejected else None
    rejects_written = rejects.batch if rejects else -1
    if max(written, rejects_written) > begun:
        return (
            f"the checkpoint is older than its tables: it has come to batch {begun}, and they hold batch "
            f"{max(written, rejects_written)}; what it would read next would be dropped as already written",
            f"Put the newer checkpoint back, or {_REPAIR}.",
        )
    if written < committed:
        missing = f"batch {committed}" if written == committed - 1 else f"batches {written + 1} to {committed}"
        return (
            f"the tables are not as far as the checkpoint: it has finished batch {committed}, and {missing} of it "
            f"{'is' if written == committed - 1 else 'are'} not in {events.path}",
            f"Put the table back as it was, or {_REPAIR}, which reads what is missing again.",
        )
    if rejects_written > written or (mark and rejects and mark.rejected > rejects.batch):
        behind, ahead = ("events", "rejected") if rejects_written > written else ("rejected", "events")
        return (
            f"the table {behind} is older than the table {ahead}: it ends with batch {min(written, rejects_written)}",
            f"Put the table {behind} back as it was.",
        )
    if mark and mark.end and checkpoint.offsets(mark.batch) not in ("", mark.end):
        return (
            f"batch {mark.batch} ends at {checkpoint.offsets(mark.batch)} in the checkpoint and at {mark.end} in "
            f"{events.path}: they are of different runs",
            f"Put the right checkpoint back, or {_REPAIR}.",
        )
    return None


def differences(found: Mapping[str, str], given: Mapping[str, str], accept: frozenset[str] = frozenset()) -> list[str]:
    """Name each key whose two values differ, with both values."""
    return [
        f"{key} was {found.get(key, 'absent')!r} and is now {given.get(key, 'absent')!r}"
        for key in sorted({*found, *given} - accept)
        if found.get(key) != given.get(key)
    ]


def source_key(source: str) -> str:
    """Return the hash that stands for a source in marks and properties."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def claims_of(events: Table | None) -> dict[str, dict[str, object]]:
    """Return what the table says of who writes to it, by source."""
    stored = events.properties.items() if events else ()
    return {name.removeprefix(PROPERTY): json.loads(text) for name, text in stored if name.startswith(PROPERTY)}
