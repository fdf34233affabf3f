"""Where a query names tables: found by Spark's own parser, and replaced in the text by views of the session."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlglot
from py4j.java_gateway import is_instance_of  # type: ignore[import-untyped]  # ships no types
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from sqlglot import Token, TokenType

from local_pipelines.declaring.model import split_name
from local_pipelines.errors import PipelineError
from local_pipelines.sql.qualify import without_qualify

STREAMS = {"cloud_files", "read_files", "read_kafka"}  # of Databricks alone; the first gives a stream by itself
CHANGES = "table_changes"  # Delta's own finds no table of a pipeline
FUNCTIONS = {*STREAMS, CHANGES}
METADATA = "_metadata"  # of each row, the file that it stands in
BEFORE_ALIAS = {"TABLESAMPLE", "WATERMARK", "VERSION", "TIMESTAMP", "FOR", "WITH"}  # clauses of a table
IN_QUOTES = [TokenType.L_PAREN, TokenType.STRING, TokenType.R_PAREN]
ALIASES = {"SubqueryAlias", "UnresolvedSubqueryColumnAliases"}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Relation:
    """A table that a query names.

    Attributes:
        name: As it stands in the text, quoted where it is.
        stream: Whether it stands as ``STREAM(name)``.
        start: Offset of its first character.
        end: Offset behind its last one.
        aliased: Whether the query gives it a name of its own.
    """

    name: str
    stream: bool
    start: int
    end: int
    aliased: bool = False


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of SQL text, without comments."""
    return sqlglot.tokenize(text, read="databricks")


def closing(tokens: list[Token], opening: int) -> int:
    """Return the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(tokens[index].token_type, 0)
        if depth == 0:
            return index
    raise PipelineError("a parenthesis is not closed")


def query_of(
    text: str,
    spark: SparkSession,
    table: Callable[[str, bool, str], DataFrame | None],
    function: Callable[[str, str, bool], DataFrame],
    run: Callable[[str], DataFrame],
) -> DataFrame:
    """Return the frame of a query whose tables are a pipeline's.

    Args:
        text: The query.
        spark: The session.
        table: Gives the frame of a name, as a stream or not, with the text of its options; nothing for a name to be
            left to Spark.
        function: Gives the frame of one of `FUNCTIONS` with the text of its arguments, as a stream or not.
        run: Spark's own ``sql``.

    Raises:
        PipelineError: It is no query, or names a table that is not found.
    """
    views: dict[str, str] = {}  # each with the name that it stands for

    def view_of(frame: DataFrame, said: str = "") -> str:
        name = f"__pipeline_view_{next(_numbers)}"
        frame.createOrReplaceTempView(name)
        views[name] = said
        return name

    try:
        text = _spell_out_streams(
            text, lambda name, options: view_of(_wanted(name, table(name, True, options)), name), function, view_of
        )
        text = text if _can_read(text, spark) else without_qualify(text)
        for relation in sorted(relations(text, spark), key=lambda found: found.start, reverse=True):
            view = relation.name.strip("`")
            if view not in views:
                frame = table(relation.name, relation.stream, "")
                if frame is None:
                    continue
                view = view_of(frame, relation.name)
            text = text[: relation.start] + view + _alias(text, relation, views[view]) + text[relation.end :]
        return run(text)
    finally:
        for view in views:
            spark.catalog.dropTempView(view)


def _alias(text: str, relation: Relation, said: str) -> str:
    """Return what lets a view go by the name of its table, so that ``orders.id`` means a column of it."""
    before, behind = tokens_of(text[: relation.start]), tokens_of(text[relation.end :])
    is_open = bool(before) and before[-1].text.upper() in ("FROM", "JOIN", ",", "(")
    is_open = is_open and [token.text.upper() for token in before[-2:]] != ["TABLE", "("]
    if not said or relation.aliased or not is_open or (behind and behind[0].text.upper() in BEFORE_ALIAS):
        return ""
    return f" AS `{split_name(said)[-1].replace('`', '``')}`"


def _wanted(name: str, frame: DataFrame | None) -> DataFrame:
    if frame is None:
        raise PipelineError(f"table '{name}' is not found")
    return frame


def _spell_out_streams(
    text: str,
    stream: Callable[[str, str], str],
    function: Callable[[str, str, bool], DataFrame],
    view_of: Callable[[DataFrame], str],
) -> str:
    """Replace what open Spark cannot read: ``STREAM(name) WITH (option)``, `FUNCTIONS`, ``IDENTIFIER('name')``."""
    tokens = tokens_of(text)
    changes: list[tuple[int, int, str]] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        word = token.text.upper()
        after_from = index > 0 and tokens[index - 1].text.upper() in {"FROM", "JOIN", ",", "("}
        nxt = tokens[index + 1] if index + 1 < len(tokens) else None
        if word == "STREAM" and nxt is not None and after_from:
            last, inner = _stream_argument(tokens, index)
            name = tokens[inner].text.lower()
            if name in STREAMS:
                end = closing(tokens, inner + 1)
                arguments = text[tokens[inner + 1].end + 1 : tokens[end].start]
                changes += _function_changes(tokens, index, last, function(name, arguments, True), view_of)
            else:
                names = text[tokens[inner].start : _name_end(tokens, inner) + 1]
                if text[_name_end(tokens, inner) + 1 :].lstrip().startswith("("):
                    known = " and ".join(sorted(STREAMS - {"cloud_files"}))
                    raise PipelineError(f"no stream can be read from the table function '{names}'; {known} give one")
                options = ""
                if [each.text.upper() for each in tokens[last + 1 : last + 3]] == ["WITH", "("]:
                    end = closing(tokens, last + 2)
                    options, last = text[tokens[last + 2].end + 1 : tokens[end].start], end
                changes.append((token.start, tokens[last].end + 1, stream(names, options)))
            index = last
        elif word == "IDENTIFIER" and [t.token_type for t in tokens[index + 1 : index + 4]] == IN_QUOTES:
            changes.append((token.start, tokens[index + 3].end + 1, tokens[index + 2].text))
        elif word.lower() in FUNCTIONS and nxt is not None and nxt.token_type is TokenType.L_PAREN:
            end = closing(tokens, index + 1)
            arguments = text[nxt.end + 1 : tokens[end].start]
            frame = function(word.lower(), arguments, word == "CLOUD_FILES")
            changes += _function_changes(tokens, index, end, frame, view_of)
            index = end
        index += 1
    for start, end, replacement in sorted(changes, reverse=True):
        text = text[:start] + replacement + "\n" * text.count("\n", start, end) + text[end:]  # each line stays
    return text


def _function_changes(
    tokens: list[Token], first: int, last: int, frame: DataFrame, view_of: Callable[[DataFrame], str]
) -> Iterator[tuple[int, int, str]]:
    """Yield what takes the place of a function: a view, with the files' metadata as a column where a query names it."""
    if any(token.text.lower() == METADATA for token in tokens):  # a view hides them
        frame = frame.select("*", METADATA)
        yield from _stars_without_metadata(tokens, first, last)
    yield tokens[first].start, tokens[last].end + 1, view_of(frame)


def _stars_without_metadata(tokens: list[Token], first: int, last: int) -> Iterator[tuple[int, int, str]]:
    """Yield how the stars change of the SELECT that reads what these tokens name, whose metadata are no column."""
    alias, depth = {token.text for token in tokens[last + 1 : last + 3]}, 0
    for index in range(first - 1, 0, -1):
        token, before = tokens[index], tokens[index - 1].text.upper()
        depth += {TokenType.R_PAREN: 1, TokenType.L_PAREN: -1}.get(token.token_type, 0)
        if depth < 0 or (depth == 0 and token.text.upper() == "SELECT"):
            return
        is_ours = before in {"SELECT", "DISTINCT", ","} or (before == "." and tokens[index - 2].text in alias)
        if depth == 0 and token.text == "*" and is_ours:
            if tokens[index + 1].text.upper() == "EXCEPT":
                yield tokens[index + 2].end + 1, tokens[index + 2].end + 1, f"{METADATA}, "
            else:
                yield token.start, token.end + 1, f"* EXCEPT ({METADATA})"


def _stream_argument(tokens: list[Token], index: int) -> tuple[int, int]:
    """Return the index of the last token of a ``STREAM …``, and of the first one of what it names."""
    if tokens[index + 1].token_type is TokenType.L_PAREN:
        return closing(tokens, index + 1), index + 2
    if tokens[index + 1].text.lower() in STREAMS:
        return closing(tokens, index + 2), index + 1
    last = index + 1
    while last + 2 < len(tokens) and tokens[last + 1].token_type is TokenType.DOT:
        last += 2
    return last, index + 1


def _name_end(tokens: list[Token], first: int) -> int:
    last = first
    while last + 2 < len(tokens) and tokens[last + 1].token_type is TokenType.DOT:
        last += 2
    return int(tokens[last].end)


def relations(text: str, spark: SparkSession) -> list[Relation]:
    """Return the tables that a query names; names of its own ``WITH`` are none."""
    plan = spark._jsparkSession.sessionState().sqlParser().parsePlan(text)
    _refuse_statement(plan, text, spark)
    return list(_relations(plan, frozenset()))


def _can_read(text: str, spark: SparkSession) -> bool:
    try:
        spark._jsparkSession.sessionState().sqlParser().parsePlan(text)
    except PySparkException:
        return False
    return True


def is_query(text: str, spark: SparkSession) -> bool:
    """Return whether text is a query, and no statement or nothing that Spark can read."""
    try:
        plan = spark._jsparkSession.sessionState().sqlParser().parsePlan(text)
    except PySparkException:
        return False
    return not _is_statement(plan, spark)


def _is_statement(plan: Any, spark: SparkSession) -> bool:
    while plan.getClass().getSimpleName() == "UnresolvedWith":
        plan = plan.child()
    package = "org.apache.spark.sql.catalyst.plans.logical"
    kinds = (f"{package}.{name}" for name in ("Command", "ParsedStatement", "Call"))
    return any(is_instance_of(spark._sc._gateway, plan, kind) for kind in kinds)


def _refuse_statement(plan: Any, text: str, spark: SparkSession) -> None:
    """Refuse what writes or changes the session: Spark would run it at once, an analysis too."""
    if not plan.getClass().getSimpleName().startswith(("Show", "Describe")) and _is_statement(plan, spark):
        said = " ".join(token.text for token in tokens_of(text)[:3])
        raise PipelineError(f"the statement '{said} …' is not allowed here", remedy="Give a query.")


def _relations(plan: Any, hidden: frozenset[str], *, aliased: bool = False) -> Iterator[Relation]:
    kind = plan.getClass().getSimpleName()
    if kind == "UnresolvedRelation":
        yield from _relation(plan, hidden, aliased=aliased)
    if kind == "Pivot":
        remedy = "Name the columns: one aggregate with FILTER (WHERE …) for each value."
        raise PipelineError("PIVOT is not allowed in a pipeline", remedy=remedy)
    if kind == "UnresolvedWith":
        for pair in _items(plan.cteRelations()):
            yield from _relations(pair._2(), hidden)
            hidden |= {pair._1().lower()}
    for child in [*_items(plan.children()), *_items(plan.subqueries())]:
        yield from _relations(child, hidden, aliased=kind in ALIASES)


def _relation(plan: Any, hidden: frozenset[str], *, aliased: bool) -> Iterator[Relation]:
    parts = [str(part) for part in _items(plan.multipartIdentifier())]
    if len(parts) == 1 and parts[0].lower() in hidden:
        return
    if len(parts) == 2 and parts[0].lower() in {"delta", "parquet", "json", "csv", "text", "orc"}:
        return  # a path
    start, end = plan.origin().startIndex().get(), plan.origin().stopIndex().get() + 1
    name = ".".join(f"`{part.replace('`', '``')}`" for part in parts)
    yield Relation(name, bool(plan.isStreaming()), start, end, aliased)


def _items(sequence: Any) -> Iterator[Any]:
    iterator = sequence.iterator()
    while iterator.hasNext():
        yield iterator.next()
