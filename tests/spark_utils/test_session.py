"""The session: prepared locally, left alone where one is given, quick to start, silent on the terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from devkit import cache
from spark_utils.errors import ConfigurationError
from spark_utils.session import get_session, log_file
from tests.patience import wait_for

START = """
from spark_utils.session import get_session
spark = get_session("probe", fast_start={fast})
options = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments()
print("options", *options)
print("rows", spark.range(3).count(), flush=True)
{then}
"""
LISTENS = """
import psutil
from urllib.request import urlopen
places = psutil.Process(spark.sparkContext._gateway.proc.pid).net_connections("inet")
print("listens", *sorted({each.laddr.ip.removeprefix("::ffff:") for each in places if each.status == "LISTEN"}))
print("page", urlopen(spark.sparkContext.uiWebUrl).status)
"""


def start(
    home: Path, *, program: str = START, fast: bool = True, then: str = "", **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run a small program with a session of its own, in a cache of its own."""
    not_inherited = ("SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT")
    inherited = {name: value for name, value in os.environ.items() if name not in not_inherited}
    return subprocess.run(
        [sys.executable, "-c", program.format(fast=fast, then=then)],
        env={**inherited, "SPARK_DEVKIT_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def own_home(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has the jars, which `spark` has fetched, and nothing else."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(cache.home() / "jars", home / "jars")
    return home


@pytest.fixture
def active(spark: SparkSession) -> SparkSession:
    """The shared session, active again: pyspark takes the last one that made a frame of rows, a batch's clone too."""
    spark.createDataFrame([(1,)], "a int")
    return spark


def test_the_shared_session_has_delta_utc_ansi_and_few_partitions(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert spark.conf.get("spark.sql.shuffle.partitions") == "1"
    assert spark.conf.get("spark.ui.enabled") == "false"
    assert "DeltaCatalog" in str(spark.conf.get("spark.sql.catalog.spark_catalog"))


def test_delta_and_the_storage_driver_are_on_the_class_path(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(3).write.save(str(tmp_path / "table"))
    assert spark.read.format("delta").load(str(tmp_path / "table")).count() == 3
    for name in ("azurebfs.AzureBlobFileSystem", "azurebfs.SecureAzureBlobFileSystem", "azure.NativeAzureFileSystem"):
        assert spark._jvm.java.lang.Class.forName(f"org.apache.hadoop.fs.{name}").newInstance()


def test_an_active_session_is_used_and_its_sql_settings_are_set(active: SparkSession) -> None:
    before = active.conf.get("spark.sql.shuffle.partitions")
    try:
        assert get_session("other", config={"spark.sql.shuffle.partitions": "3"}) is active
        assert active.conf.get("spark.sql.shuffle.partitions") == "3"
    finally:
        active.conf.set("spark.sql.shuffle.partitions", str(before))


def test_a_setting_that_a_running_session_cannot_take_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match=r"spark\.driver\.memory = 1g, not 3g"):
        get_session(config={"spark.driver.memory": "3g"})


@pytest.mark.parametrize(
    "key",
    [
        "fs.azure.account.key.devstoreaccount1.dfs.core.windows.net",
        "spark.hadoop.fs.azure.account.oauth2.client.secret.some.account",
        "fs.azure.sas.fixed.token.some.account",
        "kafka.sasl.jaas.config",
    ],
)
def test_a_secret_is_refused_before_anything_can_show_it(spark: SparkSession, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_session(config={key: "canary"})
    assert key in str(caught.value)
    assert "canary" not in str(caught.value)


def test_whether_a_running_session_has_a_page_is_not_asked(connect: SparkSession) -> None:
    assert get_session(config={"spark.ui.enabled": "false"}) is connect


def test_the_environment_is_as_it_was_once_the_session_runs(spark: SparkSession) -> None:
    assert not {"SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "SPARK_DEVKIT_LOG"} & set(os.environ)


def test_sparks_warnings_go_to_a_file_whose_place_is_known(spark: SparkSession) -> None:
    log = log_file(spark)
    assert log is not None
    spark._jvm.org.apache.logging.log4j.LogManager.getLogger("probe").warn("a warning of the test")
    assert "WARN  probe: a warning of the test" in log.read_text()


@pytest.mark.slow
def test_a_session_maps_the_archive_that_warm_has_written_without_a_word() -> None:
    subprocess.run([sys.executable, "-m", "devkit.cli", "warm"], check=True, timeout=600)
    run = start(cache.home(), then="spark.stop()")
    assert "-XX:SharedArchiveFile=" in run.stdout
    assert "-XX:TieredStopAtLevel=1" in run.stdout
    assert _complaints(run) == []


@pytest.fixture(scope="module")
def plain(own_home: Path) -> str:
    """What a job without instant start says, and with an argument for the launcher."""
    launcher = {"SPARK_DEVKIT_INSTANT_START": "off", "PYSPARK_SUBMIT_ARGS": "--driver-memory 700m pyspark-shell"}
    then = LISTENS + "print(spark.conf.get('spark.sql.codegen.wholeStage'))"
    run = start(own_home, fast=False, then=then, **launcher)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def configured() -> str:
    """What a session with settings of its own says, whose Python is killed in the end."""
    settings = "[('spark.driver.memory', '700m'), ('spark.a', 3), ('spark.b', True)]"
    program = START.replace("fast_start={fast}", f"fast_start={{fast}}, config=dict({settings})")
    then = "print(spark.conf.get('spark.a'), spark.conf.get('spark.b'))\n"
    then += "import os; print(spark.sparkContext._gateway.proc.pid, flush=True); os.kill(os.getpid(), 9)"
    run = start(cache.home(), program=program, then=then)
    assert run.returncode == -signal.SIGKILL, run.stderr
    return run.stdout


def test_a_job_without_instant_start_keeps_optimising_compiler_and_code_generation(plain: str) -> None:
    for flag in ("-XX:TieredStopAtLevel", "SharedArchiveFile", "ArchiveClassesAtExit"):
        assert flag not in plain
    assert plain.splitlines()[-1] == "true"


def test_a_session_and_its_page_listen_on_this_machine_alone(plain: str) -> None:
    assert "listens 127.0.0.1\n" in plain
    assert "page 200\n" in plain


@pytest.mark.parametrize("way", ["configured", "plain"])
def test_what_is_said_to_the_launcher_is_heard(way: str, request: pytest.FixtureRequest) -> None:
    assert "-Xmx700m" in request.getfixturevalue(way)


def test_a_number_and_a_truth_value_are_settings_too(configured: str) -> None:
    assert configured.splitlines()[-2] == "3 true"


def test_the_jvm_ends_with_its_python_however_that_ends(configured: str) -> None:
    wait_for(lambda: not Path("/proc", configured.rsplit(maxsplit=1)[-1]).exists())


@pytest.mark.slow
def test_two_threads_start_one_jvm_and_leave_the_environment_as_it_was(own_home: Path) -> None:
    program = """
import os, subprocess, threading
from spark_utils.session import get_session
begin, begun = subprocess.Popen.__init__, []
def counted(process, command, *more, **named):
    begun.append(" ".join(command))
    begin(process, command, *more, **named)
subprocess.Popen.__init__ = counted
names = ["SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "JAVA_HOME"]
before = [*map(os.environ.get, names)]
threads = [threading.Thread(target=get_session, args=("probe",), kwargs={{"fast_start": True}}) for _ in range(2)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
jvms = [command for command in begun if "pyspark-shell" in command]
print(len(jvms), get_session().range(3).count(), [*map(os.environ.get, names)] == before)
"""
    assert start(own_home, program=program).stdout.splitlines()[-1:] == ["1 3 True"]


def test_sql_takes_parameters(spark: SparkSession) -> None:
    assert spark.sql("SELECT id FROM range(3) WHERE id > :least", args={"least": 1}).collect() == [(2,)]


def test_a_plain_path_names_the_warehouse_that_spark_names_by_a_uri(active: SparkSession) -> None:
    uri = active.conf.get("spark.sql.warehouse.dir") or ""
    assert uri.startswith("file:")
    assert get_session(config={"spark.sql.warehouse.dir": uri.removeprefix("file:")}) is active


def _complaints(run: subprocess.CompletedProcess[str]) -> list[str]:
    """What a run said on standard error, but for the JVM's note on the module that Spark asks for."""
    return [line for line in run.stderr.splitlines() if "incubator modules" not in line]
