"""The pytest plug-in shipped with the library: fixtures our users test their own transformations with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from spark_utils.session import get_session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One fast local session, in UTC, shared by a whole test run."""
    session = get_session("tests")
    yield session
    session.stop()
