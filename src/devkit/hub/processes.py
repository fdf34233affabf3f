"""A process that outlives its parent, and is recognised again by its command line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

POLL_SECONDS = 0.05


def spawn_detached(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> int:
    """Start a process in a session of its own, its output appended to a file, and return its id.

    It survives the end of this process, however that comes about, and no signal of this terminal reaches it.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(command[0], list(command), environment, file_actions=actions, setsid=True)
    while _exists(pid) and not _command_line(pid):
        time.sleep(0.001)  # the kernel lets go of us a moment before the new program's command line can be read
    return pid


def is_running(pid: int | None, *marks: str) -> bool:
    """Tell whether a process runs and its command line holds all marks: ids are used again by other programs."""
    if pid is None:
        return False
    command_line = _command_line(pid) if _exists(pid) else ""
    return bool(command_line) and all(mark in command_line for mark in marks)


def terminate(pid: int, *marks: str, patience: float) -> None:
    """End a process and wait: SIGTERM, and after ``patience`` seconds SIGKILL; with no patience SIGKILL at once."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        if not seconds:
            continue
        if not is_running(pid, *marks):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while is_running(pid, *marks) and time.monotonic() < deadline:
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
    return True


def _command_line(pid: int) -> str:
    proc = Path("/proc")
    if (proc / "self" / "cmdline").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps(pid, "args")


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(
        ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
