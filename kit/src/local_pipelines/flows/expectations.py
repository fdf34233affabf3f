"""Expectations enforced: what is not true has failed, null included.

Every rule is counted over all rows of the query. A row that fails a rule with the action *fail* ends the flow, before
rows are dropped; several rules with the action *drop* drop a row once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_pipelines.cdc.declaration import column_text
from local_pipelines.declaring.model import Action, Dataset, Expectation
from spark_utils.redaction import MASK, looks_secret_name

VIOLATED = "EXPECTATION_VIOLATED"
SHOWN = 40  # characters of a value in a message


@dataclass
class Counts:
    """What was counted of one dataset's rows.

    Attributes:
        total: Rows of the query.
        dropped: Rows that were dropped.
        passed: By rule.
    """

    total: int = 0
    dropped: int = 0
    passed: dict[str, int] = field(default_factory=dict)

    @property
    def written(self) -> int:
        """Rows that went on."""
        return self.total - self.dropped

    def add(self, other: Counts) -> None:
        """Add the counts of another micro-batch."""
        self.total += other.total
        self.dropped += other.dropped
        for rule, passed in other.passed.items():
            self.passed[rule] = self.passed.get(rule, 0) + passed


def condition_of(rule: Expectation) -> Column:
    """Return a column that is true where a row keeps the rule, and false elsewhere."""
    condition = F.expr(rule.condition) if isinstance(rule.condition, str) else rule.condition
    return F.coalesce(condition.cast("boolean"), F.lit(False))


def kept(dataset: Dataset) -> Column:
    """Return a column that is false where a rule with the action *drop* drops the row."""
    return _all(condition_of(rule) for rule in dataset.expectations if rule.action is Action.DROP)


def _all(conditions: Iterable[Column]) -> Column:
    found = F.lit(True)
    for condition in conditions:
        found = found & condition
    return found


class Meter:
    """Counts the rows of one flow's query while it runs, for its target and for every view that it reads.

    Args:
        flow: The flow's name.
        stream: Whether the query is a stream: then counts come with each micro-batch.
    """

    def __init__(self, flow: str, *, stream: bool) -> None:
        self._flow = flow
        self._stream = stream
        self._observations: dict[str, Observation] = {}
        self._datasets: dict[str, Dataset] = {}

    def enforce(self, frame: DataFrame, dataset: Dataset, *, drop: bool = True) -> DataFrame:
        """Return the rows that go on, counted; with `drop` off, those to be dropped are counted as such and stay."""
        rules = dataset.expectations
        keeps = kept(dataset)
        label = f"{self._flow}/{dataset.said}"
        metrics = [
            F.count(F.lit(1)).alias("total"),
            F.count_if(~keeps).alias("dropped"),
            *[F.count_if(condition_of(rule)).alias(f"r{number}") for number, rule in enumerate(rules)],
        ]
        self._datasets[label] = dataset
        if self._stream:
            frame = frame.observe(label, *metrics)
        else:
            self._observations[label] = Observation(label)
            frame = frame.observe(self._observations[label], *metrics)
        fatal = [rule for rule in rules if rule.action is Action.FAIL]
        if fatal:
            frame = frame.where(_all(_or_raise(rule, dataset, frame.columns) for rule in fatal))
        return frame.where(keeps) if drop and any(rule.action is Action.DROP for rule in rules) else frame

    def counts(self, metrics: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Counts]:
        """Return what was counted by dataset, once the query has run.

        Args:
            metrics: Of a stream's micro-batch, by label.
        """
        found = {}
        for label, dataset in self._datasets.items():
            values = (metrics or {}).get(label, {}) if self._stream else self._observations[label].get
            found[dataset.said] = Counts(
                int(values.get("total", 0)),
                int(values.get("dropped", 0)),
                {rule.name: int(values.get(f"r{n}", 0)) for n, rule in enumerate(dataset.expectations)},
            )
        return found


def _or_raise(rule: Expectation, dataset: Dataset, columns: Iterable[str]) -> Column:
    text = rule.condition if isinstance(rule.condition, str) else column_text(rule.condition)
    message = [F.lit(f"{VIOLATED}: expectation '{rule.name}' ({text}) of '{dataset.said}' failed for a row")]
    for number, name in enumerate(_columns_in(text, columns)):
        value = F.lit(MASK) if looks_secret_name(name) else F.substring(F.expr(name).cast("string"), 1, SHOWN)
        message += [F.lit(f"{',' if number else ' with'} {name} = "), F.coalesce(value, F.lit("NULL"))]
    return F.when(condition_of(rule), True).otherwise(F.raise_error(F.concat(*message)).cast("boolean"))


def _columns_in(text: str, columns: Iterable[str]) -> list[str]:
    """Return the first columns, or fields of them, that a condition reads: a message quotes no whole row."""
    try:
        condition = sqlglot.parse_one(text, read="databricks")
    except SqlglotError:
        return []
    known = {column.lower() for column in columns}
    names = [
        column.sql("databricks") for column in condition.find_all(exp.Column) if column.parts[0].name.lower() in known
    ]
    return list(dict.fromkeys(names))[:3]
