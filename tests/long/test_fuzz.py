"""Random bodies in mass: each reader says what the reference says, on fresh seeds."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from spark_utils.parsing.reference import UnknownPolicy
from tests.spark_utils.parsing import test_jvm_parse as parsing

POLICIES: tuple[UnknownPolicy, ...] = ("keep", "count", "reject")


@pytest.mark.parametrize("seed", range(1_000, 1_015))
def test_the_reader_in_java_gets_random_bodies_right(spark: SparkSession, seed: int) -> None:
    policy = POLICIES[seed % len(POLICIES)]
    parsing.test_random_bodies_get_the_reference_s_verdicts_and_values(spark, "jvm", policy, seed)


@pytest.mark.parametrize("seed", range(2_000, 2_009))
def test_the_reader_without_a_jvm_gets_random_bodies_right(spark: SparkSession, seed: int) -> None:
    policy = POLICIES[seed % len(POLICIES)]
    parsing.test_random_bodies_get_the_reference_s_verdicts_and_values(spark, "arrow", policy, seed)
