"""Judge a batch of bodies with Arrow's JSON reader: what it cannot prove good goes to the reference, row by row.

Why a block that the reader accepts is good (measured on pyarrow 26; the tests hold it to the reference): every body
starts with ``{`` and ends with ``}``, and they are joined by newlines, which no JSON string may hold. So at each seam
one body's last ``}`` meets the next one's ``{``, which JSON allows between two root values only, and as many rows as
bodies means one object per body. What the reader lets through is checked in ``arrow/columns.py``.
"""

from __future__ import annotations

import json
import logging
import re
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t

from spark_utils.parsing.arrow.bodies import Bodies, RefusedError
from spark_utils.parsing.arrow.columns import Findings, MapNode, StructNode
from spark_utils.parsing.arrow.slow_rows import verdicts_array
from spark_utils.parsing.columns import schema_depth
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import Good, UnknownPolicy, compile_classifier

# Where bodies are refused, rows are read in blocks of this size: a reading costs as much as about 100 rows, and each
# refused row half a block.
BLOCK = 256
SMALLEST_BLOCK = 32  # rows of which one is refused: the reference takes less time for them than two more readings
MOST_ATTEMPTS = 8  # readings of one block before it is halved
SAMPLE = SMALLEST_BLOCK  # rows that are looked at to learn the keys of maps and the names of unknown fields
MOST_UNKNOWN_NAMES = 32
BYTES_AT_ONCE = 64 * 1024 * 1024  # of bodies in one reading; also keeps offsets far from 32 bits

_log = logging.getLogger(__name__)

_SPACE = r"[ \t\n\r]*"
_STRING_REST = r'(?:[^"\\]|\\.)*"'
_LAST_NAME = re.compile(r"(?:^|[.])([A-Za-z_][A-Za-z0-9_]*)\Z")


class ArrowReader:
    """Reads batches of bodies into one schema.

    It learns as it goes (the keys of maps, the names of unknown fields, whether bodies are refused): keep one per
    worker.

    Args:
        schema: The declared fields.
        limits: The largest size and depth.
        unknown: What becomes of undeclared fields.

    Attributes:
        faults: Pieces of batches on which Arrow, or this reader, failed; the reference has judged them, body by body.
    """

    def __init__(self, schema: t.StructType, limits: Limits, unknown: UnknownPolicy) -> None:
        self._schema, self._limits, self._unknown = schema, limits, unknown
        self._judge = compile_classifier(schema, limits=limits, unknown=unknown)
        self._look = compile_classifier(schema, limits=limits)
        self._root = StructNode(schema)
        self._maps = [node for node in self._root.nodes() if isinstance(node, MapNode)]
        self._null_in_map = _null_in_map_pattern(self._maps)
        self._has_decimals = any(pa.types.is_decimal(node.type) for node in self._root.nodes())
        self._declared = {name for node in self._root.nodes() if isinstance(node, StructNode) for name in node.names}
        self._unknown_names: set[str] = set()
        self._provable = schema_depth(schema) <= limits.max_depth
        self._refused = False
        self.faults = 0

    def verdicts(self, bodies: pa.Array) -> pa.StructArray:
        """Judge bodies.

        Args:
            bodies: Binary array, one body per row.

        Returns:
            As many rows, with the fields of ``verdict_type``.
        """
        if not self._provable or not len(bodies):
            return self._judged(bodies)
        step = max(1, len(bodies) * BYTES_AT_ONCE // max(bodies.nbytes, BYTES_AT_ONCE))
        pieces = [self._piece(bodies.slice(start, step)) for start in range(0, len(bodies), step)]
        return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)

    def _judged(self, bodies: pa.Array) -> pa.StructArray:
        return verdicts_array(bodies.to_pylist(), self._judge, self._schema, self._unknown)

    def _piece(self, values: pa.Array) -> pa.StructArray:
        try:
            return self._read(values)
        except Exception as fault:  # the reference is slow, and right
            self.faults += 1
            _log.warning("Arrow's reader failed with %s: judging body by body", type(fault).__name__)
            return self._judged(values)

    def _read(self, values: pa.Array) -> pa.StructArray:
        bodies, findings = Bodies(values, self._limits, has_decimals=self._has_decimals), Findings()
        if self._unknown_names:
            bodies.aside |= bodies.matching(_field_pattern(self._unknown_names))
        in_blocks, self._refused = self._refused, False
        step = BLOCK if in_blocks else len(values)
        event = self._in_steps(bodies, 0, len(values), step, findings)
        slow = findings.unproven | bodies.aside
        if narrow := findings.narrow_maps - slow:
            slow |= bodies.matching(self._null_in_map, narrow)
        return self._assemble(values, event, sorted(slow))

    def _in_steps(self, bodies: Bodies, first: int, stop: int, step: int, findings: Findings) -> pa.StructArray:
        blocks = [self._block(bodies, start, min(start + step, stop), findings) for start in range(first, stop, step)]
        return blocks[0] if len(blocks) == 1 else pa.concat_arrays(blocks)

    def _block(self, bodies: Bodies, first: int, stop: int, findings: Findings) -> pa.StructArray:
        """Read rows into the column ``event``; what Arrow refuses is set aside."""
        for _ in range(MOST_ATTEMPTS):
            try:
                columns = bodies.read(first, stop, pa.schema(list(self._root.read_type())))
            except RefusedError as refusal:
                if self._has_learned(refusal, bodies, first, stop):
                    continue
                self._refused = True
                culprits = self._culprits(refusal, bodies, first, stop) if stop - first <= BLOCK else set[int]()
                if not culprits:
                    break
                bodies.aside |= culprits
            else:
                return self._root.finish(columns, findings, lambda positions: pc.add(positions, first))
        if stop - first <= SMALLEST_BLOCK:
            bodies.aside.update(range(first, stop))
            return pa.nulls(stop - first, self._root.type)
        return self._in_steps(bodies, first, stop, BLOCK if stop - first > BLOCK else -(-(stop - first) // 2), findings)

    @staticmethod
    def _culprits(refusal: RefusedError, bodies: Bodies, first: int, stop: int) -> set[int]:
        """Return the row that was named, or the few that look like the refusal."""
        left = set(range(first, stop)) - bodies.aside
        if refusal.row is not None:
            return {first + refusal.row} & left
        found = bodies.matching(refusal.looks, left) if refusal.looks else set[int]()
        return found if len(found) <= SMALLEST_BLOCK else set[int]()

    def _has_learned(self, refusal: RefusedError, bodies: Bodies, first: int, stop: int) -> bool:
        """Return whether the refusal taught something by which the next attempt may succeed."""
        if refusal.is_fine_timestamp:
            return self._root.make_finer()
        if not refusal.is_unexpected_field:
            return False
        rows = [row for row in range(first, stop) if row not in bodies.aside][:SAMPLE]
        names, has_learned = set(self._unknown_names), False
        for body in bodies.values.take(pa.array(rows, pa.int64())).to_pylist():
            verdict = self._look(body)
            if isinstance(verdict, Good):
                has_learned = self._root.learn(verdict.values) or has_learned
                paths = json.loads(verdict.unknown or "{}", parse_int=str)
                names.update(found[1] for path in paths if (found := _LAST_NAME.search(path)))
        names -= self._declared
        if len(names) <= MOST_UNKNOWN_NAMES and names > self._unknown_names:
            self._unknown_names = names
            bodies.aside |= bodies.matching(_field_pattern(names))
            has_learned = True
        return has_learned

    def _assemble(self, values: pa.Array, event: pa.StructArray, slow: list[int]) -> pa.StructArray:
        """Put the reference's verdicts on slow rows among the events that are proven good."""
        count, counted = len(event), self._unknown == "count"
        texts = [pa.nulls(count, pa.string())] * 3
        drift = pa.repeat(pa.scalar(0, pa.int32()), count) if counted else pa.nulls(count, pa.string())
        if slow:
            judged = self._judged(values.take(pa.array(slow, pa.int64())))
            flags = [False] * count
            for row in slow:
                flags[row] = True
            mask = pa.array(flags, pa.bool_())
            event = _with_slow_events(event, judged.field(0), slow, mask)
            texts = [pc.replace_with_mask(texts[0], mask, judged.field(i)) for i in (1, 2, 3)]
            drift = pc.replace_with_mask(drift, mask, judged.field(4))
        names = ["event", "reason", "path", "detail", "_unknown_count" if counted else "_unknown"]
        return pa.StructArray.from_arrays([event, *texts, drift], names)


def _with_slow_events(event: pa.StructArray, judged: pa.StructArray, slow: list[int], mask: pa.Array) -> pa.StructArray:
    """Put the reference's events in their rows; without any, an empty place is enough, and far cheaper."""
    if judged.null_count == len(judged):
        children = [event.field(i) for i in range(event.type.num_fields)]
        return pa.StructArray.from_arrays(children, fields=list(event.type), mask=mask)
    places = list(range(len(event)))
    for index, row in enumerate(slow):
        places[row] = len(event) + index
    return pa.concat_arrays([event, judged]).take(pa.array(places, pa.int64()))


def _field_pattern(names: set[str]) -> str:
    """Match bodies that seem to have one of these fields."""
    return f'"(?:{"|".join(sorted(names))})"{_SPACE}:'


def _null_in_map_pattern(maps: list[MapNode]) -> str:
    """Match more than the bodies in which a map holds an explicit null, and few others."""
    names = [node.name for node in maps if node.name is not None and node.is_scalar]
    if len(names) < len(maps) or not all(map(_is_raw, names)):
        return "null"
    raw = "|".join(re.escape(name) for name in names)
    escape = r"\\u00[2-7]" if all(name.isascii() for name in names) else r"\\u"
    entries = r'(?:[^"{}]|"' + _STRING_REST + ")*"
    return f'(?s)"(?:{raw})"{_SPACE}:{_SPACE}\\{{{entries}null|{escape}{_STRING_REST}{_SPACE}:'


def _is_raw(name: str) -> bool:
    r"""Return whether the name, when not written with ``\u``, has only one form in JSON."""
    return json.dumps(name, ensure_ascii=False) == f'"{name}"' and "/" not in name


@lru_cache(maxsize=16)
def shared_reader(schema_json: str, limits: Limits, unknown: UnknownPolicy) -> ArrowReader:
    """Return this process's reader of a schema: Spark reuses workers, so what one batch taught serves the next."""
    return ArrowReader(t.StructType.fromJson(json.loads(schema_json)), limits, unknown)
