"""A small Maven repository on loopback that can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from devkit.spark.repository import Repository


@dataclass
class FakeRepository:
    """What the server serves, how it misbehaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(
        default_factory=dict
    )  # path -> bytes until the connection breaks, per request
    statuses: dict[str, list[int]] = field(default_factory=dict)  # path -> statuses to answer with first
    ignores_ranges: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    address: str = ""

    def add(self, coordinate: str, content: bytes) -> str:
        """Serve a jar and return its line of a lock."""
        group, artifact, version = coordinate.split(":")
        path = f"/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"
        self.files[path] = content
        self.files[f"{path}.sha1"] = hashlib.sha1(content).hexdigest().encode()
        return f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinate}\n"

    def client(self) -> Repository:
        return Repository.of(self.address, "the test")

    @contextmanager
    def serving(self) -> Iterator[FakeRepository]:
        repository = self

        class Handler(_Handler):
            served = repository

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_port}/maven"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: FakeRepository

    def do_GET(self) -> None:
        path = self.path.removeprefix("/maven")
        self.served.requests[Path(path).name] += 1
        self.served.authorizations.add(self.headers["Authorization"])
        content = self.served.files.get(path)
        waiting = self.served.statuses.get(path)
        if waiting or content is None:
            self.send_response(waiting.pop(0) if waiting else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self._start()
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cuts = self.served.cut_after.get(path)
        end = start + cuts.pop(0) if cuts else len(content)
        self.wfile.write(content[start:end])
        if end < len(content):
            self.close_connection = True

    def _start(self) -> int:
        wanted = self.headers["Range"]
        if not wanted or self.served.ignores_ranges:
            return 0
        self.served.ranges.append(wanted)
        return int(wanted.removeprefix("bytes=").rstrip("-"))

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
