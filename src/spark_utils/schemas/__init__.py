"""Schemas: read and written as DDL, Spark JSON or JSON Schema, and inferred from samples; all without a JVM."""

from spark_utils.schemas.ddl import parse_schema_ddl, parse_type_ddl, schema_to_ddl, type_to_ddl
from spark_utils.schemas.inference import Conflict, InferredSchema, infer_schema
from spark_utils.schemas.json_schema import schema_from_json_schema
from spark_utils.schemas.json_schema_writer import schema_to_json_schema
from spark_utils.schemas.loading import load_schema, parse_schema
from spark_utils.schemas.spark_json import schema_from_spark_json

__all__ = [
    "Conflict",
    "InferredSchema",
    "infer_schema",
    "load_schema",
    "parse_schema",
    "parse_schema_ddl",
    "parse_type_ddl",
    "schema_from_json_schema",
    "schema_from_spark_json",
    "schema_to_ddl",
    "schema_to_json_schema",
    "type_to_ddl",
]
