"""AUTO CDC against a plain model, at length: thousands of keys' histories."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from local_pipelines.testing import PipelineTester
from tests.local_pipelines.cdc_model import arrivals, check


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_any_order_of_arrival_gives_the_tables_of_the_model(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    check(PipelineTester(spark, tmp_path_factory.mktemp("cdc")), *arrivals(seed, keys=1500))
