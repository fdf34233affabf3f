"""The content of files, notebooks and wheels: what it is called and how it is compared."""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

NOTEBOOK_HEADERS: Final = {
    "PYTHON": "# Databricks notebook source",
    "SQL": "-- Databricks notebook source",
    "SCALA": "// Databricks notebook source",
    "R": "# Databricks notebook source",
}
LANGUAGES: Final = {".py": "PYTHON", ".ipynb": "PYTHON", ".sql": "SQL", ".scala": "SCALA", ".r": "R"}
_WHEEL_RECORDS: Final = ("RECORD", "RECORD.jws", "RECORD.p7s")


def file_digest(content: bytes) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(content).hexdigest()


def notebook_digest(content: bytes) -> str:
    """Return the digest of a notebook's cells, whether it is source or ``.ipynb``, with its header or without.

    The service adds the header to source that lacks it, ends lines its own way, drops a byte-order mark, and gives an
    ``.ipynb`` new metadata.
    """
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    cells = _cells(text)
    if cells is not None:
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()
    first, _, rest = text.partition("\n")
    body = rest if first.strip() in NOTEBOOK_HEADERS.values() else text
    return hashlib.sha256(body.strip("\n").encode()).hexdigest()


def is_notebook(file: Path, content: bytes) -> bool:
    """Return whether a local file is a notebook: an ``.ipynb``, or source whose first line says so."""
    if file.suffix == ".ipynb":
        return True
    header = NOTEBOOK_HEADERS.get(LANGUAGES.get(file.suffix.lower(), ""))
    return header is not None and content.removeprefix(codecs.BOM_UTF8).startswith(header.encode())


def language_of(file: Path) -> str | None:
    """Return the language of a notebook file by its suffix, or None if it cannot be a notebook."""
    return LANGUAGES.get(file.suffix.lower())


def is_wheel(content: bytes) -> bool:
    """Return whether content is a zip archive, as a wheel is."""
    return zipfile.is_zipfile(io.BytesIO(content))


def wheel_path(root: str, file: Path, content: bytes) -> str:
    """Return the path of a wheel: a folder named by its content, and its own file name, as pip demands."""
    return str(PurePosixPath(root, "wheels", wheel_digest(content), file.name))


def wheel_digest(content: bytes) -> str:
    """Return the digest of what a wheel holds: the same for two builds of the same source at different times."""
    gathered = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist()):
            if PurePosixPath(name).name not in _WHEEL_RECORDS:
                gathered.update(f"{name}\0{hashlib.sha256(archive.read(name)).hexdigest()}\n".encode())
    return gathered.hexdigest()[:12]


def _cells(text: str) -> list[Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        cells = json.loads(text)["cells"]
        return [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (ValueError, KeyError, TypeError):
        return None
