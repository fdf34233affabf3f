"""Starting Spark's JVM: by the kept command unless the user has a say in it; an honest error when it ends."""

from __future__ import annotations

import os
import sys

import pytest

from devkit import spark_jvm
from spark_utils.errors import RuntimeSetupError


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(spark_jvm.LAUNCHER_VARIABLES):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("config", "variables", "usual"),
    [
        ({}, {}, True),
        ({"spark.sql.shuffle.partitions": "3", "spark.jars.packages": "a:b:1"}, {}, True),
        ({}, {"SPARK_DEVKIT_HOME": "/cache", "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": "/spark"}, True),
        ({"spark.driver.memory": "4g"}, {}, False),
        ({"spark.driver.extraJavaOptions": "-Dkey=value"}, {}, False),
        ({"spark.remote": "sc://localhost"}, {}, False),
        ({}, {"PYSPARK_SUBMIT_ARGS": "--driver-memory 4g pyspark-shell"}, False),
        ({}, {"SPARK_SUBMIT_OPTS": "-Dkey=value"}, False),
        ({}, {"SPARK_DRIVER_MEMORY": "4g"}, False),
        ({}, {"HADOOP_CONF_DIR": "/hadoop"}, False),
    ],
)
def test_who_has_a_say_in_the_command(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, str], variables: dict[str, str], usual: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert spark_jvm.is_as_usual(config) is usual


def test_a_jvm_that_ends_at_once_is_an_error_and_leaves_no_address() -> None:
    command = [sys.executable, "-c", "raise SystemExit(7)", spark_jvm.SUBMIT]
    expected = pytest.raises(RuntimeSetupError, match="ended with exit code 7 before it could be used")
    with expected, spark_jvm.running(command, {}):
        pytest.fail("there is no JVM")
    assert "PYSPARK_GATEWAY_PORT" not in os.environ
