"""The fenced blocks of a Markdown page: ```bash is run, ```python FILE is written to FILE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<language>\w+)(?: +(?P<target>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: `language`, the file named after it (or None), its text and its line in the page."""

    language: str
    target: str | None
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Give the page's fenced blocks in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match["language"], match["target"], match["text"], text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
    ]
