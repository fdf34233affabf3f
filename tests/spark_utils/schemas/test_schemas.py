"""Schemas in their three forms, read without a JVM: what each means, and errors that name file and place."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import types as t

from devkit.cli import main
from devkit.project.json_schema_writer import schema_to_json_schema
from devkit.project.schema_inference import infer_schema
from spark_utils.errors import SchemaError
from spark_utils.schemas import (
    load_schema,
    parse_schema_ddl,
    parse_type_ddl,
    schema_to_ddl,
)
from tests.spark_utils.flattening.flatten_model import random_struct

schemas = st.randoms(use_true_random=False).map(random_struct)


def fields(source: str | Mapping[str, object]) -> dict[str, tuple[str, bool]]:
    schema = load_schema(source if isinstance(source, str) else json.dumps(source))
    return {each.name: (each.dataType.simpleString(), each.nullable) for each in schema.fields}


def field_of(node: object) -> tuple[str, bool]:
    return fields({"type": "object", "properties": {"x": node}, "required": ["x"]})["x"]


def problem(source: str | Path | dict[str, object]) -> str:
    with pytest.raises(SchemaError) as caught:
        load_schema(json.dumps(source) if isinstance(source, dict) else source)
    return str(caught.value)


# DDL


def test_ddl_says_names_types_nulls_and_comments() -> None:
    schema = load_schema(
        "id BIGINT NOT NULL COMMENT 'the sender\\'s own', `odd ``name`: string, -- to the end of the line\n"
        "place STRUCT<lat: DOUBLE NOT NULL, `lon` double> not null, tags ARRAY<MAP<STRING, DECIMAL(10, 2)>>"
    )
    assert schema == t.StructType(
        [
            t.StructField("id", t.LongType(), False, {"comment": "the sender's own"}),
            t.StructField("odd `name", t.StringType()),
            t.StructField(
                "place",
                t.StructType(
                    [t.StructField("lat", t.DoubleType(), nullable=False), t.StructField("lon", t.DoubleType())]
                ),
                nullable=False,
            ),
            t.StructField("tags", t.ArrayType(t.MapType(t.StringType(), t.DecimalType(10, 2)))),
        ]
    )


@pytest.mark.parametrize(
    ("ddl", "place", "said"),
    [
        ("id bigint,\n  name strin", "line 2 column 8", "'strin' is not a Spark type"),
        ("id", "line 1 column 3", "expected a type, found the end"),
        ("id bigint name string", "line 1 column 11", "expected a comma or the end, found 'name'"),
        ("id bigint,", "line 1 column 11", "expected a field name"),
        ("a struct<b: int", "line 1 column 16", "expected '>'"),
        ("a array", "line 1 column 8", "expected '<'"),
        ("a map<int>", "line 1 column 10", "expected ','"),
        ("a decimal(39,1)", "line 1 column 3", "decimal(39,1) is out of range"),
        ("a decimal(5,6)", "line 1 column 3", "out of range"),
        ("a varchar", "line 1 column 3", "expected a length"),
        ("a-b int", "line 1 column 2", "'-' has no place here"),
        ("a int default 1", "line 1 column 7", "found 'default'"),
        ("a `int", "line 1 column 3", "'`' has no place here"),
        ("a int comment 5", "line 1 column 15", "expected the comment's text"),
        ("a interval day to year", "line 1 column 3", "interval day to year is not a Spark type"),
    ],
)
def test_a_mistake_in_ddl_is_named_with_line_and_column(ddl: str, place: str, said: str) -> None:
    message = problem(ddl)
    assert place in message
    assert said in message


@settings(max_examples=200, deadline=None)
@given(schemas)
def test_any_schema_survives_each_of_the_three_forms(schema: t.StructType) -> None:
    assert parse_schema_ddl(schema_to_ddl(schema)) == schema
    assert load_schema(schema.json()) == schema
    assert load_schema(json.dumps(schema_to_json_schema(schema))) == schema


@pytest.mark.parametrize(
    "ddl",
    [
        *("tinyint", "smallint", "int", "bigint", "float", "double", "decimal(38,18)", "date", "timestamp"),
        *("timestamp_ntz", "binary", "boolean", "string", "variant", "void", "char(3)", "varchar(9)", "interval"),
        *("interval day to second", "interval year to month", "interval hour", "array<array<int>>"),
        "map<int,struct<a:int>>",
    ],
)
def test_every_type_survives_ddl_and_json_schema(ddl: str) -> None:
    data_type = parse_type_ddl(ddl)
    assert data_type.simpleString() == ddl
    schema = t.StructType([t.StructField("x", data_type, nullable=False)])
    assert load_schema(json.dumps(schema_to_json_schema(schema))) == schema
    assert load_schema(schema_to_ddl(schema)) == schema


# Spark JSON


def test_spark_json_may_leave_out_what_has_a_default() -> None:
    text = '{"type": "struct", "fields": [{"name": "a", "type": {"type": "array", "elementType": "long"}}]}'
    assert load_schema(text) == t.StructType([t.StructField("a", t.ArrayType(t.LongType()))])


def test_every_mistake_in_spark_json_is_named_by_its_pointer() -> None:
    message = problem(
        {
            "type": "struct",
            "fields": [
                {"name": "a", "type": "lon"},
                {"type": "long"},
                {"name": "c", "type": {"type": "array", "elementType": {"type": "list"}}, "nullable": "yes"},
                "d",
                {"name": "e", "type": "long", "metadata": "text"},
                {"name": "f", "type": {"type": "udt", "pyClass": "antigravity.X", "sqlType": "long"}},
            ],
        }
    )
    assert "/fields/0/type: 'lon' is not a Spark type" in message
    assert "/fields/1: expected a field with a name" in message
    assert "/fields/2/type/elementType: expected a type" in message
    assert "/fields/2/nullable: expected true or false" in message
    assert "/fields/3: expected a field" in message
    assert "/fields/4/metadata: expected an object" in message
    assert "/fields/5/type: expected a type" in message


# JSON Schema


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "timestamp"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "email", "maxLength": 9}, "string"),
        ({"type": "string", "contentEncoding": "base64"}, "binary"),
        ({"type": "integer"}, "bigint"),
        ({"type": "integer", "format": "int32"}, "int"),
        ({"type": "integer", "format": "int16"}, "smallint"),
        ({"type": "integer", "format": "int8"}, "tinyint"),
        ({"type": "number"}, "double"),
        ({"type": "number", "format": "float"}, "float"),
        ({"type": ["integer", "number"]}, "double"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "array", "items": {"type": "integer"}}, "array<bigint>"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "map<string,double>"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            "struct<a:string>",
        ),
        ({"x-spark-type": "decimal(10,2)"}, "decimal(10,2)"),
        ({"type": "number", "x-spark-type": "decimal(10,2)"}, "decimal(10,2)"),
        ({"allOf": [{"type": "string"}]}, "string"),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "string"),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, "bigint"),
        ({"allOf": [{"format": "int32"}], "type": "integer"}, "int"),
        ({"enum": ["on", "off"]}, "string"),
        ({"const": 7}, "bigint"),
        ({"enum": [1, 2.5]}, "double"),
        ({"enum": [True]}, "boolean"),
        ({"type": "string", "anyOf": [{"pattern": "a"}, {"maxLength": 3}]}, "string"),
        ({"type": "string", "oneOf": [{"const": "a"}, {"type": "integer"}]}, "string"),
        ({"oneOf": [{"enum": ["a"]}, {"type": "string", "maxLength": 3}]}, "string"),
    ],
)
def test_json_schema_says_the_type(node: dict[str, object], expected: str) -> None:
    assert field_of(node) == (expected, False)


@pytest.mark.parametrize(
    "node",
    [
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"oneOf": [{"type": "null"}, {"type": "string"}]},
        {"type": ["string", "null"], "x-spark-type": "string"},
        {"type": "string", "nullable": True},
        {"allOf": [{"type": "string"}], "nullable": True},
        {"x-spark-type": "string", "nullable": True},
        {"enum": ["a", None]},
        {"type": ["string", "null"], "anyOf": [{"maxLength": 3}, {"type": "null"}]},
    ],
)
def test_a_union_with_null_is_nullable(node: dict[str, object]) -> None:
    assert field_of(node) == ("string", True)


def test_only_required_properties_are_not_null() -> None:
    document = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": ["string", "null"]}},
        "required": ["a", "c"],
    }
    assert [nullable for _, nullable in fields(document).values()] == [False, True, True]


def test_arrays_and_maps_hold_nulls_only_where_the_schema_allows_null() -> None:
    arrays = {"a": {"items": {"type": "string"}}, "b": {"items": {"type": ["string", "null"]}}}
    strict, lax = (each.dataType for each in load_schema(json.dumps({"properties": arrays})).fields)
    assert isinstance(strict, t.ArrayType)
    assert isinstance(lax, t.ArrayType)
    assert (strict.containsNull, lax.containsNull) == (False, True)


def test_references_are_followed_and_descriptions_become_comments() -> None:
    schema = load_schema(
        json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": "#/$defs/event",
                "$defs": {
                    "event": {"type": "object", "properties": {"at": {"$ref": "#/$defs/a~1b", "description": "when"}}},
                    "a/b": {"type": "string", "format": "date-time"},
                },
            }
        )
    )
    assert schema == t.StructType([t.StructField("at", t.TimestampType(), True, {"comment": "when"})])


BASE = {"type": "object", "properties": {"id": {"type": "integer", "description": "of the base"}}, "required": ["id"]}


@pytest.mark.parametrize(
    "document",
    [
        {"allOf": [{"$ref": "#/$defs/base"}], "properties": {"extra": {"type": "string"}}},
        {"$ref": "#/$defs/base", "properties": {"extra": {"type": "string"}}},
        {"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"extra": {"type": "string"}}}]},
        {"properties": {"extra": {"type": "string"}}, "allOf": [{"$ref": "#base"}]},
        {"properties": {"extra": {"type": "string"}}, "$ref": "#/$defs/the%20base"},
        {"properties": {"extra": {"type": "string"}}, "$ref": "https://example.com/s.json#/$defs/base"},
        {"properties": {"extra": {"type": "string"}}, "$ref": "#/$defs/list/allOf/0"},
    ],
)
def test_what_stands_beside_a_reference_or_allof_holds_too(document: dict[str, object]) -> None:
    definitions = {
        "base": {"$anchor": "base", **BASE},
        "the base": BASE,
        "list": {"allOf": [BASE]},
    }
    schema = load_schema(json.dumps({"$id": "https://example.com/s.json", **document, "$defs": definitions}))
    assert schema_to_ddl(schema) == "`id` BIGINT NOT NULL COMMENT 'of the base', `extra` STRING"


def test_a_property_that_is_declared_twice_is_both_together() -> None:
    document = {
        "allOf": [{"properties": {"at": {"type": "string", "description": "inherited"}}}],
        "properties": {"at": {"format": "date-time", "description": "own"}},
    }
    schema = load_schema(json.dumps(document))
    assert schema == t.StructType([t.StructField("at", t.TimestampType(), True, {"comment": "own"})])


def test_only_what_every_alternative_requires_is_not_null() -> None:
    document = {
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "string"}},
        "anyOf": [{"required": ["a", "c"]}, {"required": ["b", "c"]}],
    }
    assert [nullable for _, nullable in fields(document).values()] == [True, True, False]


def test_a_required_name_that_no_alternative_declares_is_a_mistake() -> None:
    document: dict[str, object] = {
        "type": "object",
        "properties": {"serial": {"type": "string"}},
        "anyOf": [{"required": ["Serial"]}],
    }
    assert "#/anyOf/0/required: unknown property 'Serial'; did you mean 'serial'?" in problem(document)


@pytest.mark.parametrize(
    ("node", "pointer", "said"),
    [
        ({"type": "strin"}, "/type", "'strin' is not a JSON type"),
        ({"type": ["string", "integer"]}, "/type", "cannot be one Spark type"),
        ({"type": "null"}, "/type", "cannot be one Spark type"),
        ({}, "", "no `type`"),
        (True, "", "expected a schema object"),
        ({"oneOf": [{"type": "object"}, {"type": "string"}]}, "/oneOf", "2 alternatives"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "/allOf/1/type", "cannot be one Spark type"),
        ({"allOf": [{"type": "integer", "format": "int8"}], "format": "int16"}, "", "contradict each other"),
        ({"allOf": []}, "/allOf", "expected a list"),
        ({"enum": ["a", 1]}, "", "several types"),
        ({"type": "string", "nullable": "yes"}, "/nullable", "expected true or false"),
        (
            {"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "string"}}}]},
            "/anyOf",
            "2 alternatives",
        ),
        ({"type": "string", "anyOf": [{"type": "integer"}]}, "/anyOf", "no alternative is left"),
        ({"$ref": "#nowhere"}, "/$ref", "#nowhere does not exist"),
        ({"type": "array"}, "", "without `items`"),
        ({"type": "array", "prefixItems": [], "items": {"type": "string"}}, "/prefixItems", "cannot be expressed"),
        ({"type": "object"}, "", "needs `properties`"),
        ({"type": "object", "patternProperties": {}}, "/patternProperties", "cannot be expressed"),
        ({"type": "integer", "format": "int33"}, "/format", "unknown format 'int33'"),
        ({"type": "integer", "format": ["int32"]}, "/format", "unknown format ['int32']"),
        ({"type": "string", "formt": "date"}, "/formt", "did you mean 'format'?"),
        ({"$ref": "#/$defs/none"}, "/$ref", "#/$defs/none does not exist"),
        ({"$ref": "other.json"}, "/$ref", "not within this document"),
        ({"$ref": "#"}, "/$ref", "contains itself"),
        ({"x-spark-type": "decimal(99)"}, "/x-spark-type", "out of range"),
        ({"properties": {"serial": {"type": "string"}}, "required": ["Serial"]}, "/required", "did you mean 'serial'?"),
        ({"properties": {}, "additionalProperties": {"type": "string"}}, "/additionalProperties", "neither struct"),
    ],
)
def test_what_no_spark_type_can_say_is_named_by_its_json_pointer(node: object, pointer: str, said: str) -> None:
    message = problem({"type": "object", "properties": {"x": node}})
    assert f"#/properties/x{pointer}: " in message
    assert said in message


def test_all_mistakes_of_a_json_schema_are_named_at_once() -> None:
    message = problem({"type": "object", "properties": {"a/b": {"type": "strin"}, "c": {}}, "required": ["d"]})
    for pointer in ("#/properties/a~1b/type:", "#/properties/c:", "#/required:"):
        assert pointer in message


def test_the_root_must_be_an_object() -> None:
    assert "#: the root is bigint" in problem({"type": "integer"})


# loading


def test_the_shipped_schema_loads() -> None:
    schema = load_schema(Path("configuration/schemas/telemetry.json"))
    assert schema["device"].dataType["id"].nullable is False  # type: ignore[index]  # it is a struct


@pytest.mark.parametrize("suffix", [".ddl", ".sql", ".json", ".txt"])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_is_read_by_its_content_whatever_its_suffix(tmp_path: Path, suffix: str, as_text: bool) -> None:
    file = tmp_path / f"events{suffix}"
    for text in ("id bigint", '{"type": "object", "properties": {"id": {"type": "integer"}}}'):
        file.write_text(text, encoding="utf-8-sig")
        assert load_schema(str(file) if as_text else file).simpleString() == "struct<id:bigint>"


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events.ddl"
    file.write_text("id bigin")
    assert f"{file}, line 1 column 4" in problem(file)
    file.write_text('{"type": "object",\n "properties": }')
    assert str(file) in problem(file)
    assert "line 2 column 16" in problem(file)
    file.write_text(" \n")
    assert "is empty" in problem(file)
    assert "cannot be read: No such file" in problem("missing.json")


def test_a_key_twice_in_a_json_schema_is_an_error() -> None:
    assert "'a' occurs twice" in problem('{"type": "object", "properties": {"a": {}, "a": {}}}')


def test_no_jvm_is_started() -> None:
    program = (
        "from spark_utils.schemas import *; from spark_utils.flattening import flatten_plan; "
        "flatten_plan(load_schema('a struct<b: int>'));"
        "from pyspark import SparkContext; raise SystemExit(SparkContext._gateway is not None)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# inference


def test_what_all_samples_agree_on_is_inferred() -> None:
    inferred = infer_schema(
        [
            b'{"id": 1, "at": "2026-01-01T00:00:00Z", "day": "2026-01-01", "x": 1, "big": 9223372036854775808}',
            "",
            '{"id": 2, "at": "2026-01-01T01:00:00.25+01:00", "day": "2026-01-02", "x": 1.5, "extra": "y", "big": 1}',
        ]
    )
    assert inferred.samples == 2
    assert schema_to_ddl(inferred.require()) == (
        "`id` BIGINT NOT NULL, `at` TIMESTAMP NOT NULL, `day` DATE NOT NULL, `x` DOUBLE NOT NULL, "
        "`big` DECIMAL(38,0) NOT NULL, `extra` STRING"
    )


def test_required_is_counted_in_the_struct_around() -> None:
    inferred = infer_schema(['{"l": [{"a": 1, "b": 1}, {"a": 2}], "s": {"c": 1}}', '{"l": [{"a": null}]}'])
    assert schema_to_ddl(inferred.require()) == (
        "`l` ARRAY<STRUCT<`a`: BIGINT, `b`: BIGINT>> NOT NULL, `s` STRUCT<`c`: BIGINT NOT NULL>"
    )


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (['{"a": 1}', '{"a": "x"}'], 'a: integer 1 times (first in line 1: 1), string 1 times (first in line 2: "x")'),
        (['{"a": {"b": 1}}', '{"a": {"b": true}}'], "a.b: integer"),
        (['{"a": [1, "x"]}'], "a: integer 1 times"),
        (['{"a": [[1], [{}]]}'], "a.element: integer"),
        (['{"a": null}'], "a: only nulls"),
        (['{"a": []}', '{"a": null}'], "a: only empty arrays"),
        (['{"a": {}}'], "a: only empty objects"),
        (['{"a": 1, "A": 2}'], "A: differs from a only in case"),
        (['{"a": 1.5}', '{"a": 9007199254740993}'], "the integer of line 2 does not fit a double"),
        (['{"a": 1' + "0" * 38 + "}"], "integer of over 38 digits"),
        (["[1]"], "expected an object, found array"),
        (["{"], "line 1 cannot be read"),
        (['{"a": NaN}'], "NaN is not JSON"),
        (['{"a": 1, "a": 2}'], "'a' occurs twice"),
        ([b"\xff"], "line 1 cannot be read"),
        ([], "there are no samples"),
    ],
)
def test_what_samples_contradict_is_reported_and_not_guessed(samples: list[str | bytes], said: str) -> None:
    inferred = infer_schema(samples)
    assert said in "; ".join(map(str, inferred.conflicts))
    with pytest.raises(SchemaError, match="the samples do not agree"):
        inferred.require()


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-13-01", "2026-01-01T00:00:00.1234567Z", "20260101"])
def test_text_that_is_not_surely_a_time_stays_text(text: str) -> None:
    assert infer_schema([json.dumps({"a": text})]).require()["a"].dataType == t.StringType()


def test_a_declaration_settles_what_samples_cannot_say() -> None:
    samples = ['{"tags": {}, "xs": [], "a": 1}', '{"tags": {"k": "v"}, "xs": [{"q": 1}, {"q": "2"}], "a": "x"}']
    declared = {"tags": "map<string,string>", "xs.q": "variant", "a": "string"}
    assert infer_schema(samples, declared=declared).require().simpleString() == (
        "struct<tags:map<string,string>,xs:array<struct<q:variant>>,a:string>"
    )
    with pytest.raises(SchemaError, match="no sample has 'b'"):
        infer_schema(samples, declared={"b": "int"})


# the command


def test_infer_prints_a_schema_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"id": 1, "tags": {}}\n{"id": 2, "tags": {"a": "b"}, "at": "2026-01-01T00:00:00Z"}\n')
    expected = "struct<id:bigint,tags:map<string,string>,at:timestamp>"
    for form in ("ddl", "json", "json-schema"):
        assert main(["schema", "infer", str(file), "--format", form, "--declare", "tags=map<string,string>"]) == 0
        assert load_schema(capsys.readouterr().out).simpleString() == expected


def test_infer_reports_conflicts_and_prints_no_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"id": 1}\n{"id": "x"}\n')
    assert main(["schema", "infer", str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "id: integer 1 times (first in line 1: 1), string" in output.err


def test_show_draws_the_tree_of_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "show", "configuration/schemas/telemetry.json"]) == 0
    assert " |    |-- id: string (nullable = false)" in capsys.readouterr().out
    assert main(["schema", "show", "missing.json"]) == 1
    assert "missing.json" in capsys.readouterr().err


# anything at all

WORDS = ["object", "array", "string", "null", "struct", "map", "int", "#", "#/$defs/a", "date", "a"]
KEYS = ["type", "properties", "required", "items", "additionalProperties", "format", "$ref", "$defs", "x-spark-type"]
KEYS += [
    "anyOf",
    "allOf",
    "fields",
    "name",
    "nullable",
    "elementType",
    "keyType",
    "valueType",
    "metadata",
    "description",
]
documents = st.recursive(
    st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), documents, max_size=5), st.sampled_from(["object", "struct", None]))
def test_any_document_is_a_schema_or_a_schema_error(document: dict[str, object], root: str | None) -> None:
    if root:
        document = {**document, "type": root}
    try:
        schema = load_schema(json.dumps(document))
    except SchemaError:
        return
    schema.simpleString()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"<>(),:`'-", " ", "struct", "map", "array", "int", "decimal", "interval", "to", "5", "a"])
    )
)
def test_any_text_is_a_schema_or_a_schema_error(tokens: list[str]) -> None:
    try:
        parse_schema_ddl("".join(tokens)).simpleString()
    except SchemaError:
        return
