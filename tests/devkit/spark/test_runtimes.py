"""Runtime profiles: read strictly, matched to the installed pyspark, locked completely."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from devkit.cli import main
from devkit.spark import jars, runtimes
from devkit.spark.runtimes import (
    RuntimeProfile,
    default_profile,
    find_profile,
    installed_profile,
    load_profile,
    load_profiles,
    profile_of_spark,
)
from spark_utils.errors import RuntimeSetupError

GOOD = """\
[runtime]
databricks = 1 LTS
spark = 4.1.3
scala = 2.13
delta = 4.4.0
hadoop = 3.4.2
java = 17 21
python = 3.12
[jars]
org.example:a:1
[same as Databricks]
spark.sql.session.timeZone = UTC
[local only]
spark.redaction.regex = a#b  # because
"""
SHIPPED = ["17.3-lts", "18-lts", "next"]


def read(tmp_path: Path, text: str) -> RuntimeProfile:
    path = tmp_path / "some.conf"
    path.write_text(text)
    return load_profile(path)


def test_the_shipped_profiles_are_those_three_and_18_lts_is_the_default() -> None:
    assert sorted(load_profiles()) == SHIPPED
    assert default_profile().name == "18-lts"
    assert [profile.name for profile in load_profiles().values() if profile.default] == ["18-lts"]


def test_each_setting_of_a_shipped_profile_says_why_it_differs_or_where_it_is_said_that_it_does_not() -> None:
    profiles = load_profiles().values()
    assert [setting for profile in profiles for setting in profile.settings if not setting.reason] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_lock_lists_exactly_the_jars_of_its_profile(name: str) -> None:
    profile = find_profile(name)
    assert tuple(jar.coordinate for jar in jars.read_lock(profile.lock)) == profile.coordinates


@pytest.mark.parametrize("name", SHIPPED)
def test_the_python_packages_are_pinned_to_the_same_spark_and_delta(name: str) -> None:
    profile = find_profile(name)
    pins = profile.constraints.read_text().splitlines()
    assert f"pyspark=={profile.spark}" in pins
    assert f"delta-spark=={profile.delta}" in pins


def test_a_profile_is_found_by_the_version_of_spark() -> None:
    assert profile_of_spark("4.0.0").name == "17.3-lts"
    assert profile_of_spark("4.1.3").name == "18-lts"
    assert profile_of_spark("4.2.0").name == "next"


def test_a_spark_without_a_profile_is_told_what_to_install() -> None:
    with pytest.raises(RuntimeSetupError, match=r"Spark 3\.5\.2.*pip|Install pyspark==4\.1\.3 delta-spark==4\.4\.0"):
        profile_of_spark("3.5.2")


def test_a_setting_says_whether_and_why_it_is_local(tmp_path: Path) -> None:
    same, local = read(tmp_path, GOOD).settings
    assert (same.key, same.value, same.local_only) == ("spark.sql.session.timeZone", "UTC", False)
    assert (local.value, local.local_only, local.reason) == ("a#b", True, "because")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("delta = ", "detla = ", "unknown key 'detla' (did you mean 'delta'?); 'delta' is missing"),
        ("[jars]", "[jar]", "unknown section 'jar' (did you mean 'jars'?)"),
        ("  # because", "", "'spark.redaction.regex' differs from Databricks without saying why"),
        (" = UTC", " = ", "'spark.sql.session.timeZone' has no value"),
        ("17 21", "seventeen", "java = 'seventeen' is not a list of major versions"),
        ("spark = 4.1.3", "spark = 4.1.3\nspark = 4.1.3", "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RuntimeSetupError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert message in str(caught.value)
    assert "some.conf" in str(caught.value)


def test_all_mistakes_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuntimeSetupError, match=r"detla.*timeZone"):
        read(tmp_path, GOOD.replace("delta = ", "detla = ").replace(" = UTC", " = "))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(RuntimeSetupError, match=r"did you mean '18-lts'\?"):
        find_profile("18lts")


def test_a_folder_without_profiles_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtimes.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(RuntimeSetupError, match="no runtime profile"):
        load_profiles()


def test_use_installs_the_spark_of_a_profile_and_fetches_its_jars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # what is asked for is here already
    profile = installed_profile()
    assert main(["runtime", "use", profile.name]) == 0
    told = f"{sys.prefix} has Spark {profile.spark} now; {len(profile.coordinates)} jars in the cache\n"
    assert capsys.readouterr().out == told


def test_use_says_so_when_pip_cannot_install_what_a_profile_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv(runtimes.FOLDER_VARIABLE, str(tmp_path))
    read(tmp_path, GOOD.replace("4.1.3", "0.0.1"))
    (tmp_path / "some.constraints.txt").touch()
    assert main(["runtime", "use", "some"]) == 1
    assert "pip did not install pyspark[connect]==0.0.1 and delta-spark==4.4.0" in capfd.readouterr().err
