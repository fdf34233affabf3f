"""`devkit watch`: from the save of a transformation to its first row, against the command anew for each edit.

The sample job on 1,000 generated events, of which two in a hundred are broken, on the warm Spark.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISE = 2.0  # seconds, on a quiet machine
ROOT = Path(__file__).parents[1]
DEVKIT = [sys.executable, "-m", "devkit.cli"]
TRANSFORMATION = """
from pyspark.sql import functions as F


def transform(events):
    return events.withColumn("number", F.lit({number}))
"""


def make_project(folder: Path) -> Path:
    """Copy the job and its configuration, and generate what it reads; return the transformation's file."""
    (folder / "src").mkdir()
    shutil.copy(ROOT / "src" / "streaming_job.py", folder / "src")
    shutil.copytree(ROOT / "configuration", folder / "configuration")
    generate = [
        *DEVKIT,
        "hub",
        "generate",
        "1000",
        "--malformed",
        "0.02",
        "--output",
        str(folder / "events.recorded.jsonl"),
    ]
    subprocess.run(generate, check=True, stdout=subprocess.DEVNULL)
    return folder / "src" / "transformation.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    subprocess.run([*DEVKIT, "spark", "up"], check=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        file = make_project(Path(name))
        watch = [*DEVKIT, "watch", "--recording", "events.recorded.jsonl"]
        anew = []
        for number in range(4):
            file.write_text(TRANSFORMATION.format(number=number))
            started = time.perf_counter()
            subprocess.run([*watch, "--once"], cwd=name, check=True, stdout=subprocess.DEVNULL)
            anew.append(time.perf_counter() - started)
        floor = statistics.median(anew[1:])  # the first loads classes of the server
        output = Path(name, "output.txt")
        with output.open("wb") as log:
            process = subprocess.Popen(watch, cwd=name, stdout=log, stderr=log, env={**os.environ, "COLUMNS": "120"})
        with process:
            seconds: list[float] = []
            while len(seconds) < rounds + 2:
                shown = re.findall(r"the first after ([\d.]+) s\n.* events rejected", output.read_text())
                if "watching" in output.read_text() and len(shown) > len(seconds):
                    seconds = [*map(float, shown)]
                    file.write_text(TRANSFORMATION.format(number=100 + len(seconds)))
                assert process.poll() is None, output.read_text()
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
    saved = seconds[2:]  # after the start and a first save
    print(f"the command anew for each edit: {floor:.2f} s = 1.0 (median of 3)")
    middle, most = statistics.median(saved), max(saved)
    print(
        f"save to first row: {middle:.2f} s, {middle / floor:.2f} of that; at most {most:.2f} s (promise {PROMISE} s)"
    )


if __name__ == "__main__":
    main()
