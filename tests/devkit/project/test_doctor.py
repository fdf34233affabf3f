"""`devkit doctor` finds what is in the way, says what to do about it, and tells it by its exit status."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devkit import cache
from devkit.cli import main
from devkit.hub import broker
from devkit.project import doctor
from devkit.project.doctor import Finding
from devkit.spark import local_session
from spark_utils.errors import RuntimeSetupError


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a cache, and a project that is complete."""
    monkeypatch.setenv("SPARK_DEVKIT_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configuration").mkdir()
    configuration = "source = files\nsource-path = .\nschema = a INT\noutput-path = out\n"
    (tmp_path / "configuration" / "run_args_streaming.conf").write_text(configuration)
    return tmp_path


def worst(check: Callable[[], Iterator[Finding]]) -> Finding:
    return max(check(), key=lambda finding: ["ok", "note", "problem"].index(finding.level))


def test_a_problem_comes_with_its_remedy_and_status_1(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "✗ 15 of 15 jars of Spark are not in" in said
    assert "→ devkit jars fetch --file" in said
    assert "✓ a INT: 1 field at" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tigger = once", "configuration/run_args_streaming.conf:5: unknown key 'tigger'; did you mean 'trigger'?"),
        ("storage-account-name = a\nstorage-account-key = {{secrets/none/such}}", "the secret 'such' of scope 'none'"),
    ],
)
def test_a_mistake_of_the_configuration_does_not_end_the_examination(empty: Path, line: str, said: str) -> None:
    with (empty / "configuration" / "run_args_streaming.conf").open("a") as file:
        file.write(f"{line}\n")
    last = [*doctor.examine()][-1]
    assert last.level == "problem"
    assert last.text.startswith(said)
    assert last.remedy


def test_a_java_that_is_missing_is_a_problem(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/such/java")
    with pytest.raises(RuntimeSetupError, match="there is no Java at"):
        list(doctor.java())
    assert any("there is no Java at" in found.text and found.level == "problem" for found in doctor.examine())


def test_only_the_start_archive_of_this_java_and_these_jars_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_session.prepare()
    for name in ("jars", "compiled"):
        (tmp_path / name).symlink_to(cache.home() / name)
    monkeypatch.setenv(cache.HOME_VARIABLE, str(tmp_path))
    own = local_session.prepare().archive().path
    own.parent.mkdir()
    own.with_name("java17-0123456789abcdef.jsa").touch()
    assert "none is written for this Java and these jars" in next(doctor.start()).text
    own.touch()
    own.with_name(f"{own.name}.complete").write_text(f"0 {own.stat().st_mtime_ns}\n")
    assert next(doctor.start()).text == "instant start is written for this Java and these jars"


@pytest.mark.parametrize(("count", "told"), [(0, "0 problems, 0 notes"), (1, "1 problem, 1 note")])
def test_the_summary_counts_in_english(
    count: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("problem", "x"), Finding("note", "y")] * count)
    assert main(["doctor"]) == count
    assert f"{told}, 0 in order" in capsys.readouterr().out


def test_a_port_that_another_program_has_is_a_problem(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(broker, "DEFAULT_PORT", port)
        found = worst(doctor.ports)
    assert (found.level, found.remedy) == ("problem", f"Stop that program, or devkit hub up --port {port + 1}.")


def test_variables_that_change_spark_are_named(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(doctor.variables()) == []
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    assert worst(doctor.variables).text.startswith("SPARK_CONF_DIR is set: ")


def test_packages_other_than_the_profiles_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: "0.1" if name == "rich" else None)
    assert any("rich 0.1 (tested: " in found.text for found in doctor.python() if found.level == "note")
