"""The bodies of one batch on their way into Arrow's JSON reader: screened, joined, and narrowed when it fails."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from spark_utils.parsing.json_text import check_depth
from spark_utils.parsing.reasons import Limits, RejectedBodyError

MOST_CANDIDATES = 4  # rows of which one is bad: judged singly rather than halved further
MOST_SUSPECTS = 16  # rows whose text looks like the failure: judged singly up to this many
MOST_ATTEMPTS = 40  # readings of one chunk before the rest of it is judged singly
SAFE_LENGTH = 5_000  # bytes; a longer body may nest deeper than the reader's recursion survives when it infers

_UNEXPECTED = "JSON parse error: unexpected field"
_ROW = re.compile(r" in row (\d+)\Z")
_VALUE = re.compile(
    r"couldn't parse:\s?(.*)\Z|The string '(.*)' (?:is|cannot)|JSON to decimal\S+ \S+: (\S+) requires", re.DOTALL
)
_ESCAPE = re.compile(r'["\\\x00-\x1f]')
_TWO_OBJECTS = re.compile(rb"\}[ \t\r\n]*(?:\{|null)")
_SPACE = " \t\n\r"


class UnexpectedFieldError(Exception):
    """A field that the schema does not know; the reader does not say in which row."""


class CulpritsError(Exception):
    """The reader refused the batch.

    Attributes:
        row: The row it named, counted from the first that was read, or None.
        value: The text that did not convert, or None.
        surplus: There were more objects than bodies.
    """

    def __init__(self, message: str, *, surplus: bool = False) -> None:
        row, value = _ROW.search(message), _VALUE.search(message)
        self.row = int(row.group(1)) if row else None
        self.value = next((part for part in value.groups() if part), None) if value else None
        self.surplus = surplus
        super().__init__(message)


class Bodies:
    """The bodies of a batch, and which rows are set aside for the reference.

    Args:
        values: Binary array.
        limits: The largest size and depth.

    Attributes:
        aside: Rows that are read as ``{}``; the reference judges them.
        failures: Chunks that had to be read more than once.
        surprises: Chunks that held a field which the schema does not know.
    """

    def __init__(self, values: pa.Array, limits: Limits) -> None:
        self.values = values
        self.aside: set[int] = set()
        self.failures = 0
        self.surprises = 0
        self._limits = limits
        self._bodies: list[bytes] = []
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
                    self.aside.add(row)

    def _without_aside(self) -> pa.Array:
        if not self.aside:
            return self.values
        flags = [row in self.aside for row in range(len(self.values))]
        return pc.if_else(pa.array(flags, pa.bool_()), pa.scalar(b"{}", pa.binary()), self.values)

    def read(self, wanted: pa.Schema, *, infer: bool) -> pa.StructArray:
        """Read all rows at once.

        Raises:
            UnexpectedFieldError: a field is not in ``wanted`` (never with ``infer``).
            CulpritsError: the reader refused the batch, or did not find one object per body.
        """
        sent = self._without_aside()
        whole = pa.ListArray.from_arrays(pa.array([0, len(sent)], pa.int32()), sent)
        return _read_objects(pc.binary_join(whole, b"\n")[0].as_buffer(), len(sent), wanted, infer)

    def read_in_chunks(self, wanted: pa.Schema, rows: int, *, infer: bool) -> pa.StructArray:
        """Read all rows, a few at a time; rows of chunks that fail are set aside until the rest is read."""
        self._bodies = self.values.to_pylist()
        count = len(self.values)
        chunks = [
            self._read_chunk(list(range(start, min(start + rows, count))), wanted, infer)
            for start in range(0, count, rows)
        ]
        return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)

    def _read_chunk(self, rows: list[int], wanted: pa.Schema, infer: bool) -> pa.StructArray:
        attempts, surprised = 0, False
        while True:
            try:
                return self._read_rows(rows, wanted, infer)
            except CulpritsError as found:
                failure = found
            except UnexpectedFieldError:
                surprised, failure = True, CulpritsError("unexpected field")
            finally:
                attempts += 1
                self.failures += attempts == 2
            self.surprises += surprised
            left = [row for row in rows if row not in self.aside]
            self.aside.update(self._culprits(failure, rows, left, wanted, infer) if attempts < MOST_ATTEMPTS else left)

    def _read_rows(self, rows: list[int], wanted: pa.Schema, infer: bool) -> pa.StructArray:
        bodies = [b"{}" if row in self.aside else self._bodies[row] for row in rows]
        return _read_objects(pa.py_buffer(b"\n".join(bodies)), len(rows), wanted, infer)

    def _culprits(
        self, found: CulpritsError, rows: list[int], left: list[int], wanted: pa.Schema, infer: bool
    ) -> list[int]:
        """Find rows to blame: the one that was named, those that look like the failure, or some by halves."""
        named = rows[found.row] if found.row is not None and found.row < len(rows) else None
        if named is not None and named not in self.aside:
            return [named]
        looks = _TWO_OBJECTS if found.surplus else _written(found.value)
        suspects = self._holding(looks, found.value, left) if looks else []
        if 0 < len(suspects) <= MOST_SUSPECTS:
            return suspects
        return self._by_halves(suspects or left, wanted, infer)

    def _holding(self, looks: re.Pattern[bytes], value: str | None, rows: list[int]) -> list[int]:
        text = (value or "}").encode()  # a plain search first: it is many times as fast
        return [row for row in rows if text in self._bodies[row] and looks.search(self._bodies[row])]

    def _by_halves(self, rows: list[int], wanted: pa.Schema, infer: bool) -> list[int]:
        while len(rows) > MOST_CANDIDATES:
            half = rows[: len(rows) // 2]
            rows = half if self._fails(half, wanted, infer) else rows[len(rows) // 2 :]
        return rows

    def _fails(self, rows: list[int], wanted: pa.Schema, infer: bool) -> bool:
        try:
            self._read_rows(rows, wanted, infer)
        except (CulpritsError, UnexpectedFieldError):
            return True
        return False

    def matching(self, pattern: str, among: set[int] | None = None) -> set[int]:
        """Return the rows not set aside that hold ``null`` and match an RE2 pattern.

        Args:
            pattern: The pattern.
            among: The rows to look at; all by default.
        """
        rows = range(len(self.values)) if among is None else sorted(among)
        texts = self._texts if among is None else self._texts.take(pa.array(rows, pa.int64()))
        found = pc.indices_nonzero(pc.match_substring_regex(texts, pattern)).to_pylist()
        matching = {rows[index] for index in found} - self.aside
        return {row for row in matching if b"null" in self.values[row].as_py()}


def _written(value: str | None) -> re.Pattern[bytes] | None:
    """Match a value as it stands in JSON, with or without quotes; None when escapes could hide it."""
    if not value or _ESCAPE.search(value):
        return None
    return re.compile(rb"[:,\[\s\"]" + re.escape(value.encode()) + rb"[,\]}\s\"]")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_objects(buffer: pa.Buffer, count: int, wanted: pa.Schema, infer: bool) -> pa.StructArray:
    """Read one block of as many objects as bodies; the fields are those of ``wanted`` and then the inferred ones.

    The first value must be an object: pyarrow 26 ends the process (SIGSEGV) when it is ``null``.
    """
    options = pj.ReadOptions(use_threads=False, block_size=buffer.size + 1)
    behaviour = "infer" if infer else "error"
    parsing = pj.ParseOptions(explicit_schema=wanted, unexpected_field_behavior=behaviour)
    try:
        table = pj.read_json(pa.BufferReader(buffer), read_options=options, parse_options=parsing)
    except pa.ArrowInvalid as error:
        message = str(error)
        if message == _UNEXPECTED:  # the whole message: others end with text of the body
            raise UnexpectedFieldError from None
        raise CulpritsError(message) from None
    if table.num_rows != count:
        raise CulpritsError(f"{table.num_rows} objects", surplus=True)
    columns = [_one_chunk(column) for column in table.columns]
    try:
        return pa.StructArray.from_arrays(columns, fields=list(table.schema))
    except pa.ArrowInvalid as error:
        raise CulpritsError(str(error)) from None  # pyarrow 26 loses the first null of an inferred list


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
