"""Local servers: processes that outlive their parent and are recognised by their command line, and their ports."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil

from spark_utils.errors import RuntimeSetupError

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.05
UNREADABLE_SECONDS = 5.0
KILL_SECONDS = 10.0


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
    """Return whether a process runs and its command line holds all marks: ids are used again by other programs."""
    if pid is None:
        return False
    deadline = time.monotonic() + UNREADABLE_SECONDS
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # denied: another user's, so not ours
        process = psutil.Process(pid)
        while not _is_zombie(process) and time.monotonic() < deadline:
            # Empty for a moment at the very start of a process, and at its end, while its ports are still being closed.
            with suppress(psutil.ZombieProcess):
                command_line = " ".join(process.cmdline())
                if command_line:
                    return all(mark in command_line for mark in marks)
            time.sleep(0.002)
    return False


def terminate(pid: int, *marks: str, patience: float) -> None:
    """End a process and wait: SIGTERM, and after ``patience`` seconds SIGKILL; with no patience SIGKILL at once."""
    if not is_running(pid, *marks):
        return
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for end, seconds in ((process.terminate, patience), (process.kill, KILL_SECONDS)):
            if not seconds:
                continue
            end()
            deadline = time.monotonic() + seconds
            while is_running(pid) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if not is_running(pid):
                return


def resident_bytes(pid: int) -> int | None:
    """Return the memory a process holds, or None where the system does not tell."""
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return None


def _is_zombie(process: psutil.Process) -> bool:
    """Return whether it ended and nobody collected it; a child of ours is collected here."""
    if process.status() != psutil.STATUS_ZOMBIE:
        return False
    if process.ppid() == os.getpid():
        try:
            process.wait(0)
        except psutil.TimeoutExpired:  # its other threads are ending, and hold its ports until then
            return False
    return True


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def refuse_taken(port: int) -> None:
    """Refuse a loopback port that a server cannot have.

    Raises:
        RuntimeSetupError: Another program listens there, or it is none.
    """
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not matter
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            raise RuntimeSetupError(
                f"cannot bind port {port}: {'it is used by another program' if taken else error}",
                remedy="Stop that program, or choose another port by --port.",
            ) from None


def accepts_connections(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
