"""The streaming job: event hub -> parse -> flatten -> your transformation -> two Delta tables.

The same file runs as `python src/streaming_job.py`, by `spark-submit`, as the wheel's entry point `streaming-job`,
and cell by cell. Your schema is the file that `--schema` names; your transformation is `src/transformation.py`.
"""

# %% What the job is made of
from pyspark.sql import DataFrame

from spark_utils import (
    attach_progress,
    await_termination,
    configure_storage,
    flatten,
    flatten_plan,
    get_session,
    good_rows,
    good_schema,
    load_schema,
    parse,
    parse_arguments,
    preview_stream,
    read_stream,
    readable_errors,
    rejected_rows,
    write_stream,
)

# %% Arguments: command line > environment > configuration/run_args_streaming.conf > default
readable_errors()
config = parse_arguments()
schema = load_schema(config.schema)

# %% Session: the cluster's own on Databricks, a prepared local one on a laptop
spark = get_session("streaming-job", local=config.spark, fast_start=config.fast_start)
configure_storage(spark, config.storage)

# %% Your transformation, now that there is a session, which a `@F.udf("bigint")` at its head asks for
from transformation import transform  # noqa: E402

# %% Read: body, key, partition, offset, enqueued_time, headers
raw = read_stream(spark, config.source)

# %% Parse: every event gets a verdict, good or rejected
plan = flatten_plan(good_schema(raw.schema, schema, options=config.parse), column="event", options=config.flatten)


def to_parsed(raw: DataFrame) -> DataFrame:
    """Each event with `event`, or with `reason`, `path` and `detail`."""
    return raw.transform(parse, schema, options=config.parse)


# %% The fork: a good event is flattened and transformed, a rejected one keeps its raw body and position
def to_events(parsed: DataFrame) -> DataFrame:
    """Rows of the table `events`."""
    return parsed.transform(good_rows).transform(flatten, plan).transform(transform)


def to_rejected(parsed: DataFrame) -> DataFrame:
    """Rows of the table `rejected`."""
    return parsed.transform(rejected_rows)


# %% Preview: a look at live data before anything is written
if config.preview:
    print(preview_stream(raw.transform(to_parsed), rows=config.preview, step=to_events))

# %% Write: two Delta tables, exactly once
attach_progress(spark, config)
query = write_stream(
    raw,
    parse=to_parsed,
    events=to_events,
    rejected=to_rejected,
    source=config.source,
    output=config.output,
    identity={"schema": schema.simpleString()},
)

# %% Await: until it is done, stopped (Ctrl-C finishes the batch), or failed
await_termination(query, stop_after=config.stop_after)
