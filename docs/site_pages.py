"""What the site shows that does not lie in `docs/`: README and its like, and the reference written from the code."""

from __future__ import annotations

import posixpath
import re
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import spark_utils

ROOT = Path(__file__).parents[1]
# File of the project -> page of the site.
PAGES = {
    "README.md": "index.md",
    "configuration/README.md": "configuration.md",
    ".devcontainer/README.md": "devcontainer.md",
    "tests/README.md": "tests.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
FENCE_OF_FILE = re.compile(r"^```(?P<language>\w+) +(?P<file>\S+)$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Add the pages to the navigation that are known by looking."""
    sections = {title: entries for section in config.nav for title, entries in section.items()}
    sections["Reference"] += [f"reference/{group}.md" for group, _ in reference_groups()]
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    sections["How it is made"].append({"Decisions": [f"decisions/{name}" for name in decisions]})
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages, as mkdocs asks its hooks."""
    docs = {page.src_uri for page in files.documentation_pages()}
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=relink(text, source, docs)))
    for group, names in reference_groups():
        files.append(File.generated(config, f"reference/{group}.md", content=reference(group, names)))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Write a page of `docs/` as one of the site; what `on_files` added is that already."""
    if page.file.generated_by:
        return markdown
    return relink(markdown, f"docs/{page.file.src_uri}", {each.src_uri for each in files.documentation_pages()})


def relink(text: str, source: str, docs: set[str]) -> str:
    """Write a page of the project as one of the site.

    A link to a file leads to its page, or becomes plain text where there is none; a block's file becomes its title.

    Args:
        text: Markdown.
        source: The file it stands in, from the project's root.
        docs: The pages in `docs/`.
    """

    def lead(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if "://" in target:
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = PAGES.get(file) or (file.removeprefix("docs/") if file.removeprefix("docs/") in docs else None)
        return f"[{match['text']}]({page}{anchor})" if page else match["text"]

    return FENCE_OF_FILE.sub(r'```\g<language> title="\g<file>"', LINK.sub(lead, text))


def reference_groups() -> list[tuple[str, list[str]]]:
    """Return the public names of `spark_utils` as `package.name`, by the module that they come from."""
    modules = {name: spark_utils._MODULE_OF[name] for name in spark_utils.__all__}
    ordered = sorted(modules, key=lambda name: (modules[name].split(".")[0], name))
    grouped = groupby(ordered, key=lambda name: modules[name].split(".")[0])
    return [(group, [f"spark_utils.{modules[name]}.{name}" for name in names]) for group, names in grouped]


def reference(group: str, names: list[str]) -> str:
    """Return a page of the reference; its text comes from the docstrings."""
    return "\n\n".join([f"# {group}", *(f"::: {name}" for name in names), ""])
