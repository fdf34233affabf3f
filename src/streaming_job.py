"""The streaming job: event hub -> parse -> flatten -> your transformation -> two Delta tables.

The same file runs as `python src/streaming_job.py`, by `spark-submit`, as the wheel's entry point `streaming-job`,
and cell by cell. Your schema is the file that `--schema` names; your transformation is `src/transformation.py`.
"""

# %% What the job is made of
from functools import partial

from pyspark.sql import DataFrame

from spark_utils import (
    attach_progress,
    await_termination,
    configure_storage,
    flatten,
    flatten_plan,
    get_session,
    good_rows,
    load_schema,
    parse,
    parse_arguments,
    preview_stream,
    read_stream,
    readable_errors,
    write_stream,
)
from transformation import transform

# %% Arguments: command line > environment > configuration/run_args_streaming.conf > default
readable_errors()
config = parse_arguments()
schema = load_schema(config.schema)

# %% Session: the cluster's own on Databricks, a prepared local one on a laptop
spark = get_session("streaming-job", fast_start=config.fast_start)
configure_storage(spark, config)

# %% Read: body, key, partition, offset, enqueued_time, headers
raw = read_stream(spark, config)

# %% Parse: every event is a good row, or a rejected one with its reason
to_parsed = partial(parse, schema=schema, **config.parse_options)

# %% Flatten and transform: the good rows become rows of the table `events`
plan = flatten_plan(good_rows(raw.transform(to_parsed)).schema, column="event", **config.flatten_options)


def to_events(good: DataFrame) -> DataFrame:
    """Good rows in, rows of the table `events` out."""
    return good.transform(flatten, plan).transform(transform)


# %% Preview: a look at live data before anything is written
if config.preview:
    print(preview_stream(raw.transform(to_parsed).transform(good_rows).transform(to_events), rows=config.preview))

# %% Write: two Delta tables, exactly once
attach_progress(spark)
query = write_stream(raw, parse=to_parsed, transform=to_events, **config.write_options)

# %% Await: until it is done, stopped (Ctrl-C finishes the batch), or failed
await_termination(query, stop_after=config.stop_after)
