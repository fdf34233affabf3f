# Databricks notebook source
# ruff: noqa: D100, F821  # Databricks brings spark and dbutils
# The newest rows of what the job has written.
dbutils.widgets.text("output", "/Volumes/main/default/telemetry/dev")
output = dbutils.widgets.get("output")

# COMMAND ----------

for table in ("events", "rejected"):
    rows = spark.read.format("delta").load(f"{output}/{table}")
    print(table, rows.count())
    rows.show(5)
