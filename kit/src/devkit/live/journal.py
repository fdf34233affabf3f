"""What each stream on this machine tells of itself, in a small file that `devkit page` reads.

The job's own progress is told here too (entry point ``spark_utils.stream_observers``), so nothing is asked of Spark.
A run has the file ``STREAMS/RUN_ID.jsonl``, which only its owner may read: a first line that says what runs, a line for
each of its latest batches, and a last one when it has ended.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from devkit import cache
from devkit.databricks import paths
from devkit.spark.server_state import ui_address
from spark_utils.configuration.explain import shown_value
from spark_utils.configuration.options import options_of
from spark_utils.redaction import mask_credentials, redact

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_utils import StreamingConfig

FOLDER_VARIABLE: Final = "SPARK_DEVKIT_STREAMS"
KEPT_BATCHES: Final = 500  # of each run; up to twice as many lie in its file, which is then written anew
KEPT_RUNS: Final = 30
_log = logging.getLogger(__name__)


def folder() -> Path:
    """Return where the files lie: ``SPARK_DEVKIT_STREAMS``, or a folder of the cache."""
    return Path(os.environ.get(FOLDER_VARIABLE) or cache.home() / "streams")


class Journal:
    """Keeps what it is told of a session's queries; see `spark_utils.streaming_utils.progress.Observer`.

    Args:
        spark: The session.
        config: The job's configuration.
    """

    def __init__(self, spark: SparkSession, config: StreamingConfig) -> None:
        from spark_utils.sinks.checkpoints import absolute

        output = absolute(config.output.path)
        self._secrets = config.secrets
        self._about = {
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "source": config.source.identity,
            "output": output,
            "folder": paths.local(output, paths.roots_of(spark)),
            "ui": ui_address(spark),
            "config": [
                (option.name, shown_value(option, option.value_in(config)), config.origins.get(option.name, ""))
                for option in options_of(type(config))
            ],
        }
        self._kept: dict[str, _Kept] = {}

    def __call__(self, run: str, happened: Mapping[str, object]) -> str | None:
        """Add a line to a run's file, and return where Spark shows it; a disk that is full does not end the stream."""
        try:
            self._keep(folder() / f"{run}.jsonl", run, {**happened})
        except OSError as error:
            _log.warning("`devkit page` does not know of this: %s", error)
        ui = self._about["ui"] if "started" in happened else None
        return ui and f"Spark UI: {ui}/StreamingQuery/"

    def _keep(self, file: Path, run: str, happened: dict[str, Any]) -> None:
        if "started" in happened:
            self._kept[run] = _Kept(_line(self._about | happened))
            cache.write_private(file, self._kept[run].first)
            _forget_old_runs(file.parent)
            return
        if spark := happened.pop("spark", None):
            happened["behind"] = behind(json.loads(spark)["sources"])
        if exception := happened.get("exception"):
            happened["exception"] = mask_credentials(redact(str(exception).splitlines()[0], self._secrets))
        kept = self._kept[run]
        kept.latest.append(_line(happened))
        kept.told += 1
        if kept.told % KEPT_BATCHES and file.exists():
            with file.open("a", encoding="utf-8") as opened:
                opened.write(kept.latest[-1])
        else:
            cache.write_private(file, "".join([kept.first, *kept.latest]))


@dataclass
class _Kept:
    """What a run's file holds: its first line, its latest ones, and how many there have been."""

    first: str
    latest: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_BATCHES))
    told: int = 0


def _line(content: Mapping[str, Any]) -> str:
    return f"{json.dumps(content)}\n"


def behind(sources: list[dict[str, Any]]) -> dict[str, int]:
    """Return by ``HUB-PARTITION`` how many events a batch left unread, of those known when it began.

    Args:
        sources: Of Spark's progress; one that has no offsets by partition is left out.
    """
    found = {}
    for source in sources:
        end, latest = source.get("endOffset"), source.get("latestOffset")
        if isinstance(end, dict) and isinstance(latest, dict):
            for hub, partitions in latest.items():
                if isinstance(partitions, dict):
                    read = end.get(hub, {})
                    found.update({f"{hub}-{key}": max(0, last - read.get(key, 0)) for key, last in partitions.items()})
    return found


def is_alive(about: Mapping[str, Any]) -> bool:
    """Return whether the process that a run was started by still runs: ids are used again."""
    with suppress(psutil.Error, KeyError):
        return bool(psutil.Process(about["pid"]).create_time() == about["process_started"])
    return False


def _forget_old_runs(streams: Path) -> None:
    for old in sorted(streams.glob("*.jsonl"), key=lambda file: file.stat().st_mtime)[:-KEPT_RUNS]:
        old.unlink(missing_ok=True)
