"""``docs/SUPPORTED.md``: what the local workspace answers, generated from its routes."""

from __future__ import annotations

import inspect
from typing import Final

from local_workspace.server.routing import ANY_VERSION, Route, routes_of
from local_workspace.server.state import Service

INTRODUCTION: Final = """# What the local workspace answers

Written by `devkit workspace supported --write docs/SUPPORTED.md`; a test holds it to the code. A route that is not here
is answered with 501. `*` stands for the versions 2.0, 2.1 and 2.2. An empty last column means
that no difference from Databricks' own service is known, not that there is none. Of all routes: there is one user, an
administrator, so permissions are kept and shown but refuse nobody; nothing is billed; rate limits do not strike unless
a fault asks for them.

Without a token it answers `GET /.well-known/databricks-config` and `GET /oidc/.well-known/oauth-authorization-server`
(discovery), and signs service principals in at `POST /oidc/v1/token` and, as Microsoft's login endpoint does, at
`POST /{tenant}/oauth2/token` and `POST /{tenant}/oauth2/v2.0/token`; signing in with a browser is not there.
"""


def markdown(services: list[type[Service]]) -> str:
    """Return the page: for each service its source and a table of routes."""
    return "\n".join([INTRODUCTION, _summary(services), *(_section(kind) for kind in services)])


def _summary(services: list[type[Service]]) -> str:
    count = sum(1 for kind in services for _ in routes_of(kind))
    return f"{count} routes in {len(services)} services.\n"


def _section(kind: type[Service]) -> str:
    module = inspect.getmodule(kind)
    about = inspect.getdoc(module) or ""
    title = about.split("\n", 1)[0].rstrip(".").replace("``", "`")
    source = next((line.split()[-1] for line in about.splitlines() if line.startswith("Source: ")), "")
    found = sorted(routes_of(kind), key=lambda each: (each[0].path, each[0].method))
    by_handler: dict[str, list[Route]] = {}
    for route, name in found:
        by_handler.setdefault(name, []).append(route)
    rows = [_row(kind, name, routes) for name, routes in by_handler.items()]
    lines = [f"## {title}", "", f"Source: <{source}>", ""] if source else [f"## {title}", ""]
    return "\n".join([*lines, "| Route | What it does | Known to differ |", "|---|---|---|", *rows, ""])


def _row(kind: type[Service], name: str, routes: list[Route]) -> str:
    paths = "<br>".join(f"`{route.method} {_shown(route.path)}`" for route in routes)
    does = (inspect.getdoc(getattr(kind, name)) or "").split("\n", 1)[0]
    cells = (paths, does, routes[0].differs)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("``", "`") for cell in cells) + " |"


def _shown(path: str) -> str:
    """Return a path as documentation writes it: ``/api/2.0/repos/{repo_id}``."""
    text = path.replace(ANY_VERSION, "*")
    while "<" in text:
        before, _, rest = text.partition("<")
        variable, _, after = rest.partition(">")
        text = f"{before}{{{variable.rpartition(':')[2]}}}{after}"
    return text
