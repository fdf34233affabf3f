"""The one folder for everything that is downloaded or generated: ``~/.cache/spark-devkit``."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from spark_utils.configuration import secrets

HOME_VARIABLE = secrets.HOME_VARIABLE


def home() -> Path:
    """Return the cache folder: ``SPARK_DEVKIT_HOME``, else ``~/.cache/spark-devkit``. It may not exist yet."""
    return secrets.cache_folder()


def exclusive(lock: Path) -> FileLock:
    """Return a lock across processes, for `with`; the system lets go of it when a process dies, however it dies.

    Args:
        lock: The file that stands for the lock; its folder is created.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock)


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")  # threads of one process write too
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at no moment otherwise, and never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
