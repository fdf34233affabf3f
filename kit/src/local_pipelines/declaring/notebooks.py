"""The text of a source: a file's own, or the code of a Jupyter notebook's cells."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

IGNORED = re.compile(r"^(?:#|--) MAGIC (%(?:run|sh|fs|python|sql|scala|r)\b.*)", re.MULTILINE)
LANGUAGE = "application/vnd.databricks.v1+notebook"  # in a notebook's metadata, where Databricks has saved it


def source_of(path: Path) -> str:
    """Return a source's text; magics of a notebook are comments in it, as in one that Databricks exports as source.

    Of a magic that a pipeline ignores, a warning tells.
    """
    text = path.read_text(encoding="utf-8-sig")
    text = _code_of(text, path) if path.suffix == ".ipynb" else text
    for match in IGNORED.finditer(text):
        place = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        warnings.warn(f"{place}: a pipeline ignores the cell {match[1]}: it takes %pip and %md alone", stacklevel=2)
    return text


def _code_of(text: str, path: Path) -> str:
    magic = "-- MAGIC " if is_sql(path) else "# MAGIC "
    end = "\n;" if is_sql(path) else ""
    cells = ("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
    return "\n".join(f"{magic}{code}".replace("\n", f"\n{magic}") if code[:1] == "%" else code + end for code in cells)


def is_sql(path: Path) -> bool:
    """Return whether a source is SQL: by its name, or by what the notebook says."""
    if path.suffix != ".ipynb":
        return path.suffix == ".sql"
    metadata = json.loads(path.read_text(encoding="utf-8-sig")).get("metadata", {})
    return str(metadata.get(LANGUAGE, {}).get("language", "python")).lower() == "sql"
