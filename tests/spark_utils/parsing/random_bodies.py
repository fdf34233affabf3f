"""Seeded bodies for one schema: mostly near what it declares, in every notation, with drift, faults and white space."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pyspark.sql import types as t

BOUNDS = [f"{sign}{2**bits + more}" for bits in (7, 15, 31, 63) for more in (-1, 0, 1) for sign in ("", "-")]
FLOATS = ["3.4028235677973366e38", "3.4028235677973365e38", "1.4e-45", "7.006492321624086e-46", "16777217", "1e23"]
FLOATS += ["1.7976931348623157e308", "1.7976931348623159e308", "2.4703282292062328e-324", "0.30000000000000004", "-0"]
NOT_NUMBERS = ["01", "1.", "+1", "1e", "-", "NaN", "Infinity", "0x1", "1_0"]
DECIMALS = ["+5", ".5", "5.", "007", "1E+2", "99999999.99", "100000000", "1.005", "1.000", " 1", "", ".", "1e-3"]
DECIMALS += ["9" * 38, "9" * 39, "1" + "0" * 40 + "e-40", "0e99999999999", "-.5e1", "1e99999999999"]
CHARACTERS = ["a", "Z", "0", " ", "é", "€", "漢", "😀", "\\n", '\\"', "\\\\", "\\/", "\\t", "\\u0041", "\\u20AC"]
CHARACTERS += ["\\ud83d\\ude00", "\\u0000", "\\u001f", "\x7f", "\u2028"]
BAD_CHARACTERS = ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\x", "\\u12", "\x01", "\n"]
BASE64 = ["", "aGk=", "aGk", "AA==", "AB==", "A===", "====", "abcd", "ab=c", "a-_b", "/+Az", "aGk= ", "aGk=aGk="]
CLOCKS = ["", "T10", "T10:30", "T10:30:59", " 23:59:59.9", "T00:00:00.123456", "T24:00", "T10:60", "T10:30:60", "T10.5"]
CLOCKS += ["t10:30", "T10:30:00.1234567", "T10:30:00."]
OFFSETS = ["", "Z", "+00:00", "+01:00", "-11:30", "+23:59", "+24:00", "+05", "-0530", "+5", "+01:", "z", "Z "]
DAYS = ["2024-02-29", "2023-02-29", "0001-01-01", "0000-12-31", "9999-12-31", "1582-10-10", "1969-12-31", "2024-1-1"]
DAYS += ["2024-13-01", "2024-06-31", "20240601", "2024-06-15"]
EDITS = [b"", b'"', b"{", b"}", b"[", b"]", b",", b":", b"1", b".5", b"null", b"\\", b"\xff", b" ", b"e3", b"-"]
EDITS += [b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98\x80", b"\x00"]
UNKNOWN = ["extra", "Id", "x y", "é", "", "a.b", "q[0]", 'x\\"', "\\u0041b"]


def random_bodies(schema: t.StructType, count: int, seed: int) -> list[bytes]:
    """Make bodies; about half of them are good."""
    made = _Bodies(random.Random(seed))
    return [made.body(schema) for _ in range(count)]


class _Bodies:
    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self._pick = generator.choice

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def body(self, schema: t.StructType) -> bytes:
        body = f"{self._space()}{self._object(schema, 0.1)}{self._space()}".encode()
        if self._happens(0.05):
            place = self._random.randrange(len(body))
            body = body[:place] + self._pick(EDITS) + body[place + self._random.randrange(3) :]
        return body

    def _space(self) -> str:
        return "".join(self._pick(" \t\r\n") for _ in range(2)) if self._happens(0.1) else ""

    def _members(self, open_close: str, members: list[str]) -> str:
        spaced = ",".join(f"{self._space()}{member}{self._space()}" for member in members)
        return f"{open_close[0]}{spaced or self._space()}{open_close[1]}"

    def _object(self, schema: t.StructType, share: float = 0.8) -> str:
        fields = [f for f in schema.fields if self._happens(share) or (not f.nullable and self._happens(0.98))]
        if self._happens(0.3):
            self._random.shuffle(fields)
        members = [self._member(self._escaped(field.name), self._value(field.dataType)) for field in fields]
        for _ in range(self._pick([1, 1, 2, 6]) if self._happens(0.2) else 0):
            members.insert(self._random.randint(0, len(members)), self._member(self._pick(UNKNOWN), self._any(3)))
        if members and self._happens(0.02):
            members.append(self._pick(members))
        return self._members("{}", members)

    def _member(self, name: str, value: str) -> str:
        return f'"{name}"{self._space()}:{self._space()}{value}'

    def _escaped(self, name: str) -> str:
        return f"\\u{ord(name[0]):04x}{name[1:]}" if name and self._happens(0.03) else name

    def _any(self, deeper: int) -> str:
        kind = self._random.random()
        if deeper and kind < 0.15:
            return self._members("[]", [self._any(deeper - 1) for _ in range(self._pick([0, 1, 3]))])
        if deeper and kind < 0.3:
            names = (self._pick(UNKNOWN) for _ in range(self._pick([0, 1, 2])))
            return self._members("{}", [self._member(name, self._any(deeper - 1)) for name in names])
        return self._pick([self._number(), self._text(), "true", "false", "null"])

    def _value(self, data_type: t.DataType) -> str:
        if self._happens(0.06):
            return self._any(1) if self._happens(0.4) else "null"
        if isinstance(data_type, t.StructType):
            return self._object(data_type)
        if isinstance(data_type, t.ArrayType):
            return self._members("[]", [self._value(data_type.elementType) for _ in range(self._pick([0, 1, 2, 9]))])
        if isinstance(data_type, t.MapType):
            keys = self._random.sample(["a", "b", "", "a b", "é", "x.y", "n\\nx", "\\u0063"], self._pick([0, 1, 2]))
            return self._members("{}", [self._member(key, self._value(data_type.valueType)) for key in keys])
        return self._scalar(data_type)

    def _scalar(self, data_type: t.DataType) -> str:
        if isinstance(data_type, t.DecimalType) and self._happens(0.5):
            return f'"{self._escaped(self._pick([*DECIMALS, self._number()]))}"'
        if isinstance(data_type, t.IntegralType):
            return self._pick(BOUNDS) if self._happens(0.3) else str(self._random.randint(-100, 100))
        day = self._escaped(self._pick(DAYS))
        moment = f'"{day}{self._pick(CLOCKS)}{self._escaped(self._pick(OFFSETS))}"'
        written = {
            "boolean": self._pick(["true", "false"]),
            "string": self._text(),
            "binary": f'"{self._escaped(self._pick(BASE64))}"',
            "date": f'"{day}"',
            "timestamp": moment,
            "timestamp_ntz": moment,
        }
        return written.get(data_type.simpleString()) or self._number()

    def _text(self) -> str:
        characters = [self._pick(CHARACTERS) for _ in range(self._pick([0, 1, 5, 12]))]
        return '"' + "".join(characters) + (self._pick(BAD_CHARACTERS) if self._happens(0.02) else "") + '"'

    def _number(self) -> str:
        kind = self._random.random()
        if kind < 0.3:
            return self._pick(FLOATS if kind < 0.2 else BOUNDS)
        if kind < 0.32:
            return self._pick(NOT_NUMBERS)
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield self._pick(["", "-"])
        yield str(self._random.randrange(10 ** self._pick([1, 3, 8, 16, 19, 25])))
        if self._happens(0.6):
            yield f".{self._random.randrange(10 ** self._pick([1, 2, 6, 20]))}"
        if self._happens(0.2):
            yield self._pick("eE") + self._pick(["", "+", "-"]) + self._pick(["0", "2", "10", "39", "46", "309", "400"])
