"""Bodies to typed events, each with a verdict: every row comes out exactly once, good or rejected with a reason.

``reference`` says what a verdict is, in plain Python. The engines prove most rows good in bulk and hand every row
they cannot prove to the reference, so that both give the same verdicts, row for row.
"""

from spark_utils.parsing.frames import good_rows, parse, rejected_rows
from spark_utils.parsing.reasons import Limits, Reason
from spark_utils.parsing.reference import Good, Rejected, classify

__all__ = ["Good", "Limits", "Reason", "Rejected", "classify", "good_rows", "parse", "rejected_rows"]
