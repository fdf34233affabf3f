"""Judge a batch of bodies with Arrow's JSON reader: what it cannot prove good goes to the reference, row by row.

Why a batch that the reader accepts is good (measured on pyarrow 26; the tests hold it to the reference): every body
starts with ``{`` and ends with ``}``, and they are joined by newlines, which no JSON string may hold. So at each seam
one body's last ``}`` meets the next one's ``{``, which JSON allows between two root values only, and as many rows as
bodies means one object per body. Rows that are set aside are read as ``{}``, which keeps every row in its place.
What the reader lets through is checked in ``arrow_columns``.
"""

from __future__ import annotations

import json
import logging
import math
import re
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t

from spark_utils.parsing.arrow.bodies import Bodies, CulpritsError, UnexpectedFieldError
from spark_utils.parsing.arrow.columns import Findings, MapNode, NewKeysError, StructNode, TooManyKeysError
from spark_utils.parsing.arrow.slow_rows import verdicts_array
from spark_utils.parsing.columns import schema_depth
from spark_utils.parsing.reasons import Limits, RejectedBodyError
from spark_utils.parsing.reference import (
    UnknownPolicy,
    compile_classifier,
    compile_unknown_finder,
    compile_unknown_writer,
)

# Where bodies fail, rows are read in chunks. A reading costs as much as about 100 rows, and each bad row half a chunk:
# so m rows at once are best where m² times the share of bad rows is about 200.
FIRST_CHUNK, SHORTEST_CHUNK, LONGEST_CHUNK = 128, 32, 2048
CHUNK_BALANCE = 200
ROWS_OF_PIECE = 256  # the same where the stream drifts too: a piece has its own inferred types
DRIFT_TO_INFER = 0.3  # share of chunks with unknown fields from which types are inferred for all
BYTES_AT_ONCE = 64 * 1024 * 1024  # of bodies in one reading; also keeps offsets far from 32 bits

_log = logging.getLogger(__name__)

_SPACE = r"[ \t\n\r]*"
_STRING_REST = r'(?:[^"\\]|\\.)*"'


class ArrowReader:
    """Reads batches of bodies into one schema.

    It learns as it goes (the keys of maps, whether the stream drifts or holds bad rows): keep one per worker.

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
        self._find_unknown = compile_unknown_finder(schema, limits)
        self._text_of = compile_unknown_writer(limits, unknown)
        self._root = StructNode(schema)
        self._maps = list(self._root.maps())
        self._null_in_map = _null_in_map_pattern(self._maps)
        self._provable = schema_depth(schema) <= limits.max_depth
        self.faults = 0
        self._fails = False
        self._drifts = False
        self._chunk = FIRST_CHUNK

    def verdicts(self, bodies: pa.Array) -> pa.StructArray:
        """Judge bodies.

        Args:
            bodies: Binary array, one body per row.

        Returns:
            As many rows, with the fields of ``verdict_type``.
        """
        if not self._provable or not len(bodies):
            return self._judged(bodies)
        step = len(bodies)
        if bodies.nbytes > BYTES_AT_ONCE:
            step = max(1, step * BYTES_AT_ONCE // bodies.nbytes)
        if self._fails and self._drifts:
            step = min(step, ROWS_OF_PIECE)
        pieces = [self._piece(bodies.slice(start, step)) for start in range(0, len(bodies), step)]
        return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)

    def _judged(self, bodies: pa.Array) -> pa.StructArray:
        return verdicts_array(bodies.to_pylist(), self._judge, self._schema, self._unknown)

    def _piece(self, values: pa.Array) -> pa.StructArray:
        bodies = Bodies(values, self._limits)
        while True:
            try:
                return self._read(bodies)
            except NewKeysError:
                continue  # learned: read again, with the keys declared
            except TooManyKeysError:
                return self._judged(values)
            except UnexpectedFieldError:
                if self._drifts:  # while types are inferred, no field is unexpected
                    return self._judged(values)
                self._drifts = True
            except CulpritsError:
                self._fails = True
                if self._drifts and len(values) > ROWS_OF_PIECE:
                    starts = range(0, len(values), ROWS_OF_PIECE)
                    return pa.concat_arrays([self._piece(values.slice(start, ROWS_OF_PIECE)) for start in starts])
            except Exception as fault:  # the reference is slow, and right
                self.faults += 1
                _log.warning("Arrow's reader failed with %s: judging body by body", type(fault).__name__)
                return self._judged(values)

    def _read_type(self) -> pa.Schema:
        return pa.schema(list(self._root.read_type()))

    def _columns(self, bodies: Bodies) -> pa.StructArray:
        """Read a piece as the last one went: at once, in chunks where bodies fail, with inferred fields in a drift."""
        wanted = self._read_type()
        if not self._fails:
            if self._drifts:
                bodies.set_aside_deep()
            return bodies.read(wanted, infer=self._drifts)
        if self._drifts:
            bodies.set_aside_deep()
            columns = bodies.read_in_chunks(wanted, len(bodies.values), infer=True)
        else:
            screened = len(bodies.aside)
            columns = bodies.read_in_chunks(wanted, self._chunk, infer=False)
            self._drifts = bodies.surprises * self._chunk > len(bodies.values) * DRIFT_TO_INFER
            self._chunk = _best_chunk(len(bodies.aside) - screened, len(bodies.values))
        self._fails = bodies.failures > 0
        return columns

    def _read(self, bodies: Bodies) -> pa.StructArray:
        inferred = self._drifts
        columns = self._columns(bodies)
        findings = Findings()
        event = self._root.finish(columns, findings, lambda positions: positions)
        doubtful = findings.doubtful | bodies.aside
        if findings.narrow_maps:
            doubtful |= bodies.matching(self._null_in_map, findings.narrow_maps)
        unknown: dict[int, tuple[str | None, int]] = {}
        if inferred:  # only then does a reading show unknown fields; otherwise _columns has counted surprises
            self._drifts = bool(findings.unknown_names)
        if findings.unknown_names:
            drifting = findings.drifting | bodies.matching(_explicit_null(findings.unknown_names))
            if self._unknown == "reject":
                doubtful |= drifting
            else:
                unknown = self._unknown_fields(bodies, drifting - doubtful, doubtful)
        return self._assemble(bodies, event, sorted(doubtful), unknown)

    def _unknown_fields(self, bodies: Bodies, rows: set[int], doubtful: set[int]) -> dict[int, tuple[str | None, int]]:
        unknown = {}
        places = sorted(rows)
        for row, body in zip(places, bodies.values.take(pa.array(places, pa.int64())).to_pylist(), strict=True):
            try:
                found = self._find_unknown(body)
                unknown[row] = (self._text_of(found), len(found))
            except (RejectedBodyError, ValueError):  # what Arrow accepts and Python does not, such as Inf
                doubtful.add(row)
        return unknown

    def _assemble(
        self, bodies: Bodies, event: pa.StructArray, slow: list[int], unknown: dict[int, tuple[str | None, int]]
    ) -> pa.StructArray:
        count = len(event)
        counted = self._unknown == "count"
        texts = [pa.nulls(count, pa.string())] * 3
        drift = pa.repeat(pa.scalar(0, pa.int32()), count) if counted else pa.nulls(count, pa.string())
        if unknown:
            values = [found[int(counted)] for found in unknown.values()]  # in the order of rows
            drift = pc.replace_with_mask(drift, _mask(unknown, count), pa.array(values, drift.type))
        if slow:
            judged = self._judged(bodies.values.take(pa.array(slow, pa.int64())))
            mask = _mask(slow, count)
            event = _with_slow_events(event, judged.field(0), slow, mask)
            texts = [pc.replace_with_mask(texts[0], mask, judged.field(i)) for i in (1, 2, 3)]
            drift = pc.replace_with_mask(drift, mask, judged.field(4))
        names = ["event", "reason", "path", "detail", "_unknown_count" if counted else "_unknown"]
        return pa.StructArray.from_arrays([event, *texts, drift], names)


def _best_chunk(bad: int, rows: int) -> int:
    best = math.sqrt(CHUNK_BALANCE * rows / max(bad, 0.5))
    return round(min(max(best, SHORTEST_CHUNK), LONGEST_CHUNK))


def _with_slow_events(event: pa.StructArray, judged: pa.StructArray, slow: list[int], mask: pa.Array) -> pa.StructArray:
    """Put the reference's events in their rows; without any, an empty place is enough, and far cheaper."""
    if judged.null_count == len(judged):
        children = [event.field(i) for i in range(event.type.num_fields)]
        return pa.StructArray.from_arrays(children, fields=list(event.type), mask=mask)
    places = list(range(len(event)))
    for index, row in enumerate(slow):
        places[row] = len(event) + index
    return pa.concat_arrays([event, judged]).take(pa.array(places, pa.int64()))


def _mask(rows: list[int] | dict[int, tuple[str | None, int]], count: int) -> pa.Array:
    flags = [False] * count
    for row in rows:
        flags[row] = True
    return pa.array(flags, pa.bool_())


def _null_in_map_pattern(maps: list[MapNode]) -> str:
    """Match more than the bodies in which a map holds an explicit null, and few others."""
    names = [node.name for node in maps if node.name is not None and node.scalar]
    if len(names) < len(maps) or not all(map(_is_raw, names)):
        return "null"
    entries = r'(?:[^"{}]|"' + _STRING_REST + ")*"
    return _named(names, r"\{" + entries + "null")


def _explicit_null(names: set[str]) -> str:
    """Match more than the bodies in which one of these fields is null, and few others."""
    return _named(sorted(names), "null") if all(map(_is_raw, names)) else "null"


def _named(names: list[str], value: str) -> str:
    """Match a field by its raw name, or any name written with an escape that could stand for it."""
    raw = "|".join(re.escape(name) for name in names)
    escape = r"\\u00[2-7]" if all(name.isascii() for name in names) else r"\\u"
    return f'(?s)"(?:{raw})"{_SPACE}:{_SPACE}{value}|{escape}{_STRING_REST}{_SPACE}:'


def _is_raw(name: str) -> bool:
    r"""Whether the name, when not written with ``\u``, has only one form in JSON."""
    return json.dumps(name, ensure_ascii=False) == f'"{name}"' and "/" not in name


@lru_cache(maxsize=16)
def shared_reader(schema_json: str, limits: Limits, unknown: UnknownPolicy) -> ArrowReader:
    """Return this process's reader of a schema: Spark reuses workers, so what one batch taught serves the next."""
    return ArrowReader(t.StructType.fromJson(json.loads(schema_json)), limits, unknown)
