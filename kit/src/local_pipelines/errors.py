"""What goes wrong with a pipeline.

::

    SparkUtilsError
    └── PipelineError
        ├── UnknownTableError   a query reads a table that is nowhere
        ├── DefinitionError   the pipeline is wrong as written: every mistake at once, nothing was written
        └── UpdateRefusedError   an update that cannot start: another one runs, or the session is of Spark Connect
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from spark_utils.errors import SparkUtilsError
from spark_utils.names import counted
from spark_utils.redaction import looks_secret_name, mask_credentials, redact

SHORTEST_SECRET = 4  # masking every "1" would make a message unreadable, and hide nothing


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands in the user's source.

    Attributes:
        file: Path as it was given.
        line: Counted from 1; 0 where only the file is known.
    """

    file: str
    line: int

    def __str__(self) -> str:
        """Return ``file:line``, which terminals and editors open."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake in a pipeline.

    Attributes:
        message: What is wrong, with the offending value, and the remedy.
        place: Where it stands, where that is known.
    """

    message: str
    place: Place | None = None

    def __str__(self) -> str:
        """Return ``file:line: message``."""
        return f"{self.place}: {self.message}" if self.place else self.message


class PipelineError(SparkUtilsError):
    """Something about a pipeline is wrong.

    Attributes:
        place: Where, for what no traceback shows: a query of a SQL file.
    """

    place: Place | None = None


class UnknownTableError(PipelineError):
    """A query reads a table that is neither the pipeline's, nor in its storage, nor in Spark's catalog."""


class DefinitionError(PipelineError):
    """The pipeline is wrong as written; nothing was written.

    Args:
        problems: Every mistake that was found, at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        ordered = sorted(dict.fromkeys(problems), key=lambda p: (p.place or Place("", 0), p.message))
        self.problems = tuple(ordered)
        count = counted(len(ordered), "mistake")
        super().__init__(f"the pipeline has {count}, and nothing was written:\n" + "\n".join(map(str, ordered)))

    def __str__(self) -> str:
        """Return the list without the sentence's full stop."""
        return self.problem


class UpdateRefusedError(PipelineError):
    """An update cannot start."""


def not_set(key: str) -> str:
    """Return what is said of a parameter that the sources read and nobody has set."""
    return f"parameter '{key}' is not set: write it into `configuration`, or give --set {key}=VALUE"


def redactor(parameters: Mapping[str, str], more: Collection[str] = ()) -> Callable[[str], str]:
    """Return what masks credentials, the values of parameters whose name says that they are secret, and more."""
    named = [value for key, value in parameters.items() if looks_secret_name(key) and len(value) >= SHORTEST_SECRET]
    return lambda text: mask_credentials(redact(text, [*named, *more]))  # some may be added while the update runs


@contextmanager
def redacted(hide: Callable[[str], str]) -> Iterator[None]:
    """Mask secrets in what this block raises on purpose."""
    try:
        yield
    except DefinitionError as error:
        raise DefinitionError(replace(each, message=hide(each.message)) for each in error.problems) from None
    except PipelineError as error:
        remedy = error.remedy and hide(error.remedy)
        raise type(error)(hide(error.problem), origin=error.origin, remedy=remedy) from None
