"""The pytest plug-in shipped with the library: fixtures our users test their own transformations with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from spark_utils.session import get_session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One local session, quick to start, in UTC, with few partitions and no UI, shared by a whole test run."""
    session = get_session("tests", fast_start=True, config={"spark.ui.enabled": "false"})
    yield session
    session.stop()
