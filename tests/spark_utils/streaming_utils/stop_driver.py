"""A small job, started by the termination tests: `python -m tests.spark_utils.streaming_utils.stop_driver FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_utils.parsing import good_rows
from spark_utils.session import get_session
from spark_utils.sinks.write_stream import write_stream
from spark_utils.streaming_utils.progress import attach_progress
from spark_utils.streaming_utils.termination import await_termination, readable_errors
from tests.spark_utils.sinks.sink_kit import Bench, parse, transform


def slowly(events: DataFrame) -> DataFrame:
    """Take ten minutes for the number 2 of the test with two signals; any other number is quick."""
    number = F.expr("if(number = 2, number + length(reflect('java.lang.Thread', 'sleep', 600000L)) * 0, number)")
    return transform(events).withColumn("number", number.cast("bigint"))


def main() -> None:
    readable_errors()
    spark = get_session("stop-driver", fast_start=True)
    bench = Bench(spark, Path(sys.argv[1]))
    attach_progress(spark)
    step = slowly if len(list(Path(sys.argv[1], "source").iterdir())) == 2 else transform
    query = write_stream(
        bench.raw(),
        parse=parse,
        events=lambda parsed: step(good_rows(parsed)),
        output_path=bench.output,
        checkpoint_path=bench.checkpoint,
        trigger="100 ms",
        query_name="numbers",
    )
    await_termination(query)


if __name__ == "__main__":
    main()
