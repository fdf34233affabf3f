"""One JSON scalar into one Spark type, or the reason why not.

Mirrors Arrow's JSON reader (https://arrow.apache.org/docs/cpp/json.html), so that the Arrow engine agrees with this
module. ``jvm/java/ScalarReader.java`` reads the same for the JVM engine: change both, or neither:

* integers take integer notation only;
* ``double`` and ``float`` take the nearest value that the type can represent, as every JSON reader does;
* a decimal takes a JSON number, or a string that holds one (the usual carrier of exact amounts);
* a timestamp or date is written as ``spark_utils.timestamps`` says; ``timestamp_ntz`` must not have an offset;
* binary is base64 of RFC 4648, padded, without white space.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import types as t

from spark_utils.parsing.json_text import NumberText, PathParts, excerpt, kind_of
from spark_utils.parsing.reasons import Reason, RejectedBodyError
from spark_utils.timestamps import has_offset, read_date, read_timestamp

Convert = Callable[[Any, PathParts], Any]

_LARGEST_FLOAT = 2.0**128 - 2.0**104
_BEYOND_FLOAT = int(_LARGEST_FLOAT) + 2**103  # halfway to the next power of two: from here on a float is infinite

_DECIMAL = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")  # digits are never tried twice
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_LONGEST_INTEGER = 30  # digits; beyond it every integer column overflows and Python's own limit is far
_LONGEST_EXPONENT = 9  # digits; no body within the size limit has enough zeros to bring more back into range

INTEGER_BITS: dict[type[t.DataType], int] = {
    t.ByteType: 8,
    t.ShortType: 16,
    t.IntegerType: 32,
    t.LongType: 64,
}


def mismatch(value: Any, wanted: str, path: PathParts) -> RejectedBodyError:
    """Build the verdict on a value of another JSON type than the column's."""
    return RejectedBodyError(Reason.TYPE_MISMATCH, f"{kind_of(value)} where {wanted} is expected", path)


def scalar_converter(data_type: t.DataType) -> Convert | None:
    """Return the strict conversion into a scalar type, or None when the type is not supported."""
    bits = INTEGER_BITS.get(type(data_type))
    if bits is not None:
        return _integer_converter(bits, data_type.simpleString())
    if isinstance(data_type, t.DecimalType):
        return _decimal_converter(data_type)
    return _PLAIN.get(type(data_type))


def _integer_converter(bits: int, name: str) -> Convert:
    highest = (1 << (bits - 1)) - 1

    def convert(value: Any, path: PathParts) -> int:
        if not isinstance(value, NumberText):
            raise mismatch(value, name, path)
        if not value.lstrip("-").isdigit():
            problem = f"{excerpt(value)} is not written as an integer, the column is {name}"
            raise RejectedBodyError(Reason.LOSSY_NUMBER, problem, path)
        number = int(value) if len(value) <= _LONGEST_INTEGER else highest + 1
        if not -highest - 1 <= number <= highest:
            raise RejectedBodyError(Reason.OVERFLOW, f"{excerpt(value)} does not fit {name}", path)
        return number

    return convert


def _double(value: Any, path: PathParts) -> float:
    if not isinstance(value, NumberText):
        raise mismatch(value, "double", path)
    number = float(value)
    if math.isinf(number):
        raise RejectedBodyError(Reason.OVERFLOW, f"{excerpt(value)} does not fit double", path)
    return number


def _float(value: Any, path: PathParts) -> float:
    if not isinstance(value, NumberText):
        raise mismatch(value, "float", path)
    try:
        return _nearest_float(value, float(value))
    except OverflowError:
        raise RejectedBodyError(Reason.OVERFLOW, f"{excerpt(value)} does not fit float", path) from None


def _nearest_float(literal: str, number: float) -> float:
    """Round once, from the text: rounding to double first can land on a tie between two floats, or beyond the last."""
    if math.isinf(number):
        raise OverflowError
    if abs(number) == _BEYOND_FLOAT and Decimal(literal).copy_abs() < _BEYOND_FLOAT:
        return math.copysign(_LARGEST_FLOAT, number)
    nearest = float(struct.unpack("<f", struct.pack("<f", number))[0])
    if number == nearest:  # -0.0 among them, which has no neighbour below
        return nearest
    bits = struct.unpack("<i", struct.pack("<f", nearest))[0]
    neighbour = float(struct.unpack("<f", struct.pack("<i", bits + (1 if abs(number) > abs(nearest) else -1)))[0])
    if number - nearest != neighbour - number:
        return nearest
    exact, tie = Decimal(literal).copy_abs(), Decimal(abs(number))  # exact in comparisons, however long
    if exact == tie:
        return nearest
    return max(nearest, neighbour, key=abs) if exact > tie else min(nearest, neighbour, key=abs)


def _decimal_converter(data_type: t.DecimalType) -> Convert:
    name, precision, scale = data_type.simpleString(), data_type.precision, data_type.scale

    def convert(value: Any, path: PathParts) -> Decimal:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise mismatch(value, name, path)
        negative, digits, exponent = _significant(value)
        if digits and len(digits) + exponent > precision - scale:
            raise RejectedBodyError(Reason.OVERFLOW, f"{excerpt(value)} does not fit {name}", path)
        if digits and exponent < -scale:
            problem = f"{excerpt(value)} has more than {scale} decimals"
            raise RejectedBodyError(Reason.LOSSY_NUMBER, problem, path)
        unscaled = digits + "0" * (exponent + scale) if digits else "0"
        return Decimal((negative, tuple(map(int, unscaled)), -scale))

    return convert


def _significant(literal: str) -> tuple[int, str, int]:
    """Split into sign, digits without outer zeros, and the exponent of the last digit; no rounding, any size."""
    mantissa, _, power = literal.lower().lstrip("+-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).rstrip("0")
    exponent = len(whole) - len(digits) + _power(power)
    digits = digits.lstrip("0")
    return int(literal.startswith("-") and digits != ""), digits, exponent


def _power(text: str) -> int:
    """Read an exponent; one with more digits than any column could need is cut to a size that is safe to add."""
    magnitude = text.lstrip("+-").lstrip("0")
    size = int(magnitude or 0) if len(magnitude) <= _LONGEST_EXPONENT else 10**_LONGEST_EXPONENT
    return -size if text.startswith("-") else size


def _boolean(value: Any, path: PathParts) -> bool:
    if not isinstance(value, bool):
        raise mismatch(value, "boolean", path)
    return value


def _string(value: Any, path: PathParts) -> str:
    if type(value) is not str:
        raise mismatch(value, "string", path)
    return value


def _timestamp(value: Any, path: PathParts) -> datetime:
    moment = read_timestamp(_string_for(value, "timestamp", path))
    if moment is None:
        raise RejectedBodyError(Reason.BAD_TIMESTAMP, f"{excerpt(value)!r} is not a timestamp", path)
    return moment


def _timestamp_ntz(value: Any, path: PathParts) -> datetime:
    moment = read_timestamp(_string_for(value, "timestamp_ntz", path))
    if moment is None or has_offset(value):
        problem = f"{excerpt(value)!r} is not a timestamp without offset"
        raise RejectedBodyError(Reason.BAD_TIMESTAMP, problem, path)
    return moment.replace(tzinfo=None)


def _date(value: Any, path: PathParts) -> date:
    day = read_date(_string_for(value, "date", path))
    if day is None:
        raise RejectedBodyError(Reason.BAD_DATE, f"{excerpt(value)!r} is not a date", path)
    return day


def _binary(value: Any, path: PathParts) -> bytes:
    text = _string_for(value, "binary", path)
    try:
        if _BASE64.fullmatch(text):
            return base64.b64decode(text, validate=True)
    except binascii.Error:
        pass  # refused below
    raise RejectedBodyError(Reason.BAD_BINARY, f"{excerpt(text)!r} is not base64", path)


def _string_for(value: Any, wanted: str, path: PathParts) -> str:
    if type(value) is not str:
        raise mismatch(value, f"a string with a {wanted}", path)
    return value


_PLAIN: dict[type[t.DataType], Convert] = {
    t.StringType: _string,
    t.BooleanType: _boolean,
    t.DoubleType: _double,
    t.FloatType: _float,
    t.TimestampType: _timestamp,
    t.TimestampNTZType: _timestamp_ntz,
    t.DateType: _date,
    t.BinaryType: _binary,
}
