"""The start-up archive: named by what it depends on, written by `devkit warm` alone, used only when whole."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from devkit.spark.java import Java, find_java
from devkit.spark.start_archive import Archive, archive_of, is_on

JAVA = Java(Path("/jdk"), 17, "17.0.15 Debian")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archives" / "java17-abc.jsa"


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the run of `devkit warm`."""
    monkeypatch.setenv("SPARK_DEVKIT_INSTANT_START", "write")


def write_archive(path: Path, *, status: int = 0) -> None:
    """Let a process that stands for the JVM write the archive and end."""
    archive = Archive(path)
    part = archive.flags()[0].partition("=")[2]
    program = f"open({part!r}, 'w').write('classes'); raise SystemExit({status})"
    archive.keep(subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE))


def test_the_name_changes_with_java_and_with_every_jar(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_text("a")
    names = {archive_of(JAVA, [jar]), archive_of(JAVA, []), archive_of(Java(JAVA.home, 17, "17.0.16 Debian"), [jar])}
    jar.write_text("ab")
    assert len({*names, archive_of(JAVA, [jar])}) == 4


@pytest.mark.usefixtures("writing")
def test_an_archive_that_is_whole_is_mapped(path: Path) -> None:
    write_archive(path)
    assert Archive(path).flags()[:2] == ["-Xshare:auto", f"-XX:SharedArchiveFile={path}"]


@pytest.mark.usefixtures("writing")
def test_an_archive_that_was_cut_short_is_written_anew(path: Path) -> None:
    write_archive(path)
    path.write_text("class")
    assert Archive(path).flags()[0].startswith("-XX:ArchiveClassesAtExit=")
    assert not path.exists()


def test_a_session_writes_none(path: Path) -> None:
    assert Archive(path).flags() == []


def _newer_javas() -> list[Path]:
    homes = {path.resolve().parents[1] for path in Path("/usr/lib/jvm").glob("*/bin/java")}
    known = tuple(range(8, 99))
    return [home / "bin/java" for home in sorted(homes) if find_java(known, {"JAVA_HOME": str(home)}).version >= 19]


@pytest.mark.skipif(not _newer_javas(), reason="there is no Java 19 or newer on this machine")
def test_from_java_19_on_the_jvm_looks_after_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "archive.jsa"
    program = [*Archive(path, automatic=True).flags(), "-cp", str(_jar(tmp_path)), "Nothing"]
    for spoilt in (False, True):
        if spoilt:
            path.write_bytes(path.read_bytes()[:5000])
        done = subprocess.run([_newer_javas()[0], *program], capture_output=True, text=True, check=False)
        assert "ClassNotFoundException" in done.stderr, "no class is needed to see that the JVM writes an archive"
        assert path.stat().st_size > 5000
    assert Archive(path, automatic=True).is_whole()


def _jar(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "empty.jar", "w") as jar:
        jar.writestr("nothing", "")
    return folder / "empty.jar"


@pytest.mark.usefixtures("writing")
def test_a_jvm_that_failed_leaves_no_archive(path: Path) -> None:
    write_archive(path, status=1)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize(("value", "on"), [("off", False), ("OFF", False), ("0", False), ("on", True), ("", True)])
def test_the_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("SPARK_DEVKIT_INSTANT_START", value)
    assert is_on() is on
