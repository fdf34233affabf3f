"""A process that outlives its parent, and is recognised again by its command line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.05
UNREADABLE_SECONDS = 5.0
PROC = Path("/proc")  # Linux; elsewhere `ps` is asked


def spawn_detached(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> int:
    """Start a process in a session of its own, its output appended to a file, and return its id.

    It survives the end of this process, however that comes about, and no signal of this terminal reaches it.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], list(command), environment, file_actions=actions, setsid=True)


def is_running(pid: int | None, *marks: str) -> bool:
    """Tell whether a process runs and its command line holds all marks: ids are used again by other programs."""
    if pid is None:
        return False
    command_line = ""
    deadline = time.monotonic() + UNREADABLE_SECONDS
    while not command_line and _exists(pid) and time.monotonic() < deadline:
        # Empty for a moment at the very start of a process, and at its end, while its ports are still being closed.
        command_line = _command_line(pid)
        if not command_line:
            time.sleep(0.002)
    return bool(command_line) and all(mark in command_line for mark in marks)


def terminate(pid: int, *marks: str, patience: float) -> None:
    """End a process and wait: SIGTERM, and after ``patience`` seconds SIGKILL; with no patience SIGKILL at once."""
    if not is_running(pid, *marks):
        return
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        if not seconds:
            continue
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _exists(pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def resident_bytes(pid: int) -> int | None:
    """Return the memory a process holds, or None where the system does not tell."""
    shown = _ps(pid, "rss").strip()
    return int(shown) * 1024 if shown.isdigit() else None


def _exists(pid: int) -> bool:
    """Whether the process exists; a child of ours that ended is collected, it would look alive otherwise."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        pass  # started by another process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it ended and nobody collected it, as in containers whose first process is no init."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return _ps(pid, "state").startswith("Z")


def _command_line(pid: int) -> str:
    if (PROC / "self" / "cmdline").exists():
        try:
            return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps(pid, "args")


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(
        ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
