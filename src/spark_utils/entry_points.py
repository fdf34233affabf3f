"""The wheel's entry points: one function for each job file, which runs the file itself, as a script."""

from __future__ import annotations

import runpy
from importlib.util import find_spec

from spark_utils.errors import RuntimeSetupError


def streaming_job() -> None:
    """Run `streaming_job.py` from the wheel: the console script `streaming-job`, and a Databricks wheel task.

    Raises:
        SystemExit: If pyspark is missing, with one line that says where it comes from.
    """
    run_module("streaming_job")


def run_module(module: str) -> None:
    """Run the file of a module as a script: for the entry points of wheels with other jobs.

    Raises:
        SystemExit: As `streaming_job`.
    """
    if find_spec("pyspark") is None:
        problem = "this Python has no pyspark, which the wheel leaves to the Databricks Runtime"
        remedy = "On a laptop: pip install 'spark-streaming-devkit[local]'."
        raise SystemExit(str(RuntimeSetupError(problem, remedy=remedy)))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
