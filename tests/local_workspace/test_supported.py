"""The list of what the local workspace answers is generated, complete and up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from devkit import cli
from local_workspace.server.routing import Request, route, routes_of
from local_workspace.server.state import Service
from local_workspace.server.supported import markdown
from local_workspace.services.registry import SERVICES
from tests.project import ROOT


class Example(Service):
    """A service with one route."""

    name = "example"

    @route("GET", "*/a/<int:number>/b/<path:rest>", differs="one | two")
    def answer(self, _request: Request) -> object:
        """Say ``hello``.

        Never shown.
        """
        return None


def test_the_committed_list_is_up_to_date() -> None:
    assert (ROOT / "docs" / "SUPPORTED.md").read_text(encoding="utf-8") == markdown(SERVICES)


def test_a_route_is_shown_with_its_first_line_and_its_difference() -> None:
    row = "| `GET /api/*/a/{number}/b/{rest}` | Say `hello`. | one \\| two |"
    assert row in markdown([Example]).splitlines()


def test_every_route_has_a_line_and_every_handler_says_what_it_does() -> None:
    text = markdown(SERVICES)
    assert text.count("| `") == len({(kind, name) for kind in SERVICES for _, name in routes_of(kind)})
    for kind in SERVICES:
        for each, name in routes_of(kind):
            assert getattr(kind, name).__doc__, each


def test_a_list_that_is_out_of_date_is_found_by_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "SUPPORTED.md"
    assert cli.main(["workspace", "supported", "--check", str(file)]) == 1
    assert "is not up to date" in capsys.readouterr().err
    assert cli.main(["workspace", "supported", "--write", str(file)]) == 0
    assert cli.main(["workspace", "supported", "--check", str(file)]) == 0
    assert cli.main(["workspace", "supported"]) == 0
    assert capsys.readouterr().out.endswith(file.read_text(encoding="utf-8"))
