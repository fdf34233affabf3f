"""The innermost error of a failed query is the one that is told."""

from __future__ import annotations

import pytest

from spark_utils.streaming_utils.failures import root_cause

SINK = """[STREAM_FAILED] Query [id = 1] terminated with exception: [FOREACH_BATCH_USER_FUNCTION_ERROR] An error \
occurred. Reason: An exception was raised by the Python Proxy. Return Message: Traceback (most recent call last):
  File "clientserver.py", line 644, in _call_proxy
    return_value = getattr(self.pool[obj_id], method)(*params)
"""
PY4J = "py4j.protocol.Py4JJavaError: An error occurred while calling o448.save.\n"
TASK = ": org.apache.spark.SparkException: Job aborted due to stage failure\n\tat org.apache.spark.A.b(C.scala:1)\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param(
            SINK
            + PY4J
            + TASK
            + "Caused by: java.io.IOException: No space left on device\n\tat java.base/x.Y.z(Y.java:1)",
            "IOException: No space left on device",
            id="the last Java cause",
        ),
        pytest.param(
            SINK + PY4J + TASK + "Caused by: java.io.FileNotFoundException\n\tat a.B.c(B.java:1)\n\t... 3 more",
            "FileNotFoundException",
            id="a Java cause without a message",
        ),
        pytest.param(SINK + PY4J + TASK, "SparkException: Job aborted due to stage failure", id="no deeper Java cause"),
        pytest.param(
            SINK + PY4J + TASK + "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call "
            'last):\n  File "worker.py", line 3\nValueError: bad sensor\n\n\tat a.B.c(B.scala:1)',
            "ValueError: bad sensor",
            id="an error in a Python worker",
        ),
        pytest.param(SINK + "KeyError: 'unit'\n\nJVM stacktrace:\n a.B\n\tat x", "KeyError: 'unit'", id="sink's own"),
        pytest.param(
            "Caused by: java.lang.X: SharedAccessKey=abc123;rest\n\tat a.B.c(B.java:1)",
            "X: SharedAccessKey=***;rest",
            id="a secret is masked",
        ),
        pytest.param("Connection refused", "Connection refused", id="nothing but a sentence"),
    ],
)
def test_the_innermost_error_is_told_in_one_line(text: str, cause: str) -> None:
    assert root_cause(RuntimeError(text)) == cause
