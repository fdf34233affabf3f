"""`flatten_plan`: pure data, the names of a plain Python model, and an error that names the path."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import types as t

from spark_utils.errors import FlattenError
from spark_utils.flattening import FlattenPlan, Policy, flatten_plan, parse_policy, projections
from spark_utils.names import fold, format_path, legal_name, parse_path, quote
from spark_utils.schemas import load_schema
from tests.spark_utils.flattening.flatten_model import REPLACED, leaves, random_struct, wanted_name

NESTED = load_schema(
    "id bigint not null, device struct<serial: string not null, place: struct<lat: double, lon: double>>, "
    "tags array<string>, readings array<struct<v: double, samples: array<array<int>>>>, "
    "labels map<string, struct<a: int, b: int>>, counts map<int, bigint>"
)
schemas = st.randoms(use_true_random=False).map(random_struct)


def names(plan: FlattenPlan) -> list[str]:
    return [each.name for each in plan.columns]


def paths(plan: FlattenPlan) -> list[str]:
    return [format_path(each.path) for each in plan.columns]


def problem(schema: t.StructType, **options: object) -> str:
    with pytest.raises(FlattenError) as caught:
        flatten_plan(schema, **options)  # type: ignore[arg-type]  # wrong options are the point
    return str(caught.value)


# names, against the model


@settings(max_examples=200, deadline=None)
@given(schemas, st.sampled_from(["_", "__", ""]))
def test_every_leaf_has_one_column_in_schema_order_under_the_name_of_the_model(
    schema: t.StructType, separator: str
) -> None:
    plan = flatten_plan(schema, separator=separator, on_collision="number")
    model = list(leaves(schema))
    assert [each.path for each in plan.columns] == [path for path, _ in model]
    wanted = [wanted_name(path, separator) for path, _ in model]
    first_seen = {fold(name): place for place, name in reversed(list(enumerate(wanted)))}
    for place, (column, name) in enumerate(zip(plan.columns, wanted, strict=True)):
        if first_seen[fold(name)] == place:
            assert column.name == name
        else:
            assert column.name.startswith(f"{name}{separator}")
            assert column.name[len(name) + len(separator) :].isdigit()


@settings(max_examples=200, deadline=None)
@given(schemas)
def test_names_are_distinct_but_for_case_and_legal_for_delta(schema: t.StructType) -> None:
    plan = flatten_plan(schema, on_collision="number", presence=True)
    assert max(Counter(fold(name) for name in names(plan)).values()) == 1
    assert not set("".join(names(plan))) & set(REPLACED)


@settings(max_examples=200, deadline=None)
@given(schemas)
def test_a_collision_is_an_error_exactly_when_two_names_differ_at_most_in_case(schema: t.StructType) -> None:
    wanted = Counter(fold(wanted_name(path)) for path, _ in leaves(schema))
    if max(wanted.values()) > 1:
        assert "would both be the column" in problem(schema)
    else:
        assert names(flatten_plan(schema)) == [wanted_name(path) for path, _ in leaves(schema)]


@settings(max_examples=100, deadline=None)
@given(schemas, st.sampled_from(["keep", "json"]))
def test_a_plan_survives_json_unchanged(schema: t.StructType, policy: str) -> None:
    plan = flatten_plan(schema, arrays=policy, maps=policy, on_collision="number", presence=True)
    assert FlattenPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert FlattenPlan.from_json(plan.to_json()) == plan


def test_a_collision_names_both_paths() -> None:
    message = problem(load_schema("a_b int, A struct<B: int>"))
    assert "a_b and A.B would both be the column 'A_B'" in message


def test_numbered_names_avoid_every_name_that_another_column_wants() -> None:
    plan = flatten_plan(load_schema("a_b int, a struct<b: int, `b `: int, b_2: int>"), on_collision="number")
    assert names(plan) == ["a_b", "a_b_3", "a_b_", "a_b_2"]


def test_siblings_that_differ_only_in_case_are_refused_even_when_numbered() -> None:
    message = problem(load_schema("s struct<id: int, ID: int>"), on_collision="number")
    assert "s.id and s.ID differ at most in case" in message


def test_names_inside_a_kept_value_are_made_legal_by_a_cast() -> None:
    plan = flatten_plan(load_schema("rows array<struct<`a b`: int, `a.b`: int, c: int>>"))
    assert plan.columns[0].data_type.simpleString() == "array<struct<a_b:int,a_b_2:int,c:int>>"
    assert plan.columns[0].expression.startswith("CAST(`rows` AS ARRAY<STRUCT<")


def test_a_kept_value_with_legal_names_is_not_cast() -> None:
    assert flatten_plan(NESTED, keep=["device"]).columns[1].expression == "`device`"


# one column of a frame


def test_the_fields_of_one_column_come_to_the_top_where_it_stood() -> None:
    schema = load_schema("key binary, event struct<id: int, device: struct<serial: string>>, headers array<string>")
    plan = flatten_plan(schema, column="event")
    assert names(plan) == ["key", "id", "device_serial", "headers"]
    assert projections(plan)[0][2] == "`event`.`device`.`serial` AS `device_serial`"
    assert paths(plan)[1:3] == ["id", "device.serial"]


def test_a_field_that_meets_another_column_of_the_frame_is_a_collision_that_says_so() -> None:
    schema = load_schema("event struct<Key: int>, key binary")
    assert "the frame's column key and Key would both be the column 'Key'" in problem(schema, column="event")
    assert names(flatten_plan(schema, column="event", on_collision="number")) == ["Key_2", "key"]


def test_the_other_columns_of_the_frame_stay_whole() -> None:
    schema = load_schema("event struct<id: int>, headers array<struct<key: string>>, place struct<lat: double>")
    plan = flatten_plan(schema, column="event", arrays="json")
    assert names(plan) == ["id", "headers", "place"]
    assert {each.policy for each in plan.columns[1:]} == {"frame"}


def test_a_column_that_the_frame_has_not_or_that_is_no_struct_is_an_error() -> None:
    assert "no column 'evnt'" in problem(load_schema("event struct<id: int>"), column="evnt")
    assert "'id' is int" in problem(load_schema("id int"), column="id")


# policies


def test_arrays_and_maps_are_kept_unless_asked_otherwise() -> None:
    assert paths(flatten_plan(NESTED))[4:] == ["tags", "readings", "labels", "counts"]


def test_a_policy_applies_to_paths_inside_an_exploded_array_of_structs() -> None:
    plan = flatten_plan(NESTED, policies={"readings": "explode", "readings.samples": "json"})
    assert names(plan)[5:7] == ["readings_v", "readings_samples"]
    assert plan.columns[6].expression.startswith("to_json(`element 1`.`samples`")


def test_explodes_nest_and_each_adds_one_projection() -> None:
    policies = {"readings": "explode", "readings.samples": "explode", "readings.samples.element": "explode"}
    plan = flatten_plan(NESTED, policies=policies)
    assert [format_path(each.path) for each in plan.explodes] == list(policies)
    layers = projections(plan)
    assert [sum("explode_outer" in each for each in layer) for layer in layers] == [1, 1, 1, 0]
    assert len(layers[-1]) == len(plan.columns)


def test_two_explodes_side_by_side_are_an_error_that_names_both() -> None:
    assert "readings and tags would be exploded side by side" in problem(NESTED, arrays="explode")


def test_an_exploded_map_gives_key_and_value() -> None:
    plan = flatten_plan(NESTED, policies={"labels": "explode"})
    assert paths(plan)[-4:-1] == ["labels.key", "labels.value.a", "labels.value.b"]


def test_declared_positions_and_keys_become_columns() -> None:
    plan = flatten_plan(NESTED, policies={"tags": "index 0,2", "labels": "keys up,`a,b`", "counts": "keys 7"})
    assert names(plan)[4:6] == ["tags_0", "tags_2"]
    assert names(plan)[7:] == ["labels_up_a", "labels_up_b", "labels_a_b_a", "labels_a_b_b", "counts_7"]
    assert plan.columns[-1].expression == "try_element_at(`counts`, CAST('7' AS INT))"


def test_structs_may_be_kept_dropped_or_written_as_json() -> None:
    plan = flatten_plan(NESTED, policies={"device.place": "json", "tags": "drop"}, keep=["labels"])
    assert names(plan) == ["id", "device_serial", "device_place", "readings", "labels", "counts"]
    assert names(flatten_plan(NESTED, policies={"device": "keep"}))[:3] == ["id", "device", "tags"]


@pytest.mark.parametrize(
    ("path", "policy", "said"),
    [
        ("id", "explode", "id is bigint, which cannot be `explode`"),
        ("id", "json", "id is bigint, which cannot be `json`"),
        ("tags", "keys a", "tags is array<string>, which cannot be `keys a`"),
        ("labels", "index 0", "which cannot be `index 0`"),
        ("device", "explode", "which cannot be `explode`"),
        ("tags", "shout", "'shout' is not a flatten policy"),
        ("tags", "index x", "'index x' is not a flatten policy"),
        ("labels", "keys", "'keys' is not a flatten policy"),
        ("device..x", "keep", "cannot be read at character 8"),
        ("device.serail", "keep", "unknown path device.serail; did you mean 'device.serial'?"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_an_error_that_names_it(path: str, policy: str, said: str) -> None:
    assert said in problem(NESTED, policies={path: policy})


def test_all_mistakes_are_named_at_once() -> None:
    message = problem(NESTED, policies={"id": "explode", "nowhere": "keep"}, rename={"tags": "readings"})
    assert "id is bigint" in message
    assert "unknown path nowhere" in message
    assert "tags and readings would both be" in message


@given(st.lists(st.text(min_size=1), min_size=1))
def test_keys_of_any_text_survive_being_written(keys: list[str]) -> None:
    policy = Policy("keys", tuple(dict.fromkeys(keys)))
    assert parse_policy(str(policy)) == policy


# renaming, limits, presence


def test_a_rename_gives_the_exact_name_and_of_a_struct_the_prefix() -> None:
    plan = flatten_plan(NESTED, rename={"device": "d", "device.serial": "serial_number"})
    assert names(plan)[:4] == ["id", "serial_number", "d_place_lat", "d_place_lon"]


@pytest.mark.parametrize("name", ["a b", "a.b", "", "a`"])
def test_a_rename_to_an_illegal_name_is_an_error(name: str) -> None:
    assert "renam" in problem(NESTED, rename={"id": name})


def test_a_renamed_column_keeps_its_name_against_an_earlier_one() -> None:
    plan = flatten_plan(load_schema("a int, b int"), rename={"b": "A"}, on_collision="number")
    assert names(plan) == ["a_2", "A"]


def test_a_path_past_the_depth_limit_is_named() -> None:
    assert "device.place.lat is deeper than max_depth=2" in problem(NESTED, max_depth=2)
    flatten_plan(NESTED, max_depth=3)
    flatten_plan(NESTED, max_depth=2, keep=["device.place"])


def test_the_path_past_the_column_limit_is_named() -> None:
    assert "tags would be column 5, over max_columns=4" in problem(NESTED, max_columns=4)
    flatten_plan(NESTED, max_columns=8)


def test_presence_adds_a_column_for_each_nullable_struct() -> None:
    schema = load_schema("event struct<a: struct<x: int>, b: struct<x: int> not null>")
    plan = flatten_plan(schema, column="event", presence=True)
    assert names(plan) == ["event_present", "a_present", "a_x", "b_x"]


def test_a_plan_without_any_column_is_an_error() -> None:
    assert "no column is left" in problem(load_schema("a int"), policies={"a": "drop"})


def test_structs_nest_deeper_than_python_recurses() -> None:
    schema = t.StructType([t.StructField("leaf", t.LongType())])
    for _ in range(1_500):
        schema = t.StructType([t.StructField("s", schema)])
    column = flatten_plan(schema).columns[0]
    assert len(column.path) == 1_501


# as data


def test_a_plan_reads_as_a_table() -> None:
    plan = flatten_plan(load_schema("id int, device struct<`serial no`: string>, xs array<int>"), arrays="explode")
    assert repr(plan).splitlines() == [
        "FlattenPlan of the frame: 3 columns",
        "explode 1: xs",
        "path              column            type    policy",
        "id                id                int     keep",
        "device.serial no  device_serial_no  string  keep",
        "xs                xs                int     keep",
    ]


def test_nullability_follows_the_whole_path() -> None:
    schema = load_schema("a struct<x: int not null> not null, b struct<x: int not null>")
    assert [each.nullable for each in flatten_plan(schema).schema] == [False, True]


@given(st.lists(st.text(min_size=1), min_size=1).map(tuple))
def test_any_path_survives_being_written(path: tuple[str, ...]) -> None:
    assert parse_path(format_path(path)) == path


def test_quoting_doubles_an_inner_backtick() -> None:
    assert quote("a`b") == "`a``b`"


def test_every_character_that_delta_refuses_becomes_an_underscore() -> None:
    assert legal_name("a,b;c{d}e(f)g\nh\ti=j k.l`m") == "a_b_c_d_e_f_g_h_i_j_k_l_m"
    assert legal_name("") == "_"
    assert legal_name("größe日本-1") == "größe日本-1"


@pytest.mark.parametrize(("one", "other", "same"), [("ID", "id", True), ("É", "é", True), ("ß", "ss", False)])
def test_names_are_held_for_the_same_as_spark_does(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) is same
