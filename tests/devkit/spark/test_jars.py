"""Jars: fetched once, verified, resumed, offline afterwards."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devkit.spark import jars
from devkit.spark.progress import Progress
from devkit.spark.repository import Repository, find_repository
from spark_utils.errors import RuntimeSetupError
from tests.devkit.spark.maven_repository import FakeRepository

A = "org.example.first:a:1.0"
B = "org.example:b:2.0"
CONTENT_A = bytes(range(256)) * 400
CONTENT_B = b"b" * 5000
PATH_A = "/org/example/first/a/1.0/a-1.0.jar"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRepository]:
    monkeypatch.setenv("SPARK_DEVKIT_HOME", str(tmp_path / "home"))
    with FakeRepository().serving() as serving:
        yield serving


@pytest.fixture
def lock(repository: FakeRepository, tmp_path: Path) -> Path:
    path = tmp_path / "some.lock"
    path.write_text("# a comment\n\n" + repository.add(A, CONTENT_A) + repository.add(B, CONTENT_B))
    return path


def fetch(lock: Path, repository: FakeRepository) -> list[Path]:
    quiet = Progress(stream=io.StringIO())
    return jars.fetch(lock, repository=repository.client(), progress=quiet, pause=lambda _seconds: None)


def test_a_fetch_returns_the_jars_in_the_order_of_the_lock(repository: FakeRepository, lock: Path) -> None:
    assert [path.read_bytes() for path in fetch(lock, repository)] == [CONTENT_A, CONTENT_B]


def test_a_second_fetch_asks_no_one(repository: FakeRepository, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(lock, repository)
    asked = repository.requests.total()
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was touched"))
    assert len(jars.fetch(lock)) == 2
    assert repository.requests.total() == asked


def test_a_broken_connection_is_continued_where_it_broke(repository: FakeRepository, lock: Path) -> None:
    repository.cut_after[PATH_A] = [1000, 500]
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A
    assert repository.ranges == ["bytes=1000-", "bytes=1500-"]


def test_a_part_left_by_a_killed_process_is_continued(repository: FakeRepository, lock: Path) -> None:
    part = _part_of_a(lock)
    part.write_bytes(CONTENT_A[:777])
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A
    assert repository.ranges == ["bytes=777-"]
    assert not part.exists()


def test_a_part_that_was_whole_is_only_verified(repository: FakeRepository, lock: Path) -> None:
    _part_of_a(lock).write_bytes(CONTENT_A)
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A
    assert repository.requests["a-1.0.jar"] == 0


@pytest.mark.parametrize("rubbish", [b"x" * 777, b"x" * len(CONTENT_A), b"x" * (len(CONTENT_A) + 1)])
def test_a_part_that_holds_rubbish_is_thrown_away(repository: FakeRepository, lock: Path, rubbish: bytes) -> None:
    _part_of_a(lock).write_bytes(rubbish)
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A


def test_a_server_without_ranges_sends_all_again(repository: FakeRepository, lock: Path) -> None:
    repository.ignores_ranges = True
    repository.cut_after[PATH_A] = [1000]
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_asked_again(repository: FakeRepository, lock: Path, status: int) -> None:
    repository.statuses[PATH_A] = [status, status]
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A


@pytest.mark.parametrize(
    ("status", "remedy"), [(404, "carries this artifact"), (401, "user name and password"), (503, "Try again later")]
)
def test_a_refusal_names_coordinate_address_and_remedy(
    repository: FakeRepository, lock: Path, status: int, remedy: str
) -> None:
    repository.statuses[PATH_A] = [status] * 9
    with pytest.raises(RuntimeSetupError) as caught:
        fetch(lock, repository)
    for part in (A, f"status {status}", repository.address + PATH_A, remedy, "SPARK_DEVKIT_MAVEN_REPOSITORY"):
        assert part in str(caught.value)


def test_other_jars_are_kept_when_one_is_refused(repository: FakeRepository, lock: Path) -> None:
    repository.statuses[PATH_A] = [404]
    with pytest.raises(RuntimeSetupError):
        fetch(lock, repository)
    fetch(lock, repository)
    assert repository.requests["b-2.0.jar"] == 1


def test_another_file_than_the_locked_one_never_enters_the_cache(repository: FakeRepository, lock: Path) -> None:
    repository.files[PATH_A] = CONTENT_A[:-1] + b"!"
    with pytest.raises(RuntimeSetupError, match=r"org\.example\.first:a:1\.0 .*locked SHA-256"):
        fetch(lock, repository)
    assert not jars.read_lock(lock)[0].path.exists()


@pytest.mark.parametrize("damage", [CONTENT_A[:-1], b"", CONTENT_A + b"!", CONTENT_A[:-1] + b"!"])
def test_a_jar_damaged_in_the_cache_is_fetched_again(repository: FakeRepository, lock: Path, damage: bytes) -> None:
    path = fetch(lock, repository)[0]
    path.write_bytes(damage)
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A


def test_verify_finds_damage_that_left_size_and_time_alone(repository: FakeRepository, lock: Path) -> None:
    path = fetch(lock, repository)[0]
    before = path.stat()
    path.write_bytes(CONTENT_A[:-1] + b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [jar.coordinate for jar in jars.verify(lock)] == [A]
    assert fetch(lock, repository)[0].read_bytes() == CONTENT_A
    assert jars.verify(lock) == []


def test_four_processes_at_once_fetch_each_jar_once(repository: FakeRepository, lock: Path) -> None:
    environment = {**os.environ, "SPARK_DEVKIT_MAVEN_REPOSITORY": repository.address}
    code = f"from pathlib import Path; from devkit import jars; jars.fetch(Path({str(lock)!r}))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) for _ in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert repository.requests == {"a-1.0.jar": 1, "b-2.0.jar": 1}


def test_a_lock_is_written_with_hash_and_size(repository: FakeRepository, lock: Path, tmp_path: Path) -> None:
    written = tmp_path / "written.lock"
    jars.write_lock(written, [A, B], repository=repository.client())
    assert jars.read_lock(written) == jars.read_lock(lock)


def test_a_jar_that_differs_from_its_published_sum_is_not_locked(repository: FakeRepository, tmp_path: Path) -> None:
    repository.add(A, CONTENT_A)
    repository.files[PATH_A] = b"another"
    with pytest.raises(RuntimeSetupError, match="SHA-1 published beside it"):
        jars.write_lock(tmp_path / "written.lock", [A], repository=repository.client())


@pytest.mark.parametrize(
    "line", ["abc 1 g:a:v", f"{'0' * 64} many g:a:v", f"{'0' * 64} 1 g:a", f"{'0' * 64} 1 g:../a:v"]
)
def test_a_malformed_line_is_named_by_file_and_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.lock").write_text(f"# head\n{line}\n")
    with pytest.raises(RuntimeSetupError, match=r"bad\.lock line 2"):
        jars.read_lock(tmp_path / "bad.lock")


def test_a_password_in_the_address_is_sent_but_never_shown(repository: FakeRepository, lock: Path) -> None:
    address = repository.address.replace("http://", "http://clerk:hunter%402@")
    client = Repository.of(address, "the test")
    repository.statuses[PATH_A] = [403]
    with pytest.raises(RuntimeSetupError) as caught:
        jars.fetch(lock, repository=client, progress=Progress(stream=io.StringIO()))
    assert "hunter" not in str(caught.value) + repr(client)
    assert repository.authorizations == {"Basic " + base64.b64encode(b"clerk:hunter@2").decode()}


def test_the_mirror_of_maven_settings_is_used_with_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_DEVKIT_MAVEN_REPOSITORY", raising=False)
    monkeypatch.setenv("MIRROR_PASSWORD", "hunter2")
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">'
        "<servers><server><id>ours</id><username>clerk</username>"
        "<password>${env.MIRROR_PASSWORD}</password></server></servers>"
        "<mirrors><mirror><id>other</id><mirrorOf>*,!central</mirrorOf><url>http://127.0.0.1/no</url></mirror>"
        "<mirror><id>ours</id><mirrorOf>central</mirrorOf><url>http://127.0.0.1/maven/</url></mirror></mirrors></settings>"
    )
    found = find_repository()
    assert found.address == "http://127.0.0.1/maven"
    assert found.credentials == "Basic " + base64.b64encode(b"clerk:hunter2").decode()


def test_without_a_setting_the_address_is_that_of_sparks_own_resolver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_DEVKIT_MAVEN_REPOSITORY", raising=False)
    found = find_repository()
    assert found.address.startswith("https://")
    assert found.origin.startswith("Spark's own ivy-")


def test_an_address_that_is_none_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_DEVKIT_MAVEN_REPOSITORY", "file:///etc")
    with pytest.raises(RuntimeSetupError, match="environment variable SPARK_DEVKIT_MAVEN_REPOSITORY"):
        find_repository()


def test_a_log_gets_two_lines_of_progress_and_a_terminal_one(repository: FakeRepository, lock: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    log, terminal = io.StringIO(), Terminal()
    jars.fetch(lock, repository=repository.client(), progress=Progress(stream=log))
    assert [line.split(":")[0] for line in log.getvalue().splitlines()] == ["Fetching jars", "Fetching jars"]
    for jar in jars.read_lock(lock):
        jar.path.unlink()
    jars.fetch(lock, repository=repository.client(), progress=Progress(stream=terminal))
    assert terminal.getvalue().count("\n") == 1
    assert "2 of 2 files, 0.1 MB" in terminal.getvalue()


def _part_of_a(lock: Path) -> Path:
    path = jars.read_lock(lock)[0].path
    path.parent.mkdir(parents=True)
    return path.with_name(path.name + ".part")
