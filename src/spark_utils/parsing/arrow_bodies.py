"""The bodies of one batch on their way into Arrow's JSON reader: screened, joined, and narrowed when it fails."""

from __future__ import annotations

import re
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from spark_utils.parsing.json_text import check_depth
from spark_utils.parsing.reasons import Limits, RejectedBodyError

MOST_CANDIDATES = 8  # rows that hold the text of a value that did not convert: judged singly up to this many
MOST_ATTEMPTS = 200  # readings of one piece before the rest of it is judged singly
SAFE_LENGTH = 5_000  # bytes; a longer body may nest deeper than the reader's recursion survives when it infers

_ROW = re.compile(r" in row (\d+)\Z")
_VALUE = re.compile(
    r"couldn't parse:\s?(.*)\Z|The string '(.*)' (?:is|cannot)|JSON to decimal\S+ \S+: (\S+) requires", re.DOTALL
)
_ESCAPE = re.compile(r'["\\\x00-\x1f]')
_SPACE = " \t\n\r"


class UnexpectedFieldError(Exception):
    """A field that the schema does not know; the reader does not say in which row."""


class CulpritsError(Exception):
    """The reader refused the batch; ``row`` is the row it named, or ``value`` the text that did not convert."""

    def __init__(self, message: str, first_row: int) -> None:
        row, value = _ROW.search(message), _VALUE.search(message)
        self.row = first_row + int(row.group(1)) if row else None
        self.value = next((part for part in value.groups() if part), None) if value else None
        super().__init__(message)


class Bodies:
    """The bodies of a batch, and which rows are set aside for the reference.

    Args:
        values: Binary array.
        limits: The largest size and depth.
    """

    def __init__(self, values: pa.Array, limits: Limits) -> None:
        self.values = values
        self.aside: set[int] = set()
        self._limits = limits
        self._attempts = 0
        self._buffer: pa.Buffer | None = None
        self._sent = values
        self._starts: list[int] = []
        self._screen()

    def _screen(self) -> None:
        """Set aside what cannot be one JSON object; all rows are looked at together."""
        values = self.values
        doubtful = pc.greater(pc.binary_length(values), self._limits.max_body_bytes)
        try:
            self._texts = values.cast(pa.string())
        except pa.ArrowInvalid:
            self.aside.update(i for i, body in enumerate(values.to_pylist()) if body is not None and not _is_utf8(body))
            self._texts = self._without_aside().cast(pa.string())
        whole = pc.and_(pc.starts_with(self._texts, "{"), pc.ends_with(self._texts, "}"))
        self.aside.update(pc.indices_nonzero(doubtful.fill_null(True)).to_pylist())
        for row in pc.indices_nonzero(pc.invert(whole.fill_null(False))).to_pylist():
            if row not in self.aside:
                text = self._texts[row].as_py().strip(_SPACE)
                if not (text.startswith("{") and text.endswith("}")):
                    self.aside.add(row)

    def set_aside_deep(self) -> None:
        """Set aside bodies nested too deep: when Arrow infers types, tens of thousands of levels end the process."""
        for row in pc.indices_nonzero(pc.greater(pc.binary_length(self.values), SAFE_LENGTH)).to_pylist():
            if row not in self.aside:
                try:
                    check_depth(self._texts[row].as_py(), self._limits.max_depth)
                except RejectedBodyError:
                    self._set_aside({row})

    def _set_aside(self, rows: set[int]) -> None:
        self.aside |= rows
        self._buffer = None

    def _without_aside(self) -> pa.Array:
        if not self.aside:
            return self.values
        flags = [row in self.aside for row in range(len(self.values))]
        return pc.if_else(pa.array(flags, pa.bool_()), pa.scalar(b"{}", pa.binary()), self.values)

    def _joined(self) -> pa.Buffer:
        if self._buffer is None:
            self._sent = self._without_aside()
            whole = pa.ListArray.from_arrays(pa.array([0, len(self._sent)], pa.int32()), self._sent)
            self._buffer = pc.binary_join(whole, b"\n")[0].as_buffer()
            self._starts = []
        return self._buffer

    def read(self, wanted: pa.Schema, *, infer: bool) -> pa.StructArray:
        """Read all rows.

        Raises:
            UnexpectedFieldError: a field is not in ``wanted`` (never with ``infer``).
            CulpritsError: the reader refused the batch, or did not find one object per body.
        """
        buffer = self._joined()
        columns = _read_json(buffer, wanted, infer, 0)
        if len(columns) != len(self.values):
            raise CulpritsError(f"{len(columns)} objects", 0)
        return columns

    def narrow(self, found: CulpritsError, wanted: pa.Schema, *, infer: bool) -> None:
        """Set aside at least one more row, and as many as one pass over the rest shows to be malformed."""
        self._joined()
        pending: CulpritsError | None = found
        while pending is not None:
            self._attempts += 1
            if self._attempts > MOST_ATTEMPTS:
                self._set_aside(set(range(len(self.values))))
                return
            row = pending.row
            if row is None or row in self.aside or row >= len(self.values):
                self._set_aside(self._culprits(pending, wanted, infer))
                return
            self.aside.add(row)
            pending = self._next_failure(row + 1, wanted, infer)
        self._buffer = None

    def _next_failure(self, start: int, wanted: pa.Schema, infer: bool) -> CulpritsError | None:
        """Read on behind a row that was named: what stands before it is read again at the end, in one go."""
        if start >= len(self.values):
            return None
        try:
            _read_json(self._joined().slice(self._start_of(start)), wanted, infer, start)
        except CulpritsError as error:
            return error if error.row is not None else None
        except UnexpectedFieldError:
            return None
        return None

    def _start_of(self, row: int) -> int:
        if not self._starts:
            lengths = pc.binary_length(self._sent).to_pylist()  # not what is aside by now, but what was joined
            self._starts = list(accumulate((length + 1 for length in lengths), initial=0))
        return self._starts[row]

    def _culprits(self, found: CulpritsError, wanted: pa.Schema, infer: bool) -> set[int]:
        """Find a row that the reader did not name: by the text of the value, or by halves."""
        rows = [row for row in range(len(self.values)) if row not in self.aside]
        if found.value and not _ESCAPE.search(found.value):
            text = found.value.encode()
            holding = [row for row in rows if text in self.values[row].as_py()]
            rows = holding or rows
            if len(holding) <= MOST_CANDIDATES:
                return set(rows)
        return self._by_halves(rows, wanted, infer)

    def _by_halves(self, rows: list[int], wanted: pa.Schema, infer: bool) -> set[int]:
        while len(rows) > MOST_CANDIDATES:
            half = rows[: len(rows) // 2]
            rows = half if self._fails(half, wanted, infer) else rows[len(rows) // 2 :]
        return set(rows)

    def _fails(self, rows: list[int], wanted: pa.Schema, infer: bool) -> bool:
        self._attempts += 1
        bodies = b"\n".join(self.values[row].as_py() for row in rows)
        try:
            return len(_read_json(pa.py_buffer(bodies), wanted, infer, 0)) != len(rows)
        except (CulpritsError, UnexpectedFieldError):
            return True

    def matching(self, pattern: str, needed: bytes) -> set[int]:
        """Return the rows not set aside that hold ``needed`` and match an RE2 pattern."""
        rows = pc.indices_nonzero(pc.match_substring_regex(self._texts, pattern)).to_pylist()
        return {row for row in rows if row not in self.aside and needed in self.values[row].as_py()}


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_json(buffer: pa.Buffer, wanted: pa.Schema, infer: bool, first_row: int) -> pa.StructArray:
    """Read one block of objects into one struct array, its fields those of ``wanted`` and then the inferred ones.

    The first value must be an object: pyarrow 26 ends the process (SIGSEGV) when it is ``null``.
    """
    options = pj.ReadOptions(use_threads=False, block_size=buffer.size + 1)
    behaviour = "infer" if infer else "error"
    parsing = pj.ParseOptions(explicit_schema=wanted, unexpected_field_behavior=behaviour)
    try:
        table = pj.read_json(pa.BufferReader(buffer), read_options=options, parse_options=parsing)
    except pa.ArrowInvalid as error:
        message = str(error)
        if message.endswith("unexpected field"):
            raise UnexpectedFieldError from None
        raise CulpritsError(message, first_row) from None
    columns = [_one_chunk(column) for column in table.columns]
    return pa.StructArray.from_arrays(columns, fields=list(table.schema))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
