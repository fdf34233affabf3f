"""YAML files whose values remember their lines, so that a mistake can be shown where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devkit.deploy.errors import DeclarationError

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        file: Where it lies.
        shown_as: The name that mistakes show.
        content: Its value.
        lines: The line of each key and each item, by its path from the top.
        mistakes: What the file itself has wrong, such as a key that stands twice.
    """

    file: Path
    shown_as: str
    content: Any
    lines: dict[Path_, int] = field(default_factory=dict, repr=False)
    mistakes: list[str] = field(default_factory=list)

    def place(self, path: Path_) -> str:
        """Return ``file:line`` of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.shown_as}:{self.lines.get(path, 1)}"


def read_yaml(file: Path, shown_as: str | None = None) -> Document:
    """Read a file.

    Raises:
        DeclarationError: If it cannot be read or is no YAML.
    """
    import yaml

    name = shown_as or str(file)
    try:
        text = file.read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        document = Document(file, name, None)
        content = _Reader(loader, document).value(node, ()) if node is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError([f"{name}: the file cannot be read: {error}"]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError([f"{name}:{line}: this is no YAML: {error.problem}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = "it is nested too deeply, or holds itself" if isinstance(error, RecursionError) else str(error)
        raise DeclarationError([f"{name}:1: this cannot be read: {problem}"]) from None
    return Document(file, name, content, document.lines, document.mistakes)


class _Reader:
    """Turns nodes into values and writes down where they stood."""

    def __init__(self, loader: Any, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._around: list[Any] = []  # what a value stands in, to notice an alias of that

    def value(self, node: Any, path: Path_) -> Any:
        import yaml

        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode):
            return self._collection(node, path)
        value = self._loader.construct_object(node)
        known = isinstance(value, str | int | float | bool | None)
        return value if known else node.value  # a date stays the text that it was

    def _collection(self, node: Any, path: Path_) -> Any:
        import yaml

        if any(node is each for each in self._around):
            self._document.mistakes.append(f"{self._document.place(path)}: an alias stands within what it stands for")
            return None
        self._around.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        finally:
            self._around.pop()

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        self._loader.flatten_mapping(node)
        read: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(self._loader.construct_object(key_node))
            here = (*path, key)
            line = key_node.start_mark.line + 1
            if key in read:
                earlier = self._document.lines[here]
                message = (
                    f"{self._document.shown_as}:{line}: {key!r} is given again; it stands at line {earlier} already"
                )
                self._document.mistakes.append(message)
                continue
            self._document.lines[here] = line
            read[key] = self.value(value_node, here)
        return read
