"""Processes of tasks: started in a session of their own, watched, stopped gently and then for good.

A stop is SIGTERM to the task's Python alone, so that a streaming job finishes its batch with its JVM alive; what is
left of its process group after a grace is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from databricks.sdk.service.jobs import RunResultState

from local_workspace.server.state import State

GRACE_SECONDS: Final = 30.0
LEFTOVER_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05
LOG: Final = "output.log"
LOG_BYTES: Final = 5 * 1024 * 1024  # as much as the service gives
PROCESS: Final = "process.json"
# What a developer's shell may hold and a task must not see: it would reach a workspace or a Spark elsewhere.
PRIVATE: Final = ("DATABRICKS_", "ARM_", "AZURE_", "SPARK_REMOTE", "SPARK_CONNECT_")


@dataclass
class Stop:
    """The wish that something ends, and why; seen by everything beneath it.

    Attributes:
        parent: A wish that holds here too.
    """

    parent: Stop | None = None
    _event: threading.Event = field(default_factory=threading.Event)
    _result: RunResultState | None = None

    def ask(self, result: RunResultState) -> None:
        """Ask for the end; the first reason counts."""
        self._result = self._result or result
        self._event.set()

    @property
    def result(self) -> RunResultState | None:
        """CANCELED or TIMEDOUT once the end is asked for, else None."""
        return self._result or (self.parent.result if self.parent else None)

    def wait(self, seconds: float) -> bool:
        """Wait, and tell whether the end is asked for."""
        until = time.monotonic() + seconds
        while self.result is None and (left := until - time.monotonic()) > 0:
            self._event.wait(min(left, LOOK_SECONDS) if self.parent else left)
        return self.result is not None


class Processes:
    """The processes of one workspace, at most so many at once.

    Args:
        at_once: How many.
    """

    def __init__(self, at_once: int) -> None:
        self._slots = threading.BoundedSemaphore(at_once)
        self._running: set[int] = set()
        self._closed = False

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        stop: Stop,
        started: Callable[[], None],
        looked: Callable[[], None] = lambda: None,
    ) -> int | None:
        """Run a program to its end and return its exit status, or None when it was stopped before it began.

        Args:
            command: The program and its arguments.
            folder: Where its output and a note of its id go; its working directory.
            variables: Its environment.
            stop: When to stop it.
            started: Told when it runs.
            looked: Told now and then while it runs.
        """
        while not self._slots.acquire(timeout=LOOK_SECONDS):
            if stop.result is not None:
                return None
        try:
            if stop.result is not None or self._closed:
                return None
            with (folder / LOG).open("ab") as log:
                process = subprocess.Popen(
                    command, cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            return self._watch(process, folder, stop, started, looked)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Kill everything at once: the server stops."""
        self._closed = True
        for group in list(self._running):
            _signal_group(group, signal.SIGKILL)

    def _watch(
        self,
        process: subprocess.Popen[bytes],
        folder: Path,
        stop: Stop,
        started: Callable[[], None],
        looked: Callable[[], None],
    ) -> int:
        self._running.add(process.pid)
        (folder / PROCESS).write_text(json.dumps({"group": process.pid}), encoding="utf-8")
        try:
            started()
            while process.poll() is None and not stop.wait(LOOK_SECONDS):
                looked()
            if process.poll() is None:
                _end(process)
            return process.wait()
        finally:
            threading.Thread(target=self._clear, args=(process.pid, folder), daemon=True).start()

    def _clear(self, group: int, folder: Path) -> None:
        """Give a JVM time to end by itself, then kill what is left of the group."""
        until = time.monotonic() + LEFTOVER_SECONDS
        while _signal_group(group, 0) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        _signal_group(group, signal.SIGKILL)
        self._running.discard(group)
        (folder / PROCESS).unlink(missing_ok=True)


def environment(host: str, token: str, *more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a task: this process's own without what is private, and the workspace's address."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
    unproxied = ",".join(filter(None, (own.get("NO_PROXY") or own.get("no_proxy"), "127.0.0.1,localhost")))
    found = {**own, "DATABRICKS_HOST": host, "DATABRICKS_TOKEN": token, "NO_PROXY": unproxied, "no_proxy": unproxied}
    found |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    for each in more:
        found |= each
    return found


def task_command(state: State, folder: Path, request: Mapping[str, Any], roots: Sequence[tuple[str, str]]) -> list[str]:
    """Write the request that `main` reads in a task's folder, and return the command that runs it.

    Args:
        state: The workspace.
        folder: Of the task's run.
        request: What is to be run.
        roots: The beginnings of paths that the task takes for the workspace's, with their folders.
    """
    whole = {**request, "files": str(state.path("files")), "roots": roots}
    (folder / "request.json").write_text(json.dumps(whole), encoding="utf-8")
    return [sys.executable, "-P", "-m", "local_workspace.task.main", str(folder)]


def kill_leftover(folder: Path) -> None:
    """Kill the process of a task that an earlier server left running; another program with its id is left alone."""
    try:
        group = int(json.loads((folder / PROCESS).read_text(encoding="utf-8"))["group"])
        command = Path(f"/proc/{group}/cmdline").read_bytes()
    except (OSError, ValueError, KeyError):
        return
    if str(folder).encode() in command:
        _signal_group(group, signal.SIGKILL)


def read(folder: Path, name: str) -> Any:
    """Return what a process left in its folder, or None."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / name).read_text(encoding="utf-8"))
    return None


def end_of(log: Path) -> tuple[str, bool]:
    """Return the end of a log as text, and whether more was before it."""
    with log.open("rb") as opened:
        size = log.stat().st_size
        opened.seek(max(0, size - LOG_BYTES))
        return opened.read().decode("utf-8", errors="replace"), size > LOG_BYTES


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal and tell whether anybody is there."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
