"""The local Spark: sessions, runtime profiles, jars and Java."""
