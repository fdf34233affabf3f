"""Secrets that a task has read are shown as ``[REDACTED]`` in what it prints, as on Databricks.

Source: https://docs.databricks.com/security/secrets/redaction
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final, TextIO

REDACTED: Final = "[REDACTED]"


def redact(text: str, values: Iterable[str]) -> str:
    """Replace every occurrence of the values, the longest first."""
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, REDACTED)
    return text


class RedactingStream(io.TextIOBase):
    """A text stream that shows no secret.

    Args:
        stream: Where the text goes.
        values: The secrets, added to as they are read.
    """

    def __init__(self, stream: TextIO, values: set[str]) -> None:
        self._stream = stream
        self._values = values

    @property
    def encoding(self) -> str:  # type: ignore[override]  # writable in the base class, which nothing uses
        """Of the stream beneath."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Write text without the secrets in it."""
        self._stream.write(redact(text, self._values))
        if "\n" in text:
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Flush the stream beneath."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the file descriptor, for child processes; what they write is redacted when the task has ended."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True
