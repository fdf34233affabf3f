"""An experiment on live data, cell by cell, fed by the configuration of the job.

Open it in an editor that knows `# %%` cells (Shift+Enter runs one), or paste it into a Databricks notebook. Start the
local hub first (`devkit hub up`, `devkit hub send --generate 1000`), or set `source = files`. Nothing here writes
anything, and no query is left running: change a cell and run it again.
"""

# %% What it needs
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_utils import (
    configure_storage,
    flatten,
    flatten_plan,
    get_session,
    good_rows,
    load_schema,
    parse,
    parse_arguments,
    preview_stream,
    read_batch,
    read_stream,
    rejected_rows,
)

# %% The job's own configuration, and a session that starts quickly
config = parse_arguments()
spark = get_session("experiment", fast_start=True)
configure_storage(spark, config.storage)

# %% Events as they are
raw = read_stream(spark, config.source)
preview_stream(raw, rows=5)

# %% Parsed: the good ones
parsed = parse(raw, load_schema(config.schema), options=config.parse)
preview_stream(good_rows(parsed), rows=5)

# %% Rejected: why, where in the body, and the body itself
preview_stream(rejected_rows(parsed), rows=5)

# %% Reasons, counted over what there is now
preview_stream(rejected_rows(parsed).groupBy("reason").count())

# %% Flattened: the plan is data, so it can be looked at before it is used
plan = flatten_plan(good_rows(parsed).schema, column="event", options=config.flatten)
flat = flatten(good_rows(parsed), plan)
preview_stream(flat)


# %% A transformation to try. When it is right, it goes to src/transformation.py, with a test
def transform(events: DataFrame) -> DataFrame:
    """Keep what is needed to see how late events come."""
    delay = F.col("enqueued_time").cast("double") - F.col("recorded_at").cast("double")
    return events.select(
        "event_id", "recorded_at", "enqueued_time", delay.alias("delay_seconds"), "partition", "offset"
    )


preview_stream(flat.transform(transform))

# %% The same steps on what the source holds now, as a batch: for questions that a stream cannot answer
batch = parse(read_batch(spark, config.source), load_schema(config.schema), options=config.parse)
preview_stream(
    flatten(good_rows(batch), plan).transform(transform).select(F.expr("percentile(delay_seconds, 0.99)").alias("p99"))
)

# %% Live: events per second, rejects and lag, until the time is up or the cell is interrupted
preview_stream(parsed.select("reason", "body", "partition", "offset", "enqueued_time"), rows=5, live=True, timeout=5)
