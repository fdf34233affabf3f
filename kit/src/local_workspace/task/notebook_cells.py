"""A notebook's text as cells: what is to be run, in which language.

Sources: https://docs.databricks.com/notebooks/notebook-export-import and
https://docs.databricks.com/notebooks/notebooks-code
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

COMMENTS: Final = {"PYTHON": "#", "SQL": "--", "SCALA": "//", "R": "#"}
LANGUAGES: Final = {"%python": "python", "%sql": "sql", "%md": "md", "%md-sandbox": "md", "%scala": "scala", "%r": "r"}
COMMANDS: Final = frozenset({"%run", "%sh", "%fs", "%pip"})
MAGIC: Final = re.compile(r"\s*%{1,2}([A-Za-z-]+)[ \t]*")


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        language: ``python``, ``sql``, ``md``, ``run``, ``sh``, ``fs``, ``pip``, or a language that does not run here.
        text: The code, without the magic that names the language.
        title: Its heading, if it has one.
    """

    language: str
    text: str
    title: str = ""


def cells_of(text: str, language: str = "PYTHON") -> list[Cell]:
    """Return the cells of a notebook, in Jupyter's format or as source.

    Args:
        text: The notebook.
        language: Its default language; the first line of a source decides when it names another.
    """
    if text.lstrip("\ufeff \n\r\t").startswith("{"):
        return _jupyter(json.loads(text), language)
    return _source(text.lstrip("\ufeff").replace("\r\n", "\n"), language)


def _source(text: str, language: str) -> list[Cell]:
    first, _, rest = text.partition("\n")
    named = [name for name, comment in COMMENTS.items() if first.strip() == f"{comment} Databricks notebook source"]
    if named:
        text, language = rest, language if language in named else named[0]
    comment = re.escape(COMMENTS[language])
    parts = re.split(rf"^{comment} COMMAND -{{10}}[ \t]*$", text, flags=re.MULTILINE)
    return [cell for part in parts if (cell := _source_cell(part.strip("\n"), COMMENTS[language], language)).text]


def uncommented(text: str, comment: str) -> tuple[str, str]:
    """Return title and text of a cell of a source, without the comments that hide other languages."""
    title = ""
    if text.startswith(f"{comment} DBTITLE "):
        first, _, text = text.partition("\n")
        title = first.split(",", 1)[-1]
    magic = f"{comment} MAGIC"
    if text.startswith(magic):
        text = "\n".join(line.removeprefix(magic).removeprefix(" ") for line in text.split("\n"))
    return title, text


def _source_cell(text: str, comment: str, language: str) -> Cell:
    title, text = uncommented(text, comment)
    return _cell(text, language, title)


def _jupyter(content: dict[str, Any], language: str) -> list[Cell]:
    found = []
    for cell in content.get("cells", []):
        source = cell.get("source", "")
        text = "".join(source) if isinstance(source, list) else str(source)
        if not text.strip():
            continue
        found.append(_cell(text, language) if cell.get("cell_type") == "code" else Cell("md", text))
    return found


def _cell(text: str, language: str, title: str = "") -> Cell:
    """Take off the magic of the first line."""
    match = MAGIC.match(text)
    if match is None:
        return Cell(language.lower(), text.strip("\n"), title)
    name = f"%{match[1].lower()}"
    if name in LANGUAGES:
        return Cell(LANGUAGES[name], text[match.end() :].strip("\n"), title)
    return Cell(name[1:], text[match.end() :].strip("\n"), title)


def statements(text: str) -> list[str]:
    """Cut SQL at its semicolons, except for those inside quotes and comments."""
    pieces = re.findall(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|;|.", text, re.DOTALL)
    found = [""]
    for piece in pieces:
        if piece == ";":
            found.append("")
        elif not piece.startswith(("--", "/*")):
            found[-1] += piece
        elif piece.startswith("/*+"):
            found[-1] += piece  # a hint
        else:
            found[-1] += " "
    return [statement.strip() for statement in found if statement.strip()]
