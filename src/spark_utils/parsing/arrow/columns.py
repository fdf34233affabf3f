"""From what Arrow's JSON reader returns to the declared columns, naming the rows that are not proven good.

A node per part of the schema says how the part is read (``read_type``) and how it is finished (``finish``):
strictly cast, checked for what the reader lets through (nulls in required fields, NaN, decimals beyond their
precision, years beyond 9999, offsets in local timestamps).
Nothing here gives a verdict: a row that is not proven good is only named, and the reference judges it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t

from spark_utils.parsing.arrow.slow_rows import arrow_type
from spark_utils.parsing.reasons import RejectedBodyError
from spark_utils.parsing.scalars import scalar_converter

MOST_MAP_KEYS = 128  # a map is read as a struct of its keys; one with more of them is left to the reference

_FIRST_MOMENT = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z in microseconds
_LAST_MOMENT = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z

RowsOf = Callable[[Any], Any]


class Findings:
    """What a batch showed.

    Attributes:
        unproven: Rows that are not proven good.
        narrow_maps: Rows with a map that lacks a key of other rows, or holds null there: the text will tell.
    """

    def __init__(self) -> None:
        self.unproven: set[int] = set()
        self.narrow_maps: set[int] = set()

    def question(self, mask: pa.Array, rows: RowsOf) -> None:
        """Name the rows whose mask is true."""
        self.unproven.update(rows(pc.indices_nonzero(mask)).to_pylist())


class Node:
    """One part of the schema, a scalar unless a subclass says otherwise."""

    name: str | None = None  # of the field, where a struct holds this part directly
    inner: Sequence[Node] = ()  # the parts of this part

    def __init__(self, data_type: t.DataType) -> None:
        self.type = arrow_type(data_type)
        self._convert = scalar_converter(data_type)

    def read_type(self) -> pa.DataType:
        """Return the type that the JSON reader is asked for."""
        return self.type

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """Return the column in its declared type; ``rows`` turns positions in the column into rows of the batch."""
        bad = self._bad_values(column)
        if bad is None:
            return column
        findings.question(bad, rows)
        return pc.if_else(bad, pa.scalar(None, self.type), column)

    def _bad_values(self, column: pa.Array) -> pa.Array | None:  # noqa: ARG002 - a scalar without further checks
        """Return a mask of the values that are not proven good, None when all are."""
        return None

    def nodes(self) -> Iterator[Node]:
        """Yield this part and all parts below it."""
        yield self
        for node in self.inner:
            yield from node.nodes()

    def learn(self, value: Any) -> bool:  # noqa: ARG002 - scalars have nothing to learn from
        """Take the keys of maps from a value that the reference has read; return whether one was new."""
        return False


class FloatNode(Node):
    """``NaN`` and ``Infinity`` pass Arrow's reader, and 1e39 becomes an infinite float."""

    def _bad_values(self, column: pa.Array) -> pa.Array | None:
        total = pc.sum(column).as_py()
        if total is None or math.isfinite(total):
            return None  # one that is not finite would show in the sum
        return pc.invert(pc.is_finite(column))


class DecimalNode(Node):
    """The reader checks scale and 38 digits, not the declared precision."""

    def _bad_values(self, column: pa.Array) -> pa.Array | None:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            limit = 10 ** (self.type.precision - self.type.scale)
            return pa.array([v is not None and abs(v) >= limit for v in column.to_pylist()], pa.bool_())
        return None


class TimestampNode(Node):
    """The reader takes the years 0000 and, by an offset, 10000; and no digit behind the type's own, even a zero."""

    is_fine = False

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        return pa.timestamp("ns", "UTC") if self.is_fine else self.type

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        if column.type != self.type:
            moments = column.cast(self.type, safe=False)
            findings.question(pc.not_equal(moments.cast(column.type, safe=False), column).fill_null(False), rows)
            return moments  # within 1678 to 2261, so years are in order
        return super().finish(column, findings, rows)

    def _bad_values(self, column: pa.Array) -> pa.Array | None:
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
        findings.question(bad, rows)
        return pa.array([None if value is _BAD else value for value in values], self.type)

    def _value(self, text: str | None) -> Any:
        try:
            return None if text is None or self._convert is None else self._convert(text, ())
        except RejectedBodyError:
            return _BAD


_BAD = object()


class StructNode(Node):
    """An object with declared fields."""

    def __init__(self, data_type: t.StructType) -> None:
        self.type = arrow_type(data_type)
        self.names = data_type.fieldNames()
        self.fields = [(f.name, f.nullable, node_of(f.dataType)) for f in data_type.fields]
        self.inner = [node for _, _, node in self.fields]
        self._with_maps = [(name, node) for name, _, node in self.fields if _has_map(node)]
        for name, node in self._with_maps:
            node.name = name

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        return pa.struct([pa.field(name, node.read_type()) for name, _, node in self.fields])

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        children = []
        for index, (_, nullable, node) in enumerate(self.fields):
            child = column.field(index)
            if not nullable and child.null_count:
                findings.question(pc.and_(column.is_valid(), child.is_null()), rows)
            children.append(node.finish(child, findings, rows))
        mask = column.is_null() if column.null_count else None
        return pa.StructArray.from_arrays(children, fields=list(self.type), mask=mask)

    def learn(self, value: Any) -> bool:
        """See ``Node``."""
        learned = [node.learn(value[name]) for name, node in self._with_maps if value[name] is not None]
        return any(learned)  # of all of them

    def make_finer(self) -> bool:
        """Read timestamps with nine digits from now on; return whether that is new."""
        coarse = [node for node in self.nodes() if isinstance(node, TimestampNode) and not node.is_fine]
        for node in coarse:
            node.is_fine = True
        return bool(coarse)


class ListNode(Node):
    """An array."""

    def __init__(self, data_type: t.ArrayType) -> None:
        self.type = arrow_type(data_type)
        self.element = node_of(data_type.elementType)
        self.inner = [self.element]
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
            findings.question(values.is_null(), rows_of)
        finished = self.element.finish(values, findings, rows_of)
        mask = column.is_null() if column.null_count else None
        return pa.ListArray.from_arrays(column.offsets, finished, type=self.type, mask=mask)

    def learn(self, value: Any) -> bool:
        """See ``Node``."""
        learned = [self.element.learn(item) for item in value if item is not None]
        return any(learned)


class MapNode(Node):
    """An object whose keys are data, read as a struct of the keys met so far and then turned.

    The entries of a map come out in the order in which this worker first met the keys. A null value cannot be told
    from an absent key here: ``arrow/reader.py`` looks for such rows in the text. Bodies with a key that was not met
    yet, or with one beyond the most that are kept, are refused, and so the reference's.
    """

    def __init__(self, data_type: t.MapType) -> None:
        self.type = arrow_type(data_type)
        self.value = node_of(data_type.valueType)
        self.inner = [self.value]
        self.is_scalar = not self.value.inner
        self.keys: list[str] = []

    def read_type(self) -> pa.DataType:
        """See ``Node``."""
        value = self.value.read_type()
        return pa.struct([pa.field(key, value) for key in self.keys])

    def learn(self, value: Any) -> bool:
        """See ``Node``."""
        new = [key for key in value if key not in self.keys][: MOST_MAP_KEYS - len(self.keys)]
        self.keys += new
        return any([bool(new), *(self.value.learn(item) for item in value.values() if item is not None)])

    def finish(self, column: pa.Array, findings: Findings, rows: RowsOf) -> pa.Array:
        """See ``Node``."""
        width, count = len(self.keys), len(column)
        mask = column.is_null() if column.null_count else None
        if not width:
            offsets = pa.repeat(pa.scalar(0, pa.int32()), count + 1)
            empty = [pa.array([], part) for part in (self.type.key_type, self.type.item_type)]
            return pa.MapArray.from_arrays(offsets, *empty, type=self.type, mask=mask)
        items = pa.concat_arrays([self.value.finish(column.field(k), findings, rows) for k in range(width)])
        valid = np.concatenate([column.field(k).is_valid().to_numpy(zero_copy_only=False) for k in range(width)])
        by_row = np.arange(width * count).reshape(width, count).T.ravel()  # entries come key by key
        kept = by_row[valid[by_row]]
        sizes = valid.reshape(width, count).sum(axis=0)
        fewer = pc.and_(column.is_valid(), pa.array(sizes < width))
        findings.narrow_maps.update(rows(pc.indices_nonzero(fewer)).to_pylist())
        keys = pa.array(self.keys, self.type.key_type).take(pa.array(kept // count))
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
        return pa.MapArray.from_arrays(offsets, keys, items.take(pa.array(kept)), type=self.type, mask=mask)


def _has_map(node: Node) -> bool:
    return any(isinstance(part, MapNode) for part in node.nodes())


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
