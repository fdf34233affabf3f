"""Spark's DDL schema text, read and written without a JVM.

Mirrors the rules ``colTypeList`` and ``dataType`` of Spark 4's grammar (``SqlBaseParser.g4``; documented as "SQL data
types"). Refused at their position: DEFAULT, GENERATED, and unquoted names of other than ASCII letters, digits and
underscores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from pyspark.sql import types as t

from spark_utils.errors import SchemaError
from spark_utils.names import quote, string_literal

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | `(?P<quoted>(?:[^`]|``)*)`
      | '(?P<single>(?:[^'\\]|\\.|'')*)' | "(?P<double>(?:[^"\\]|\\.|"")*)"
      | (?P<word>(?!(?i:\d+(?:[lsydf]|bd|e\d+(?:[df]|bd)?)?)\b)[A-Za-z0-9_]+)  # 1a is a name, 1d a number
      | (?P<number>-?\d+)
      | (?P<mark>[<>(),:])""",
    re.VERBOSE | re.DOTALL,
)
_SIMPLE: dict[str, t.DataType] = {
    **dict.fromkeys(("boolean",), t.BooleanType()),
    **dict.fromkeys(("tinyint", "byte"), t.ByteType()),
    **dict.fromkeys(("smallint", "short"), t.ShortType()),
    **dict.fromkeys(("int", "integer"), t.IntegerType()),
    **dict.fromkeys(("bigint", "long"), t.LongType()),
    **dict.fromkeys(("float", "real"), t.FloatType()),
    **dict.fromkeys(("double",), t.DoubleType()),
    **dict.fromkeys(("date",), t.DateType()),
    **dict.fromkeys(("timestamp", "timestamp_ltz"), t.TimestampType()),
    **dict.fromkeys(("timestamp_ntz",), t.TimestampNTZType()),
    **dict.fromkeys(("binary",), t.BinaryType()),
    **dict.fromkeys(("void",), t.NullType()),
    **dict.fromkeys(("variant",), t.VariantType()),
}
_YEAR_MONTH = {"year": 0, "month": 1}
_DAY_TIME = {"day": 0, "hour": 1, "minute": 2, "second": 3}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a"}
_REMEDY = "Write NAME TYPE [NOT NULL] [COMMENT 'text'], separated by commas; quote unusual names in backticks."


def parse_schema_ddl(text: str, *, origin: str | None = None) -> t.StructType:
    """Read a schema such as ``id BIGINT NOT NULL, device STRUCT<name: STRING>``.

    Args:
        text: The DDL; a whole ``STRUCT<…>`` is read too.
        origin: Where the text came from, for the error.

    Raises:
        SchemaError: Naming line, column and what was expected there.
    """
    parser = _Parser(text, origin)
    if parser.word(0) == "struct" and parser.mark(1) == "<":
        result = parser.data_type()
        assert isinstance(result, t.StructType)  # noqa: S101  # `struct<` was seen; this tells the type checker
    else:
        result = t.StructType(parser.fields(end=None))
    parser.expect_end()
    return result


def parse_type_ddl(text: str, *, origin: str | None = None) -> t.DataType:
    """Read one type, such as ``decimal(10,2)`` or ``array<struct<a: int>>``.

    Raises:
        SchemaError: Naming line, column and what was expected there.
    """
    parser = _Parser(text, origin)
    result = parser.data_type()
    parser.expect_end()
    return result


def schema_to_ddl(schema: t.StructType) -> str:
    """Write a schema as DDL, one field after the other, names quoted, comments and NOT NULL included."""
    return ", ".join(_field_to_ddl(each, " ") for each in schema.fields)


def type_to_ddl(data_type: t.DataType) -> str:
    """Write one type as DDL. Whether arrays and maps hold nulls has no place in DDL and is left out."""
    if isinstance(data_type, t.StructType):
        return f"STRUCT<{', '.join(_field_to_ddl(each, ': ') for each in data_type.fields)}>"
    if isinstance(data_type, t.ArrayType):
        return f"ARRAY<{type_to_ddl(data_type.elementType)}>"
    if isinstance(data_type, t.MapType):
        return f"MAP<{type_to_ddl(data_type.keyType)}, {type_to_ddl(data_type.valueType)}>"
    text = data_type.simpleString()
    return text if text.startswith("string collate") else text.upper()


def _field_to_ddl(each: t.StructField, between: str) -> str:
    null = "" if each.nullable else " NOT NULL"
    comment = (each.metadata or {}).get("comment")
    text = f" COMMENT {string_literal(comment)}" if comment else ""
    return f"{quote(each.name)}{between}{type_to_ddl(each.dataType)}{null}{text}"


@dataclass(frozen=True)
class _Token:
    kind: str  # name, word, string, number, mark, end
    text: str
    start: int


class _Parser:
    """Recursive descent; `at` is the token that comes next."""

    def __init__(self, text: str, origin: str | None) -> None:
        self.text, self.origin, self.at = text, origin, 0
        self.tokens = list(self._tokens())

    def _tokens(self) -> list[_Token]:
        tokens, position = [], 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None:
                raise self._failure(position, f"{self.text[position]!r} has no place here")
            kind = match.lastgroup or ""
            if kind in ("single", "double"):
                quote = "'" if kind == "single" else '"'
                tokens.append(_Token("string", _unescape(match[kind], quote), position))
            elif kind == "quoted":
                tokens.append(_Token("name", match[kind].replace("``", "`"), position))
            elif kind != "space":
                tokens.append(_Token(kind, match[kind], position))
            position = match.end()
        return [*tokens, _Token("end", "the end", len(self.text))]

    def _failure(self, position: int, problem: str) -> SchemaError:
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        where = f"{self.origin or 'DDL text'}, line {line} column {column}"
        return SchemaError(problem, origin=where, remedy=_REMEDY)

    def _expected(self, what: str) -> NoReturn:
        token = self.tokens[self.at]
        found = token.text if token.kind == "end" else repr(token.text)
        raise self._failure(token.start, f"expected {what}, found {found}")

    def word(self, ahead: int = 0) -> str | None:
        token = self.tokens[min(self.at + ahead, len(self.tokens) - 1)]
        return token.text.lower() if token.kind == "word" else None

    def mark(self, ahead: int = 0) -> str | None:
        token = self.tokens[min(self.at + ahead, len(self.tokens) - 1)]
        return token.text if token.kind == "mark" else None

    def _take_mark(self, mark: str) -> bool:
        taken = self.mark() == mark
        self.at += taken
        return taken

    def _take_word(self, *words: str) -> bool:
        taken = all(self.word(ahead) == word for ahead, word in enumerate(words))
        self.at += len(words) if taken else 0
        return taken

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            self._expected(repr(mark))

    def _need(self, kind: str, what: str) -> str:
        token = self.tokens[self.at]
        if token.kind != kind:
            self._expected(what)
        self.at += 1
        return token.text

    def expect_end(self) -> None:
        if self.tokens[self.at].kind != "end":
            self._expected("a comma or the end")

    def fields(self, end: str | None) -> list[t.StructField]:
        found: list[t.StructField] = []
        if end is not None and self._take_mark(end):
            return found
        while True:
            found.append(self._field())
            if self._take_mark(","):
                continue
            if end is not None:
                self._need_mark(end)
            return found

    def _field(self) -> t.StructField:
        token = self.tokens[self.at]
        if token.kind not in ("word", "name"):
            self._expected("a field name")
        self.at += 1
        self._take_mark(":")
        data_type = self.data_type()
        nullable = not self._take_word("not", "null")
        metadata = {"comment": self._need("string", "the comment's text")} if self._take_word("comment") else None
        return t.StructField(token.text, data_type, nullable, metadata)

    def data_type(self) -> t.DataType:
        start = self.tokens[self.at].start
        word = self._need("word", "a type").lower()
        if word in _SIMPLE:
            return _SIMPLE[word]
        match word:
            case "array":
                self._need_mark("<")
                element = self.data_type()
                self._need_mark(">")
                return t.ArrayType(element)
            case "map":
                self._need_mark("<")
                key = self.data_type()
                self._need_mark(",")
                value = self.data_type()
                self._need_mark(">")
                return t.MapType(key, value)
            case "struct":
                self._need_mark("<")
                return t.StructType(self.fields(end=">"))
        return self._parametrised(word, start)

    def _parametrised(self, word: str, start: int) -> t.DataType:
        match word:
            case "decimal" | "dec" | "numeric":
                return self._decimal(start)
            case "string":
                return t.StringType(self._need_collation()) if self._take_word("collate") else t.StringType()
            case "char" | "character":
                return t.CharType(self._length(start))
            case "varchar":
                return t.VarcharType(self._length(start))
            case "interval":
                return self._interval(start)
            case "time" if hasattr(t, "TimeType"):  # Spark 4.1 and newer
                precision = self._numbers(start, most=1)
                return t.TimeType(precision[0]) if precision else t.TimeType()
        raise self._failure(start, f"{word!r} is not a Spark type")

    def _need_collation(self) -> str:
        return self._need("word", "a collation")

    def _numbers(self, start: int, most: int) -> list[int]:
        numbers: list[int] = []
        if self._take_mark("("):
            while True:
                numbers.append(int(self._need("number", "a number")))
                if not self._take_mark(","):
                    break
            self._need_mark(")")
        if len(numbers) > most:
            raise self._failure(start, f"expected at most {most} numbers in brackets")
        return numbers

    def _length(self, start: int) -> int:
        numbers = self._numbers(start, most=1)
        if not numbers or numbers[0] < 1:
            raise self._failure(start, "expected a length of at least 1 in brackets")
        return numbers[0]

    def _decimal(self, start: int) -> t.DataType:
        precision, scale = (*self._numbers(start, most=2), 0, 0)[:2] if self.mark() == "(" else (10, 0)
        if not (0 <= scale <= precision <= 38 and precision > 0):
            raise self._failure(start, f"decimal({precision},{scale}) is out of range: 0 <= scale <= precision <= 38")
        return t.DecimalType(precision, scale)

    def _interval(self, start: int) -> t.DataType:
        first = self.word() or ""
        if first not in {**_YEAR_MONTH, **_DAY_TIME}:
            return t.CalendarIntervalType()
        self.at += 1
        last = first
        if self._take_word("to"):
            last = self._need("word", "an interval unit").lower()
        if first in _YEAR_MONTH and last in _YEAR_MONTH and _YEAR_MONTH[first] <= _YEAR_MONTH[last]:
            return t.YearMonthIntervalType(_YEAR_MONTH[first], _YEAR_MONTH[last])
        if not (first in _DAY_TIME and last in _DAY_TIME and _DAY_TIME[first] <= _DAY_TIME[last]):
            raise self._failure(start, f"interval {first} to {last} is not a Spark type")
        return t.DayTimeIntervalType(_DAY_TIME[first], _DAY_TIME[last])


def _unescape(text: str, quote: str) -> str:
    text = text.replace(quote * 2, quote)
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)
