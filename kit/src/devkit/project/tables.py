"""`devkit tables`: what a job has written, as a reader of the two tables sees it."""

from __future__ import annotations

import argparse
from pathlib import Path

from spark_utils.errors import ConfigurationError

TABLES = ("events", "rejected")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `devkit tables [OUTPUT_PATH] [--rows N]`."""
    parser.add_argument("output_path", nargs="?", default="data/telemetry", help="the job's --output-path")
    parser.add_argument("--rows", type=int, default=5, help="newest rows to show of each table")
    parser.set_defaults(run=show_tables)


def show_tables(arguments: argparse.Namespace) -> int:
    """Print count and newest rows of `events` and `rejected`, and the reasons counted.

    Raises:
        ConfigurationError: If there is no Delta table under the path.
    """
    output = Path(arguments.output_path)
    present = [table for table in TABLES if (output / table / "_delta_log").is_dir()]
    if not present:
        raise ConfigurationError(
            f"there is no Delta table under {str(output)!r}",
            origin="the argument OUTPUT_PATH",
            remedy="Run the job first (`make run`), or name the job's --output-path.",
        )
    from spark_utils.session import get_session
    from spark_utils.streaming_utils.streaming_preview import preview_stream

    spark = get_session("devkit-tables", fast_start=True, config={"spark.ui.enabled": "false"})
    for table in present:
        frame = spark.read.format("delta").load(str((output / table).resolve()))
        print(f"{output / table}: {frame.count():,} rows")
        print(preview_stream(frame.orderBy("enqueued_time", ascending=False), rows=arguments.rows))
        if table == "rejected":
            print(preview_stream(frame.groupBy("reason").count().orderBy("count", ascending=False)))
    spark.stop()
    return 0
