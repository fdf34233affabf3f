"""Jars from a flat lock: fetched once into one cache, verified by SHA-256, offline ever after.

There is no resolution: a lock lists every jar, one a line, as ``<sha256> <bytes> <group>:<artifact>:<version>``.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from devkit import cache
from devkit.spark import ivy
from devkit.spark.java import find_java
from spark_utils.errors import RuntimeSetupError

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
    def path(self) -> Path:
        """Where the jar is cached."""
        return _folder() / self.group / f"{self.artifact}-{self.version}.jar"

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
    """Return cheaply whether the cached jar is the locked one.

    Size and the time of writing are compared with what the full check noted; `verify` reads every byte again.
    """
    try:
        found = jar.path.stat()
        noted = jar.marker.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return found.st_size == jar.size and noted == _note(jar.sha256, found.st_mtime_ns)


def fetch(lock_file: Path) -> list[Path]:
    """Return the paths of all jars of a lock, in its order; fetch those that the cache lacks.

    No network is touched when all are there. Several processes may call this at once: one fetches, the others
    wait and find everything.

    Raises:
        RuntimeSetupError: The lock is wrong or a jar cannot be had.
    """
    jars = read_lock(lock_file)
    if not all(map(is_cached, jars)):
        with _locked():
            missing = [jar for jar in jars if not _adopt(jar)]
            if missing:
                _fetch_all(missing)
    return [jar.path for jar in jars]


def verify(lock_file: Path) -> list[Jar]:
    """Read every byte of the cached jars of a lock; forget and return those that are missing or damaged."""
    damaged = []
    with _locked():
        for jar in read_lock(lock_file):
            jar.marker.unlink(missing_ok=True)
            if not _adopt(jar):
                jar.path.unlink(missing_ok=True)
                damaged.append(jar)
    return damaged


def write_lock(lock_file: Path, coordinates: Iterable[str]) -> None:
    """Fetch jars by coordinate and write their lock, in the given order.

    Ivy compares each jar with the checksum that the repository publishes beside it. A comment at the head of an
    existing lock is kept.
    """
    jars = [parse_coordinate(coordinate, f"coordinates for {lock_file.name}") for coordinate in coordinates]
    with _locked(), tempfile.TemporaryDirectory(dir=_folder()) as scratch:
        found = [(jar, path, path.stat().st_size) for jar, path in _retrieve(jars, Path(scratch))]
        locked = [replace(jar, sha256=sha256_of(path), size=size) for jar, path, size in found]
        for jar, (_, path, _) in zip(locked, found, strict=True):
            _keep(jar, path)
    lines = [f"{jar.sha256} {jar.size} {jar.coordinate}" for jar in locked]
    cache.write_atomically(lock_file, "\n".join([*_head(lock_file), *lines, ""]))


def _head(lock_file: Path) -> list[str]:
    if not lock_file.exists():
        return ["# <sha256> <bytes> <group>:<artifact>:<version>; written by `devkit jars lock`"]
    return [line for line in lock_file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]


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


def _fetch_all(jars: Sequence[Jar]) -> None:
    """Take each jar that is the locked one; of those that are not, say so at the end."""
    different = []
    with tempfile.TemporaryDirectory(dir=_folder()) as scratch:
        for jar, path in _retrieve(jars, Path(scratch)):
            if path.stat().st_size == jar.size and sha256_of(path) == jar.sha256:
                _keep(jar, path)
            else:
                different.append(jar)
    shutil.rmtree(_ivy_cache(), ignore_errors=True)  # the jars have their place; a wrong one is forgotten
    if different:
        raise RuntimeSetupError(
            "; ".join(f"{jar.coordinate} does not have the locked SHA-256 {jar.sha256[:12]}…" for jar in different),
            origin="what the repository sent",
            remedy="Use a repository that carries the artifact as it was published.",
        )


def _retrieve(jars: Sequence[Jar], folder: Path) -> list[tuple[Jar, Path]]:
    coordinates = [(jar.group, jar.artifact, jar.version) for jar in jars]
    ivy.retrieve(find_java(), coordinates, _ivy_cache(), folder)
    return [(jar, folder / jar.group / jar.path.name) for jar in jars]


def _keep(jar: Jar, path: Path) -> None:
    jar.path.parent.mkdir(parents=True, exist_ok=True)
    path.replace(jar.path)
    _mark(jar)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _folder() -> Path:
    return cache.home() / "jars"


def _ivy_cache() -> Path:
    return cache.home() / "ivy"


def _locked() -> FileLock:
    return cache.exclusive(_folder() / ".lock")
