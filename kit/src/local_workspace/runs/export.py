"""The run of a notebook as a page of HTML: each cell with what it printed and showed."""

from __future__ import annotations

import html
from typing import Any

STYLE = "body{font-family:sans-serif}pre{background:#f6f6f6;padding:.5em}.error{color:#b00}td,th{border:1px solid #ccc}"


def page(title: str, cells: list[dict[str, Any]], *, code_only: bool = False) -> str:
    """Return the page of a run.

    Args:
        title: The name of the notebook.
        cells: What `NotebookRunner` left: language, text, title and outputs of each cell.
        code_only: Leave the outputs out.
    """
    name = html.escape(title)
    body = "\n".join(_cell(cell, [] if code_only else cell["outputs"]) for cell in cells)
    head = f'<meta charset="utf-8">\n<title>{name}</title>\n<style>{STYLE}</style>'
    return f"<!doctype html>\n{head}\n<h1>{name}</h1>\n{body}\n"


def _cell(cell: dict[str, Any], outputs: list[dict[str, str]]) -> str:
    title = f"<h3>{html.escape(cell['title'])}</h3>" if cell["title"] else ""
    language = html.escape(cell["language"])
    code = f'<pre><code class="{language}">{html.escape(cell["text"])}</code></pre>'
    shown = "".join(each["html"] if "html" in each else f"<pre>{html.escape(each['text'])}</pre>" for each in outputs)
    return f"<section>{title}{code}<div>{shown}</div></section>"
