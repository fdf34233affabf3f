"""What goes wrong with a deployment.

::

    SparkUtilsError
    ├── ConfigurationError
    │   └── DeclarationError   mistakes in the files of configuration/deploy, all of them at once
    └── DeploymentError        the workspace does not match the declaration, or a step failed
        ├── UnknownOutcome     a call that must not be sent twice got no answer
        ├── Unavailable        a call was repeated as often as the retry policy allows
        ├── StepFailed         an apply that stopped; says what was done
        └── WaitEnded          a wait that reached its limit, or that can no longer succeed
"""

from __future__ import annotations

from collections.abc import Sequence

from spark_utils.errors import ConfigurationError, SparkUtilsError
from spark_utils.names import counted


class DeclarationError(ConfigurationError):
    """The declaration has mistakes.

    Args:
        mistakes: One line each, beginning with ``file:line``.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        count = counted(len(mistakes), "mistake")
        lines = "\n".join(f"  {line}" for line in mistakes)
        super().__init__(f"the declaration has {count}; nothing was changed:\n{lines}")

    def __str__(self) -> str:
        """Return the mistakes, a line each; the last line ends as it is."""
        return self.problem


class DeploymentError(SparkUtilsError):
    """The workspace does not match the declaration, or a step failed."""


class UnknownOutcome(DeploymentError):  # noqa: N818  # the outcome is unknown; it may well be a success
    """A call that must not be sent twice got no answer: it may have had its effect."""


class Unavailable(DeploymentError):  # noqa: N818  # reads as what it is
    """A call was repeated as often as the retry policy allows."""


class StepFailed(DeploymentError):  # noqa: N818  # reads as what it is
    """An apply stopped; the message says what was done and what was not."""


class WaitEnded(DeploymentError):  # noqa: N818  # reads as what it is
    """A wait reached its limit, or can no longer succeed."""
