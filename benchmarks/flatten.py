"""Flatten against one hand-written `selectExpr` of the same paths, and against the usual struct-by-struct loop.

Each figure is the time to have an analysed and planned frame: plan, projection, and Spark's own planning; no data is
read. The floor is measured in the same run, in turn with ours; medians are compared.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # the name that all of Spark's documentation uses
from pyspark.sql.types import LongType, StructField, StructType

from spark_utils.flattening import flatten, flatten_plan
from spark_utils.session import get_session

GROUP = 10  # leaves of an inner struct; inner structs of an outer one


def nested_schema(leaves: int) -> StructType:
    """Return leaves of depth 3: structs of structs of `GROUP` numbers each."""
    inner = StructType([StructField(f"leaf{number}", LongType()) for number in range(GROUP)])
    middle = StructType([StructField(f"middle{number}", inner) for number in range(GROUP)])
    return StructType([StructField(f"outer{number}", middle) for number in range(leaves // GROUP**2)])


def hand_written(df: DataFrame, schema: StructType) -> DataFrame:
    """Select the same paths as somebody would type them."""
    return df.selectExpr(
        *(
            f"{outer.name}.{middle.name}.{leaf.name} AS {outer.name}_{middle.name}_{leaf.name}"
            for outer in schema.fields
            for middle in outer.dataType.fields  # type: ignore[attr-defined]  # made as structs above
            for leaf in middle.dataType.fields
        )
    )


def ours(df: DataFrame, schema: StructType) -> DataFrame:
    """Plan and flatten."""
    return flatten(df, flatten_plan(schema))


def loop(df: DataFrame, schema: StructType) -> DataFrame:  # noqa: ARG001  # one signature for the three ways
    """Take apart one struct after the other: the recipe found everywhere."""
    while structs := [each.name for each in df.schema.fields if isinstance(each.dataType, StructType)]:
        name = structs[0]
        inner = [F.col(f"{name}.{each}").alias(f"{name}_{each}") for each in df.select(f"{name}.*").columns]
        df = df.select("*", *inner).drop(name)
    return df


def seconds(way: Callable[[DataFrame, StructType], DataFrame], spark: SparkSession, schema: StructType) -> float:
    """Time one way on a fresh frame, up to and including Spark's physical plan."""
    df = spark.createDataFrame([], schema)
    gc.collect()
    start = time.perf_counter()
    way(df, schema)._jdf.queryExecution().executedPlan()
    return time.perf_counter() - start


def compare(spark: SparkSession, leaves: int, rounds: int) -> None:
    """Print the ratio of ours to the hand-written way, in turn, after one round to warm up."""
    schema = nested_schema(leaves)
    times: dict[str, list[float]] = {"ours": [], "floor": []}
    for turn in range(rounds + 1):
        pair = [("ours", ours), ("floor", hand_written)]
        for name, way in pair if turn % 2 else reversed(pair):
            taken = seconds(way, spark, schema)
            if turn:
                times[name].append(taken)
    mine, floor = statistics.median(times["ours"]), statistics.median(times["floor"])
    print(f"flatten, {leaves:6,} leaves: {mine / floor:5.2f} of one hand-written selectExpr ({floor:.2f} s)")


def compare_with_loop(spark: SparkSession, leaves: int, rounds: int) -> None:
    """Print how many times faster than the struct-by-struct loop (run once; it takes half a minute)."""
    schema = nested_schema(leaves)
    mine = statistics.median(seconds(ours, spark, schema) for _ in range(rounds))
    print(f"flatten, {leaves:6,} leaves: {seconds(loop, spark, schema) / mine:5.0f} times faster than the usual loop")


def main() -> None:
    """Print all three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds at 1,000 leaves (a third at 10,000)")
    rounds = parser.parse_args().rounds
    spark = get_session("benchmark-flatten")
    compare(spark, 1_000, rounds)
    compare(spark, 10_000, max(3, rounds // 3))
    compare_with_loop(spark, 1_000, 3)
    spark.stop()


if __name__ == "__main__":
    main()
