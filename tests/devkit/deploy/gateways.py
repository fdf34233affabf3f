"""Servers between a deployment and its workspace: a proxy, a gateway that repeats what it refuses, a Key Vault."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.devkit.deploy.kit import CANARY
from tests.patience import PATIENCE


class Counting(BaseHTTPRequestHandler):
    """A server that counts, and answers as its subclass does."""

    seen: list[str]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Proxy(Counting):
    def _pass_on(self) -> None:
        self.seen.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        plain = requests.Session()
        plain.trust_env = False
        answer = plain.request(self.command, self.path, data=body, headers=dict(self.headers), timeout=PATIENCE)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815  # the names that the standard library calls


class Vault(Counting):
    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers['Authorization']}")
        found = self.path.startswith("/secrets/token?")
        body = json.dumps({"value": self.secret} if found else {"error": {"code": "SecretNotFound"}}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    secret = CANARY


def served(handler: type[Counting]) -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


class Echo(Proxy):
    """Refuses to write secrets, and repeats in its refusal what it was sent."""

    def do_POST(self) -> None:
        if not self.path.endswith("/secrets/put"):
            self._pass_on()
            return
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        body = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": f"cannot store {sent}"}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
