"""The sample pipeline: event hub -> bronze -> silver (and what was rejected) -> gold, each a table.

The same file runs as `devkit pipeline run configuration/pipeline.yml` and as a pipeline of Databricks. Its parameters
are `event_hubs_connection_string` and `schema`; the transformation is the streaming job's, `src/transformation.py`.
"""

import dlt  # type: ignore[import-not-found]  # it exists while a pipeline runs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_utils import (
    Secret,
    SourceOptions,
    flatten,
    flatten_plan,
    good_rows,
    load_schema,
    parse,
    read_stream,
    rejected_rows,
)
from transformation import transform

# A pipeline has `spark` as a global, but not in modules, and in the job's wheel this file is one.
spark = SparkSession.active()
hub = SourceOptions(event_hubs_connection_string=Secret(spark.conf.get("event_hubs_connection_string")))
schema = load_schema(spark.conf.get("schema"))


@dlt.table(comment="Every event as it came: raw body, key, partition, offset, enqueued time, headers")
def bronze() -> DataFrame:
    return read_stream(spark, hub)


@dlt.view(comment="Every event with `event`, or with `reason`, `path` and `detail`")
def parsed() -> DataFrame:
    # Pipelines of Databricks take no jar, so the reader that needs none.
    return spark.readStream.table("bronze").transform(parse, schema, engine="arrow")


@dlt.table(comment="Good events, flat, one column for each field", partition_cols=["enqueued_date"])
@dlt.expect_or_drop("on the globe", "location_latitude BETWEEN -90 AND 90 AND location_longitude BETWEEN -180 AND 180")
@dlt.expect("battery reported", "battery_percent BETWEEN 0 AND 100")
@dlt.expect("has readings", "size(readings) > 0")
def silver() -> DataFrame:
    good = spark.readStream.table("parsed").transform(good_rows)
    return good.transform(flatten, flatten_plan(good.schema, column="event")).transform(transform)


@dlt.table(comment="Events that could not be read, each with its reason, raw body and position")
def rejected() -> DataFrame:
    return spark.readStream.table("parsed").transform(rejected_rows)


@dlt.table(comment="Events, devices and failures of each model and day")
def gold() -> DataFrame:
    by_model = spark.read.table("silver").groupBy("enqueued_date", "device_model")
    return by_model.agg(
        F.count("*").alias("events"),
        F.countDistinct("device_id").alias("devices"),
        F.count_if(F.col("status") == "failed").alias("failures"),
        F.sum("energy_cost").alias("energy_cost"),
    )
