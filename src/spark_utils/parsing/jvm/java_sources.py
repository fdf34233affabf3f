"""The Java source of the reader of bodies, and the name of its compiled class; imports no pyspark."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_SOURCES = sorted(Path(__file__).parent.glob("java/*.java"))
_PACKAGE = "spark_utils.parsing"


@cache
def package() -> str:
    """Return the Java package, which carries the hash of the source: executors may hold classes of another version."""
    return f"{_PACKAGE}.v{hashlib.sha256(b''.join(source.read_bytes() for source in _SOURCES)).hexdigest()[:16]}"


def write_sources(folder: Path) -> list[Path]:
    """Write the source, in its package, to a folder; return the files."""
    files = []
    for source in _SOURCES:
        text = source.read_text(encoding="utf-8").replace(f"package {_PACKAGE};", f"package {package()};", 1)
        files.append(folder / source.name)
        files[-1].write_text(text, encoding="utf-8")
    return files
