"""Routes: a method of a service answers one path; what it takes and what it gives back.

A handler is ``handler(self, request: Request) -> object``: ``None`` is ``{}``, a dict or an SDK type is JSON, and a
`Reply` is anything else (bytes, another status). It refuses by raising `ApiError`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self, TypeVar

from local_workspace.errors import ApiError, invalid
from local_workspace.server import shapes

ANY_VERSION: Final = '<any("2.0","2.1","2.2"):_version>'


class FromDict(Protocol):
    """An SDK type: made from JSON and turned back into it."""

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """Make it from parsed JSON."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""


Handler = TypeVar("Handler", bound=Callable[..., object])
Typed = TypeVar("Typed", bound=FromDict)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Route:
    """One route of the API.

    Attributes:
        method: The HTTP method.
        path: The path as werkzeug's routing writes it, such as ``/api/2.0/repos/<int:repo_id>``.
        differs: How the answer is known to differ from the real service's; empty when no difference is known.
        locked: Whether the handler runs inside the workspace's lock; one that waits must not.
        raw: Whether the body is a file, which must not be read as JSON whatever its content type says.
    """

    method: str
    path: str
    differs: str = ""
    locked: bool = True
    raw: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer that is not plain JSON with status 200.

    Attributes:
        body: The bytes sent.
        status: The HTTP status.
        content_type: Of the body.
        headers: More headers.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One call, its parts already read.

    Attributes:
        method: The HTTP method.
        url_path: The path called.
        path: The variable parts of the path, by name.
        query: The query string; the first of a repeated name.
        repeated: The query string, with all values of each name.
        json: The JSON body, ``{}`` when there is none.
        raw: The body as it came.
        form: The fields of a multipart body: name to text.
        files: The files of a multipart body: name to bytes.
        page_limit: The workspace's own upper limit of a page, for tests of paging; 0 means none.
        headers: The request's headers, names in lower case.
    """

    method: str
    url_path: str
    path: Mapping[str, Any]
    query: Mapping[str, str]
    json: dict[str, Any]
    raw: bytes = field(repr=False, default=b"")
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    page_limit: int = 0
    repeated: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter of the path, the body, the form or the query, or the default."""
        for place in (self.path, self.json, self.form, self.query):
            if name in place:
                return place[name]
        return default

    def required(self, name: str) -> Any:
        """Return a parameter.

        Raises:
            ApiError: 400 when it is missing or empty.
        """
        value = self.get(name)
        if value is None or value == "":
            raise invalid(f"Missing required field: {name}")
        return value

    def number(self, name: str) -> int:
        """Return a required parameter that is a whole number.

        Raises:
            ApiError: 400 when it is missing or not a whole number.
        """
        return _whole(name, self.required(name))

    def count(self, name: str) -> int:
        """Return a parameter that says how many, or after how many; 0 when it is not given.

        Raises:
            ApiError: 400 unless it is a whole number of at least 0.
        """
        number = _whole(name, self.get(name) or 0)
        if number < 0:
            raise invalid(f"{name} must not be negative: {number}")
        return number

    def many(self, name: str) -> list[Any]:
        """Return all values of a parameter: a list of the body, or a repeated name of the query string."""
        value = self.get(name)
        return value if isinstance(value, list) else self.repeated.get(name, [])

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a parameter that is true or false."""
        value = self.get(name, default)
        return value if isinstance(value, bool) else str(value).lower() == "true"

    def typed(self, kind: type[Typed]) -> Typed:
        """Return the JSON body as an SDK type.

        Raises:
            ApiError: 400 when a part of it has the wrong shape.
        """
        return typed(kind, self.json)

    def listing(
        self,
        name: str,
        items: Sequence[Item],
        *,
        size: str = "page_size",
        token: str = "page_token",  # noqa: S107  # the name of a parameter
        default: int = 20,
        maximum: int = 100,
    ) -> dict[str, Any]:
        """Return the answer that lists one page of items, with the token of the next one if there is one.

        Args:
            name: What the answer calls the items.
            items: As for `page`, like the rest.
            size: As for `page`.
            token: As for `page`.
            default: As for `page`.
            maximum: As for `page`.
        """
        page, following = self.page(items, size=size, token=token, default=default, maximum=maximum)
        return {name: [*page]} | ({"next_page_token": following} if following else {})

    def page(
        self,
        items: Sequence[Item],
        *,
        size: str = "page_size",
        token: str = "page_token",  # noqa: S107  # the name of a parameter
        default: int = 20,
        maximum: int = 100,
    ) -> tuple[Sequence[Item], str | None]:
        """Cut one page out of a list.

        Args:
            items: The whole list, in a stable order.
            size: The name of the parameter that says how many are wanted.
            token: The name of the parameter that says where to go on.
            default: The size when the caller says nothing.
            maximum: The largest size the real service gives.

        Returns:
            The page, and the token of the next one or None.

        Raises:
            ApiError: 400 when the size or the token is invalid.
        """
        wanted = self.count(size) or default
        length = min(wanted, maximum, self.page_limit or maximum)
        start = _offset(self.get(token))
        end = start + length
        return items[start:end], _token(end) if end < len(items) else None


def typed(kind: type[Typed], content: dict[str, Any]) -> Typed:
    """Return JSON as an SDK type.

    Raises:
        ApiError: 400 when a part of it has the wrong shape.
    """
    try:
        return kind.from_dict(shapes.checked(kind, content))
    except (AttributeError, TypeError, ValueError) as error:
        raise ApiError(400, "MALFORMED_REQUEST", f"Could not parse request object: {error}") from error


def from_base64(what: str, text: object) -> bytes:
    """Return the bytes that a field of a request carries.

    Raises:
        ApiError: 400 when it is not base64.
    """
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError:
        raise invalid(f"{what} is not base64") from None


def route(
    method: str, path: str, *more_paths: str, differs: str = "", locked: bool = True, raw: bool = False
) -> Callable[[Handler], Handler]:
    """Declare the method of a service as the answer to a path.

    Args:
        method: The HTTP method.
        path: Beneath ``/api/``, with its version: ``2.0/clusters/get``; ``*/jobs/get`` stands for 2.0, 2.1 and 2.2.
            A path that begins with ``/`` is taken as it is.
        more_paths: More paths with the same answer.
        differs: How the answer is known to differ from the real service's, for ``SUPPORTED.md``.
        locked: False for a handler that waits: it takes the lock itself where it touches state.
        raw: True for a body that is a file.
    """

    def declare(handler: Handler) -> Handler:
        declared = [Route(method, _full(each), differs, locked, raw) for each in (path, *more_paths)]
        handler.__dict__.setdefault("routes", []).extend(declared)
        return handler

    return declare


def routes_of(kind: type) -> Iterator[tuple[Route, str]]:
    """Yield the routes of a service with the name of the method that answers."""
    for name in dir(kind):
        for each in getattr(getattr(kind, name), "routes", ()):
            yield each, name


def encode(answer: object) -> Reply:
    """Turn what a handler returned into bytes."""
    if isinstance(answer, Reply):
        return answer
    content = json.dumps(answer if answer is not None else {}, default=_as_json)
    return Reply(content.encode(), content_type="application/json")


def _as_json(value: FromDict) -> dict[str, Any]:
    """Return an SDK type within an answer as JSON.

    Raises:
        TypeError: It is not one.
    """
    if not hasattr(value, "as_dict"):
        raise TypeError(f"an answer cannot hold {value!r}")
    return value.as_dict()


def _full(path: str) -> str:
    if path.startswith("/"):
        return path
    return "/api/" + (ANY_VERSION + path[1:] if path.startswith("*") else path)


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"from:{offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        offset = int(base64.urlsafe_b64decode(token).decode().removeprefix("from:"))
    except (TypeError, ValueError):
        offset = -1
    if offset < 0:
        raise invalid(f"Invalid page token: {token!r}")
    return offset


def _whole(name: str, value: object) -> int:
    """Return a whole number, written as one or as text."""
    try:
        return int(value) if isinstance(value, int) else int(str(value))
    except ValueError:
        raise invalid(f"{name} must be a whole number, not {value!r}") from None
