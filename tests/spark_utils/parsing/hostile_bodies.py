"""Bodies that have fooled JSON readers, each with the verdict it must get; shared by the tests of every engine."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyspark.sql import types as t

from spark_utils.parsing import Limits, Reason

LIMITS = Limits(max_body_bytes=2_000, max_depth=12)

_READING = (
    t.StructType()
    .add("name", "string", nullable=False)
    .add("value", "double")
    .add("samples", t.ArrayType(t.IntegerType(), containsNull=False))
)
SCHEMA = (
    t.StructType()
    .add("id", "string", nullable=False)
    .add("count", "long")
    .add("small", "integer")
    .add("short", "short")
    .add("byte", "byte")
    .add("ratio", "double")
    .add("single", "float")
    .add("ok", "boolean")
    .add("price", "decimal(10,2)")
    .add("wide", "decimal(38,0)")
    .add("at", "timestamp")
    .add("local", "timestamp_ntz")
    .add("day", "date")
    .add("blob", "binary")
    .add("place", t.StructType().add("lat", "double", nullable=False).add("name", "string"))
    .add("readings", t.ArrayType(_READING))
    .add("tags", t.MapType(t.StringType(), t.StringType()))
    .add("counts", t.MapType(t.StringType(), t.LongType(), valueContainsNull=False))
    .add("groups", t.MapType(t.StringType(), t.ArrayType(t.StructType().add("x", "integer"))))
    .add("Case", "string")
)


class Case(NamedTuple):
    """A body and its verdict: no reason means good; ``unknown`` is the text of the column of that name."""

    body: bytes | None
    reason: Reason | None = None
    path: str | None = None
    unknown: str | None = None


def _with(fields: str) -> bytes:
    return b'{"id":"x",' + fields.encode() + b"}"


def _good(*fields: str) -> list[Case]:
    return [Case(_with(each)) for each in fields]


def _bad(reason: Reason, path: str, *fields: str) -> list[Case]:
    return [Case(_with(each), reason, path) for each in fields]


def _whole(reason: Reason, *bodies: bytes | None) -> list[Case]:
    return [Case(body, reason) for body in bodies]


def _drift(fields: str, unknown: str) -> Case:
    return Case(_with(fields), unknown=unknown)


WHOLE_BODY = [
    *_whole(Reason.NULL_BODY, None),
    *_whole(Reason.EMPTY, b"", b" ", b"\r\n\t "),
    *_whole(Reason.TOO_LARGE, b'{"id":"' + b"x" * 2_000 + b'"}', b" " * 2_001),
    *_whole(Reason.INVALID_UTF8, b'{"id":"\xff"}', b'{"id":"\xc3"}', b'{"id":"\xed\xa0\x80"}', b"\xff\xfe{\x00}\x00"),
    *_whole(Reason.INVALID_UTF8, b'{"id":"\xc0\xaf"}', b'{"id":"x"}\x80'),
    *_whole(Reason.TOO_DEEP, b"[" * 1_500, b'{"id":"x","deep":' + b"[" * 12 + b"]" * 12 + b"}"),
    *_whole(Reason.TOO_DEEP, b'{"a":' * 13 + b"1" + b"}" * 13, b'{"id":' * 300),
    *_whole(
        Reason.TRUNCATED, b"{", b'{"id"', b'{"id":', b'{"id":"x', b'{"id":"x"', b'{"id":"x",', b'{"id":"x","ok":tr'
    ),
    *_whole(
        Reason.TRUNCATED, b'{"id":"x","count":1', b'{"id":"x","count":-', b'{"id":"x","ratio":1.', b'{"id":"x\\u00'
    ),
    *_whole(
        Reason.TRUNCATED,
        b'{"id":"x","readings":[{"name":"a"}',
        b'{"id":"x","tags":{"a":"b"',
        b'{"id":"}',
        b"nul",
        b'"x',
    ),
    *_whole(Reason.TRAILING_TEXT, b'{"id":"x"}{"id":"y"}', b'{"id":"x"} {"id":"y"}', b'{"id":"x"}\n{"id":"y"}'),
    *_whole(
        Reason.TRAILING_TEXT,
        b'{"id":"x"}}',
        b'{"id":"x"}]',
        b'{"id":"x"},',
        b'{"id":"x"} x',
        b'{"id":"x"}null{"id":"y"}',
    ),
    *_whole(
        Reason.TRAILING_TEXT, b'{"id":"x"}\x00', b'{"id":"x"}\x00}', b"1 2", b'{"id":"x"}//c', b'{}{"id":"x"}', b'""{}'
    ),
    *_whole(Reason.TRAILING_TEXT, b'{"id":"x"}\x0b', b'{"id":"x"}\xc2\xa0', b'{"id":"x"} \xef\xbb\xbf', b"null,{}"),
    *_whole(
        Reason.NOT_JSON, b"hello", b"}", b"]", b"{]", b"{id:1}", b"{'id':'x'}", b'{"id":x}', b'\xef\xbb\xbf{"id":"x"}'
    ),
    *_whole(
        Reason.NOT_JSON,
        b'{"id":"x",}',
        b'{"id":"x",,"count":1}',
        b'{"id" "x"}',
        b'{"id":"x" "count":1}',
        b'{,"id":"x"}',
    ),
    *_whole(Reason.NOT_JSON, b'{"id":"x","count":01}', b'{"id":"x","count":+1}', b'{"id":"x","count":0x1}'),
    *_whole(
        Reason.NOT_JSON,
        b'{"id":"x","ratio":.5}',
        b'{"id":"x","ratio":1.}',
        b'{"id":"x","ratio":1e}',
        b'{"id":"x","ratio":1,5}',
    ),
    *_whole(
        Reason.NOT_JSON, b'{"id":"x","ratio":inf}', b'{"id":"x","ok":True}', b'{"id":"x","ok":None}', b'{"id":"x"/**/}'
    ),
    *_whole(
        Reason.NOT_JSON, b'{"id":"a\nb"}', b'{"id":"a\tb"}', b'{"id":"a\x00b"}', b'{"id":"a\x1fb"}', b'{"id":"\\x"}'
    ),
    *_whole(
        Reason.NOT_JSON, b'{"id":"\\u00zz"}', b'{\xc2\xa0"id":"x"}', b'\x00{"id":"x"}', b'\x0b{"id":"x"}', b"{1:2}"
    ),
    *_whole(Reason.NOT_JSON, b'{"id":"x","readings":[1,]}', b'{"id":"x","readings":[,1]}', b"undefined", b'{"id":`x`}'),
    *_whole(Reason.NOT_AN_OBJECT, b"[]", b"null", b"true", b"1", b'"x"', b'[{"id":"x"}]', b" null ", b'"{}"', b"[1,2]"),
]
FAULTS_IN_TEXT = [
    *_bad(Reason.DUPLICATE_KEY, "id", '"id":"y"', '"\\u0069d":"y"', '"id":null'),
    *_bad(Reason.DUPLICATE_KEY, "count", '"count":1,"count":1', '"count":null,"count":1', '"count":1,"count":null'),
    *_bad(Reason.DUPLICATE_KEY, "place.lat", '"place":{"lat":1,"lat":2}'),
    *_bad(Reason.DUPLICATE_KEY, "readings[1].name", '"readings":[{"name":"a"},{"name":"b","name":"c"}]'),
    *_bad(Reason.DUPLICATE_KEY, "tags.a", '"tags":{"a":"b","a":"c"}', '"tags":{"a":null,"a":null}'),
    *_bad(Reason.DUPLICATE_KEY, 'tags["a b"]', '"tags":{"a b":"b","a b":"c"}'),
    *_bad(Reason.DUPLICATE_KEY, "extra", '"extra":1,"extra":2'),
    *_bad(Reason.DUPLICATE_KEY, "extra[0].k", '"extra":[{"k":1,"k":2}]'),
    *_bad(Reason.NOT_FINITE, "ratio", '"ratio":NaN', '"ratio":Infinity', '"ratio":-Infinity'),
    *_bad(Reason.NOT_FINITE, "single", '"single":NaN'),
    *_bad(Reason.NOT_FINITE, "count", '"count":NaN'),
    *_bad(Reason.NOT_FINITE, "price", '"price":Infinity'),
    *_bad(Reason.NOT_FINITE, "readings[0].value", '"readings":[{"name":"a","value":NaN}]'),
    *_bad(Reason.NOT_FINITE, "extra", '"extra":NaN', '"extra":Infinity'),
    *_bad(Reason.NOT_FINITE, "extra[1].x", '"extra":[1,{"x":-Infinity}]'),
    *_bad(Reason.LONE_SURROGATE, "tags.a", '"tags":{"a":"\\ud800"}', '"tags":{"a":"\\udc00\\ud800"}'),
    *_bad(Reason.LONE_SURROGATE, "Case", '"Case":"\\uD83D"', '"Case":"\\ude00"', '"Case":"\\ud83dx"'),
    *_bad(Reason.LONE_SURROGATE, "extra", '"extra":"\\ud800"', '"extra":{"\\ud800":1}'),
]
MISFITS = [
    Case(b"{}", Reason.MISSING_FIELD, "id"),
    Case(b'{"Id":"x"}', Reason.MISSING_FIELD, "id"),
    Case(b'{"id":null}', Reason.NULL_FIELD, "id"),
    Case(b'{"id":1}', Reason.TYPE_MISMATCH, "id"),
    Case(b'{"id":true}', Reason.TYPE_MISMATCH, "id"),
    Case(b'{"id":{}}', Reason.TYPE_MISMATCH, "id"),
    Case(b'{"id":["x"]}', Reason.TYPE_MISMATCH, "id"),
    *_bad(Reason.MISSING_FIELD, "place.lat", '"place":{}', '"place":{"name":"a"}', '"place":{"Lat":1}'),
    *_bad(Reason.NULL_FIELD, "place.lat", '"place":{"lat":null}'),
    *_bad(Reason.MISSING_FIELD, "readings[1].name", '"readings":[{"name":"a"},{"value":1}]'),
    *_bad(Reason.NULL_FIELD, "readings[0].name", '"readings":[{"name":null}]'),
    *_bad(Reason.NULL_FIELD, "readings[0].samples[1]", '"readings":[{"name":"a","samples":[1,null]}]'),
    *_bad(Reason.NULL_FIELD, "counts.a", '"counts":{"a":null}', '"counts":{"b":1,"a":null}'),
    *_bad(Reason.TYPE_MISMATCH, "count", '"count":"1"', '"count":true', '"count":[]', '"count":{}', '"count":""'),
    *_bad(Reason.TYPE_MISMATCH, "ratio", '"ratio":"1.5"', '"ratio":false', '"ratio":[1.5]', '"ratio":"NaN"'),
    *_bad(Reason.TYPE_MISMATCH, "ok", '"ok":"true"', '"ok":1', '"ok":0', '"ok":""'),
    *_bad(Reason.TYPE_MISMATCH, "place", '"place":[]', '"place":"x"', '"place":1'),
    *_bad(Reason.TYPE_MISMATCH, "readings", '"readings":{}', '"readings":""', '"readings":{"name":"a"}'),
    *_bad(Reason.TYPE_MISMATCH, "readings[0]", '"readings":[1]', '"readings":["a"]', '"readings":[[]]'),
    *_bad(Reason.TYPE_MISMATCH, "readings[2].value", '"readings":[{"name":"a"},null,{"name":"b","value":"1"}]'),
    *_bad(Reason.TYPE_MISMATCH, "tags", '"tags":[]', '"tags":""', '"tags":[{"key":"a","value":"b"}]'),
    *_bad(
        Reason.TYPE_MISMATCH, "tags.a", '"tags":{"a":1}', '"tags":{"a":{}}', '"tags":{"a":["b"]}', '"tags":{"a":true}'
    ),
    *_bad(Reason.TYPE_MISMATCH, "counts.a", '"counts":{"a":"1"}'),
    *_bad(Reason.TYPE_MISMATCH, "groups.g[0].x", '"groups":{"g":[{"x":"1"}]}'),
    *_bad(
        Reason.TYPE_MISMATCH,
        "price",
        '"price":true',
        '"price":"x"',
        '"price":""',
        '"price":" 1"',
        '"price":"1,5"',
        '"price":"NaN"',
    ),
    *_bad(Reason.TYPE_MISMATCH, "at", '"at":1704067200', '"at":true', '"at":{}'),
    *_bad(Reason.TYPE_MISMATCH, "day", '"day":20240101', '"day":19000'),
    *_bad(Reason.TYPE_MISMATCH, "blob", '"blob":1', '"blob":[1,2]'),
    *_bad(
        Reason.LOSSY_NUMBER,
        "count",
        '"count":1.5',
        '"count":1.0',
        '"count":1e3',
        '"count":1E0',
        '"count":-0.0',
        '"count":1e-1',
    ),
    *_bad(Reason.LOSSY_NUMBER, "byte", '"byte":0.5', '"byte":1e400'),
    *_bad(Reason.LOSSY_NUMBER, "readings[0].samples[1]", '"readings":[{"name":"a","samples":[1,2.5]}]'),
    *_bad(Reason.LOSSY_NUMBER, "counts.a", '"counts":{"a":1.5}'),
    *_bad(Reason.LOSSY_NUMBER, "price", '"price":1.255', '"price":"1.255"', '"price":1e-3', '"price":0.001'),
    *_bad(Reason.LOSSY_NUMBER, "wide", '"wide":0.5', '"wide":1e-1'),
    *_bad(
        Reason.OVERFLOW, "count", '"count":9223372036854775808', '"count":-9223372036854775809', '"count":' + "9" * 500
    ),
    *_bad(Reason.OVERFLOW, "small", '"small":2147483648', '"small":-2147483649'),
    *_bad(Reason.OVERFLOW, "short", '"short":32768'),
    *_bad(Reason.OVERFLOW, "byte", '"byte":128', '"byte":-129', '"byte":99999999999999999999'),
    *_bad(Reason.OVERFLOW, "ratio", '"ratio":1e309', '"ratio":-1e400', '"ratio":' + "9" * 400),
    *_bad(Reason.OVERFLOW, "single", '"single":1e39', '"single":-3.5e38'),
    *_bad(Reason.OVERFLOW, "single", '"single":-340282356779733661637539395458142568448'),
    *_bad(
        Reason.OVERFLOW, "price", '"price":123456789', '"price":1e8', '"price":1e999999999999', '"price":"-100000000"'
    ),
    *_bad(Reason.OVERFLOW, "wide", '"wide":' + "9" * 39, '"wide":1e38'),
    *_bad(
        Reason.BAD_TIMESTAMP,
        "at",
        '"at":""',
        '"at":"yesterday"',
        '"at":"unexpected field"',
        '"at":"2024-02-30T00:00:00Z"',
        '"at":"2024-01-01T24:00:00Z"',
    ),
    *_bad(
        Reason.BAD_TIMESTAMP,
        "at",
        '"at":"2024-01-01T00:00:00.1234567Z"',
        '"at":"2024-01-01T00:00:00z"',
        '"at":"2024-1-1"',
    ),
    *_bad(
        Reason.BAD_TIMESTAMP, "at", '"at":"2024-01-01T00:00:60Z"', '"at":"0000-01-01T00:00:00Z"', '"at":" 2024-01-01"'
    ),
    *_bad(
        Reason.BAD_TIMESTAMP,
        "at",
        '"at":"0001-01-01T00:00:00+02:00"',
        '"at":"9999-12-31T23:59:59-01:00"',
        '"at":"1704067200"',
    ),
    *_bad(
        Reason.BAD_TIMESTAMP, "at", '"at":"2024-01-01T00:00:00+24:00"', '"at":"2024-01-01Z"', '"at":"20240101T000000Z"'
    ),
    *_bad(
        Reason.BAD_TIMESTAMP,
        "at",
        '"at":"2024-01-01T00:00:00 UTC"',
        '"at":"12024-01-01"',
        '"at":"2024-01-01T00:00:00."',
    ),
    *_bad(
        Reason.BAD_TIMESTAMP,
        "local",
        '"local":"2024-01-01T00:00:00Z"',
        '"local":"2024-01-01T00:00:00+01:00"',
        '"local":"x"',
    ),
    *_bad(
        Reason.BAD_DATE,
        "day",
        '"day":"2024-02-30"',
        '"day":"2024-01-01T00:00:00Z"',
        '"day":"01.01.2024"',
        '"day":""',
        '"day":"0000-01-01"',
    ),
    *_bad(
        Reason.BAD_BINARY,
        "blob",
        '"blob":"a"',
        '"blob":"a==="',
        '"blob":"aGk"',
        '"blob":"aG k="',
        '"blob":"-_8="',
        '"blob":"aGk=\\n"',
    ),
]
FITS = [
    Case(b'{"id":"x"}'),
    Case(b' \r\n{"id":"x"}\t\n '),
    Case(b'{\n  "id": "x",\n  "count": 1\n}'),
    Case(b'{"\\u0069d":"x"}'),
    Case(b'{"id":""}'),
    Case('{"id":"é\\u00e9 😀\\ud83d\\ude00 \\" \\\\ \\/ \\b\\f\\n\\r\\t \x7f"}'.encode()),
    Case(b'{"id":"\\u0000"}'),
    Case(b'{"id":"{\\"id\\":\\"y\\"}{"}'),
    *_good('"count":0', '"count":-0', '"count":9223372036854775807', '"count":-9223372036854775808', '"count":null'),
    *_good('"small":2147483647', '"short":-32768', '"byte":-128', '"ok":true', '"ok":false', '"ok":null'),
    *_good(
        '"ratio":1',
        '"ratio":-0.0',
        '"ratio":-0',
        '"ratio":1e308',
        '"ratio":1e-400',
        '"ratio":0.1',
        '"ratio":9007199254740993',
    ),
    *_good('"ratio":12345678901234567890', '"ratio":1.7976931348623157e308', '"ratio":5e-324', '"ratio":1E+2'),
    *_good(
        '"single":0.1',
        '"single":-0',
        '"single":-1e-50',
        '"single":340282356779733661637539395458142568447.9',
        '"single":16777217',
        '"single":3.4028235e38',
        '"single":1e-50',
        '"single":1.00000005960464477540',
    ),
    *_good(
        '"price":1',
        '"price":1.2',
        '"price":"1.25"',
        '"price":1.250',
        '"price":1e2',
        '"price":125e-2',
        '"price":-12345678.9',
    ),
    *_good(
        '"price":"+1"',
        '"price":".5"',
        '"price":"5."',
        '"price":-0.00',
        '"price":99999999.99',
        '"price":1.00000000000000000000',
    ),
    *_good('"wide":' + "9" * 38, '"wide":-' + "9" * 38, '"wide":1e37', '"wide":0e999', '"price":0e-999'),
    *_good(
        '"at":"2024-01-01"',
        '"at":"2024-01-01T05"',
        '"at":"2024-01-01T05:06"',
        '"at":"2024-01-01 05:06:07"',
        '"at":null',
    ),
    *_good(
        '"at":"2024-01-01T05:06:07.1Z"', '"at":"2024-01-01T05:06:07.123456+02:00"', '"at":"2024-02-29T00:00:00-0330"'
    ),
    *_good(
        '"at":"2024-01-01T05+02"',
        '"at":"0001-01-01T00:00:00Z"',
        '"at":"9999-12-31T23:59:59.999999Z"',
        '"at":"1969-12-31T23:59:59.5Z"',
    ),
    *_good('"local":"2024-03-31T02:30:00"', '"local":"2024-01-01"', '"local":"1969-12-31 23:59:59.000001"'),
    *_good('"day":"2024-02-29"', '"day":"0001-01-01"', '"day":"9999-12-31"', '"day":"1582-10-10"', '"day":null'),
    *_good('"blob":""', '"blob":"aGk="', '"blob":"+/8="', '"blob":null'),
    *_good('"place":null', '"place":{"lat":1}', '"place":{"lat":1,"name":null}', '"place":{"name":"a","lat":-1.5}'),
    *_good(
        '"readings":[]', '"readings":null', '"readings":[null]', '"readings":[{"name":"a","value":null,"samples":[]}]'
    ),
    *_good('"readings":[{"name":"a"},null,{"name":"b","samples":[1,2,3]}]', '"readings":[{"name":"a","samples":null}]'),
    *_good(
        '"tags":{}',
        '"tags":null',
        '"tags":{"a":"b"}',
        '"tags":{"a":null}',
        '"tags":{"":"x"}',
        '"tags":{"a b":"c","d.e":"f"}',
    ),
    *_good(
        '"tags":{"a":"2024-01-01T00:00:00Z"}',
        '"tags":{"b":"x","a":"y"}',
        '"tags":{"a}":"null","b":"{"}',
        '"tags":{"n":"null"}',
    ),
    *_good(
        '"\\u0074ags":{"a":null}', '"tags" : { "z" : null , "y" : "x" }', '"tags":{"\\u0061":"x"}', '"tags":{"é":null}'
    ),
    *_good('"tags":{"quote\\"d":null}', '"tags":{"a":"\\"","b":null}', '"tags":{"a":"\\\\","b":null}'),
    *_good(
        '"counts":{"a":1}',
        '"counts":{}',
        '"groups":{}',
        '"groups":{"g":[]}',
        '"groups":{"g":[{"x":1},{"x":null},null]}',
    ),
    *_good('"groups":{"g":null}', '"groups":{"g":[{}],"h":[{"x":2}]}'),
]
DRIFT = [
    _drift('"extra":1', '{"extra":1}'),
    _drift('"extra":1.50', '{"extra":1.50}'),
    _drift('"extra":1e400', '{"extra":1e400}'),
    _drift('"extra":null', '{"extra":null}'),
    _drift('"\\u0065xtra":null', '{"extra":null}'),
    _drift('"extra" : null', '{"extra":null}'),
    _drift('"extra":"2024-01-01T00:00:00Z"', '{"extra":"2024-01-01T00:00:00Z"}'),
    _drift('"extra":{"a":[1,null,true,"é"]}', '{"extra":{"a":[1,null,true,"é"]}}'),
    _drift('"extra":{},"other":[]', '{"extra":{},"other":[]}'),
    _drift('"case":"x"', '{"case":"x"}'),
    _drift('"ID":"y"', '{"ID":"y"}'),
    _drift('"odd name":1,"a.b":2,"":3', '{"[\\"odd name\\"]":1,"[\\"a.b\\"]":2,"[\\"\\"]":3}'),
    _drift('"place":{"lat":1,"alt":2}', '{"place.alt":2}'),
    _drift('"readings":[{"name":"a"},{"name":"b","new":null}]', '{"readings[1].new":null}'),
    _drift('"readings":[{"name":"a","new":1},{"name":"b","new":"x"}]', '{"readings[0].new":1,"readings[1].new":"x"}'),
    _drift('"groups":{"g":[{"y":true}]}', '{"groups.g[0].y":true}'),
    _drift('"extra":' + "9" * 300, '{"extra":' + "9" * 300 + "}"),
    _drift('"deep":' + "[" * 11 + "]" * 11, '{"deep":' + "[" * 11 + "]" * 11 + "}"),
]
CASES = [*WHOLE_BODY, *FAULTS_IN_TEXT, *MISFITS, *FITS, *DRIFT]


def plain(value: Any) -> Any:
    """Bring values of Arrow, Spark and the reference into one form: dicts, lists and scalars, floats by their bits."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        if value and all(type(each) is tuple for each in value):
            return {key: plain(each) for key, each in value}
        return [plain(each) for each in value]
    if isinstance(value, bytearray):
        return bytes(value)
    return value.hex() if isinstance(value, float) else value
