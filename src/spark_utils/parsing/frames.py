"""The public steps: ``parse``, then ``good_rows`` and ``rejected_rows``."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import types as t

from spark_utils.configuration.settings import Engine, ParseOptions
from spark_utils.errors import ConfigurationError, SchemaError
from spark_utils.names import quote
from spark_utils.parsing.arrow.engine import parse_with_arrow
from spark_utils.parsing.columns import VERDICT_NAMES, verdict_type
from spark_utils.parsing.held_rows import rejected_here
from spark_utils.parsing.jvm.engine import parse_on_jvm
from spark_utils.parsing.jvm.java_reader import JavaReader
from spark_utils.parsing.reasons import Limits
from spark_utils.parsing.reference import UnknownPolicy, compile_classifier
from spark_utils.parsing.variant import parse_variant
from spark_utils.schemas.ddl import parse_schema_ddl

DEFAULT_BODY_COLUMN = "body"
_BODY_COLUMN = "spark_utils.body_column"  # metadata of the column `event`, where bodies have another name


def parse(
    df: DataFrame,
    schema: t.StructType | t.VariantType | str,
    *,
    options: ParseOptions | None = None,
    engine: Engine | None = None,
    unknown: UnknownPolicy | None = None,
    max_body_bytes: int | None = None,
    max_depth: int | None = None,
    body_column: str = DEFAULT_BODY_COLUMN,
) -> DataFrame:
    """Judge and read every body; a lossy value is a reason, never a silent null or a rounded number.

    Args:
        df: Batch or streaming frame with a binary column ``body``; all its columns pass through unchanged.
        schema: The declared fields; ``nullable = false`` means required: present and not null. Names are
            case-sensitive. Or the same as DDL text. Or ``VariantType()`` for bodies without a schema: ``event`` is a
            variant, and the engine is Spark's own.
        options: The four that follow, as a configuration has them (``config.parse``); a keyword beside is stronger.
            Without either, the defaults of `ParseOptions`.
        engine: ``jvm`` (a Java function reads good bodies, Python explains rejected ones when ``reason``, ``path`` or
            ``detail`` is asked for), ``arrow`` (in Python workers, needs pyarrow there), or ``auto``: ``jvm`` where the
            session lets its jar in, which is found by trying. The verdicts are the same.
        unknown: What becomes of fields that the schema does not know: ``keep`` them as JSON in ``_unknown``,
            ``count`` them in ``_unknown_count``, or ``reject`` the body.
        max_body_bytes: Largest body, in bytes.
        max_depth: Deepest nesting of objects and arrays; the root object counts as 1.
        body_column: Name of the column that holds the body.

    Returns:
        Every row of ``df`` exactly once, with these columns added:

        * ``event`` struct: the declared fields, all nullable; **null exactly where the row is rejected**. Ask this
          column first: the JVM engine works out ``reason`` only when it is asked for;
        * ``reason`` string: a value of ``Reason``; null when good;
        * ``path`` string: the place, such as ``readings[2].value``; null when the whole body is meant;
        * ``detail`` string: a short explanation for people, never the whole body;
        * ``_unknown`` string: JSON object from path to value, null when every field is known; or, with
          ``unknown="count"``, ``_unknown_count`` int.

    Raises:
        ConfigurationError: an option is not one of its values, or a column is missing or in the way.
        SchemaError: the schema holds a type that JSON bodies cannot be read into.
        RuntimeSetupError: ``jvm`` was asked for, and the session refuses the jar, or the installation lacks it.
    """
    options = (options or ParseOptions()).with_given(
        engine=engine, unknown=unknown, max_body_bytes=max_body_bytes, max_depth=max_depth
    )
    engine, unknown, limits = options.engine, options.unknown, Limits(options.max_body_bytes, options.max_depth)
    _check_columns(df, body_column)
    if isinstance(schema, str):
        schema = parse_schema_ddl(schema, origin="the schema given to parse")
    if isinstance(schema, t.VariantType):
        parsed = parse_variant(df, limits, body_column)
    else:
        _check_schema(schema)
        given = (df, schema, limits, unknown, body_column)
        parsed = rejected_here(*given) or _parse_in_spark(engine, *given)
    if body_column == DEFAULT_BODY_COLUMN:
        return parsed
    return parsed.withMetadata("event", {_BODY_COLUMN: body_column})


def _parse_in_spark(
    engine: Engine, df: DataFrame, schema: t.StructType, limits: Limits, unknown: UnknownPolicy, body_column: str
) -> DataFrame:
    if engine == "auto":
        engine = "jvm" if JavaReader(df.sparkSession, schema, limits, unknown).is_available() else "arrow"
    run = parse_with_arrow if engine == "arrow" else parse_on_jvm
    return run(df, schema, limits, unknown, body_column)


def good_schema(
    source: t.StructType,
    schema: t.StructType | t.VariantType,
    *,
    options: ParseOptions | None = None,
    unknown: UnknownPolicy | None = None,
    body_column: str = DEFAULT_BODY_COLUMN,
) -> t.StructType:
    """Return the schema of ``good_rows(parse(df, schema))``, computed from the declared one: no frame is built.

    Args:
        source: The schema of the frame that is parsed.
        schema: The declared fields, as for `parse`.
        options: As for `parse`; of them, only ``unknown`` matters.
        unknown: As for `parse`.
        body_column: As for `parse`.
    """
    options = (options or ParseOptions()).with_given(unknown=unknown)
    added = {field.name: field for field in verdict_type(schema, options.unknown).fields}
    if body_column != DEFAULT_BODY_COLUMN:
        added["event"].metadata = {_BODY_COLUMN: body_column}
    first = [added[name] for name in ("event", "_unknown", "_unknown_count") if name in added]
    return t.StructType([*first, *(field for field in source.fields if field.name != body_column)])


def good_rows(parsed: DataFrame, *, body_column: str | None = None) -> DataFrame:
    """Keep the rows that were read, those with an ``event``.

    Args:
        parsed: A frame that ``parse`` returned, or one made of it. Who rejects further rows sets ``event`` to null.
        body_column: Name of the column that holds the body; the one that ``parse`` was told, by default.

    Returns:
        ``event``, the unknown fields, and every column of the source but the body.
    """
    body = body_column or parsed.schema["event"].metadata.get(_BODY_COLUMN, DEFAULT_BODY_COLUMN)
    drop = {"reason", "path", "detail", body}
    first = [name for name in ("event", "_unknown", "_unknown_count") if name in parsed.columns]
    rest = [name for name in parsed.columns if name not in drop and name not in first]
    return parsed.where("event IS NOT NULL").selectExpr(*map(quote, [*first, *rest]))


def rejected_rows(parsed: DataFrame) -> DataFrame:
    """Keep the rows that were not read: ``reason``, ``path``, ``detail``, and every column of the source."""
    first = ["reason", "path", "detail"]
    rest = [name for name in parsed.columns if name not in VERDICT_NAMES]
    return parsed.where("event IS NULL").selectExpr(*map(quote, [*first, *rest]))


def _check_columns(df: DataFrame, body_column: str) -> None:
    columns = dict(df.dtypes)
    if columns.get(body_column) != "binary":
        found = f"column {body_column!r} is {columns[body_column]}, not binary" if body_column in columns else ""
        raise ConfigurationError(
            found or f"the frame has no column {body_column!r} (it has {', '.join(columns)})",
            origin="parse",
            remedy="Cast the column to binary." if found else "Name the column of the body with body_column.",
        )
    in_the_way = sorted(set(df.columns) & set(VERDICT_NAMES))
    if in_the_way:
        raise ConfigurationError(
            f"the frame already has {', '.join(in_the_way)}",
            origin="parse",
            remedy="Rename these columns first: parse adds its own.",
        )


def _check_schema(schema: t.StructType) -> None:
    if not schema.fields:
        raise SchemaError("the schema has no field", origin="the schema given to parse", remedy="Declare the fields.")
    compile_classifier(schema)
