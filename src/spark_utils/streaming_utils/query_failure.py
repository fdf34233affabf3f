"""The one sentence that says why a query failed, out of Spark's many pages."""

from __future__ import annotations

import re

from spark_utils.redaction import mask_credentials

_LONGEST = 600  # characters
_NOISE = (
    r"\n=== Streaming Query ===[\s\S]*",
    r"\n+JVM stacktrace:[\s\S]*",
    r"\s*SQLSTATE: \w{5}",
)


def failure_sentence(failure: BaseException) -> str:
    """Return what went wrong as one line: Spark's condition and its message, without traces and plans.

    Values that follow the name of a secret (`SharedAccessKey=…`, `password="…"`) are masked.
    """
    text = str(failure)
    for noise in _NOISE:
        text = re.sub(noise, "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(failure).__name__
    if "Traceback (most recent call last)" in text:
        lines = lines[-1:]  # a Python trace ends with the exception itself
    sentence = mask_credentials(lines[0]).rstrip(".")
    return sentence if len(sentence) <= _LONGEST else sentence[:_LONGEST] + "…"
