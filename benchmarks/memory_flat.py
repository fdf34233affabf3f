"""Memory of the job over millions of events: the last third of the run against the first third.

The same events go through the job again and again, in bounded batches; the resident memory of the driver's JVM, of
Python and of its workers is sampled. A ratio near 1.0 is flat; one that grows with the number of events is a leak.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
from pathlib import Path

from job_throughput import fill, ours

from devkit.hub.broker import LocalHub
from spark_utils import get_session

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY_SECONDS = 1.0


def resident_bytes(root: int) -> int:
    """Return the resident memory of a process and all below it (Linux)."""
    parents: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # it ended while we looked
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        found += pages.get(process, 0)
        waiting += parents.get(process, [])
    return found * PAGE


def thirds(samples: list[int]) -> tuple[float, float]:
    """Return the medians of the first and the last third."""
    third = max(1, len(samples) // 3)
    return statistics.median(samples[:third]), statistics.median(samples[-third:])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--events", type=int, default=5_000_000)
    options.add_argument("--events-per-batch", type=int, default=100_000)
    arguments = options.parse_args()
    spark = get_session("memory-flat")
    base = Path(tempfile.mkdtemp(prefix="memory-flat-"))
    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(EVERY_SECONDS):
            samples.append(resident_bytes(os.getpid()))

    try:
        with LocalHub(base / "hub") as hub:
            warm_up = fill(hub, "warm-up", arguments.events_per_batch, 0.01)
            ours(spark, warm_up, base / "warm-up")
            config = fill(hub, "telemetry", arguments.events, 0.01, events_per_batch=arguments.events_per_batch)
            sampler = threading.Thread(target=sample)
            sampler.start()
            ours(spark, config, base / "measured")
            done.set()
            sampler.join()
    finally:
        done.set()
        spark.stop()
        shutil.rmtree(base, ignore_errors=True)
    first, last = thirds(samples)
    print(
        f"memory over {arguments.events:,} events: {last / first:.2f} of the first third's in the last "
        f"({last / 2**20:,.0f} against {first / 2**20:,.0f} MiB resident, {len(samples)} samples; goal 1.0)"
    )


if __name__ == "__main__":
    main()
