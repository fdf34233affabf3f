"""Jars: fetched once by Ivy, verified, gone on with after an interruption, offline afterwards."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devkit.cli import main
from devkit.spark import ivy, jars, runtimes
from spark_utils.errors import RuntimeSetupError

A = "org.example.first:a:1.0"
B = "org.example:b:2.0"
CONTENT_A = bytes(range(256)) * 400
CONTENT_B = b"b" * 5000


class Repository:
    """A Maven repository in a folder, and the `ivysettings.xml` that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "maven"
        self.settings = folder / "ivysettings.xml"
        self.serve_at(self.folder.as_uri())

    def serve_at(self, root: str) -> None:
        resolver = f'<ibiblio name="ours" m2compatible="true" root="{root}"/>'
        self.settings.write_text(
            f'<ivysettings><settings defaultResolver="ours"/><resolvers>{resolver}</resolvers></ivysettings>'
        )

    def path(self, coordinate: str, ending: str = "jar") -> Path:
        group, artifact, version = coordinate.split(":")
        return self.folder / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.{ending}"

    def add(self, coordinate: str, content: bytes) -> str:
        """Put a jar there, with its pom, and return its line of a lock."""
        group, artifact, version = coordinate.split(":")
        packaging = "<packaging>bundle</packaging>" if artifact == "b" else ""
        pom = f"{packaging}<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        self.path(coordinate).parent.mkdir(parents=True, exist_ok=True)
        self.path(coordinate).write_bytes(content)
        self.path(coordinate, "jar.sha1").write_text(hashlib.sha1(content).hexdigest())
        self.path(coordinate, "pom").write_text(f"<project><modelVersion>4.0.0</modelVersion>{pom}</project>")
        return f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinate}\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = Repository(tmp_path)
    monkeypatch.setenv("SPARK_DEVKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPARK_DEVKIT_IVY_SETTINGS", str(repository.settings))
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return repository


@pytest.fixture
def lock(repository: Repository, tmp_path: Path) -> Path:
    path = tmp_path / "some.lock"
    path.write_text("# a comment\n\n" + repository.add(A, CONTENT_A) + repository.add(B, CONTENT_B))
    return path


class Handler(SimpleHTTPRequestHandler):
    """Serves the repository, as a server or as a proxy; fails and asks for a password as told."""

    failures: list[int]
    password: str
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        expected = "Basic " + base64.b64encode(self.password.encode()).decode()
        if self.password and self.headers["Proxy-Authorization"] != expected:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="the proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.failures:
            self.send_error(self.failures.pop(0))
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix("http://repository.invalid"))

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path, *, failures: list[int] | None = None, password: str = "") -> Iterator[tuple[str, list[str]]]:
    handler = type("Told", (Handler,), {"failures": failures or [], "password": password, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", handler.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_set_up_fetches_the_jars_of_the_hub_too(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    shutil.copy(runtimes.find_profile("18-lts").path, profiles)
    (profiles / "18-lts.lock").write_text(repository.add(A, CONTENT_A))
    (profiles / "local-hub.lock").write_text(repository.add(B, CONTENT_B))
    monkeypatch.setenv(runtimes.FOLDER_VARIABLE, str(profiles))
    assert main(["jars", "fetch", "--runtime", "18-lts"]) == 0
    assert "18-lts: 1 jar in the cache\nlocal-hub: 1 jar in the cache\n" in capsys.readouterr().out


def test_a_fetch_returns_the_jars_in_the_order_of_the_lock(repository: Repository, lock: Path) -> None:
    assert [path.read_bytes() for path in jars.fetch(lock)] == [CONTENT_A, CONTENT_B]


def test_a_second_fetch_asks_no_one(repository: Repository, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = jars.fetch(lock)
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    assert jars.fetch(lock) == fetched


def test_what_had_arrived_before_a_failure_is_not_asked_for_again(repository: Repository, lock: Path) -> None:
    repository.path(B).unlink()
    with pytest.raises(RuntimeSetupError):
        jars.fetch(lock)
    repository.path(A).unlink()
    repository.add(B, CONTENT_B)
    assert jars.fetch(lock)[0].read_bytes() == CONTENT_A


def test_a_refusal_names_the_jar_the_settings_and_the_remedy(repository: Repository, lock: Path) -> None:
    repository.path(B).unlink()
    repository.path(B, "pom").unlink()
    with pytest.raises(RuntimeSetupError) as caught:
        jars.fetch(lock)
    for part in ("org.example#b;2.0: not found", str(repository.settings), "SPARK_DEVKIT_IVY_SETTINGS"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_exist_are_named(
    repository: Repository, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_DEVKIT_IVY_SETTINGS", "/no/such.xml")
    with pytest.raises(RuntimeSetupError, match=r"no file /no/such\.xml .*SPARK_DEVKIT_IVY_SETTINGS"):
        jars.fetch(lock)


def test_another_file_than_the_locked_one_never_enters_the_cache(repository: Repository, lock: Path) -> None:
    repository.add(A, CONTENT_A[:-1] + b"!")
    with pytest.raises(RuntimeSetupError, match=r"org\.example\.first:a:1\.0 .*locked SHA-256"):
        jars.fetch(lock)
    first, second = jars.read_lock(lock)
    assert not first.path.exists()
    assert second.path.read_bytes() == CONTENT_B, "the other jar is kept"
    repository.add(A, CONTENT_A)
    assert jars.fetch(lock)[0].read_bytes() == CONTENT_A


@pytest.mark.parametrize("damage", [CONTENT_A[:-1], b"", CONTENT_A[:-1] + b"!"])
def test_a_jar_damaged_in_the_cache_is_fetched_again(repository: Repository, lock: Path, damage: bytes) -> None:
    path = jars.fetch(lock)[0]
    path.write_bytes(damage)
    assert jars.fetch(lock)[0].read_bytes() == CONTENT_A


def test_verify_finds_damage_that_left_size_and_time_alone(repository: Repository, lock: Path) -> None:
    path = jars.fetch(lock)[0]
    before = path.stat()
    path.write_bytes(CONTENT_A[:-1] + b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [jar.coordinate for jar in jars.verify(lock)] == [A]
    assert jars.fetch(lock)[0].read_bytes() == CONTENT_A
    assert jars.verify(lock) == []


def test_of_four_processes_at_once_one_fetches(repository: Repository, lock: Path) -> None:
    code = f"from pathlib import Path; from devkit.spark import jars; jars.fetch(Path({str(lock)!r}))"
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], said
    assert sum("Fetching jars" in each for each in said) == 1


def test_a_lock_is_written_with_hash_and_size(repository: Repository, lock: Path, tmp_path: Path) -> None:
    written = tmp_path / "written.lock"
    jars.write_lock(written, [A, B])
    assert jars.read_lock(written) == jars.read_lock(lock)


def test_a_jar_that_differs_from_its_published_sum_is_not_locked(repository: Repository, tmp_path: Path) -> None:
    repository.add(A, CONTENT_A)
    repository.path(A).write_bytes(b"another")
    with pytest.raises(RuntimeSetupError, match=r"org\.example\.first#a;1\.0"):
        jars.write_lock(tmp_path / "written.lock", [A])
    assert not (tmp_path / "written.lock").exists()


def test_a_passing_failure_is_asked_again(repository: Repository, lock: Path) -> None:
    with serving(repository.folder, failures=[503]) as (address, _):
        repository.serve_at(f"http://{address}/")
        assert jars.fetch(lock)[0].read_bytes() == CONTENT_A


def test_a_server_that_does_not_answer_is_named(
    repository: Repository, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivy, "ATTEMPTS", 1)
    repository.serve_at("http://127.0.0.1:9/")
    with pytest.raises(RuntimeSetupError, match=r"127\.0\.0\.1:9.*HTTPS_PROXY"):
        jars.fetch(lock)


def test_the_proxy_of_the_environment_is_used_with_its_password(
    repository: Repository, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.serve_at("http://repository.invalid/")
    with serving(repository.folder, password='clerk:hunter"2') as (address, asked):
        monkeypatch.setenv("http_proxy", f"http://clerk:hunter%222@{address}")
        assert jars.fetch(lock)[0].read_bytes() == CONTENT_A
    assert all(path.startswith("http://repository.invalid/") for path in asked)
    assert asked


@pytest.mark.parametrize(
    "line", ["abc 1 g:a:v", f"{'0' * 64} many g:a:v", f"{'0' * 64} 1 g:a", f"{'0' * 64} 1 g:../a:v"]
)
def test_a_malformed_line_is_named_by_file_and_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.lock").write_text(f"# head\n{line}\n")
    with pytest.raises(RuntimeSetupError, match=r"bad\.lock line 2"):
        jars.read_lock(tmp_path / "bad.lock")
