"""The WSGI application: find the workspace by its token and the route by its path, and answer as JSON."""

from __future__ import annotations

import errno
import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Final

from werkzeug import exceptions as http
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from devkit.live.server import PAGE_HEADERS, page_file
from local_workspace.errors import ApiError
from local_workspace.server.faults import ERROR_CODES, Fault, Faults
from local_workspace.server.routing import Reply, Request, Route, encode, routes_of
from local_workspace.server.state import Service, State

logger = logging.getLogger(__name__)
LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
# What a handler comes to when a part of a request is of a type or a size that it cannot be.
WRONG_INPUT: Final = (AttributeError, OverflowError, RecursionError, TypeError, ValueError)
WRONG_PATH: Final = (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP)
StartResponse = Callable[..., Any]


class Application:
    """Answers every call of every workspace of one server.

    Args:
        services: The classes that answer, in the order in which they are made.
        find: Gives the workspace of a token, or None.
        public: Answers calls that need no token, by path: sign-in and discovery.
    """

    def __init__(
        self,
        services: list[type[Service]],
        find: Callable[[str], State | None],
        public: Callable[[HttpRequest], Reply | None] = lambda _: None,
    ) -> None:
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self._find = find
        self._public = public
        self._before_last_write: dict[str, list[dict[str, Any]]] = {}
        endpoints = [(route, kind, name) for kind in services for route, name in routes_of(kind)]
        self.routes: list[tuple[Route, type[Service], str]] = endpoints
        rules = (Rule(each[0].path, methods=[each[0].method], endpoint=each) for each in endpoints)
        self._map = Map(rules, strict_slashes=False, merge_slashes=False)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one call, in JSON whatever happens."""
        try:
            reply = self._struck_or_answered(environ)
        except ApiError as error:
            reply = _refusal(error)
        except Exception as error:  # a client must get JSON; the cause is logged
            reply = _failure(error, environ)
        response = Response(reply.body, reply.status, dict(reply.headers), content_type=reply.content_type)
        return response(environ, start_response)

    def _struck_or_answered(self, environ: dict[str, Any]) -> Reply:
        http_request = HttpRequest(environ)
        struck = [] if _is_own(http_request.path) else self.faults.of(http_request.method, http_request.path)
        reply = self._strike(struck, "before", environ)
        if reply is None:
            stale = any(fault.kind == "stale" for fault in struck)
            reply = self._reply(http_request, stale=stale)
            reply = self._strike(struck, "after", environ) or reply
        return reply

    def _strike(self, faults: list[Fault], when: str, environ: dict[str, Any]) -> Reply | None:
        for fault in (each for each in faults if each.when == when):
            if fault.kind == "delay":
                time.sleep(fault.seconds)
            elif fault.kind == "drop":
                _hang_up(environ)
                return Reply(status=503)
            elif fault.kind == "status":
                code = ERROR_CODES.get(fault.status, "INTERNAL_ERROR")
                return _refusal(ApiError(fault.status, code, f"A requested fault: {fault.status}"))
        return None

    def _reply(self, http_request: HttpRequest, *, stale: bool) -> Reply:
        try:
            _refuse_other_hosts(http_request)
            answer = self._public(http_request) or _page(http_request)
            return answer or self._answer(http_request, stale=stale)
        except ApiError as error:
            return _refusal(error)
        except Exception as error:  # a fault may strike what failed, too
            return _failure(error, http_request.environ)

    def _answer(self, http_request: HttpRequest, *, stale: bool) -> Reply:
        state = self._workspace(http_request)
        route, kind, name, path = self._match(http_request)
        request = replace(_read(http_request, as_file=route.raw), path=path, page_limit=state.options.page_size)
        if not _is_own(http_request.path):
            self.calls[f"{http_request.method} {route.path}"] += 1
        handler = getattr(state.service(kind), name)
        before = self._before_last_write.get(state.token)
        with state.lock if route.locked else nullcontext():
            if self.faults.stale_reads and http_request.method != "GET":
                self._before_last_write[state.token] = state.dump()
            with state.as_of(before) if stale and before is not None else nullcontext():
                return encode(handler(request))

    def _workspace(self, http_request: HttpRequest) -> State:
        scheme, _, token = http_request.headers.get("Authorization", "").partition(" ")
        state = self._find(token.strip()) if scheme.lower() == "bearer" else None
        if state is None:
            remedy = "`devkit workspace up` prints the token, or make one with Workspace.add_workspace()."
            raise ApiError(401, "UNAUTHENTICATED", f"This token opens no workspace here. {remedy}")
        return state

    def _match(self, http_request: HttpRequest) -> tuple[Route, type[Service], str, dict[str, Any]]:
        try:
            endpoint, path = self._map.bind("127.0.0.1").match(http_request.path, method=http_request.method)
        except http.HTTPException:
            raise _unknown_route(http_request) from None
        route, kind, name = endpoint
        return route, kind, name, {key: value for key, value in path.items() if not key.startswith("_")}


def _is_own(path: str) -> bool:
    """Return whether a path is this server's own (the page, and what page and tests ask) and not Databricks'."""
    return path == "/" or path.startswith(("/page/", "/local/", "/jobs/"))


def _unknown_route(http_request: HttpRequest) -> ApiError:
    asked = f"{http_request.method} {http_request.path}"
    message = f"The local workspace does not support {asked}; `devkit workspace supported` lists what it supports."
    return ApiError(501, "NOT_IMPLEMENTED", message)


def _read(http_request: HttpRequest, *, as_file: bool) -> Request:
    """Read the body as its content type says, or as a file."""
    content_type = "application/octet-stream" if as_file else http_request.mimetype
    form, files, raw, parsed = {}, {}, b"", {}
    if content_type == "multipart/form-data":
        form = http_request.form.to_dict()
        files = {name: file.read() for name, file in http_request.files.items()}
        http_request.close()  # large ones lie in temporary files
    else:
        raw = http_request.get_data(cache=False)
        if raw and content_type in ("application/json", ""):
            parsed = _parse(raw)
    return Request(
        method=http_request.method,
        url_path=http_request.path,
        path={},
        query=http_request.args.to_dict(),
        repeated=http_request.args.to_dict(flat=False),
        json=parsed,
        raw=raw,
        form=form,
        files=files,
        headers={name.lower(): value for name, value in http_request.headers.items()},
    )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "MALFORMED_REQUEST", f"Invalid JSON given in the body of the request: {error}") from None
    if not isinstance(content, dict):
        raise ApiError(400, "MALFORMED_REQUEST", "The body of the request must be a JSON object")
    return content


def _failure(error: Exception, environ: dict[str, Any]) -> Reply:
    """Return the reply to a failed handler: 400 for errors that wrong input causes, else 500."""
    logger.error("%s %s", environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"), exc_info=error)
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, WRONG_INPUT) or (isinstance(error, OSError) and error.errno in WRONG_PATH):
        return _refusal(ApiError(400, "MALFORMED_REQUEST", f"Could not handle the request: {told}"))
    return _refusal(ApiError(500, "INTERNAL_ERROR", told))


def _refusal(error: ApiError) -> Reply:
    retry = {"Retry-After": "0"} if error.status in (429, 503) else {}
    return Reply(json.dumps(error.body()).encode(), error.status, "application/json", retry)


def _refuse_other_hosts(http_request: HttpRequest) -> None:
    """A page elsewhere whose name was made to point at 127.0.0.1 must not reach a server that runs code."""
    name = http_request.host.rsplit(":", 1)[0] if not http_request.host.endswith("]") else http_request.host
    if name not in LOCAL_NAMES:
        raise ApiError(
            403,
            "PERMISSION_DENIED",
            f"The local workspace answers requests to {', '.join(LOCAL_NAMES)} only, not to {name!r}",
        )


def _page(http_request: HttpRequest) -> Reply | None:
    """Return a file of the web page: ``/page/…``; its first one also at ``/`` and where Databricks shows jobs."""
    is_link = http_request.path == "/" or http_request.path.startswith("/jobs/")
    if http_request.method != "GET" or not (is_link or http_request.path.startswith("/page/")):
        return None
    name = "index.html" if is_link else http_request.path.removeprefix("/page/")
    file = page_file(name, "local_workspace", "devkit.live")
    if file is None:
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Page {http_request.path} does not exist")
    return Reply(file[0], content_type=file[1], headers=PAGE_HEADERS)


def _hang_up(environ: dict[str, Any]) -> None:
    """Close the connection as a crash in between would."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
