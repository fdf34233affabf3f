"""Where the Java source of the reader of bodies is, and how its compiled classes are told apart; imports no pyspark."""

from __future__ import annotations

import hashlib
from pathlib import Path

SOURCES = sorted(Path(__file__).parent.glob("parsing/java/*.java"))
FINGERPRINT = "spark_utils/parsing/fingerprint"  # beside compiled classes: the hash of their source


def fingerprint() -> str:
    """Return the hash of the source."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()
