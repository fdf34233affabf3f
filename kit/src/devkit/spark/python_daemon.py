"""Spark's own Python daemon, whose workers do not read Spark's archives again before every task.

A worker calls ``importlib.invalidate_caches()`` before each task, and until Python 3.12 every ``zipimporter`` then
reads the directory of its archive anew. Spark puts ``pyspark.zip`` and its core jar (5,359 entries) on the path of
the workers, which do not change while it runs: 44 ms of every task, a third of a small micro-batch that is parsed.

Sources: ``pyspark/daemon.py``, ``pyspark/worker_util.py`` (4.0 to 4.2), ``zipimport.py`` of CPython.
"""

from __future__ import annotations

import os
import zipimport
from pathlib import Path

_reread = zipimport.zipimporter.invalidate_caches


def _invalidate(self: zipimport.zipimporter) -> None:
    if not is_of_spark(self.archive):
        _reread(self)  # an archive of the user may have been replaced


def is_of_spark(archive: str) -> bool:
    """Tell whether an archive lies in the folder of the installed Spark."""
    home = os.environ.get("SPARK_HOME")
    return bool(home) and Path(archive).absolute().is_relative_to(Path(str(home)).absolute())


def main() -> None:
    """Serve workers until Spark closes the standard input."""
    zipimport.zipimporter.invalidate_caches = _invalidate  # type: ignore[method-assign]
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
