"""A pipeline's parameters in SQL text: ``${key}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from pyspark.sql import SparkSession
from sqlglot import Token

from local_pipelines.errors import PipelineError, not_set
from local_pipelines.sql.relations import tokens_of

PARAMETER = re.compile(r"\$\{([^}]+)\}")


def with_parameters(text: str, parameters: Mapping[str, str]) -> str:
    """Put parameters in; those that are not set stay as they stand, see `unset`."""
    return PARAMETER.sub(lambda match: parameters.get(match[1].strip(), match[0]), text)


def unset(text: str, tokens: Iterable[Token]) -> Iterator[tuple[str, int]]:
    """Yield key and offset of the parameters that these tokens of a text still hold; a comment is no token."""
    places = [(token.start, token.end) for token in tokens]
    for match in PARAMETER.finditer(text):
        if any(start <= match.start() <= end for start, end in places):
            yield match[1].strip(), match.start()


def with_settings(text: str, spark: SparkSession) -> str:
    """Put settings of the session into a query, as Spark does itself, so that places in the text are those it finds.

    Raises:
        PipelineError: One is not set: Spark would leave nothing in its place.
    """
    if "${" not in text:
        return text
    for key, _ in unset(text, tokens_of(text)):
        if ":" not in key and spark.conf.get(key, None) is None:  # `env:…` and the like are no settings
            raise PipelineError(not_set(key))
    return str(spark._jvm.org.apache.spark.sql.internal.VariableSubstitution().substitute(text))  # type: ignore[union-attr]
