"""Search for secrets wherever a value can surface, in the spellings that it may have there."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urldefrag, urljoin, urlsplit

ENOUGH = 24  # characters of a random secret; a part of it is a leak too
LINK = re.compile(rb'(?:href|src|action)="([^"#]+)"')


def spellings(secret: str) -> set[bytes]:
    """How a secret, or its beginning, looks in text, a URL, HTML, JSON, and Base64."""
    start = secret[:ENOUGH]
    texts = {start, quote(start, safe=""), html.escape(start), json.dumps(start)[1:-1], start.replace("/", "\\/")}
    encoded = base64.b64encode(start.encode()).decode()[: len(start) // 3 * 4]  # whole groups only
    return {text.encode() for text in (*texts, encoded)}


def leaks(canaries: Mapping[str, str], content: bytes | str, place: str) -> list[str]:
    """Name each canary that stands in the content, and the place; never its value."""
    data = content.encode() if isinstance(content, str) else content
    return [
        f"{name} in {place}" for name, secret in canaries.items() if any(text in data for text in spellings(secret))
    ]


def leaks_in_folder(canaries: Mapping[str, str], folder: Path) -> list[str]:
    """Search every file's content and name."""
    assert folder.is_dir(), f"{folder} is not there, so nothing would be searched"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        leak
        for file in files
        for leak in (*leaks(canaries, file.read_bytes(), str(file)), *leaks(canaries, str(file), "a file's name"))
    ]


def leaks_in_process_list(canaries: Mapping[str, str]) -> list[str]:
    """Search the command line of every process, as `ps` shows it to every user."""
    return [
        leak
        for process in Path("/proc").glob("[0-9]*")
        for leak in leaks(canaries, _command_line(process), f"the command line of process {process.name}")
    ]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it ended meanwhile


def pages(start: str, limit: int = 150) -> Iterator[tuple[str, bytes]]:
    """Yield the pages of a web site, following its links; pages alike in all but numbers three times only."""
    waiting, seen, alike = [start], {start}, dict[str, int]()
    while waiting and limit:
        address = waiting.pop(0)
        kind = re.sub(r"\d+", "0", address)
        alike[kind] = alike.get(kind, 0) + 1
        if alike[kind] > 3 or "/kill" in address or address.endswith((".js", ".css", ".png", ".svg")):
            continue
        limit -= 1
        content = fetch(address)
        yield address, content
        for link in LINK.findall(content):
            target = urldefrag(urljoin(address, html.unescape(link.decode()))).url
            if target not in seen and urlsplit(target).netloc == urlsplit(start).netloc:
                seen.add(target)
                waiting.append(target)


def fetch(address: str) -> bytes:
    """Return a page; an error's page is a page too."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


def rest_pages(site: str) -> Iterator[tuple[str, bytes]]:
    """Yield what Spark's REST interface tells about the application that runs."""
    applications = fetch(f"{site}/api/v1/applications")
    application = json.loads(applications)[0]["id"]
    yield "applications", applications
    for name in ("environment", "sql?details=true&planDescription=true", "jobs", "stages", "executors", "storage/rdd"):
        yield name, fetch(f"{site}/api/v1/applications/{application}/{name}")
