"""`show_config`: a session's configuration, sorted, with secrets masked."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spark_utils.configuration.secrets import MASK

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark's own default, `(?i)secret|password|token|access[.]?key`, lets account keys, SAS and JAAS lines through.
REDACTION: Final = (
    r"(?i)secret|password|token|access[._]?key|account[.]key|sas|jaas|credential|connection[._-]?string|\bsig="
)
_SECRET = re.compile(REDACTION)
_IN_VALUE = re.compile(r"(?i)SharedAccessKey|SharedAccessSignature|AccountKey=|password=|secret=|[?&]sig=")


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

    A setting is masked when its name, or its value, looks like a credential (`REDACTION`, which is wider than Spark's
    own `spark.redaction.regex`). Works on shared clusters too: it needs no `sparkContext`.
    """
    values = dict(spark.conf.getAll)
    return ShownConfig(tuple((name, redacted(name, value)) for name, value in sorted(values.items())))


def redacted(name: str, value: str) -> str:
    """Return a setting's value as it may be shown."""
    return MASK if _SECRET.search(name) or _IN_VALUE.search(value) else value
