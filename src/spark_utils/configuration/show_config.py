"""`show_config`: a session's configuration, sorted, with secrets masked."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_utils.redaction import MASK, looks_secret_name, looks_secret_text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class ShownConfig:
    """A sorted, redacted configuration; its repr is a table, in a notebook an HTML one.

    Args:
        rows: `(setting, value)`, sorted by setting.
    """

    rows: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        """One setting a line."""
        width = max((len(name) for name, _ in self.rows), default=0)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.rows)

    def _repr_html_(self) -> str:
        cells = (f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in self.rows)
        return f"<table><tr><th>setting</th><th>value</th></tr>{''.join(cells)}</table>"


def show_config(spark: SparkSession) -> ShownConfig:
    """Return every setting of a session, sorted and redacted; `print` it, or leave it as a cell's last line.

    A setting is masked when its name, or its value, looks like a credential (`spark_utils.redaction`, which
    knows more than Spark's own `spark.redaction.regex`). Works on shared clusters too: it needs no `sparkContext`.
    """
    values = dict(spark.conf.getAll)
    return ShownConfig(tuple((name, redacted(name, value)) for name, value in sorted(values.items())))


def redacted(name: str, value: str) -> str:
    """Return a setting's value as it may be shown."""
    return MASK if looks_secret_name(name) or looks_secret_text(value) else value
