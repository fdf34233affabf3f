"""A small job, started by the termination tests: `python -m tests.spark_utils.streaming_utils.stop_driver FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from spark_utils.session import get_session
from spark_utils.sinks.write_stream import write_stream
from spark_utils.streaming_utils.progress import attach_progress
from spark_utils.streaming_utils.termination import await_termination, readable_errors
from tests.spark_utils.sinks.sink_kit import Bench, parse, to_events


def main() -> None:
    readable_errors()
    spark = get_session("stop-driver", fast_start=True)
    bench = Bench(spark, Path(sys.argv[1]))
    attach_progress(spark)
    query = write_stream(
        bench.raw(),
        parse=parse,
        events=to_events,
        output_path=bench.output,
        checkpoint_path=bench.checkpoint,
        trigger="100 ms",
        query_name="numbers",
    )
    await_termination(query)


if __name__ == "__main__":
    main()
