"""The text of a source: a file's own, or the code of a Jupyter notebook's cells."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

from local_pipelines.errors import PipelineError

IGNORED = re.compile(r"^(?:#|--) MAGIC (%(?:run|sh|fs|python|sql|scala|r)\b.*)", re.MULTILINE)
LANGUAGE = "application/vnd.databricks.v1+notebook"  # in a notebook's metadata, where Databricks has saved it


def source_of(path: Path) -> str:
    """Return a source's text; magics of a notebook are comments in it, as in one that Databricks exports as source.

    Of a magic that a pipeline ignores, a warning tells.
    """
    text = _code_of(_notebook(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8-sig")
    for match in IGNORED.finditer(text):
        place = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        warnings.warn(f"{place}: a pipeline ignores the cell {match[1]}: it takes %pip and %md alone", stacklevel=2)
    return text


def _notebook(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise PipelineError(f"{path} is no notebook: {error}") from None
    return content


def _code_of(notebook: dict[str, Any]) -> str:
    magic, end = ("-- MAGIC ", "\n;") if _language_of(notebook) == "sql" else ("# MAGIC ", "")
    cells = ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    return "\n".join(f"{magic}{code}".replace("\n", f"\n{magic}") if code[:1] == "%" else code + end for code in cells)


def is_sql(path: Path) -> bool:
    """Return whether a source is SQL: by its name, or by what the notebook says."""
    return path.suffix == ".sql" or (path.suffix == ".ipynb" and _language_of(_notebook(path)) == "sql")


def _language_of(notebook: dict[str, Any]) -> str:
    return str(notebook.get("metadata", {}).get(LANGUAGE, {}).get("language", "python")).lower()
