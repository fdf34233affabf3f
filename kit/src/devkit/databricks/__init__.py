"""What Databricks gives to code besides Spark: `dbutils`, `display` and paths, on this machine."""
