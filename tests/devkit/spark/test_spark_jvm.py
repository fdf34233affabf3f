"""Starting Spark's JVM: by the kept command unless the user has a say in it; an honest error when it ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from devkit.spark import spark_jvm
from devkit.spark.java import find_java
from devkit.spark.runtimes import installed_spark
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


def test_ctrl_c_while_the_jvm_starts_ends_it(tmp_path: Path) -> None:
    left = tmp_path / "left"
    program = f"import time; time.sleep(15); open({str(left)!r}, 'w')"
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        with pytest.raises(KeyboardInterrupt), spark_jvm.running([sys.executable, "-c", program, spark_jvm.SUBMIT], {}):
            pytest.fail("there is no JVM")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not left.exists(), "it was waited for, not ended"


def test_a_command_is_asked_for_again_when_the_properties_are_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(installed_spark()))
    monkeypatch.setenv("SPARK_SCALA_VERSION", "2.13")
    monkeypatch.setenv("JAVA_HOME", str(find_java().home))
    properties = tmp_path / "spark-defaults.conf"
    for memory in ("700m", "800m"):
        properties.write_text(f"spark.driver.memory {memory}\n")
        command = spark_jvm.launch_command(properties)
        assert command
        assert f"-Xmx{memory}" in command
        assert spark_jvm.launch_command(properties) == command
