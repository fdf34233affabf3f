"""Why a query failed, in one line: the innermost of many errors, and the user's own line that it came from.

A failure inside ``foreachBatch`` reaches Python as one text: Spark's error, in it Python's trace of the sink, in it
Java's trace of the write, in it the cause of the cause. The innermost is what the reader needs.
"""

from __future__ import annotations

import logging
import os
import re
import traceback

from pyspark.errors import AnalysisException, PySparkException

from spark_utils.errors import SparkUtilsError
from spark_utils.redaction import mask_credentials
from spark_utils.streaming_utils.users_code import OUR_FOLDER, is_users_file

_LONGEST = 600  # characters
_NOISE = (
    r"\n=== Streaming Query ===[\s\S]*",
    r"\n+JVM stacktrace:[\s\S]*",
    r"\n== DataFrame ==[\s\S]*",
    r"\s*SQLSTATE: \w{5}",
)
_JAVA_CAUSE = re.compile(
    r"^\s*Caused by: (?P<kind>[\w.$]+)(?:: (?P<message>[\s\S]*?))?(?=\n\s+(?:at |\.\.\. )|\Z)", re.M
)
_JAVA_FIRST = re.compile(r"^: (?P<kind>[\w.$]+): (?P<message>[\s\S]*?)(?=\n\s+at |\Z)", re.M)
_PYTHON_ERROR = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception)): (?P<message>.+)$", re.M)
_CARRIERS = ("Py4JJavaError", "PythonException")  # they carry another error's text
CALLED_FROM = "was called from"  # so Spark's query context says, and a line below FILE:LINE
_CALLED_FROM = re.compile(rf"{CALLED_FROM}\n(?P<file>.+?):(?P<line>\d+)$", re.M)
_PYTHON_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)', re.M)
_CONTEXT_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")

# What a failure of the source or the checkpoint means, and the way on; the first that is found in its text.
_REMEDIES = (
    (
        ("CONCURRENT_STREAM_LOG_UPDATE", "Multiple streaming jobs detected", "ConcurrentTransaction"),
        "Another query runs with the same checkpoint: stop one of them.",
    ),
    (
        ("KAFKA_DATA_LOSS", "offset was changed from", "data may have been lost", "OffsetOutOfRange"),
        "The event hub no longer has events that were not read yet (retention, or a hub made anew). To go on with what "
        "it has: move the checkpoint away and run once with --accept-new-checkpoint and the --starting-position that "
        "'devkit checkpoint show OUTPUT_PATH' prints, with -2 for each partition that lost events "
        "or was added.",
    ),
    (
        ("you must specify all TopicPartitions",),
        "--starting-position has to name each partition of the event hub, and no other: -2 is its earliest event, -1 "
        "its end.",
    ),
    (
        ("ChecksumException", "Incomplete log file", "Malformed log file", "UNSUPPORTED_LOG_VERSION"),
        "A file of the checkpoint is damaged: put it back, or devkit checkpoint repair OUTPUT_PATH.",
    ),
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
    sentence = mask_credentials(lines[0]).rstrip(".;")
    return sentence if len(sentence) <= _LONGEST else sentence[:_LONGEST] + "…"


def root_cause(failure: BaseException) -> str:
    """Return the innermost error of a failure as one line, secrets masked: ``IOException: No space left on device``."""
    text = str(failure)
    if isinstance(failure, AnalysisException):
        return failure_sentence(failure)
    java = list(_JAVA_CAUSE.finditer(text)) or list(_JAVA_FIRST.finditer(text))
    python = [found for found in _PYTHON_ERROR.finditer(text) if _short(found["kind"]) not in _CARRIERS]
    if java and "Traceback (most recent call last)" not in (java[-1]["message"] or ""):
        return _sentence(java[-1])
    return _sentence(python[-1]) if python else failure_sentence(failure)


def error_line(failure: BaseException) -> str:
    """Return an error as one line that begins with the user's own file and line, where it came from one."""
    place, kind = users_line(failure), type(failure).__name__
    said = failure.msg if isinstance(failure, SyntaxError) else str(failure)
    if not isinstance(failure, SparkUtilsError | SyntaxError):
        said = root_cause(failure)
    if place is None and re.match(r"\S+:\d+: ", said):  # it says the place itself
        return said
    return f"{f'{place}: ' if place else ''}{kind}: {said}"


def users_line(failure: BaseException) -> str | None:
    """Return ``FILE:LINE`` of the user's own code that a failure came from, or None when it came from elsewhere.

    Asked in turn: the compiler, what was noted of a mistake that is told late, Spark's query context (which knows where
    a column was named, though it is resolved much later), the frames of a Python function that ran in a worker or a
    batch, and the exception's own trace, below this library where it came by it.
    """
    if isinstance(failure, SyntaxError):
        return _place(failure.filename or "<", str(failure.lineno))
    found = _CALLED_FROM.findall(str(failure)) + _PYTHON_FRAME.findall(str(failure))
    places = [_place(*each) for each in _CALLED_FROM.findall("\n".join(getattr(failure, "__notes__", ())))]
    context = failure.getQueryContext() if isinstance(failure, PySparkException) else []
    places += [_place(*site.rsplit(":", 1)) for site in map(_call_site, context or []) if ":" in site]
    places += [_place(*each) for each in reversed(found)]
    frames = [(frame.filename, str(frame.lineno)) for frame in traceback.extract_tb(failure.__traceback__)]
    ours = [number for number, (file, _) in enumerate(frames) if file.startswith(OUR_FOLDER)]
    places += [_place(*each) for each in reversed(frames[ours[0] + 1 :] if ours else frames)]
    return next(filter(None, places), None)


def remedy_for(failure: BaseException) -> str:
    """Return the way on after a failure of the source or the checkpoint; empty when nothing special is known."""
    text = str(failure)
    return next((remedy for signs, remedy in _REMEDIES if any(sign in text for sign in signs)), "")


def was_interrupted(failure: BaseException) -> bool:
    """Return whether a batch failed as its query was stopped.

    Such an error must not go back to Spark as it is: the regular expression by which Spark looks through Java's long
    trace overflows the stack, and about 1,000 lines of that are printed.
    """
    return "InterruptedException" in str(failure)


def silence_query_context_log() -> None:
    """Keep pyspark from logging each analysis error as 7 kB of JSON beside the exception that it raises."""
    for name in _CONTEXT_LOGGERS:
        logging.getLogger(name).disabled = True


def _call_site(context: object) -> str:
    try:
        return str(context.callSite())  # type: ignore[attr-defined]  # of a frame's context; SQL text has none
    except PySparkException:
        return ""


def _place(file: str, line: str) -> str | None:
    if not is_users_file(file) or not line.isdigit():
        return None
    relative = os.path.relpath(file)
    return f"{file if relative.startswith('..') else relative}:{line}"


def _sentence(found: re.Match[str]) -> str:
    message = (found["message"] or "").strip()
    return failure_sentence(RuntimeError(f"{_short(found['kind'])}: {message}" if message else _short(found["kind"])))


def _short(kind: str) -> str:
    return re.split(r"[.$]", kind)[-1]
