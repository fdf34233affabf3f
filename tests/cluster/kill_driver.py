"""The job that is killed: hub -> parse -> two Delta tables, by the library's own steps.

`python -m tests.cluster.kill_driver FOLDER EVENTS_PER_TRIGGER TRIGGER`; the connection string is in the environment.
It is the sample job but for two things that make thirty lives affordable: it starts quicker, and what it parses are
plain numbers, without Python workers. Parsing has no part in what is written once.
"""

from __future__ import annotations

import sys

from spark_utils import await_termination, get_session, parse_arguments, read_stream, write_stream
from tests.spark.sink_kit import parse, transform


def main() -> None:
    folder, events_per_trigger, trigger = sys.argv[1:4]
    config = parse_arguments(
        [
            *(
                "--schema",
                "number BIGINT",
                "--output-path",
                f"{folder}/output",
                "--checkpoint-path",
                f"{folder}/checkpoint",
            ),
            *("--max-events-per-trigger", events_per_trigger, "--trigger", trigger),
        ]
    )
    spark = get_session("killed", fast_start=True)
    query = write_stream(read_stream(spark, config), parse=parse, transform=transform, **config.write_options)
    await_termination(query)


if __name__ == "__main__":
    main()
