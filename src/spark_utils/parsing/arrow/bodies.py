"""The bodies of one batch on their way into Arrow's JSON reader: screened, joined and read as one block."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from spark_utils.parsing.reasons import Limits

_UNEXPECTED = "JSON parse error: unexpected field"
_ROW = re.compile(r" in row (\d+)\Z")
_FINE_TIMESTAMP = re.compile(r"couldn't parse:\s*\S{10,}[.]\d{6}0+\S*\Z")
_VALUE = re.compile(
    r"couldn't parse:\s?(.*)\Z|The string '(.*)' (?:is|cannot)|JSON to decimal\S+ \S+: (\S+) requires", re.DOTALL
)
_PLAIN = re.compile(r"[A-Za-z0-9.:+_-]{1,64}")  # has one form in JSON, but for escapes
_TWO_OBJECTS = r"\}[ \t\r\n]*(?:\{|null)"
_SPACE = " \t\n\r"
# An exponent of more than four digits, or an escape that may hide one. RE2 is twice as quick at finding the few bodies
# that seem to have one: a pattern that begins with a digit stops it at each number.
_SEEMING_EXPONENT = r"[eE][+-]?[0-9]{5}"
_LONG_EXPONENT = rf"[0-9.]{_SEEMING_EXPONENT}"
_ESCAPE = r"\\u00[2346]"


class RefusedError(Exception):
    """Arrow refused the block, or did not find one object per body.

    Attributes:
        row: The row it named, counted from the first that was read, or None.
        looks: What a culprit looks like, as an RE2 pattern, where the reader names a value or found too many objects.
        is_unexpected_field: There is a field that was not asked for; the reader does not say in which row.
        is_fine_timestamp: A timestamp has more than six digits behind the second.
    """

    def __init__(self, message: str) -> None:
        row = _ROW.search(message)
        self.row = int(row.group(1)) if row else None
        self.is_unexpected_field = message == _UNEXPECTED  # the whole message: others end with text of the body
        self.is_fine_timestamp = _FINE_TIMESTAMP.search(message) is not None
        value = _VALUE.search(message)
        written = next((part for part in value.groups() if part), None) if value else None
        self.looks = _TWO_OBJECTS if message.endswith(" objects") else None
        if written and _PLAIN.fullmatch(written):
            self.looks = rf'[:,\[\s"]{re.escape(written)}[,\]}}\s"]'
        super().__init__(message)


class Bodies:
    """The bodies of a batch, and which rows the reference has to judge.

    Args:
        values: Binary array.
        limits: The largest size and depth.
        has_decimals: Whether the schema has a decimal column: pyarrow 26 ends the process (SIGSEGV) on a number with
            a long exponent there, so such bodies must not reach it.

    Attributes:
        values: The bodies.
        aside: Rows for the reference; Arrow reads them as ``{}``, which keeps every other row in its place.
    """

    def __init__(self, values: pa.Array, limits: Limits, *, has_decimals: bool) -> None:
        self.values = values
        too_large = pc.greater(pc.binary_length(values), limits.max_body_bytes)
        self.aside: set[int] = set(pc.indices_nonzero(too_large.fill_null(True)).to_pylist())
        try:
            self._texts = values.cast(pa.string())
        except pa.ArrowInvalid:
            self.aside.update(i for i, body in enumerate(values.to_pylist()) if body is not None and not _is_utf8(body))
            self._texts = self._sent(0, len(values)).cast(pa.string())
        whole = pc.and_(pc.starts_with(self._texts, "{"), pc.ends_with(self._texts, "}"))
        for row in pc.indices_nonzero(pc.invert(whole.fill_null(False))).to_pylist():
            if row not in self.aside:
                text = self._texts[row].as_py().strip(_SPACE)
                if not (text.startswith("{") and text.endswith("}")):
                    self.aside.add(row)
        if has_decimals:
            self.aside |= self.matching(_LONG_EXPONENT, self.matching(_SEEMING_EXPONENT)) | self.matching(_ESCAPE)

    def matching(self, pattern: str, among: set[int] | None = None) -> set[int]:
        """Return the rows, of all or of some, whose text matches an RE2 pattern."""
        rows = range(len(self.values)) if among is None else sorted(among)
        texts = self._texts if among is None else self._texts.take(pa.array(rows, pa.int64()))
        return {rows[index] for index in pc.indices_nonzero(pc.match_substring_regex(texts, pattern)).to_pylist()}

    def read(self, first: int, stop: int, wanted: pa.Schema) -> pa.StructArray:
        """Read the rows from one to before another as one block.

        Raises:
            RefusedError: A body is not what ``wanted`` says, or there is not one object per body.
        """
        sent = self._sent(first, stop)
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(sent)], pa.int32()), sent), b"\n")[0]
        buffer = joined.as_buffer()
        options = pj.ReadOptions(use_threads=False, block_size=buffer.size + 1)
        parsing = pj.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="error")
        try:
            table = pj.read_json(pa.BufferReader(buffer), read_options=options, parse_options=parsing)
        except pa.ArrowInvalid as error:
            raise RefusedError(str(error)) from None
        if table.num_rows != len(sent):
            raise RefusedError(f"{table.num_rows} objects")
        columns = [column.combine_chunks() for column in table.columns]
        return pa.StructArray.from_arrays(columns, fields=list(table.schema))

    def _sent(self, first: int, stop: int) -> pa.Array:
        """Return the bodies that Arrow gets, of which each is an object: a first ``null`` would end the process."""
        values = self.values.slice(first, stop - first)
        if self.aside.isdisjoint(range(first, stop)):
            return values
        flags = pa.array([row in self.aside for row in range(first, stop)], pa.bool_())
        return pc.if_else(flags, pa.scalar(b"{}", pa.binary()), values)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
