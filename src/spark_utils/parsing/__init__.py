"""Bodies to typed events, each with a verdict: every row comes out exactly once, good or rejected with a reason.

``reference`` says what a verdict is, in plain Python. The Arrow engine hands it every row that it cannot prove good;
the JVM engine reads by itself and asks it why a row is rejected. Tests hold both equal to it, row for row.
"""

from spark_utils.parsing.frames import good_rows, good_schema, parse, rejected_rows
from spark_utils.parsing.reasons import Limits, Reason
from spark_utils.parsing.reference import Good, Rejected, classify

__all__ = ["Good", "Limits", "Reason", "Rejected", "classify", "good_rows", "good_schema", "parse", "rejected_rows"]
