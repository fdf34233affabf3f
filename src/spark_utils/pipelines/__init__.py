"""Declarative pipelines on Databricks and on this machine, from one class and its configuration."""

from spark_utils.pipelines.configured import DLTMetaMixin

__all__ = ["DLTMetaMixin"]
