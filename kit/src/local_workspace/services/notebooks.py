"""Notebooks as text: recognised among plain files, and turned from source into Jupyter's format and back.

Source: https://docs.databricks.com/notebooks/notebook-export-import and, for Jupyter's format,
https://nbformat.readthedocs.io.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from databricks.sdk.service.workspace import Language

from local_workspace.errors import invalid
from local_workspace.task.notebook_cells import uncommented

if TYPE_CHECKING:
    from nbformat import NotebookNode

COMMENTS: Final = {Language.PYTHON: "#", Language.R: "#", Language.SQL: "--", Language.SCALA: "//"}
SUFFIXES: Final = {".py": Language.PYTHON, ".sql": Language.SQL, ".scala": Language.SCALA, ".r": Language.R}
FILE_TYPES: Final = {Language.PYTHON: "py", Language.SQL: "sql", Language.SCALA: "scala", Language.R: "r"}
DATABRICKS_METADATA: Final = "application/vnd.databricks.v1+notebook"


@dataclass(frozen=True)
class Analysis:
    """What a file is when it is imported as AUTO: a notebook of a language and a format."""

    language: Language
    format: str


def analyse(name: str, content: bytes) -> Analysis | None:
    """Recognise a notebook by its suffix and its first line; None for a plain file."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix == ".ipynb":
        return Analysis(Language.PYTHON, "JUPYTER") if _is_jupyter(content) else None
    language = SUFFIXES.get(suffix)
    if language is None:
        return None
    first = content.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    return Analysis(language, "SOURCE") if first == header(language).encode() else None


def header(language: Language) -> str:
    """Return the first line of a notebook's source."""
    return f"{COMMENTS[language]} Databricks notebook source"


def with_header(text: str, language: Language) -> str:
    """Return source as it is exported: with the first line that makes it a notebook."""
    return text if text.lstrip("\ufeff").startswith(header(language)) else f"{header(language)}\n{text}"


def jupyter_language(text: str) -> Language:
    """Return the language of a notebook in Jupyter's format, after checking it.

    Raises:
        ApiError: 400 when it is not a valid notebook.
    """
    metadata = read_jupyter(text).metadata.get(DATABRICKS_METADATA, {})
    name = str(metadata.get("language", "python")).upper()
    return Language[name] if name in Language.__members__ else Language.PYTHON


def read_jupyter(text: str) -> NotebookNode:
    """Return a notebook in Jupyter's format, of its version 4.

    Raises:
        ApiError: 400 when it is not a valid notebook.
    """
    import nbformat

    try:
        content = json.loads(text)
        for number, cell in enumerate(content.get("cells", [])):
            cell.setdefault("id", f"cell-{number}")  # nbformat warns of each one that it adds itself
        content["nbformat_minor"] = max(5, int(content.get("nbformat_minor", 0)))
        notebook: NotebookNode = nbformat.reads(json.dumps(content), as_version=4)  # type: ignore[no-untyped-call]  # untyped package
        nbformat.validate(notebook)
    except (ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise invalid(f"The content is not a valid Jupyter notebook: {first_line}") from None
    return notebook


def to_jupyter(text: str, language: Language) -> str:
    """Turn a notebook's source into Jupyter's format."""
    from nbformat import v4, writes

    cells = []
    for number, (title, body) in enumerate(source_cells(text, language)):
        if body.startswith("%md"):
            cell = v4.new_markdown_cell(body.removeprefix("%md").lstrip(" \n"))  # type: ignore[no-untyped-call]
        else:
            cell = v4.new_code_cell(body)  # type: ignore[no-untyped-call]  # untyped package
        cell["id"] = f"cell-{number}"
        if title:
            cell["metadata"][DATABRICKS_METADATA] = {"title": title}
        cells.append(cell)
    name = language.value.lower()
    metadata = {"language_info": {"name": name}, DATABRICKS_METADATA: {"language": name}}
    return str(writes(v4.new_notebook(cells=cells, metadata=metadata)))  # type: ignore[no-untyped-call]


def to_source(text: str, language: Language) -> str:
    """Turn a notebook in Jupyter's format into source; outputs are left out."""
    comment = COMMENTS[language]
    cells = []
    for cell in read_jupyter(text).cells:
        body = str(cell.source)
        if cell.cell_type != "code":
            body = f"%md\n{body}" if "\n" in body else f"%md {body}"
        lines = body.split("\n")
        if body.startswith("%"):
            lines = [f"{comment} MAGIC {line}".rstrip() for line in lines]
        title = cell.metadata.get(DATABRICKS_METADATA, {}).get("title")
        cells.append("\n".join([f"{comment} DBTITLE 1,{title}", *lines] if title else lines))
    return f"{header(language)}\n" + f"\n\n{comment} COMMAND ----------\n\n".join(cells) + "\n"


def source_cells(text: str, language: Language) -> list[tuple[str, str]]:
    """Return title and text of each cell of a notebook's source; magic lines without their comment."""
    comment = COMMENTS[language]
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].strip() == header(language):
        lines = lines[1:]
    cells: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == f"{comment} COMMAND ----------":
            cells.append([])
        else:
            cells[-1].append(line)
    return [uncommented("\n".join(cell).strip("\n"), comment) for cell in cells]


def to_html(title: str, text: str, language: Language) -> str:
    """Return a page that shows a notebook's source, cell by cell."""
    cells = "\n".join(f"<pre>{html.escape(body)}</pre>" for _, body in source_cells(text, language))
    name = html.escape(title)
    return f'<!doctype html>\n<meta charset="utf-8">\n<title>{name}</title>\n<h1>{name}</h1>\n{cells}\n'


def _is_jupyter(content: bytes) -> bool:
    try:
        parsed: Any = json.loads(content)
    except ValueError:
        return False
    return isinstance(parsed, dict) and "nbformat" in parsed
