"""The real job as a process of its own, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.patience import PATIENCE
from tests.project import ROOT

POLL_SECONDS = 0.1


class Job:
    """`python src/streaming_job.py` with its output in files.

    Args:
        folder: Working directory; `stdout.txt` and `stderr.txt` are there.
        arguments: Of the job.
        environment: Beside this process's own.
        command: What runs the job; this Python and the job's file by default.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        command: list[str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        program = command or [sys.executable, str(ROOT / "src" / "streaming_job.py")]
        with self._file("stdout").open("wb") as out, self._file("stderr").open("wb") as err:
            self.process = subprocess.Popen(
                [*program, *(part for pair in arguments.items() for part in pair)],
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    @property
    def output(self) -> str:
        """Everything it has said so far."""
        return "".join(self._file(name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr"))

    def wait_for(self, text: str) -> None:
        """Wait until it has said something; fail if it ends before."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.output:
            assert self.process.poll() is None, f"the job ended without saying {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"the job did not say {text!r} in time:\n{self.output}"
            time.sleep(POLL_SECONDS)

    def stop(self) -> int:
        """Ask it to finish its batch, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it and what it started; nothing happens when it has ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
