"""Your transformation: flat good events in, rows of the table `events` out."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(events: DataFrame) -> DataFrame:
    """Add the day an event was enqueued.

    Args:
        events: The flattened columns of your schema, then `key`, `partition`, `offset`, `enqueued_time`, `headers`.

    Returns:
        The same rows with `enqueued_date date`. Keep it stateless: it sees one micro-batch at a time; windows and joins
        over time belong in a second query that reads the table `events`.
    """
    return events.withColumn("enqueued_date", F.to_date("enqueued_time"))
