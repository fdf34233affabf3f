"""Declarative pipelines on Databricks and on this machine, from one class and its configuration."""

from spark_utils.pipelines.configured import DLTMetaMixin
from spark_utils.pipelines.steps import broken_rows

__all__ = ["DLTMetaMixin", "broken_rows"]
