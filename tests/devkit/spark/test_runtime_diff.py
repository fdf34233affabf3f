"""`devkit runtime diff` tells what differs on a cluster, and by its status whether all of it is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devkit.cli import main
from devkit.spark.jars import read_lock
from devkit.spark.runtimes import FOLDER_VARIABLE, default_profile
from spark_utils.configuration.show_config import ShownConfig

EXPLAINED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.hive.metastore.version": "0.13.0",
    "spark.databricks.clusterUsageTags.clusterId": "1",
}


STATE_STORE = "spark.sql.streaming.stateStore.providerClass"
ROCKSDB_THERE = "com.databricks.sql.streaming.state.RocksDBStateStoreProvider"


def diff(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (tmp_path / "dump").write_text(text)
    status = main(["runtime", "diff", str(tmp_path / "dump"), "--runtime", "18-lts"])
    return status, capsys.readouterr().out


def shown(settings: dict[str, str]) -> str:
    return repr(ShownConfig(tuple(settings.items())))


def test_what_is_explained_is_told_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = diff(tmp_path, shown(EXPLAINED), capsys)
    assert status == 0
    assert "spark.sql.shuffle.partitions: 200 there, 4 here  # a few cores" in said
    assert "timeZone" not in said
    assert "0 of 2 differences from 18-lts are not explained" in said


def test_databricks_own_class_is_the_counterpart_of_sparks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = diff(tmp_path, shown({STATE_STORE: ROCKSDB_THERE}), capsys)
    assert status == 0
    assert f"{STATE_STORE}: {ROCKSDB_THERE} there, org.apache.spark" in said
    assert "# Databricks' own class" in said


@pytest.mark.parametrize(
    ("key", "value", "here"),
    [
        ("spark.sql.session.timeZone", "Europe/Berlin", "UTC"),
        ("spark.sql.caseSensitive", "true", "not set"),
        (
            STATE_STORE,
            "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
        ),
    ],
)
def test_what_is_not_explained_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, here: str
) -> None:
    status, said = diff(tmp_path, shown(EXPLAINED | {key: value}), capsys)
    assert status == 1
    assert f"{key}: {value} there, {here} here\n" in said


def test_a_cluster_of_another_runtime_is_found_by_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = {"new_cluster": {"spark_version": "17.3.x-scala2.13", "spark_conf": {"spark.sql.ansi.enabled": "true"}}}
    status, said = diff(tmp_path, json.dumps(cluster), capsys)
    assert status == 1
    assert "spark_version: 17.3.x-scala2.13 there, 18 LTS here" in said
    assert "1 of 1 differences" in said


def test_a_profile_from_a_clusters_json_has_nothing_unexplained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"spark.sql.caseSensitive": "true", "spark.sql.ansi.enabled": "false", "spark.executor.memory": "8g"}
    dump, file = tmp_path / "cluster.json", tmp_path / "profiles" / "shop.conf"
    there = EXPLAINED | {STATE_STORE: ROCKSDB_THERE} | own
    dump.write_text(json.dumps({"spark_version": "17.3.x-scala2.13", "spark_conf": there}))
    assert main(["runtime", "from-cluster", str(dump), str(file)]) == 0
    assert "left as it is here: spark.sql.shuffle.partitions: 200 there, 4 here  # a few" in capsys.readouterr().out
    monkeypatch.setenv(FOLDER_VARIABLE, str(file.parent))
    assert main(["runtime", "diff", str(dump), "--runtime", "shop"]) == 0
    profile = default_profile()
    settings = {setting.key: setting.value for setting in profile.settings}
    assert (profile.name, profile.databricks) == ("shop", "17.3 LTS")
    assert (settings["spark.sql.caseSensitive"], settings["spark.sql.ansi.enabled"]) == ("true", "false")
    assert settings[STATE_STORE] != ROCKSDB_THERE
    assert not settings.keys() & {"spark.executor.memory", "spark.sql.hive.metastore.version"}
    assert read_lock(profile.lock)
    assert profile.constraints.is_file()


@pytest.mark.parametrize(
    ("version", "said"),
    [("12.2.x-scala2.12", "no profile of the runtime '12.2.x-scala2.12'"), ("", "no spark_version")],
)
def test_a_cluster_of_a_runtime_without_a_profile_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, said: str
) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"spark_version": version, "spark_conf": EXPLAINED}))
    assert main(["runtime", "from-cluster", str(tmp_path / "cluster.json"), str(tmp_path / "a" / "b.conf")]) == 1
    assert said in capsys.readouterr().err


def test_a_file_without_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dump").write_text("hello")
    assert main(["runtime", "diff", str(tmp_path / "dump")]) == 1
    assert "holds no setting" in capsys.readouterr().err


def test_a_profile_is_shown_with_the_reason_of_each_local_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runtime", "show", "18-lts"]) == 0
    said = capsys.readouterr().out
    assert "Databricks Runtime 18 LTS: Spark 4.1.3, Delta 4.4.0" in said
    assert "spark.driver.memory = 2g  # the driver is the whole cluster" in said
    assert "spark.sql.session.timeZone = UTC  # https://" in said
    assert "cannot be mirrored:\n  spark.sql.hive.*  # the metastore is Databricks' own" in said
