"""Flattening in plain Python: generated schemas and values, and what must come of them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from pyspark.sql import types as t

NAMES = ["id", "Id", "a", "b", "a_b", "b_c", "a.b", "a b", "a`b", "é", "ß", "日本", "k=v", "x,y;{z}", "(n)\t", "select"]
LEAVES: list[t.DataType] = [t.LongType(), t.StringType(), t.BooleanType(), t.DoubleType()]
REPLACED = " ,;{}()\n\t=.`"


def random_struct(random: Random, depth: int = 3) -> t.StructType:
    """Return a struct with 1 to 5 fields, no two of them alike but for case."""
    names = random.sample([name for name in NAMES if name != "Id"], random.randint(1, 5))
    return t.StructType([t.StructField(name, random_type(random, depth - 1), random.random() < 0.8) for name in names])


def random_type(random: Random, depth: int) -> t.DataType:
    """Return a struct, array, map or leaf."""
    choice = random.random() if depth > 0 else 0.0
    if choice < 0.45:
        return random.choice(LEAVES)
    if choice < 0.8:
        return random_struct(random, depth)
    if choice < 0.92:
        return t.ArrayType(random_type(random, depth - 1))
    return t.MapType(t.StringType(), random_type(random, depth - 1))


def random_value(random: Random, data_type: t.DataType, nullable: bool = True) -> Any:  # noqa: PLR0911  # one per type
    """Return a value that fits, null now and then where it may be."""
    if nullable and random.random() < 0.2:
        return None
    if isinstance(data_type, t.StructType):
        return tuple(random_value(random, each.dataType, each.nullable) for each in data_type.fields)
    if isinstance(data_type, t.ArrayType):
        return [random_value(random, data_type.elementType) for _ in range(random.randint(0, 3))]
    if isinstance(data_type, t.MapType):
        return {key: random_value(random, data_type.valueType) for key in random.sample("pqr", random.randint(0, 3))}
    if isinstance(data_type, t.LongType):
        return random.randint(-(2**63), 2**63 - 1)
    if isinstance(data_type, t.StringType):
        return random.choice(["", "text", "日本", "'\"\\`"])
    return random.random() < 0.5 if isinstance(data_type, t.BooleanType) else random.random()


def legal(name: str) -> str:
    """Return the legal form of one name."""
    return "".join("_" if character in REPLACED else character for character in name)


def leaves(struct: t.StructType, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], t.DataType]]:
    """Yield path and type of every leaf, in schema order; arrays and maps are leaves."""
    for each in struct.fields:
        if isinstance(each.dataType, t.StructType):
            yield from leaves(each.dataType, (*path, each.name))
        else:
            yield (*path, each.name), each.dataType


def wanted_name(path: tuple[str, ...], separator: str = "_") -> str:
    """Return the name that a path wants."""
    return separator.join(map(legal, path))


def at(value: Any, struct: t.StructType, path: tuple[str, ...]) -> Any:
    """Return what stands at a path; null below a null struct."""
    for part in path:
        if value is None:
            return None
        place = struct.names.index(part)
        inner = struct.fields[place].dataType
        value = value[place]
        struct = inner if isinstance(inner, t.StructType) else struct
    return value


def plain(value: Any) -> Any:
    """Return rows as tuples, all the way down, so that Spark's values compare with generated ones."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list):
        return list(map(plain, value))
    return {key: plain(each) for key, each in value.items()} if isinstance(value, dict) else value
