"""Which of the many errors in a failed query's text is the one that explains it.

A failure inside ``foreachBatch`` reaches Python as one text: Spark's error, in it Python's trace of the sink, in it
Java's trace of the write, in it the cause of the cause. The innermost is what the reader needs.
"""

from __future__ import annotations

import re

from spark_utils.streaming_utils.query_failure import failure_sentence

_JAVA_CAUSE = re.compile(
    r"^\s*Caused by: (?P<kind>[\w.$]+)(?:: (?P<message>[\s\S]*?))?(?=\n\s+(?:at |\.\.\. )|\Z)", re.M
)
_JAVA_FIRST = re.compile(r"^: (?P<kind>[\w.$]+): (?P<message>[\s\S]*?)(?=\n\s+at |\Z)", re.M)
_PYTHON_ERROR = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception)): (?P<message>.+)$", re.M)
_CARRIERS = ("Py4JJavaError", "PythonException")  # they carry another error's text


def root_cause(failure: BaseException) -> str:
    """Return the innermost error of a failure as one line, secrets masked: ``IOException: No space left on device``."""
    text = str(failure)
    java = list(_JAVA_CAUSE.finditer(text)) or list(_JAVA_FIRST.finditer(text))
    python = [found for found in _PYTHON_ERROR.finditer(text) if _short(found["kind"]) not in _CARRIERS]
    if java and "Traceback (most recent call last)" not in (java[-1]["message"] or ""):
        return _sentence(java[-1])
    return _sentence(python[-1]) if python else failure_sentence(failure)


def _sentence(found: re.Match[str]) -> str:
    message = (found["message"] or "").strip()
    return failure_sentence(RuntimeError(f"{_short(found['kind'])}: {message}" if message else _short(found["kind"])))


def _short(kind: str) -> str:
    return re.split(r"[.$]", kind)[-1]
