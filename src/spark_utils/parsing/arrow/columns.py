"""From what Arrow's JSON reader returns to the declared columns, naming the rows that are not proven good.

A node per part of the schema says how the part is read (``read_type``) and how it is finished (``finish``):
strictly cast, checked for what the reader lets through (nulls in required fields, NaN, decimals beyond their
precision, years beyond 9999, offsets in local timestamps), and relieved of fields that the schema does not know.
Nothing here gives a verdict: a doubtful row is only named, and the reference judges it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t

from spark_utils.parsing.arrow.slow_rows import arrow_type
from spark_utils.parsing.reasons import RejectedBodyError
from spark_utils.parsing.scalars import leaf_converter

MOST_MAP_KEYS = 256  # a map is read as a struct of its keys; one with more of them is left to the reference

_FIRST_MOMENT = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z in microseconds
_LAST_MOMENT = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z

RowsOf = Callable[[Any], Any]


class TooManyKeysError(Exception):
    """A map whose keys are data: its struct would be wider than is worth reading."""


class NewKeysError(Exception):
    """A map key that the reading type did not declare, so its value was inferred: learned now, read again."""


class Findings:
    """What a batch showed.

    Attributes:
        doubtful: Rows that are not proven good.
        drifting: Rows that hold an unknown field.
        narrow_maps: Rows with a map that lacks a key of other rows, or holds null there: the text will tell.
        unknown_names: The names of all unknown fields.
    """

    def __init__(self) -> None:
        self.doubtful: set[int] = set()
        self.drifting: set[int] = set()
        self.narrow_maps: set[int] = set()
        self.unknown_names: set[str] = set()

    def doubt(self, mask: pa.Array, rows: RowsOf) -> None:
        """Name the rows whose mask is true."""
        self.doubtful.update(rows(pc.indices_nonzero(mask)).to_pylist())

    def drift(self, name: str, column: pa.Array, rows: RowsOf) -> None:
        """Name the rows that hold an unknown field; an explicit null is found by its name, later."""
        self.unknown_names.add(name)
        self.drifting.update(rows(pc.indices_nonzero(column.is_valid())).to_pylist())


class Node:
    """One part of the schema, a scalar unless a subclass says otherwise."""

    def __init__(self, data_type: t.DataType) -> None:
        self.type = arrow_type(data_type)
        self._convert = leaf_converter(data_type)

    def read_type(self) -> pa.DataType:
        """Return the type that the JSON reader is asked for."""
        return self.type

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """Return the column in its declared type; ``rows`` turns positions in the column into rows of the batch."""
        bad = self.bad_values(column)
        if bad is None:
            return column
        findings.doubt(bad, rows)
        return pc.if_else(bad, pa.scalar(None, self.type), column)

    def bad_values(self, column: pa.Array) -> pa.Array | None:  # noqa: ARG002 - a scalar without further checks
        """Return a mask of the values that are not proven good, None when all are."""
        return None

    def maps(self) -> Iterator[MapNode]:
        """Yield the maps in this part of the schema."""
        yield from ()


class FloatNode(Node):
    """``NaN`` and ``Infinity`` pass Arrow's reader, and 1e39 becomes an infinite float."""

    def bad_values(self, column: pa.Array) -> pa.Array | None:
        """See ``Node``."""
        total = pc.sum(column).as_py()
        if total is None or math.isfinite(total):
            return None  # one that is not finite would show in the sum
        return pc.invert(pc.is_finite(column))


class DecimalNode(Node):
    """The reader checks scale and 38 digits, not the declared precision."""

    def bad_values(self, column: pa.Array) -> pa.Array | None:
        """See ``Node``."""
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            limit = 10 ** (self.type.precision - self.type.scale)
            return pa.array([v is not None and abs(v) >= limit for v in column.to_pylist()], pa.bool_())
        return None


class TimestampNode(Node):
    """The reader takes the years 0000 and, by an offset, 10000."""

    def bad_values(self, column: pa.Array) -> pa.Array | None:
        """See ``Node``."""
        moments = column.view(pa.int64())
        ends = pc.min_max(moments).as_py()
        if ends["min"] is None or (ends["min"] >= _FIRST_MOMENT and ends["max"] <= _LAST_MOMENT):
            return None
        return pc.or_(pc.less(moments, _FIRST_MOMENT), pc.greater(moments, _LAST_MOMENT))


class TextNode(Node):
    """Dates, local timestamps and binary: read as text, then cast by Arrow or value by value."""

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        return pa.string()

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        if pa.types.is_date32(self.type):
            try:
                dates = column.cast(self.type)
                first = pc.min(dates.view(pa.int32())).as_py()
                if first is None or first >= _FIRST_MOMENT // 86_400_000_000:
                    return dates
            except pa.ArrowInvalid:
                pass  # some text is no date: the loop below finds it
        values = [self._value(text) for text in column.to_pylist()]
        bad = pa.array([value is _BAD for value in values], pa.bool_())
        findings.doubt(bad, rows)
        return pa.array([None if value is _BAD else value for value in values], self.type)

    def _value(self, text: str | None) -> Any:
        try:
            return None if text is None or self._convert is None else self._convert(text, ())
        except RejectedBodyError:
            return _BAD


_BAD = object()


class StructNode(Node):
    """An object with declared fields; other fields are drift."""

    def __init__(self, data_type: t.StructType) -> None:
        self.type = arrow_type(data_type)
        self.fields = [(f.name, f.nullable, node_of(f.dataType)) for f in data_type.fields]

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        return pa.struct([pa.field(name, node.read_type()) for name, _, node in self.fields])

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        children = []
        for index, (_, nullable, node) in enumerate(self.fields):
            child = column.field(index)
            if not nullable and child.null_count:
                findings.doubt(pc.and_(column.is_valid(), child.is_null()), rows)
            children.append(node.finish(child, findings, rows))
        for index in range(len(self.fields), column.type.num_fields):
            findings.drift(column.type.field(index).name, column.field(index), rows)
        mask = column.is_null() if column.null_count else None
        return pa.StructArray.from_arrays(children, fields=list(self.type), mask=mask)

    def maps(self) -> Iterator[MapNode]:
        """See ``Node``."""
        for name, _, node in self.fields:
            if isinstance(node, MapNode):
                node.name = name
            yield from node.maps()


class ListNode(Node):
    """An array."""

    def __init__(self, data_type: t.ArrayType) -> None:
        self.type = arrow_type(data_type)
        self.element = node_of(data_type.elementType)
        self.may_be_null = data_type.containsNull

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        return pa.list_(self.element.read_type())

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        values = column.values

        def rows_of(positions: Any) -> Any:
            return rows(pc.list_parent_indices(column).take(positions))

        if not self.may_be_null and values.null_count:
            findings.doubt(values.is_null(), rows_of)
        finished = self.element.finish(values, findings, rows_of)
        mask = column.is_null() if column.null_count else None
        return pa.ListArray.from_arrays(column.offsets, finished, type=self.type, mask=mask)

    def maps(self) -> Iterator[MapNode]:
        """See ``Node``."""
        yield from self.element.maps()


class MapNode(Node):
    """An object whose keys are data, read as a struct of all the keys met so far and then turned.

    The entries of a map come out in the order in which this worker first met the keys. A null value cannot be told
    from an absent key here: ``arrow_reader`` looks for such rows in the text.
    """

    def __init__(self, data_type: t.MapType) -> None:
        self.type = arrow_type(data_type)
        self.value = node_of(data_type.valueType)
        self.scalar = not isinstance(data_type.valueType, (t.StructType, t.ArrayType, t.MapType))
        self.name: str | None = None
        self.keys: list[str] = []

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        value = self.value.read_type()
        return pa.struct([pa.field(key, value) for key in self.keys])

    def learn(self, column: pa.Array) -> None:
        """Add the keys that the reader met and did not know."""
        met = [field.name for field in column.type]
        self.keys = [] if len(met) > MOST_MAP_KEYS else met
        if not self.keys:
            raise TooManyKeysError
        raise NewKeysError

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        if column.type.num_fields > len(self.keys):
            self.learn(column)
        children = [column.field(k) for k in range(len(self.keys))]
        kept = [pc.indices_nonzero(child.is_valid()) for child in children]
        values = [self._values(*each, findings, rows) for each in zip(children, kept, strict=True)]
        items = _concat(values, self.type.item_type)
        keys = pa.DictionaryArray.from_arrays(
            _concat([pa.repeat(pa.scalar(i, pa.int32()), len(k)) for i, k in enumerate(kept)], pa.int32()),
            pa.array(self.keys, pa.string()),
        )
        if len(children) > 1:
            order = _by_row(kept)
            items, keys = items.take(order), keys.take(order)
        sizes = _sizes(children, len(column))
        if children:
            findings.narrow_maps.update(_rows_with_fewer(column, sizes, len(children), rows))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(sizes)])
        mask = column.is_null() if column.null_count else None
        return pa.MapArray.from_arrays(offsets, keys.cast(pa.string()), items, type=self.type, mask=mask)

    def _values(self, child: pa.Array, kept: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """Finish the values of one key."""
        return self.value.finish(child.drop_null(), findings, lambda positions: rows(kept.take(positions)))

    def maps(self) -> Iterator[MapNode]:
        """See ``Node``."""
        yield self
        yield from self.value.maps()


def _concat(arrays: list[pa.Array], data_type: pa.DataType) -> pa.Array:
    return pa.concat_arrays(arrays) if arrays else pa.array([], data_type)


def _by_row(kept: list[pa.Array]) -> pa.Array:
    """Return the order that brings entries, which come key by key, to their rows, the keys of a row in order."""
    width = pa.scalar(len(kept), pa.uint64())
    places = [pc.add(pc.multiply(rows, width), pa.scalar(key, pa.uint64())) for key, rows in enumerate(kept)]
    return pc.sort_indices(pa.concat_arrays(places))


def _sizes(children: list[pa.Array], count: int) -> pa.Array:
    """Count the valid children of each row."""
    sizes = pa.repeat(pa.scalar(0, pa.int32()), count)
    for child in children:
        sizes = pc.add(sizes, child.is_valid().cast(pa.int32()))
    return sizes


def _rows_with_fewer(column: pa.Array, sizes: pa.Array, width: int, rows: RowsOf) -> list[int]:
    fewer = pc.and_(column.is_valid(), pc.less(sizes, width))
    found: list[int] = rows(pc.indices_nonzero(fewer)).to_pylist()
    return found


def node_of(data_type: t.DataType) -> Node:
    """Return the node of a part of the schema."""
    kinds: dict[type[t.DataType], Callable[[Any], Node]] = {
        t.StructType: StructNode,
        t.ArrayType: ListNode,
        t.MapType: MapNode,
        t.FloatType: FloatNode,
        t.DoubleType: FloatNode,
        t.DecimalType: DecimalNode,
        t.TimestampType: TimestampNode,
        t.TimestampNTZType: TextNode,
        t.DateType: TextNode,
        t.BinaryType: TextNode,
    }
    return kinds.get(type(data_type), Node)(data_type)
