"""How a download is shown: one calm line on a terminal, two lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

REDRAW_SECONDS = 0.2


class Progress:
    """Counts files and bytes from several threads and shows them on one line.

    Args:
        stream: Where to write; standard error by default.
        title: What is being done, such as ``Fetching jars``.
    """

    def __init__(self, title: str = "Fetching jars", stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._guard = threading.Lock()
        self._files = self._files_done = self._bytes = self._bytes_done = 0
        self._started = self._drawn = 0.0

    def start(self, files: int, size: int, origin: str) -> None:
        """Begin: so many files, so many bytes, from there."""
        self._files, self._bytes, self._started = files, size, time.monotonic()
        if not self._live:
            self._write(f"{self._title}: {files} files, {_megabytes(size)} from {origin}\n")

    def received(self, amount: int) -> None:
        """Count bytes; negative when they were thrown away."""
        with self._guard:
            self._bytes_done += amount
            self._draw()

    def file_done(self) -> None:
        """Count a file that is whole and verified."""
        with self._guard:
            self._files_done += 1
            self._draw()

    def finish(self) -> None:
        """Say how it ended, whether or not all files came."""
        seconds = time.monotonic() - self._started
        line = (
            f"{self._title}: {self._files_done} of {self._files} files, "
            f"{_megabytes(self._bytes_done)} in {seconds:.0f} s"
        )
        self._write(f"\r{line}\033[K\n" if self._live else f"{line}\n")

    def _draw(self) -> None:
        now = time.monotonic()
        if self._live and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            counts = f"{self._files_done}/{self._files} files"
            self._write(f"\r{self._title}: {counts}, {_megabytes(self._bytes_done)} of {_megabytes(self._bytes)}\033[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
