"""Load a schema from text or a file, whichever of its three forms it has."""

from __future__ import annotations

import json
from pathlib import Path

from pyspark.sql.types import StructType

from spark_utils.errors import SchemaError
from spark_utils.schemas.ddl import parse_schema_ddl
from spark_utils.schemas.json_schema import schema_from_json_schema
from spark_utils.schemas.spark_json import is_spark_json, schema_from_spark_json

SUFFIXES = (".json", ".ddl", ".sql")


def load_schema(source: str | Path) -> StructType:
    """Load a schema without a JVM, from DDL text, Spark's JSON form or JSON Schema.

    Args:
        source: The text itself, or a file's path: anything that names an existing file or ends in ``.json``,
            ``.ddl`` or ``.sql`` is a file. A text that starts with ``{`` is JSON, of Spark's form if its `type` is
            ``struct``, else JSON Schema; any other text is DDL.

    Returns:
        The schema. `nullable` is False for a NOT NULL or `required` field.

    Raises:
        SchemaError: The file cannot be read, or its content, naming the file and the place in it.
    """
    path = _as_path(source)
    if path is None:
        return parse_schema(str(source))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SchemaError(
            f"the schema file {str(path)!r} cannot be read: {reason}", remedy="Name an existing file in UTF-8."
        ) from error
    return parse_schema(text, origin=str(path))


def parse_schema(text: str, *, origin: str | None = None) -> StructType:
    """Read a schema's text, in any of the three forms.

    Raises:
        SchemaError: Naming the origin and the place in the text.
    """
    if not text.strip():
        raise SchemaError("the schema is empty", origin=origin, remedy="Write DDL, Spark JSON or JSON Schema.")
    if not text.lstrip().startswith("{"):
        return parse_schema_ddl(text, origin=origin)
    try:
        document = json.loads(text, object_pairs_hook=_distinct)
    except ValueError as error:
        raise SchemaError(
            f"the schema is not JSON: {error}", origin=origin, remedy="Correct the JSON at that place."
        ) from error
    if is_spark_json(document):
        return schema_from_spark_json(document, origin=origin)
    return schema_from_json_schema(document, origin=origin)


def _as_path(source: str | Path) -> Path | None:
    if isinstance(source, Path):
        return source
    if "\n" in source or source.lstrip().startswith("{"):
        return None
    if source.strip().lower().endswith(SUFFIXES):
        return Path(source.strip())
    try:
        return Path(source) if Path(source).is_file() else None
    except OSError:  # a DDL text longer than a file name may be
        return None


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that occurs twice: JSON would silently keep the last."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice in an object")
    return result
