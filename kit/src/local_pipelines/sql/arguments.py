"""The arguments of table functions: ``read_files('path', format => 'json')``, ``read_kafka(subscribe => 'topic')``."""

from __future__ import annotations

from typing import Any

from sqlglot import Token, TokenType

from local_pipelines.analysis.schemas import split_at_commas
from local_pipelines.errors import PipelineError


def read_files(arguments: str, *, typed: bool = True) -> tuple[str, dict[str, Any]]:
    """Return path and settings (see `local_pipelines.flows.cloud_files.read`) of the arguments of ``read_files``.

    The older form ``read_files('path', 'json', map('key', 'value'))`` is read too; it is that of ``cloud_files``, which
    infers texts alone (`typed` off).
    """
    path: str | None = None
    options: dict[str, str] = {}
    schema: str | None = None
    for position, (_, _, tokens) in enumerate(split_at_commas(arguments)):
        texts = [token.text for token in tokens]
        if (pair := _pair(tokens)) is not None:
            key, value = pair[0].lower(), pair[1]
        elif position == 0:
            path = _value(tokens)
            continue
        elif position == 1:
            key, value = "format", _value(tokens)
        elif texts[:1] and texts[0].lower() == "map":
            pairs = [_value(part) for _, _, part in split_at_commas(_inside(arguments, tokens))]
            options.update(zip(map(str.lower, pairs[::2]), pairs[1::2], strict=False))
            continue
        else:
            raise PipelineError(f"read_files: cannot read the argument '{' '.join(texts)}'")
        if key == "schema":
            schema = value
        else:
            options[key.lower()] = value
    if path is None:
        raise PipelineError("read_files: the path is missing")
    defaults = {"format": "json", "infercolumntypes": str(typed).lower()}  # as Databricks documents for read_files
    options |= {key: value for key, value in defaults.items() if not {key, f"cloudfiles.{key}"} & options.keys()}
    return path, {"schema": options.pop("schema", schema), "options": options, "is_mixed": True}


def read_kafka(arguments: str) -> dict[str, str]:
    """Return the options of Spark's Kafka source that the arguments of ``read_kafka`` mean."""
    options = {}
    for _, _, tokens in split_at_commas(arguments):
        pair = _pair(tokens)
        if pair is None:
            raise PipelineError(f"read_kafka: cannot read the argument '{' '.join(token.text for token in tokens)}'")
        options["kafka.bootstrap.servers" if pair[0].lower() == "bootstrapservers" else pair[0]] = pair[1]
    return options


def table_changes(arguments: str) -> tuple[str, dict[str, str]]:
    """Return the table that ``table_changes('name', start [, end])`` names, and the options that read its change feed.

    A number is a version, a string a time: https://docs.databricks.com/sql/language-manual/functions/table_changes
    """
    parts = [tokens for _, _, tokens in split_at_commas(arguments)]
    if not 2 <= len(parts) <= 3:
        raise PipelineError("table_changes takes a name, where to start, and where to end if not at the newest change")
    options = {"readChangeFeed": "true"}
    for which, tokens in zip(("starting", "ending"), parts[1:], strict=False):
        kind = "Version" if tokens[0].token_type is TokenType.NUMBER else "Timestamp"
        options[which + kind] = _value(tokens[1:] if tokens[0].text.upper() == "TIMESTAMP" else tokens)
    return _value(parts[0]), options


def stream_options(arguments: str) -> dict[str, str]:
    """Return the options of ``STREAM name WITH (skipChangeCommits, 'maxFilesPerTrigger' = 1)``."""
    parts = [tokens for _, _, tokens in split_at_commas(arguments)]
    return {tokens[0].text: _value(tokens[2:]) if tokens[1:] else "true" for tokens in parts}


def _pair(tokens: list[Token]) -> tuple[str, str] | None:
    """Return name and value of ``name => value``; Databricks' tokens may hold the arrow in two."""
    texts = [token.text for token in tokens]
    for arrow in (["=>"], ["=", ">"]):
        if texts[1 : 1 + len(arrow)] == arrow and len(texts) > 1 + len(arrow):
            return texts[0], _value(tokens[1 + len(arrow) :])
    return None


def _inside(text: str, tokens: list[Token]) -> str:
    return text[tokens[1].end + 1 : tokens[-1].start]


def _value(tokens: list[Token]) -> str:
    if len(tokens) == 1 and tokens[0].token_type in (TokenType.STRING, TokenType.NUMBER):
        return tokens[0].text
    if len(tokens) == 1 and tokens[0].text.lower() in ("true", "false"):
        return tokens[0].text.lower()
    raise PipelineError(f"a literal is expected, not '{' '.join(token.text for token in tokens)}'")
