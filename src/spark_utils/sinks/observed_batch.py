"""One pass over a micro-batch that writes the good rows and, on the way, picks up the rejected ones.

``foreachBatch`` computes its frame anew for each write, and parsing is what costs. So while the good rows are written,
an ``Observation`` counts all rows and collects the rejected ones, as long as they are few and small; they come back
with the write's own job and need no second pass over the source. They are collected as they came from the source and
parsed once more by themselves, since the JVM engine works out a reason only when somebody asks for it. What was
observed is trusted only when it covers every row of the batch: a user's ``limit``, or a join with an empty frame, may
end the pass early, and a write that Delta skips observes nothing. The caller then takes a second pass for the rejected
rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.names import quote
from spark_utils.parsing import rejected_rows

Step = Callable[[DataFrame], DataFrame]

COLLECTED_ROWS = 40_000
"""About so many rejected rows of a batch are collected on the driver, in all its tasks together."""

COLLECTED_BODY_BYTES = 4096
"""A rejected row with more bytes of body and text is not collected: this bounds the driver's memory."""

_MIN_ROWS_PER_TASK = 1000
_ROWS_OF_ONE_TASK = 10_000  # explained in about 20 microseconds each, which is sooner than a shuffle to one file
_WAIT_SECONDS = 10.0  # the observation arrives by Spark's listener bus, milliseconds after the write
_SOURCE, _NTH, _PICKED = "_spark_utils_source_row", "_spark_utils_nth_rejected", "_spark_utils_picked_up"
_ROW_NUMBER_BITS = (1 << 33) - 1  # monotonically_increasing_id: the task in the upper bits, a counter in the lower 33


@dataclass(frozen=True)
class Observed:
    """What one pass saw.

    Attributes:
        rows: Rows parsed.
        rejected: Rejected rows among them.
        collected: The rejected rows as a frame, as ``to_rejected`` returns them; None when there are none, or too
            many or too large to collect.
    """

    rows: int
    rejected: int
    collected: DataFrame | None


class RejectedRows:
    """The rejected rows of a batch, those whose ``event`` is null, picked up while the good ones are written.

    Args:
        batch: The source rows.
        parse: From source rows to all of them with a verdict; columns that it does not know pass through.
        to_rejected: From these to the rows of ``rejected``.
    """

    def __init__(self, batch: DataFrame, parse: Step, to_rejected: Step = rejected_rows) -> None:
        self._observation = Observation()
        self._batch, self._parse, self._to_rejected = batch, parse, to_rejected

    def attach(self) -> DataFrame:
        """Return the parsed batch that counts and collects when it is executed; call it once."""
        source = F.struct(*map(quote, self._batch.columns)).alias(_SOURCE)
        parsed = self._parse(self._batch.select("*", source))
        tasks = max(1, self._batch.sparkSession.sparkContext.defaultParallelism)
        most = max(_MIN_ROWS_PER_TASK, COLLECTED_ROWS // tasks)
        is_rejected = F.col("event").isNull()
        # The counter is evaluated in the branch of rejected rows only, so that it counts these, task by task.
        nth = F.when(is_rejected, F.monotonically_increasing_id().bitwiseAND(F.lit(_ROW_NUMBER_BITS)))
        fits = (F.col(_NTH) < most) & (self._size() <= COLLECTED_BODY_BYTES)
        picked = F.when(is_rejected & fits, F.col(_SOURCE)) if _SOURCE in parsed.columns else F.lit(None)
        # Picked before it is observed: where nobody else asks for bodies, only those of rejected rows go on from here.
        marked = parsed.withColumn(_NTH, nth).withColumn(_PICKED, picked).drop(_SOURCE)
        return marked.observe(
            self._observation,
            F.count(F.lit(1)).alias("rows"),
            F.count(F.when(is_rejected, 1)).alias("rejected"),
            F.collect_list(_PICKED).alias("collected"),
        ).drop(_NTH, _PICKED)

    def _size(self) -> Column:
        """Return the bytes of a source row in its columns of bytes and text, the body among them."""
        fields = self._batch.schema.fields
        names = [field.name for field in fields if isinstance(field.dataType, (t.BinaryType, t.StringType))]
        sizes = [F.octet_length(F.col(_SOURCE).getField(name)) for name in names]
        return sum((F.coalesce(size, F.lit(0)) for size in sizes), F.lit(0))

    def seen(self) -> Observed | None:
        """Return what the write saw, or None when it saw nothing or did not run; call it after the write."""
        values = _arrived(self._observation)
        if values is None:
            return None
        session = self._batch.sparkSession
        jvm: Any = session._jvm
        collected = jvm.scala.collection.JavaConverters.seqAsJavaList(values["collected"])
        rows, count = int(values["rows"]), int(values["rejected"])
        if count == 0 or collected.size() != count:
            return Observed(rows, count, None)
        # Handed over inside the JVM: by way of Python, time stamps would pass through the machine's time zone.
        java_frame = session._jsparkSession.createDataFrame(collected, self._batch._jdf.schema())
        return Observed(rows, count, self._explained(DataFrame(java_frame, session), count))

    def _explained(self, picked: DataFrame, count: int) -> DataFrame:
        """Give the rows their reasons and make them one file."""
        if count <= _ROWS_OF_ONE_TASK:
            return self._to_rejected(self._parse(picked.coalesce(1)))
        return self._to_rejected(self._parse(picked)).repartition(1)  # explained by all cores


class DistinctValues:
    """About how many values a column has in a frame that is being written."""

    def __init__(self, column: str) -> None:
        self._observation = Observation()
        self._column = column

    def attach(self, df: DataFrame) -> DataFrame:
        """Return the frame that counts when it is executed; call it once."""
        return df.observe(self._observation, F.approx_count_distinct(quote(self._column)).alias("values"))

    def count(self) -> int:
        """Return the number, 0 when it is not known; call it after the write."""
        values = _arrived(self._observation)
        return 0 if values is None else int(values["values"])


def _arrived(observation: Observation) -> Any | None:
    """Return what was observed, by name, as values of the JVM; None when the write was skipped, or optimized away."""
    java_side: Any = observation._jo  # the public `get` would wait for ever when a write was skipped
    until = time.monotonic() + _WAIT_SECONDS
    while not java_side.future().isCompleted():
        if time.monotonic() > until:
            return None
        time.sleep(0.002)
    return java_side.getAsJava() or None  # the public `get` would turn the collected rows into Python's
