"""Every error this library raises on purpose.

::

    SparkUtilsError
    ├── ConfigurationError        an argument, environment variable, configuration file or secret reference
    │   └── ConnectionStringError an Event Hubs connection string
    ├── SchemaError               a schema that cannot be read, or samples that contradict each other
    ├── FlattenError              a schema that cannot be flattened as asked
    ├── CheckpointMismatchError   a checkpoint made by another source, schema or output
    ├── StreamFailedError         a streaming query that ended with a failure
    └── RuntimeSetupError         Java, jars or a runtime profile are not as they must be

Each message names what is wrong, the value, where it came from, and the remedy.
"""

from __future__ import annotations


class SparkUtilsError(Exception):
    """The root: catch this to catch everything the library raises on purpose.

    Args:
        problem: One sentence: what is wrong, with the offending value (never a secret).
        origin: Where the value came from, such as ``configuration/run_args_streaming.conf line 4``.
        remedy: What the reader should do about it.
    """

    def __init__(self, problem: str, *, origin: str | None = None, remedy: str | None = None) -> None:
        self.problem = problem
        self.origin = origin
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        """Join problem, origin and remedy into one readable line, with one mark at the end of each sentence."""
        said = f"{self.problem} (from {self.origin})" if self.origin else self.problem
        end = "" if said.endswith((".", "?", "!", "…")) else "."
        return f"{said}{end} {self.remedy}" if self.remedy else f"{said}{end}"


class ConfigurationError(SparkUtilsError):
    """An argument, environment variable, configuration file or secret reference is wrong."""


class ConnectionStringError(ConfigurationError):
    """An Event Hubs connection string is malformed or incomplete."""


class SchemaError(SparkUtilsError):
    """A schema cannot be read, or samples contradict each other."""


class FlattenError(SparkUtilsError):
    """A schema cannot be flattened as asked."""


class CheckpointMismatchError(SparkUtilsError):
    """The checkpoint was made with another source, schema or output."""


class StreamFailedError(SparkUtilsError):
    """A streaming query ended with a failure."""


class RuntimeSetupError(SparkUtilsError):
    """Java, jars or a runtime profile are not as they must be."""
