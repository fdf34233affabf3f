"""The Java function that reads good bodies, from a jar in the wheel, registered with the session by public calls.

So it works on a classic session and on Spark Connect alike, wherever jars are let in: standard clusters of Databricks
ask for an allow-list, serverless takes none. ``setup.py`` compiles ``java/BodyReader.java`` and its neighbours into the
jar, whose name is that of the Java package.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from spark_utils.errors import RuntimeSetupError
from spark_utils.names import string_literal
from spark_utils.parsing.columns import bare_type, nullable_type
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import UnknownPolicy
from spark_utils.streaming_utils.failures import root_cause

FUNCTION = "spark_utils_read_body"
_CLASS = "BodyReader"
_LARGEST_INT = 2**31 - 1  # bytes; no array of Java's is longer

_log = logging.getLogger(__name__)
_refused: set[str] = set()  # the ids of applications, each of which has been told so once


class JavaReader:
    """The reader of one schema in one session.

    Args:
        spark: A session of either kind.
        schema: The declared fields.
        limits: The largest size and depth.
        unknown: What becomes of undeclared fields.
    """

    def __init__(self, spark: SparkSession, schema: t.StructType, limits: Limits, unknown: UnknownPolicy) -> None:
        self._spark = spark
        # Without metadata, some of which Spark's JVM cannot read.
        declared, largest = bare_type(schema).json(), min(limits.max_body_bytes, _LARGEST_INT)
        self._specification = f"{largest} {limits.max_depth} {unknown}\n{declared}".encode()
        drift = t.IntegerType() if unknown == "count" else t.StringType()
        self._returned = t.StructType().add("event", nullable_type(schema)).add("unknown", drift)

    def read(self, body: Column) -> Column:
        """Return the struct of ``event`` and ``unknown`` over a column of bodies; null where a body is not good.

        Raises:
            RuntimeSetupError: The session does not let the function in, or the installation lacks its jar.
        """
        name = self._register()
        # Nondeterministic by its last argument, or a filter on the event would read a second time.
        return F.call_udf(name, body, F.lit(self._specification), F.spark_partition_id())

    def is_available(self) -> bool:
        """Return whether the session lets the function in, found by trying; a refusal is logged once."""
        application = self._spark.conf.get("spark.app.id", "") or ""
        if application in _refused:
            return False
        try:
            self._register()
        except RuntimeSetupError as refusal:
            _refused.add(application)
            _log.warning("bodies are read without the JVM, which is slower: %s", refusal.problem)
            return False
        return True

    def _register(self) -> str:
        """Register the function, unless the session has it, and read one body with it; return its name."""
        jar = packaged_jar()
        if jar is None:
            raise RuntimeSetupError(
                "this installation has no reader in Java",
                origin=str(Path(__file__).parent),
                remedy="Install it again (`make setup`) on a machine with a JDK, or use engine='arrow'.",
            )
        name = f"{FUNCTION}_{hashlib.sha256(jar.name.encode() + self._specification).hexdigest()[:16]}"
        try:
            if not self._spark.catalog.functionExists(name):
                self._let_in(name, jar)
        except Exception as refusal:  # of whatever kind: sessions of many makers refuse in their own ways
            raise RuntimeSetupError(
                f"bodies cannot be read in the JVM: {root_cause(refusal)}",
                origin="parse",
                remedy="Use engine='arrow', or have the jar allowed for this cluster.",
            ) from refusal
        return name

    def _let_in(self, name: str, jar: Path) -> None:
        """Register the function, and read a body with it unless the executor is the JVM that has the class."""
        added = self._add(name, jar)
        if added or not str(self._spark.conf.get("spark.master", "")).startswith("local"):
            body = F.call_udf(name, F.lit(b"{"), F.lit(self._specification), F.spark_partition_id())
            self._spark.range(1).select(body.isNull()).collect()

    def _add(self, name: str, jar: Path) -> bool:
        """Find the class on the class path, as local sessions have it, or add the jar; return whether it was added."""
        ways: list[Callable[[], object]] = [
            lambda: None,
            lambda: self._spark.addArtifacts(str(jar)),  # Spark Connect; without effect on a classic session
            lambda: self._spark.sql(f"ADD JAR {string_literal(str(jar))}"),
        ]
        for number, way in enumerate(ways):
            try:
                way()
                self._spark.udf.registerJavaFunction(name, f"{jar.stem}.{_CLASS}", self._returned)
            except Exception:
                if number == len(ways) - 1:
                    raise
            else:
                return number > 0
        raise AssertionError("unreachable")


@cache
def packaged_jar() -> Path | None:
    """Return the jar of this installation, if it was built: ``spark_utils.parsing.vHASH.jar``."""
    return next(iter(sorted(Path(__file__).parent.glob("*.jar"))), None)
