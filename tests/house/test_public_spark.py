"""The library uses pyspark's public interface alone.

A standard cluster and serverless give a Spark Connect session, which has no `sparkContext`, no `_jvm` and no `_jdf`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.source import JOB, modules, parse, relative

INSIDE = {
    *("sparkContext", "_sc", "_jvm", "_jsc", "_jsparkSession", "_jdf", "_jc", "_jo", "_jsq", "_jseq", "_jreader"),
    *(
        "_jwrite",
        "_jschema",
        "_j_expr",
        "_gateway",
        "_ssql_ctx",
        "_to_java_column",
        "_to_seq",
        "_parse_datatype_string",
    ),
}


def reached_inside(tree: ast.AST) -> set[str]:
    """The attributes of Spark's inside that a tree asks for, by a dot or by `getattr` and the like."""
    dotted = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return INSIDE & (dotted | named)


@pytest.mark.parametrize("path", modules(JOB), ids=relative)
def test_spark_is_used_by_its_public_interface(path: Path) -> None:
    assert not reached_inside(parse(path))


@pytest.mark.parametrize("line", ["spark._jvm.System.exit(0)", "getattr(frame, '_jdf')", "a = spark.sparkContext"])
def test_a_reach_inside_is_found(line: str) -> None:
    assert reached_inside(ast.parse(line))
