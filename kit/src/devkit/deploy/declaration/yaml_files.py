"""YAML 1.2 files whose values remember their lines, so that a mistake can be shown where it stands.

In YAML 1.2 ``NO``, ``on`` and ``12:30`` are texts. Source: https://yaml.org/spec/1.2.2/#103-core-schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devkit.deploy.errors import DeclarationError

Place = tuple[str | int, ...]
_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FRACTION: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_TAGS: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        file: Its path.
        shown_as: The name that mistakes show.
        content: Its value.
        lines: The line of each key and each item, by its path from the top.
        texts: Each number, truth value and null as it was written, by its path.
        mistakes: What is wrong with the file itself, such as a key that is given twice.
    """

    file: Path
    shown_as: str
    content: Any = None
    lines: dict[Place, int] = field(default_factory=dict, repr=False)
    texts: dict[Place, str] = field(default_factory=dict, repr=False)
    mistakes: list[str] = field(default_factory=list)

    def place(self, path: Place) -> str:
        """Return ``file:line`` of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.shown_as}:{self.lines.get(path, 1)}"


def read_yaml(file: Path, shown_as: str | None = None) -> Document:
    """Read a file.

    Raises:
        DeclarationError: If it cannot be read or is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    document = Document(file, shown_as or str(file))
    name = document.shown_as
    try:
        node = YAML(typ="safe", pure=True).compose(file.read_text(encoding="utf-8-sig"))
        content = _Reader(document).value(node, ()) if node is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError([f"{name}: the file cannot be read: {error}"]) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError([f"{name}:{line}: invalid YAML: {error.problem}"]) from None
    except (YAMLError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DeclarationError([f"{name}:1: invalid YAML: {problem}"]) from None
    return Document(file, name, content, document.lines, document.texts, document.mistakes)


class _Reader:
    """Turns nodes into values and records where they stood."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._around: list[Any] = []  # the collections that a value stands in, to notice an alias of one of them

    def value(self, node: Any, path: Place) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node.value, list):
            return self._collection(node, path)
        if node.style is not None or node.tag == _TEXT_TAG:
            return node.value
        if not str(node.tag).startswith(_TAGS):
            return self._mistake(node, f"unknown tag {node.tag}")
        value = self._plain(node)
        if not isinstance(value, str):
            self._document.texts[path] = node.value
        return value

    def _plain(self, node: Any) -> Any:
        text = node.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _WHOLE.fullmatch(text):
            if text.lstrip("+-").startswith("0") and text.lstrip("+-") != "0":
                return self._mistake(
                    node, f"{text} may mean an octal number, a decimal one or a text; write it in quotes"
                )
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        return float(text) if _FRACTION.fullmatch(text) else text

    def _collection(self, node: Any, path: Place) -> Any:
        if any(node is each for each in self._around):
            return self._mistake(node, "an alias refers to a value that contains it", path)
        self._around.append(node)
        try:
            if node.id == "mapping":
                return self._mapping(node, path)
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        finally:
            self._around.pop()

    def _mapping(self, node: Any, path: Place) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for key, value in node.value:
            if key.value == "<<":
                continue
            if not isinstance(key.value, str):
                self._mistake(key, "a key must be a text")
                continue
            here = (*path, key.value)
            if key.value in read:
                earlier = self._document.lines[here]
                self._mistake(key, f"{key.value!r} is given again; it is already given in line {earlier}")
                continue
            self._document.lines[here] = key.start_mark.line + 1
            read[key.value] = self.value(value, here)
        for key, value in self._merged(node):
            if isinstance(key.value, str) and key.value not in read:
                here = (*path, key.value)
                self._document.lines[here] = key.start_mark.line + 1
                read[key.value] = self.value(value, here)
        return read

    def _merged(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the keys that a mapping merges from others (``<<``), which its own keys override."""
        for source in (value for key, value in node.value if key.value == "<<"):
            for each in source.value if source.id == "sequence" else [source]:
                if each.id != "mapping" or any(each is around for around in self._around):
                    self._mistake(each, "`<<` merges a mapping, or a list of mappings, that does not contain it")
                    continue
                yield from ((key, value) for key, value in each.value if key.value != "<<")
                yield from self._merged(each)

    def _mistake(self, node: Any, message: str, path: Place | None = None) -> None:
        place = (
            self._document.place(path) if path is not None else f"{self._document.shown_as}:{node.start_mark.line + 1}"
        )
        self._document.mistakes.append(f"{place}: {message}")
