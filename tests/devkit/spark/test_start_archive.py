"""The start-up archive: named by what it depends on, written by one process, used only when whole."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pyspark import SparkContext

from devkit.spark.java import Java, find_java
from devkit.spark.start_archive import Archive, archive_of, is_on

JAVA = Java(Path("/jdk"), 17, "17.0.15 Debian")


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the session that other tests share alone: it is not the one that ends here."""
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archives" / "java17-abc.jsa"


def write_archive(path: Path) -> None:
    """Let a process that stands for the JVM write the archive, as a first run does."""
    archive = Archive(path)
    part = archive.flags()[0].partition("=")[2]
    jvm = subprocess.Popen([sys.executable, "-c", f"open({part!r}, 'w').write('classes')"], stdin=subprocess.PIPE)
    archive._keep(jvm)


def test_the_name_changes_with_java_and_with_every_jar(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_text("a")
    names = {archive_of(JAVA, [jar]), archive_of(JAVA, []), archive_of(Java(JAVA.home, 17, "17.0.16 Debian"), [jar])}
    jar.write_text("ab")
    assert len({*names, archive_of(JAVA, [jar])}) == 4


def test_an_archive_that_is_whole_is_mapped(path: Path) -> None:
    write_archive(path)
    assert Archive(path).flags()[:2] == ["-Xshare:auto", f"-XX:SharedArchiveFile={path}"]


def test_an_archive_that_was_cut_short_is_written_anew(path: Path) -> None:
    write_archive(path)
    path.write_text("class")
    assert Archive(path).flags()[0].startswith("-XX:ArchiveClassesAtExit=")
    assert not path.exists()


def test_only_one_process_at_a_time_writes_the_archive(path: Path) -> None:
    first = Archive(path)
    assert first.flags()
    assert Archive(path).flags() == []


def test_warming_up_does_not_wait_for_a_job_that_runs_for_hours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Archive(path)
    part = Path(job.flags()[0].partition("=")[2])
    part.write_text("of the job")
    monkeypatch.setenv("SPARK_DEVKIT_INSTANT_START", "write")
    write_archive(path)
    assert path.read_text() == "classes"
    job._keep(subprocess.Popen(["true"], stdin=subprocess.PIPE))
    assert path.read_text() == "classes"
    assert not part.exists()


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
    archive = Archive(path, automatic=True)
    assert archive.is_whole()
    archive.flags()
    assert not archive._writes


def _jar(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "empty.jar", "w") as jar:
        jar.writestr("nothing", "")
    return folder / "empty.jar"


def test_a_jvm_that_failed_leaves_no_archive(path: Path) -> None:
    archive = Archive(path)
    part = Path(archive.flags()[0].partition("=")[2])
    part.write_text("half")
    archive._keep(subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"], stdin=subprocess.PIPE))
    assert not path.exists()
    assert not part.exists()


@pytest.mark.parametrize(("value", "on"), [("off", False), ("OFF", False), ("0", False), ("on", True), ("", True)])
def test_the_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("SPARK_DEVKIT_INSTANT_START", value)
    assert is_on() is on
