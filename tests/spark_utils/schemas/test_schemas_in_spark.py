"""The DDL reader against Spark's own, text by text."""

from random import Random

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import types as t

from spark_utils.errors import SchemaError
from spark_utils.schemas import parse_schema_ddl, schema_to_ddl
from tests.spark_utils.flattening.flatten_model import random_struct

READ_ALIKE = [
    "a int",
    "a: int, b: string",
    "struct<a: int, b: struct<>>",
    "a INTEGER NOT NULL, b byte, c short, d long, e real, f dec, g numeric(7), h decimal(20, 5)",
    "a timestamp, b timestamp_ltz, c timestamp_ntz, d date, e binary, f boolean, g float, h double, i void, j variant",
    "a interval, b interval day to second, c interval year, d interval hour to minute, e interval minute",
    "a string collate UTF8_LCASE, b array<string>",
    "a char(3), b varchar(10), c character(4)",
    'a int comment \'it\\\'s \\\\ "so"\', b int comment "x\\ty"',
    "a struct<b: int not null comment 'inner', c map<string, array<decimal(3,1)>>> not null comment 'outer'",
    "`a b` int, `c``d` int, `e.f` int, select int, _x int, x1 int, table int, map map<int,int>, struct struct<a:int>",
    "`größe` int, `日本` string, 1a int, 2_b int",
    "a int -- a remark\n, b /* another */ int",
]
REFUSED_ALIKE = [
    *("a", "a int b", "a int,", "a strin", "a array<int", "a decimal(39,0)", "a decimal(2,3)", "a map<int>", "a-b int"),
    *(
        "größe int",
        "1d int",
        "1e5 int",
        "1 int",
        "a varchar",
        "a varchar(x)",
        "a int not",
        "a int comment",
        "a interval day to year",
    ),
]


def test_what_spark_reads_is_read_the_same(spark: SparkSession) -> None:
    generated = [schema_to_ddl(random_struct(Random(seed))) for seed in range(60)]
    for ddl in [*READ_ALIKE, *generated]:
        assert parse_schema_ddl(ddl) == t.StructType.fromDDL(ddl), ddl


def test_what_spark_refuses_is_refused(spark: SparkSession) -> None:
    for ddl in REFUSED_ALIKE:
        with pytest.raises(PySparkException):
            t.StructType.fromDDL(ddl)
        with pytest.raises(SchemaError):
            parse_schema_ddl(ddl)
