"""`flatten` and `unflatten` on real frames: the values of a plain Python model, on batch, stream and Delta."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import types as t

from spark_utils.errors import FlattenError
from spark_utils.flattening import flatten, flatten_plan, unflatten
from spark_utils.names import fold
from spark_utils.schemas import load_schema
from tests.spark_utils.flattening.flatten_model import at, leaves, plain, random_struct, random_value

READINGS = load_schema(
    "id bigint, readings array<struct<v: double, samples: array<array<int>>>>, labels map<string, struct<`a b`: int>>"
)
EVENTS = [
    (1, [(0.5, [[1, 2], [], None]), (None, None), None, (1.5, [])], {"x": (1,), "y": None, "o'\\k": (3,)}),
    (2, [], {}),
    (3, None, None),
]


def generated(seed: int, structs: int = 20, rows: int = 5) -> tuple[t.StructType, list[tuple]]:
    """Return a frame's schema of many generated structs side by side, so that one job checks them all."""
    random = Random(seed)
    fields = [t.StructField(f"s{place}", random_struct(random), random.random() < 0.8) for place in range(structs)]
    schema = t.StructType(fields)
    return schema, [random_value(random, schema, nullable=False) for _ in range(rows)]


def rows_of(df: DataFrame) -> list:
    return [plain(row) for row in df.collect()]


@pytest.mark.parametrize(
    ("each_spark", "seed"), [("classic", 0), ("connect", 1), ("classic", 2)], indirect=["each_spark"]
)
def test_generated_values_come_out_as_the_model_says_and_back_again(each_spark: SparkSession, seed: int) -> None:
    schema, rows = generated(seed)
    df = each_spark.createDataFrame(rows, schema)
    plan = flatten_plan(schema, on_collision="number")
    flat = flatten(df, plan)
    model = [tuple(at(row, schema, path) for path, _ in leaves(schema)) for row in rows]
    assert rows_of(flat) == model
    assert flat.schema == plan.schema

    exact = flatten_plan(schema, on_collision="number", presence=True)
    restored = unflatten(flatten(df, exact), exact)
    assert rows_of(restored) == rows
    assert restored.schema.simpleString() == schema.simpleString()


def test_json_policies_write_what_python_reads_back_nulls_included(each_spark: SparkSession) -> None:
    df = each_spark.createDataFrame(EVENTS, READINGS)
    rows = flatten(df, flatten_plan(READINGS, arrays="json", maps="json")).collect()
    assert [json.loads(row.readings) if row.readings else None for row in rows] == [
        [{"v": 0.5, "samples": [[1, 2], [], None]}, {"v": None, "samples": None}, None, {"v": 1.5, "samples": []}],
        [],
        None,
    ]
    assert json.loads(rows[0].labels) == {"x": {"a b": 1}, "y": None, "o'\\k": {"a b": 3}}


def test_explodes_into_arrays_of_structs_of_arrays_lose_no_event(each_spark: SparkSession) -> None:
    plan = flatten_plan(
        READINGS,
        policies={"readings": "explode", "readings.samples": "explode", "readings.samples.element": "explode"},
        keep=["labels"],
    )
    flat = flatten(each_spark.createDataFrame(EVENTS, READINGS), plan)
    assert flat.columns == ["id", "readings_v", "readings_samples_element", "labels"]
    expected = []
    for identity, readings, _ in EVENTS:
        for value, samples in (each or (None, None) for each in readings or [None]):
            expected += [(identity, value, one) for sample in samples or [None] for one in sample or [None]]
    assert Counter(row[:3] for row in flat.collect()) == Counter(expected)
    assert flat.schema == plan.schema


def test_an_exploded_map_gives_a_row_for_each_key_and_one_for_none(each_spark: SparkSession) -> None:
    plan = flatten_plan(READINGS, policies={"labels": "explode", "readings": "drop"}, presence=True)
    flat = flatten(each_spark.createDataFrame(EVENTS, READINGS), plan)
    assert flat.columns == ["id", "labels_key", "labels_value_present", "labels_value_a_b"]
    assert Counter(map(tuple, flat.collect())) == Counter(
        [
            (1, "x", True, 1),
            (1, "y", False, None),
            (1, "o'\\k", True, 3),
            (2, None, False, None),
            (3, None, False, None),
        ]
    )


def test_positions_and_keys_that_are_not_there_give_null_and_no_error(each_spark: SparkSession) -> None:
    policies = {"readings": "index 0,9", "readings.0.samples": "index 0", "labels": "keys x,zz,o'\\k"}
    flat = flatten(each_spark.createDataFrame(EVENTS, READINGS), flatten_plan(READINGS, policies=policies))
    assert each_spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert flat.select("readings_0_v", "readings_0_samples_0", "readings_9_v").collect() == [
        (0.5, [1, 2], None),
        (None, None, None),
        (None, None, None),
    ]
    assert flat.select("labels_x_a_b", "labels_zz_a_b", "`labels_o'\\k_a_b`").collect() == [
        (1, None, 3),
        (None, None, None),
        (None, None, None),
    ]


def test_keys_of_another_type_than_string_are_found(each_spark: SparkSession) -> None:
    df = each_spark.sql("SELECT map(7, 'seven') AS m, map(DATE'2026-01-02', 1) AS d")
    plan = flatten_plan(df.schema, policies={"m": "keys 7,8", "d": "keys 2026-01-02"})
    assert [tuple(row) for row in flatten(df, plan).collect()] == [("seven", None, 1)]


def test_one_column_flattens_beside_the_others_and_comes_back(each_spark: SparkSession) -> None:
    schema = load_schema("key binary, event struct<Key: int, `a.b`: struct<c: int>>, headers array<struct<`k 1`: int>>")
    rows = [(b"k", (1, (2,)), [(3,)]), (None, None, None), (b"l", (None, None), []), (b"m", (None, (None,)), [None])]
    df = each_spark.createDataFrame(rows, schema)
    plan = flatten_plan(schema, column="event", on_collision="number", presence=True)
    flat = flatten(df, plan)
    assert flat.columns == ["key", "event_present", "Key_2", "a_b_present", "a_b_c", "headers"]
    assert rows_of(unflatten(flat, plan)) == rows
    assert unflatten(flat, plan).schema.simpleString() == df.schema.simpleString()


def test_without_presence_only_structs_of_nulls_come_back_as_null(each_spark: SparkSession) -> None:
    schema = load_schema("id int, device struct<a: int, place: struct<lat: double>>")
    rows = [(1, (1, (1.0,))), (2, (1, None)), (3, (None, (2.0,))), (4, None), (5, (None, None)), (6, (1, (None,)))]
    plan = flatten_plan(schema)
    back = rows_of(unflatten(flatten(each_spark.createDataFrame(rows, schema), plan), plan))
    assert back == [*rows[:4], (5, None), (6, (1, None))]


@pytest.mark.parametrize("policy", ["json", "explode", "index 0"])
def test_what_cannot_be_undone_is_refused_by_name(each_spark: SparkSession, policy: str) -> None:
    schema = load_schema("id int, xs array<struct<a: int>>")
    plan = flatten_plan(schema, arrays=policy)
    with pytest.raises(FlattenError, match="cannot be unflattened"):
        unflatten(flatten(each_spark.createDataFrame([], schema), plan), plan)


def test_all_types_of_spark_pass_unchanged(each_spark: SparkSession) -> None:
    df = each_spark.sql(
        "SELECT named_struct('v', parse_json('{\"a\": 1}'), 'd', 1.50BD, 'b', X'00FF', 't', TIMESTAMP'2026-01-01',"
        " 'n', TIMESTAMP_NTZ'2026-01-01', 'i', INTERVAL '1' DAY, 'x', CAST(NULL AS VOID)) AS s"
    )
    plan = flatten_plan(df.schema, policies={"s.v": "json"})
    flat = flatten(df, plan)
    assert flat.schema == plan.schema
    assert flat.first().s_v == '{"a":1}'
    assert flat.drop("s_v").collect() == df.selectExpr("s.d", "s.b", "s.t", "s.n", "s.i", "s.x").collect()


def test_deep_structs_are_reached(each_spark: SparkSession) -> None:
    schema, value = t.StructType([t.StructField("leaf", t.LongType())]), (7,)
    for _ in range(60):
        schema, value = t.StructType([t.StructField("s", schema)]), (value,)
    flat = flatten(each_spark.createDataFrame([value], schema), flatten_plan(schema))
    assert flat.collect() == [(7,)]
    assert flat.columns == ["s_" * 60 + "leaf"]


@pytest.mark.slow
def test_very_wide_frames_come_out_right(each_spark: SparkSession) -> None:
    leaf_count = 10_000
    inner = t.StructType([t.StructField(f"leaf {place}", t.LongType()) for place in range(100)])
    schema = t.StructType([t.StructField(f"group.{place}", inner) for place in range(leaf_count // 100)])
    row = tuple(tuple(range(start, start + 100)) for start in range(0, leaf_count, 100))
    flat = flatten(each_spark.createDataFrame([row], schema), flatten_plan(schema))
    assert flat.first() == tuple(range(leaf_count))
    assert flat.columns[0] == "group_0_leaf_0"


def test_a_stream_gives_the_rows_of_a_batch_and_delta_takes_every_name(
    each_spark: SparkSession, tmp_path: Path
) -> None:
    schema, rows = generated(seed=7, structs=6, rows=20)
    schema = t.StructType([*schema.fields, *READINGS.fields])
    rows = [(*row, *EVENTS[place % len(EVENTS)]) for place, row in enumerate(rows)]
    each_spark.createDataFrame(rows, schema).write.parquet(str(tmp_path / "in"))
    plan = flatten_plan(schema, on_collision="number", policies={"readings": "explode"})

    stream = flatten(each_spark.readStream.schema(schema).parquet(str(tmp_path / "in")), plan)
    query = (
        stream.writeStream.format("delta")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(tmp_path / "out"))
    )
    query.awaitTermination()
    streamed = each_spark.read.format("delta").load(str(tmp_path / "out"))
    batch = flatten(each_spark.read.schema(schema).parquet(str(tmp_path / "in")), plan)
    assert streamed.columns == batch.columns == [each.name for each in plan.columns]
    assert Counter(map(repr, rows_of(streamed))) == Counter(map(repr, rows_of(batch)))
    assert streamed.count() == sum(len(EVENTS[place % 3][1] or [None]) for place in range(20))


def test_names_that_spark_holds_for_the_same_are_found_to_collide(each_spark: SparkSession) -> None:
    pairs = [
        ("ID", "id"),
        ("É", "é"),
        ("ß", "ss"),
        ("ß", "ẞ"),
        ("\u212a", "k"),
        ("İ", "i"),
        ("\u0131", "I"),
        ("ς", "Σ"),
    ]
    for one, other in pairs:
        df = each_spark.createDataFrame([(1,)], t.StructType([t.StructField(one, t.IntegerType())]))
        same = bool(df.drop(other).columns == [])
        assert (fold(one) == fold(other)) is same, (one, other)


def test_a_plan_read_back_from_json_flattens_the_same(each_spark: SparkSession) -> None:
    plan = flatten_plan(READINGS, policies={"readings": "explode"})
    df = each_spark.createDataFrame(EVENTS, READINGS)
    again = type(plan).from_json(plan.to_json())
    assert flatten(df, again).collect() == flatten(df, plan).collect()
    assert isinstance(flatten(df, again).first(), Row)
