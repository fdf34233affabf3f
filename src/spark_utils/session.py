"""The Spark session of a job: the cluster's own on Databricks, a locally prepared one on a laptop."""

from __future__ import annotations

from pyspark.sql import SparkSession


def get_session(app_name: str = "streaming-job") -> SparkSession:
    """Return the session of the cluster, or start a local one."""
    return SparkSession.builder.appName(app_name).getOrCreate()
