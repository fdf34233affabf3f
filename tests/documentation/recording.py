"""README's commands and what they print, as a picture: `make recording` runs them, and writes docs/recording.svg."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text

from devkit import cache
from devkit.hub.broker import LocalHub
from devkit.processes import free_port
from tests.documentation.blocks import blocks
from tests.project import ROOT, copy_project, said_on, user_environment

PICTURE = ROOT / "docs" / "recording.svg"
READER = "src/spark_utils/parsing/jvm"
COLUMNS = 130
FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # rich's lies on another host


def commands() -> list[str]:
    """The lines of README's blocks that a user looks at; tests and the rehearsal only scroll by."""
    text = "".join(block.text for block in blocks(ROOT / "README.md") if block.language == "bash")
    return [line for line in text.splitlines() if line not in ("make test", "make rehearse")]


def record(lines: Iterable[str], folder: Path) -> str:
    """Run each line in a terminal, in a folder, and draw it with its output; no place of this machine shows.

    Raises:
        RuntimeError: A line fails.
    """
    console = Console(record=True, width=COLUMNS, file=StringIO())
    for line in lines:
        console.print(Text(f"$ {line}", style="bold"))
        shown = _run(line, folder)
        for place, name in ((folder, "~"), (cache.home(), "~/.cache/spark-devkit"), (Path.home(), "~")):
            shown = shown.replace(str(place), name)
        for text in AnsiDecoder().decode(shown):
            console.print(text, overflow="fold")
    return FONT.sub("", console.export_svg(title="the commands of the README"))


def _run(line: str, folder: Path) -> str:
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (50, COLUMNS))
    process = subprocess.Popen(
        ["bash", "-c", line],
        cwd=folder,
        env=user_environment(),
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    text = said_on(leader).decode(errors="replace").replace("\r\n", "\n")
    if process.wait():
        raise RuntimeError(f"`{line}` ended with status {process.returncode}:\n{text}")
    return text


def main() -> None:
    """Draw README's commands, run in a copy of the project and with a hub of their own."""
    with tempfile.TemporaryDirectory() as scratch:
        project, home = copy_project(Path(scratch, "project")), Path(scratch, "home")
        (project / ".venv").symlink_to(sys.prefix)
        for jar in (ROOT / READER).glob("*.jar"):  # `make setup` has built it
            shutil.copy(jar, project / READER)
        home.mkdir()
        for each in cache.home().iterdir():
            if each.name not in ("hub", "secrets", "streams"):
                (home / each.name).symlink_to(each)
        os.environ[cache.HOME_VARIABLE] = str(home)
        with LocalHub.shared(port=free_port()):  # the usual one may be somebody's
            PICTURE.write_text(record(commands(), project), encoding="utf-8")


if __name__ == "__main__":
    main()
