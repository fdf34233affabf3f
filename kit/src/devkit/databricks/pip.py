"""What ``%pip install …`` of a notebook names, and what of it is missing: nothing is installed on this machine."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Final

NAME: Final = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
VALUED: Final = ("-c", "--constraint", "-f", "--find-links", "-i", "--index-url", "--extra-index-url", "-t", "--target")


def named(text: str) -> Iterator[str]:
    """Yield what the lines behind ``%pip`` name: requirements, wheels and ``-r FILE``; other options say nothing."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.replace("%pip", ""), comments=True)
        for option, word in itertools.pairwise(words) if words[:1] == ["install"] else ():
            if option in ("-r", "--requirement"):
                yield f"-r {word}"
            elif not word.startswith("-") and option not in VALUED:
                yield word


def is_installed(requirement: str) -> bool:
    """Return whether this environment has a requirement, or a wheel, in whichever version."""
    name = PurePath(requirement).name.partition("-")[0] if requirement.endswith(".whl") else requirement
    match = NAME.match(name)
    try:
        return bool(importlib.metadata.version(match[1] if match else name))
    except importlib.metadata.PackageNotFoundError:
        return False


def missing(text: str, file: Callable[[str], Path]) -> Iterator[str]:
    """Yield a sentence for each thing that the lines behind ``%pip`` name and this environment lacks.

    Args:
        text: The lines.
        file: Gives the place of a file behind ``-r``.
    """
    for each in named(text):
        path = file(each.removeprefix("-r ")) if each.startswith("-r ") else None
        if path and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                yield from missing(f"install {''.join(line.partition('#')[0].split()[:1])}", file)
        elif path:
            yield f"%pip install -r: {path} does not exist"
        elif not is_installed(each):
            yield f"%pip installs nothing here, and '{each}' is not installed: install it in this environment"
