"""The user's own files (not this library's, nor Python's, nor an installed package's), and how workers get them."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from spark_utils.session import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OUR_FOLDER = str(Path(__file__).resolve().parents[1])
_OTHERS = (OUR_FOLDER, sysconfig.get_path("stdlib"), "site-packages", "pyspark.zip", "py4j", "<")


def is_users_file(file: str) -> bool:
    """Return whether a file is the user's own."""
    return not any(file.startswith(part) or f"/{part}/" in file for part in _OTHERS)


def send_users_modules(spark: SparkSession) -> None:
    """Let functions of the user's modules go to the Python workers of a Spark Connect server as code.

    By its name a worker would import a module there: none, or the one it once imported, or another user's.
    """
    from pyspark import cloudpickle

    for name, module in [*sys.modules.items()] if is_connect(spark) else ():
        file = getattr(module, "__file__", None)
        if file and getattr(module, "__name__", None) == name != "__main__" and is_users_file(file):
            cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
