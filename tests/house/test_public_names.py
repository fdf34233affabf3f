"""The public surface is a list with a test."""

from __future__ import annotations

import subprocess
import sys

import spark_utils


def test_a_star_import_gives_exactly_the_public_names() -> None:
    namespace: dict[str, object] = {}
    exec("from spark_utils import *", namespace)
    del namespace["__builtins__"]
    assert sorted(namespace) == sorted(spark_utils.__all__)


def test_every_public_name_stands_in_the_table_of_homes_and_the_other_way_round() -> None:
    assert sorted(spark_utils.__all__) == sorted(spark_utils._MODULE_OF)


def test_every_public_name_says_what_it_does() -> None:
    silent = [name for name in spark_utils.__all__ if not (getattr(spark_utils, name).__doc__ or "").strip()]
    assert silent == []


def test_an_import_of_the_library_does_not_wait_for_spark() -> None:
    program = "import sys, spark_utils, spark_utils.errors; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
