"""A cursor over the tokens of one statement, and the clauses that tables and views share."""

from __future__ import annotations

from typing import TypeVar

from sqlglot import Token, TokenType

from local_pipelines.analysis.schemas import split_at_commas
from local_pipelines.declaring.model import Action, Dataset, Expectation, Kind, split_name
from local_pipelines.declaring.registry import policy_problem, unfiltered
from local_pipelines.errors import PipelineError, Place
from local_pipelines.sql.relations import closing

T = TypeVar("T")
CLAUSES = (
    *(("KEYS",), ("IGNORE", "NULL"), ("APPLY", "AS"), ("SEQUENCE", "BY"), ("COLUMNS",), ("STORED", "AS")),
    *(("TRACK", "HISTORY"), ("WHERE",)),
)


class Cursor:
    """Reads one statement from left to right.

    Args:
        text: The whole file.
        tokens: Of the statement.
        end: Offset behind the statement.
    """

    def __init__(self, text: str, tokens: list[Token], end: int) -> None:
        self._text = text
        self._tokens = tokens
        self._end = end
        self._at = 0

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._tokens)

    def _word(self, ahead: int = 0) -> str:
        index = self._at + ahead
        return self._tokens[index].text.upper() if index < len(self._tokens) else ""

    def _peek_words(self, words: tuple[str, ...]) -> int:
        """Return how many tokens hold these words, or 0; a token of the reader's may hold several."""
        said: list[str] = []
        for ahead in range(len(words)):
            said += self._word(ahead).split()
            if said == list(words):
                return ahead + 1
            if said != list(words[: len(said)]):
                return 0
        return 0

    def take(self, *words: str) -> bool:
        """Step over these words if they come next, and return whether they did."""
        count = self._peek_words(words)
        self._at += count
        return count > 0

    def need(self, value: T, *words: str) -> T:
        """Step over these words and return the value.

        Raises:
            PipelineError: Something else comes next.
        """
        if not self.take(*words):
            raise PipelineError(f"expected {' '.join(words)}, found '{self.next_words(2)}'")
        return value

    def next_words(self, count: int) -> str:
        """Return the next words, for a message."""
        return " ".join(token.text for token in self._tokens[self._at : self._at + count])

    def _next(self) -> Token:
        if self.at_end():
            raise PipelineError("the statement ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def name(self) -> str:
        """Return a name of one to three parts, quoted where it is."""
        token = self._next()
        start, end = token.start, token.end
        while self._word() == "." and not self.at_end():
            self._at += 1
            end = self._next().end
        return self._text[start : end + 1]

    def string(self) -> str:
        """Return the content of a string literal."""
        token = self._next()
        if token.token_type is not TokenType.STRING:
            raise PipelineError(f"expected a string, found '{token.text}'")
        return token.text

    def source(self) -> str:
        """Return the name in ``STREAM(name)``, ``STREAM name`` or ``name``."""
        if self.take("STREAM") and self.take("("):
            name = self.name()
            self.need(None, ")")
            return name
        return self.name()

    def parenthesised(self) -> str:
        """Return the text between the parentheses that come next."""
        if self._word() != "(":
            raise PipelineError(f"expected (, found '{self.next_words(2)}'")
        end = closing(self._tokens, self._at)
        text = self._text[self._tokens[self._at].end + 1 : self._tokens[end].start]
        self._at = end + 1
        return text

    def names_in_parentheses(self) -> list[str]:
        """Return the columns of a list in parentheses."""
        return [split_name(part)[-1] for part in _parts(self.parenthesised())]

    def names(self) -> list[str]:
        """Return the columns of a list, in parentheses or bare."""
        if self._word() == "(":
            return self.names_in_parentheses()
        found = [split_name(self.name())[-1]]
        while self.take(","):
            found.append(split_name(self.name())[-1])
        return found

    def expression(self, *ends: tuple[str, ...]) -> str:
        """Return the text up to the next clause of AUTO CDC, or up to one of these beginnings."""
        start, depth = self._tokens[self._at].start, 0
        while not self.at_end():
            if depth == 0 and any(self._peek_words(clause) for clause in ends or CLAUSES):
                break
            depth += {"(": 1, ")": -1}.get(self._next().text, 0)
        return self._text[start : self._tokens[self._at - 1].end + 1]

    def line(self) -> int:
        """Return the line of the file that the next word stands in."""
        return self._text.count("\n", 0, self._tokens[self._at].start if not self.at_end() else self._end) + 1

    def rest(self) -> str:
        """Return the text up to the statement's end."""
        if self.at_end():
            raise PipelineError("the statement ends too early")
        start = self._tokens[self._at].start
        self._at = len(self._tokens)
        return self._text[start : self._end]

    def expect_end(self) -> None:
        """Refuse what is left over."""
        if not self.at_end():
            raise PipelineError(f"cannot read '{self.next_words(3)} …'")

    def is_list(self) -> bool:
        """Whether a parenthesis comes next."""
        return self._word() == "("


def _parts(text: str) -> list[str]:
    return [text[start:end].strip() for start, end, _ in split_at_commas(text)]


def table_clauses(cursor: Cursor, dataset: Dataset) -> list[str]:
    """Read columns, constraints and options of a table or view, up to ``AS``, ``FLOW`` or the end.

    Return the names that a list of columns without types gives to those of the query.
    """
    names = _columns(cursor.parenthesised(), dataset) if cursor.is_list() else []
    while True:
        if cursor.take("COMMENT"):
            dataset.comment = cursor.string()
        elif cursor.take("TBLPROPERTIES"):
            dataset.properties = _properties(cursor.parenthesised())
        elif cursor.take("PARTITIONED", "BY"):
            dataset.partition_columns = tuple(cursor.names_in_parentheses())
        elif cursor.take("CLUSTER", "BY"):
            dataset.cluster_columns = () if cursor.take("AUTO") else tuple(cursor.names_in_parentheses())
        elif cursor.take("LOCATION"):
            dataset.path = cursor.string()
        elif cursor.take("USING"):
            cursor.name()
        elif not _without_effect(cursor, dataset):
            return names


def _without_effect(cursor: Cursor, dataset: Dataset) -> bool:
    """Step over a clause that changes nothing on this machine, and return whether one comes next."""
    if cursor.take("WITH", "ROW", "FILTER"):
        unfiltered(dataset.said)
        cursor.name()
        cursor.need(None, "ON")
        cursor.parenthesised()
    elif dataset.kind is Kind.MATERIALIZED_VIEW and cursor.take("REFRESH", "POLICY"):
        policy = cursor.name()
        if problem := policy_problem(f"{policy} STRICT" if cursor.take("STRICT") else policy):
            raise PipelineError(problem)
    elif cursor.take("SCHEDULE") or cursor.take("TRIGGER"):
        remedy = "Run the pipeline by a job with a schedule, or let it be continuous."
        raise PipelineError("a dataset of a pipeline has no schedule of its own", remedy=remedy)
    else:
        return False
    return True


def _columns(text: str, dataset: Dataset) -> list[str]:
    """Divide a list of columns into expectations and the declared schema, or names without types, which it returns."""
    columns = []
    for start, end, tokens in split_at_commas(text):
        words = [token.text.upper() for token in tokens]
        if words[:1] == ["CONSTRAINT"] and "EXPECT" in words[:3]:
            dataset.expectations.append(_constraint(Cursor(text, tokens, end), dataset.place))
        else:
            columns.append(text[start:end].strip())
    if all(len(part.split()) == 1 or "COMMENT" in part.upper().split()[1:2] for part in columns):
        return [split_name(part.split()[0])[0] for part in columns]
    dataset.schema = ", ".join(columns)
    return []


def _constraint(cursor: Cursor, place: Place | None) -> Expectation:
    cursor.need(None, "CONSTRAINT")
    name = split_name(cursor.name())[-1]
    cursor.need(None, "EXPECT")
    condition = cursor.parenthesised()
    action = Action.WARN
    if cursor.take("ON", "VIOLATION"):
        if cursor.take("DROP", "ROW"):
            action = Action.DROP
        elif cursor.take("FAIL", "UPDATE"):
            action = Action.FAIL
        else:
            raise PipelineError(f"ON VIOLATION takes DROP ROW or FAIL UPDATE, not '{cursor.next_words(2)}'")
    cursor.expect_end()
    return Expectation(name, condition.strip(), action, place)


def _properties(text: str) -> dict[str, str]:
    found = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not equals:
            raise PipelineError(f"TBLPROPERTIES: cannot read '{part}'")
        found[key.strip().strip("'\"`")] = value.strip().strip("'\"")
    return found
