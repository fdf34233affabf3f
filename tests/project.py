"""The project as files: where it stands, and a copy of it that a test may do anything to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_MAKE = ("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "MAKEFILES")  # what a make hands to those that it starts


def known_files() -> list[Path]:
    """What git knows or would add, and is there."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [path for name in listed if (path := ROOT / name).is_file()]


def known_links() -> list[Path]:
    """The links to folders among what git knows: the kit's to its data in `configuration/`."""
    return [path for path in (ROOT / "kit").rglob("*") if path.is_symlink()]


def copy_project(folder: Path) -> Path:
    """Copy the known files, with their times, so that no build leaves anything in the checkout."""
    for path in known_files():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    for link in known_links():
        copy = folder / link.relative_to(ROOT)
        copy.unlink(missing_ok=True)
        copy.symlink_to(link.readlink())
    return folder


def user_environment() -> dict[str, str]:
    """The environment without what make adds: a make in it tells and does what a user's does."""
    return {name: value for name, value in os.environ.items() if name not in OF_MAKE}


def build_wheel(project: Path, source: str, folder: Path) -> Path:
    """Build the wheel of a copy's folder into another one, with the tools that are installed here."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), source]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    return wheel


def wheel_payload(wheel: Path) -> set[str]:
    """Return the names of what a wheel installs, without what describes it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def said_on(terminal: int) -> bytes:
    """Return all that is written to a pseudo-terminal until nobody writes any more, and close our end."""
    said = b""
    with suppress(OSError):  # so it ends, on Linux
        while part := os.read(terminal, 65536):
            said += part
    os.close(terminal)
    return said
