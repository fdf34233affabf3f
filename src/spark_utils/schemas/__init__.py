"""Schemas: read as DDL, Spark JSON or JSON Schema, and written as DDL; all without a JVM."""

from spark_utils.schemas.ddl import parse_schema_ddl, parse_type_ddl, schema_to_ddl, type_to_ddl
from spark_utils.schemas.json_schema import schema_from_json_schema
from spark_utils.schemas.loading import load_schema, parse_schema
from spark_utils.schemas.spark_json import schema_from_spark_json

__all__ = [
    "load_schema",
    "parse_schema",
    "parse_schema_ddl",
    "parse_type_ddl",
    "schema_from_json_schema",
    "schema_from_spark_json",
    "schema_to_ddl",
    "type_to_ddl",
]
