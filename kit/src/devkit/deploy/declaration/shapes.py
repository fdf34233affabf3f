"""The shape of a file: what must be a mapping, a list or a text, told with its line and taken out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from devkit.deploy.declaration.yaml_files import Document

SHAPES: Final[dict[str, type]] = {
    "workspace": dict,
    "include": list,
    "variables": dict,
    "protect": list,
    "resources": dict,
}
NAMES: Final[dict[type, str]] = {dict: "a mapping", list: "a list"}
EXAMPLES: Final = {
    "include": " of texts, such as [../resources/*.yml]",
    "protect": " of texts, such as [jobs.streaming]",
}


def misshapen(document: Document) -> Iterator[str]:
    """Yield the mistakes in the outer shape of a file, and take out of its content what has the wrong one."""
    content = document.content
    if content is None or not isinstance(content, dict):
        if content is not None:
            yield f"{document.place(())}: the file must be a mapping"
        return
    for name in [each for each in SHAPES if each in content and content[each] is None]:
        del content[name]
    if isinstance(content.get("project"), dict | list | bool) or content.get("project") == "":
        yield f"{document.place(('project',))}: `project` must be a text"
        content["project"] = ""
    for name, shape in SHAPES.items():
        if name in content and not isinstance(content[name], shape):
            yield f"{document.place((name,))}: `{name}` must be {NAMES[shape]}{EXAMPLES.get(name, '')}"
            del content[name]
    yield from _inner(document, content)


def _inner(document: Document, content: dict[str, Any]) -> Iterator[str]:
    for name in ("include", "protect"):
        for index, each in enumerate(content.get(name) or []):
            if not isinstance(each, str) or not each:
                yield f"{document.place((name, index))}: `{name}` must be a list{EXAMPLES[name]}"
                content[name] = []
    for name, value in list((content.get("workspace") or {}).items()):
        if isinstance(value, dict | list):
            yield f"{document.place(('workspace', name))}: {name!r} must be a text"
            del content["workspace"][name]
    for kind, items in list((content.get("resources") or {}).items()):
        if items is not None and not isinstance(items, dict):
            yield f"{document.place(('resources', kind))}: {kind!r} must be a mapping of keys to resources"
            del content["resources"][kind]
