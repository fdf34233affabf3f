"""``QUALIFY``, which open Spark cannot read: the query becomes a subquery that says of each row whether it stays.

Source: https://docs.databricks.com/sql/language-manual/sql-ref-syntax-qry-select-qualify
"""

from __future__ import annotations

import sqlglot
from sqlglot import Token, TokenType

STAYS = "__qualify"
BEFORE, AFTER = "SELECT * EXCEPT (__qualify) FROM (", ") WHERE __qualify"
BEHIND = {"ORDER BY", "SORT BY", "CLUSTER BY", "DISTRIBUTE BY", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT"}


def without_qualify(text: str) -> str:
    """Return a query that Spark can read; one that has no ``QUALIFY``, or none behind a ``FROM``, as it is."""
    while True:
        tokens = sqlglot.tokenize(text, read="databricks")
        found = [index for index, token in enumerate(tokens) if token.token_type is TokenType.QUALIFY]
        has_condition = bool(found) and found[-1] + 1 < len(tokens)
        places = _select_and_from(tokens, found[-1]) if has_condition else None
        if places is None:
            return text
        select, source, qualify = (tokens[index].start for index in (*places, found[-1]))
        first, last = tokens[found[-1] + 1], tokens[_end(tokens, found[-1] + 1)]
        condition = text[first.start : last.end + 1]
        inner = f"{text[select:source]}, ({condition}) AS {STAYS} {text[source:qualify]}"
        text = f"{text[:select]}{BEFORE}{inner}{AFTER}{text[last.end + 1 :]}"


def _select_and_from(tokens: list[Token], qualify: int) -> tuple[int, int] | None:
    """Return the indices of the ``SELECT`` and the ``FROM`` that a ``QUALIFY`` belongs to."""
    depth, source = 0, None
    for index in range(qualify - 1, -1, -1):
        kind = tokens[index].token_type
        depth += {TokenType.R_PAREN: 1, TokenType.L_PAREN: -1}.get(kind, 0)
        if depth == 0 and kind is TokenType.FROM:
            source = index
        elif depth == 0 and kind is TokenType.SELECT:
            return (index, source) if source is not None else None
    return None


def _end(tokens: list[Token], first: int) -> int:
    """Return the index of a condition's last token."""
    depth = 0
    for index in range(first, len(tokens)):
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(tokens[index].token_type, 0)
        if depth < 0 or (depth == 0 and " ".join(tokens[index].text.upper().split()) in BEHIND):
            return index - 1
    return len(tokens) - 1
