"""Jars from a flat lock: fetched once in parallel into one cache, verified by SHA-256, offline ever after.

There is no resolution: a lock lists every jar, one a line, as ``<sha256> <bytes> <group>:<artifact>:<version>``.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devkit import cache
from devkit.spark.download import download, sha256_of
from devkit.spark.progress import Progress
from devkit.spark.repository import Repository, find_repository
from spark_utils.errors import RuntimeSetupError

PARALLEL_DOWNLOADS = 6
SHA256_DIGITS = 64


@dataclass(frozen=True)
class Jar:
    """One line of a lock.

    Attributes:
        group: Maven's group, such as ``org.apache.kafka``.
        artifact: Maven's artifact, such as ``kafka-clients``.
        version: Its version.
        sha256: The expected hash in hexadecimal.
        size: The expected size in bytes.
    """

    group: str
    artifact: str
    version: str
    sha256: str = ""
    size: int = 0

    @property
    def coordinate(self) -> str:
        """``group:artifact:version``."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def remote_path(self) -> str:
        """The jar's path below a Maven repository's address."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> Path:
        """Where the jar is cached."""
        return cache.home() / "jars" / self.group / f"{self.artifact}-{self.version}.jar"

    @property
    def marker(self) -> Path:
        """The file that says which hash the cached jar was found to have, and when the jar was last written."""
        return self.path.with_name(f"{self.path.name}.verified")


def parse_coordinate(text: str, origin: str) -> Jar:
    """Read ``group:artifact:version``."""
    parts = text.strip().split(":")
    if len(parts) != 3 or not all(parts) or any("/" in part or ".." in part for part in parts):
        raise RuntimeSetupError(
            f"not a coordinate: {text.strip()!r}", origin=origin, remedy="Write group:artifact:version."
        )
    return Jar(group=parts[0], artifact=parts[1], version=parts[2])


def read_lock(lock_file: Path) -> list[Jar]:
    """Read a lock; lines that are empty or begin with ``#`` say nothing.

    Raises:
        RuntimeSetupError: The file is missing, or a line is malformed.
    """
    if not lock_file.is_file():
        raise RuntimeSetupError(
            f"there is no lock file {lock_file}", remedy="Write it with `devkit jars lock`, or check the name."
        )
    jars = []
    for number, line in enumerate(lock_file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            jars.append(_parse_line(line, f"{lock_file} line {number}"))
    return jars


def _parse_line(line: str, origin: str) -> Jar:
    fields = line.split()
    if len(fields) != 3 or len(fields[0]) != SHA256_DIGITS or not fields[1].isdigit():
        raise RuntimeSetupError(
            f"not a line of a lock: {line!r}",
            origin=origin,
            remedy="Each line is `<sha256> <bytes> <group>:<artifact>:<version>`; `devkit jars lock` writes it.",
        )
    jar = parse_coordinate(fields[2], origin)
    return Jar(jar.group, jar.artifact, jar.version, fields[0].lower(), int(fields[1]))


def is_cached(jar: Jar) -> bool:
    """Tell cheaply whether the cached jar is the locked one.

    Size and the time of writing are compared with what the full check noted; `verify` reads every byte again.
    """
    try:
        found = jar.path.stat()
        noted = jar.marker.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return found.st_size == jar.size and noted == _note(jar.sha256, found.st_mtime_ns)


def fetch(
    lock_file: Path,
    *,
    repository: Repository | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """Return the paths of all jars of a lock, in its order; fetch those that the cache lacks.

    No network is touched when all are there. Several processes may call this at once: one fetches, the others
    wait and find everything.

    Args:
        lock_file: The lock.
        repository: Where to fetch from; found by `find_repository` by default.
        progress: How the download is shown; on standard error by default.
        pause: Waits that many seconds before a jar is asked for again.

    Raises:
        RuntimeSetupError: The lock is wrong or a jar cannot be had.
    """
    jars = read_lock(lock_file)
    if not all(map(is_cached, jars)):
        with cache.exclusive(cache.home() / "jars" / ".lock"):
            missing = [jar for jar in jars if not _adopt(jar)]
            if missing:
                _fetch_all(missing, repository or find_repository(), progress or Progress(), pause)
    return [jar.path for jar in jars]


def verify(lock_file: Path) -> list[Jar]:
    """Read every byte of the cached jars of a lock; forget and return those that are missing or damaged."""
    damaged = []
    with cache.exclusive(cache.home() / "jars" / ".lock"):
        for jar in read_lock(lock_file):
            jar.marker.unlink(missing_ok=True)
            if not _adopt(jar):
                jar.path.unlink(missing_ok=True)
                damaged.append(jar)
    return damaged


def write_lock(lock_file: Path, coordinates: Iterable[str], *, repository: Repository | None = None) -> None:
    """Fetch jars by coordinate and write their lock, sorted by nothing: the given order is kept.

    Each jar is compared with the SHA-1 that the repository publishes beside it. A comment at the head of an
    existing lock is kept.
    """
    source = repository or find_repository()
    jars = [parse_coordinate(coordinate, f"coordinates for {lock_file.name}") for coordinate in coordinates]
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        locked = list(pool.map(lambda jar: _lock_one(jar, source), jars))
    lines = [f"{jar.sha256} {jar.size} {jar.coordinate}" for jar in locked]
    cache.write_atomically(lock_file, "\n".join([*_head(lock_file), *lines, ""]))


def _head(lock_file: Path) -> list[str]:
    if not lock_file.exists():
        return ["# <sha256> <bytes> <group>:<artifact>:<version>; written by `devkit jars lock`"]
    return [line for line in lock_file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]


def _lock_one(jar: Jar, repository: Repository) -> Jar:
    content = _read(repository, jar.remote_path, jar)
    published = _read(repository, f"{jar.remote_path}.sha1", jar).decode().split()[0]
    if hashlib.sha1(content).hexdigest() != published:  # noqa: S324 - what Maven repositories publish
        raise RuntimeSetupError(
            f"{jar.coordinate} does not have the SHA-1 published beside it", origin=repository.origin
        )
    locked = Jar(jar.group, jar.artifact, jar.version, hashlib.sha256(content).hexdigest(), size=len(content))
    locked.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=locked.path.parent, delete=False) as temporary:
        temporary.write(content)
    Path(temporary.name).replace(locked.path)
    return locked


def _read(repository: Repository, path: str, jar: Jar) -> bytes:
    try:
        response = repository.open(path)
        try:
            return response.read()
        finally:
            response.close()
    except OSError as error:
        raise RuntimeSetupError(
            f"{jar.coordinate} cannot be locked: {error} at {repository.address}/{path}",
            origin=f"repository of {repository.origin}",
            remedy="Check the coordinate and the repository.",
        ) from None


def _adopt(jar: Jar) -> bool:
    """Take a cached jar whose marker is missing or old, if its bytes are right."""
    if is_cached(jar):
        return True
    if not jar.path.is_file() or jar.path.stat().st_size != jar.size or sha256_of(jar.path) != jar.sha256:
        return False
    _mark(jar)
    return True


def _mark(jar: Jar) -> None:
    cache.write_atomically(jar.marker, _note(jar.sha256, jar.path.stat().st_mtime_ns))


def _note(sha256: str, written_ns: int) -> str:
    return f"{sha256} {written_ns}\n"


def _fetch_all(jars: list[Jar], repository: Repository, progress: Progress, pause: Callable[[float], None]) -> None:
    stopped = threading.Event()

    def received(amount: int) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        progress.received(amount)

    def fetch_one(jar: Jar) -> None:
        jar.path.parent.mkdir(parents=True, exist_ok=True)
        download(
            repository,
            jar.remote_path,
            jar.path,
            name=jar.coordinate,
            sha256=jar.sha256,
            size=jar.size,
            received=received,
            pause=pause,
        )
        _mark(jar)
        progress.file_done()

    progress.start(len(jars), sum(jar.size for jar in jars), repository.address)
    try:
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            try:
                list(pool.map(fetch_one, jars))
            except KeyboardInterrupt:  # the other threads end with their current piece, which is kept
                stopped.set()
                raise
    finally:
        progress.finish()
