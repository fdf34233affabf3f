"""A page of the streams on this machine, served on loopback.

Its address has a key that is made anew at each start, since the page shows data: other users of the machine, and pages
elsewhere whose names were made to point at 127.0.0.1, do not know it.
"""

from __future__ import annotations

import json
import secrets
import webbrowser
from collections.abc import Iterable
from importlib import resources
from typing import Any, Final

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from devkit.live import reading
from devkit.processes import LOOPBACK, refuse_taken

PAGE_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_file(name: str, *packages: str) -> tuple[bytes, str] | None:
    """Return a file of a page, from the first package that has it, and its type; None when there is none."""
    kind = PAGE_TYPES.get(name.rpartition(".")[2])
    for package in packages:
        file = resources.files(package).joinpath("page", name)
        if kind and "/" not in name and file.is_file():
            return file.read_bytes(), f"{kind}; charset=utf-8"
    return None


class Page:
    """The page as a WSGI application.

    Args:
        key: What every path begins with.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        key, _, path = request.path[1:].partition("/")
        found = self._find(path) if secrets.compare_digest(key.encode(), self._key.encode()) else None
        body, kind = found or (b"not found", "text/plain")
        response = Response(body, 200 if found else 404, PAGE_HEADERS, content_type=kind)
        return response(environ, start_response)

    def _find(self, path: str) -> tuple[bytes, str] | None:
        head, _, run_id = path.partition("/")
        if head == "streams":
            known = not run_id or run_id.replace("-", "").isalnum()
            found = (reading.run_of(run_id) if run_id else reading.runs()) if known else None
            return None if found is None else (json.dumps(found).encode(), "application/json")
        return page_file(path.removeprefix("page/") or "live.html", "devkit.live")


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing: the terminal is the user's."""


def serve(port: int, *, in_browser: bool = False) -> None:
    """Serve the page until Ctrl-C, and print its address.

    Args:
        port: 0 for a free one.
        in_browser: Open it in the browser too.

    Raises:
        RuntimeSetupError: The port is taken.
    """
    key = secrets.token_urlsafe(16)
    refuse_taken(port)
    server = make_server(LOOPBACK, port, Page(key), threaded=True, request_handler=_Quiet)
    address = f"http://{LOOPBACK}:{server.server_port}/{key}/"
    print(f"the streams of this machine: {address}", flush=True)
    if in_browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
