"""Keep a source's options out of the texts that Spark makes of a plan.

A streaming source that also has a Version 1 reader, as Kafka has, carries its options a second time in the plan, inside
the Version 1 relation that is its fall-back, and there they are never redacted. So the text of any `AnalysisException`
on such a frame (a misspelt column is enough), and of `explain(extended=True)`, shows the password of the JAAS line.
The options' first copy is redacted by `spark.redaction.regex`, whose default already matches a shared access key and
a client secret. Seen in Spark 4.1.3.

What `explain` prints, and the statements on the page of Spark Connect, are redacted by a setting of the session. Errors
are not: there the second copy is taken out, where the plan is in reach. With Spark Connect it is not, so that an
`AnalysisException` on the source frame still holds the password; `readable_errors` prints its first line only, and the
sink analyses steps on an empty local frame.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_REDACTION: Final = "spark.sql.redaction.string.regex"
_IN_JAAS: Final = r'(?<=(?:password|clientSecret)=\\{0,1}")[^"]+'  # an escaped quote in the statements of Spark Connect
_RELATION = "org.apache.spark.sql.catalyst.streaming.StreamingRelationV2"
_FALL_BACK = "StreamingRelation"


def redact_plans(spark: SparkSession) -> None:
    """Let the session redact the credentials of a JAAS line in what it shows of plans."""
    with suppress(Exception):  # a session that takes no settings, as inside a pipeline's function, redacts by its own
        before = spark.conf.get(_REDACTION, None)
        if _IN_JAAS not in (before or ""):
            spark.conf.set(_REDACTION, f"{before}|{_IN_JAAS}" if before else _IN_JAAS)


def without_unredacted_options(frame: DataFrame) -> DataFrame:
    """Return the same stream without the Version 1 fall-back in its plan, which a micro-batch does not use.

    Args:
        frame: What `spark.readStream…load()` gave, before any other step.

    Returns:
        The same frame; the very same one where there is no such relation, or no access to the plan (Spark Connect).
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import DataFrame as Frame

    try:
        plan = frame._jdf.logicalPlan()
    except (AttributeError, PySparkException):
        return frame
    if plan.getClass().getName() != _RELATION:
        return frame
    jvm: Any = frame.sparkSession._jvm
    parts = [plan.productElement(place) for place in range(plan.productArity())]
    kept = [jvm.scala.Option.empty() if _is_fall_back(part) else part for part in parts]
    session = frame.sparkSession
    return Frame(jvm.org.apache.spark.sql.classic.Dataset.ofRows(session._jsparkSession, plan.copy(*kept)), session)


def _is_fall_back(part: Any) -> bool:
    """Whether a part of the relation is `Some(StreamingRelation(…))`."""
    from py4j.java_gateway import JavaObject  # type: ignore[import-untyped]  # py4j ships no types

    if type(part) is not JavaObject or part.getClass().getName() != "scala.Some":
        return False
    return bool(part.get().getClass().getSimpleName() == _FALL_BACK)
