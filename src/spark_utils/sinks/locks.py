"""Who runs a query on a checkpoint: one process at a time, and no query for longer than its client.

The locks are advisory (``flock``) and end with the process that holds them, however that ends. On classic Spark the
driver holds the checkpoint's folder. With Spark Connect the process that runs the batches does, on the server; beside
it the client holds a file of its own machine, so that a second one is refused while the first is there, and so that
batches on the same machine notice when their client was killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spark_utils.errors import CheckpointMismatchError
from spark_utils.sinks.checkpoints import local_path

_WATCH_SECONDS = 1.0
_PROBE_SECONDS = 1.0  # batches that look after their client hold its file for a moment
_ORPHAN_SECONDS = 60.0  # in which the query of a killed client ends
_STOP_SECONDS = 10.0  # a server that hangs answers no request to stop


@dataclass(frozen=True)
class Client:
    """The process that started a query on Spark Connect, as the batches of the query know it.

    Attributes:
        file: A file of its machine that it holds; the same for every client of one server and checkpoint.
        token: What stands in the file while the query is its own.
    """

    file: Path
    token: str

    @classmethod
    def of(cls, application: str, checkpoint: str) -> Client:
        """Return this process as the client of a checkpoint, on the server with that application's id."""
        name = hashlib.sha256(f"{application} {checkpoint}".encode()).hexdigest()[:32]
        return cls(Path(tempfile.gettempdir(), f"spark-utils-{os.getuid()}", name), uuid.uuid4().hex)

    def is_here(self) -> bool:
        """Return whether the client runs on this machine, as far as can be seen."""
        with suppress(OSError):
            return self.file.read_text() == self.token
        return False

    def has_gone(self) -> bool:
        """Return whether a client that was here has ended; one whose file was tidied away has not."""
        with suppress(OSError):
            os.close(_locked(self.file))
            return True
        with suppress(OSError):
            return self.file.read_text() != self.token  # another one has come
        return False


class CheckpointLock:
    """Keeps a second process from running a query on the same checkpoint, where it lies on this machine.

    On other file systems Spark's own check remains, by which one of two queries fails at its next batch
    (CONCURRENT_STREAM_LOG_UPDATE).
    """

    def __init__(self) -> None:
        self._held: dict[Path | None, int] = {}

    def take(self, path: str, *, wait: float = 0.0) -> Callable[[], None]:
        """Hold a checkpoint; return what lets go of it.

        Raises:
            CheckpointMismatchError: A query of another process has it.
        """
        folder = local_path(path)
        if folder is not None:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
        return self._hold(path, folder, wait)

    def take_as(self, client: Client, path: str) -> Callable[[], None]:
        """Hold a checkpoint as its client on Spark Connect, when the query of one that was killed has ended.

        Raises:
            CheckpointMismatchError: Another client has it, or a query that goes on.
        """
        with suppress(OSError):
            client.file.parent.mkdir(mode=0o700, exist_ok=True)
            client.file.touch(0o600)
        release = self._hold(path, client.file, _PROBE_SECONDS)
        try:
            with suppress(OSError):
                client.file.write_text(client.token)
            folder = local_path(path)  # a folder of that name on this machine may not be the server's: none is made
            CheckpointLock()._hold(path, folder, _ORPHAN_SECONDS)()
        except BaseException:
            release()
            raise
        return release

    def _hold(self, path: str, place: Path | None, wait: float) -> Callable[[], None]:
        before = self._held.pop(place, None)
        if before is not None:  # of an earlier query of this process, which has ended
            os.close(before)
        try:
            descriptor = None if place is None else _locked(place, wait)
        except BlockingIOError:
            raise CheckpointMismatchError(
                f"another query runs with the checkpoint {path}",
                origin=f"the lock on {place}",
                remedy="Stop it first, or give another checkpoint path and another output path.",
            ) from None
        except OSError:  # not in reach, not writable, or without locks: Spark will say so in its own words
            descriptor = None
        if descriptor is not None:
            self._held[place] = descriptor
        return partial(self._release, place, descriptor)

    def _release(self, place: Path | None, descriptor: int | None) -> None:
        if descriptor is not None and self._held.get(place) == descriptor:
            os.close(self._held.pop(place))


def end_with(client: Client | None, stop: Callable[[], object]) -> None:
    """Let this process, which runs a query's batches on a Spark Connect server, end with the server and the client.

    Left alone it would hold the checkpoint: for ten minutes pyspark asks a server that has gone for an answer, and the
    query of a client that was killed goes on.

    Args:
        client: Who started the query; looked after when it runs on this machine.
        stop: Stops the query.
    """
    server, watched = os.getppid(), client if client and client.is_here() else None

    def watch() -> None:
        while os.getppid() == server and not (watched and watched.has_gone()):
            time.sleep(_WATCH_SECONDS)
        if os.getppid() == server:
            stopping = threading.Thread(target=stop, daemon=True)
            stopping.start()
            stopping.join(_STOP_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _locked(place: Path, wait: float = 0.0) -> int:
    descriptor = os.open(place, os.O_RDONLY)
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as refusal:
            if not isinstance(refusal, BlockingIOError) or time.monotonic() >= until:
                os.close(descriptor)
                raise
            time.sleep(0.1)
        else:
            return descriptor


LOCK = CheckpointLock()
"""The checkpoints that queries of this process run with."""
