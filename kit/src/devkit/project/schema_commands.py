"""`devkit schema`: infer a schema from samples, and show one in any of its forms."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spark_utils.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

FORMATS = ("ddl", "json", "json-schema")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `infer` and `show`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    infer = actions.add_parser("infer", help="infer a schema from samples; conflicts are reported, not guessed")
    infer.add_argument("samples", help="a file of events, one JSON body a line (or recorded); - reads standard input")
    infer.add_argument("--format", choices=FORMATS, default="json-schema", help="form of the schema (%(default)s)")
    infer.add_argument(
        "--declare",
        action="append",
        default=[],
        metavar="PATH=TYPE",
        help="the type of a path that samples cannot say, such as 'tags=map<string,string>'",
    )
    infer.set_defaults(run=run_infer)
    show = actions.add_parser("show", help="read a schema of any form and show it")
    show.add_argument("file", help="a schema file, or DDL text")
    show.add_argument("--format", choices=("tree", *FORMATS), default="tree", help="form of the output (%(default)s)")
    show.set_defaults(run=run_show)


def run_infer(arguments: argparse.Namespace) -> int:
    """Print the inferred schema, or every conflict on stderr and return 1."""
    from devkit.project.schema_inference import infer_schema

    inferred = infer_schema(_samples(arguments.samples), declared=_declared(arguments.declare))
    for conflict in inferred.conflicts:
        print(f"devkit: {conflict}", file=sys.stderr)
    if inferred.conflicts:
        print("devkit: say each type by --declare PATH=TYPE, or correct the samples", file=sys.stderr)
        return 1
    print(_written(inferred.schema, arguments.format))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print a schema."""
    from spark_utils.schemas import load_schema

    print(_written(load_schema(arguments.file), arguments.format))
    return 0


def _samples(name: str) -> Iterable[bytes]:
    from devkit.hub.recording import read_events

    if name == "-":
        return sys.stdin.buffer
    path = Path(name)
    if not path.is_file():
        raise SchemaError(f"there is no file {name!r}", remedy="Name a file with one JSON event a line.")
    return (event.body or b"" for event in read_events(path))


def _declared(written: list[str]) -> dict[str, str]:
    declared = {}
    for each in written:
        path, equals, data_type = each.partition("=")
        if not (path and equals and data_type):
            raise SchemaError(
                f"invalid declaration: {each!r}",
                origin="--declare",
                remedy="Write PATH=TYPE, such as tags=map<string,string>.",
            )
        declared[path] = data_type
    return declared


def _written(schema: StructType, form: str) -> str:
    from devkit.project.json_schema_writer import schema_to_json_schema
    from spark_utils.schemas import schema_to_ddl

    match form:
        case "ddl":
            return schema_to_ddl(schema)
        case "json":
            return json.dumps(json.loads(schema.json()), indent=2, ensure_ascii=False)
        case "json-schema":
            return json.dumps(schema_to_json_schema(schema), indent=2, ensure_ascii=False)
    return schema.treeString().rstrip()
