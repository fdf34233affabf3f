"""The schema of good rows is computed from the declared one, and is that of the frame; a schema may be DDL text."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as t

from spark_utils import good_rows, good_schema, parse
from spark_utils.configuration.settings import ParseOptions
from spark_utils.schemas import parse_schema_ddl

DECLARED = parse_schema_ddl("id BIGINT NOT NULL COMMENT 'x', device STRUCT<`a.b`: ARRAY<INT>>, tags MAP<STRING, DATE>")
SOURCE = "cast('{\"id\": 1, \"more\": 2}' AS binary) AS body, 3 AS partition, 'x' AS `odd name`"


@pytest.mark.parametrize("unknown", ["keep", "count", "reject"])
@pytest.mark.parametrize("engine", ["jvm", "arrow"])
def test_the_computed_schema_is_that_of_the_good_rows(spark: SparkSession, engine: Any, unknown: Any) -> None:
    raw = spark.sql(f"SELECT {SOURCE}")
    options = ParseOptions(engine=engine, unknown=unknown)
    frame = good_rows(parse(raw, DECLARED, options=options))
    assert good_schema(raw.schema, DECLARED, options=options) == frame.schema


def test_the_computed_schema_of_bodies_without_a_schema_holds_a_variant(spark: SparkSession) -> None:
    raw = spark.sql(f"SELECT {SOURCE}")
    frame = good_rows(parse(raw, t.VariantType()))
    assert good_schema(raw.schema, t.VariantType()) == frame.schema


def test_no_session_is_needed_to_compute_it() -> None:
    source = t.StructType().add("payload", "binary").add("offset", "long", nullable=False)
    assert good_schema(source, DECLARED, unknown="count", body_column="payload").names == [
        *("event", "_unknown_count", "offset")
    ]


def test_a_schema_may_be_given_as_ddl_text(spark: SparkSession) -> None:
    raw = spark.sql(f"SELECT {SOURCE}")
    row = parse(raw, "id BIGINT NOT NULL", engine="arrow").first()
    assert row is not None
    assert (row.event.id, row._unknown) == (1, '{"more":2}')
