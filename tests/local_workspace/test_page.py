"""What is served of the web page; `tests/long/test_page.py` uses it in a browser."""

from __future__ import annotations

import re

import pytest
import requests

from local_workspace import Workspace


def test_scripts_come_from_here_only_and_none_is_inline(workspace: Workspace) -> None:
    answer = requests.get(workspace.host, timeout=60)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "onclick" not in answer.text
    assert re.findall(r"<script.*?</script>", answer.text, re.DOTALL) == [
        '<script type="module" src="/page/page.js"></script>'
    ]


@pytest.mark.parametrize(("name", "status"), [("page.js", 200), ("%2e%2e%2fstate.py", 404), ("none.js", 404)])
def test_the_files_of_the_page_are_served_and_no_others(workspace: Workspace, name: str, status: int) -> None:
    assert requests.get(f"{workspace.host}/page/{name}", timeout=60).status_code == status
