"""Which Maven repository jars come from, and how it is asked."""

from __future__ import annotations

import base64
import os
import re
import urllib.request
import zipfile
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit
from xml.etree import ElementTree

from devkit.spark.runtimes import installed_spark
from spark_utils.errors import RuntimeSetupError

ADDRESS_VARIABLE = "SPARK_DEVKIT_MAVEN_REPOSITORY"
TIMEOUT_SECONDS = 60


class Response(Protocol):
    """The part of an HTTP response that a download reads."""

    status: int
    headers: Message

    def read(self, amount: int = -1, /) -> bytes:
        """Read up to `amount` bytes."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True)
class Repository:
    """A Maven repository.

    Attributes:
        address: Its address without user name and password, so that it may be shown.
        origin: Where the address came from, for error messages.
        credentials: The user name and password as one ``Authorization`` header, or nothing.
    """

    address: str
    origin: str
    credentials: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, address: str, origin: str, user: str = "", password: str = "") -> Repository:
        """Take user name and password out of an address (or given apart) so that nothing shows them."""
        parts = urlsplit(address.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RuntimeSetupError(
                f"the Maven repository address is not an http or https address: {_without_user(address)!r}",
                origin=origin,
                remedy=f"Set {ADDRESS_VARIABLE} to the root of a Maven repository.",
            )
        user = user or unquote(parts.username or "")
        password = password or unquote(parts.password or "")
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(_without_user(address).rstrip("/"), origin, f"Basic {pair}" if user else None)

    def open(self, path: str, start: int = 0) -> Response:
        """Ask for one file, from byte `start` on; proxies and certificates are found in the usual variables."""
        request = urllib.request.Request(f"{self.address}/{path}")  # noqa: S310 - only http(s) passes `of`
        request.add_header("User-Agent", "spark-devkit")
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self.credentials:  # unredirected: a redirect to another host must not carry the password there
            request.add_unredirected_header("Authorization", self.credentials)
        response: Response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - as above
        return response


def find_repository() -> Repository:
    """Return the repository to use.

    In this order: ``SPARK_DEVKIT_MAVEN_REPOSITORY``; the mirror of ``central`` in ``~/.m2/settings.xml``, with
    its server's user name and password; the address that Spark's own resolver (Ivy) has built in.

    Raises:
        RuntimeSetupError: None of the three gives an address.
    """
    address = os.environ.get(ADDRESS_VARIABLE)
    if address:
        return Repository.of(address, f"environment variable {ADDRESS_VARIABLE}")
    return _from_maven_settings(Path("~/.m2/settings.xml").expanduser()) or _from_ivy()


def _without_user(address: str) -> str:
    parts = urlsplit(address.strip())
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _from_maven_settings(settings: Path) -> Repository | None:
    """Read the mirror as Maven does: https://maven.apache.org/guides/mini/guide-mirror-settings.html."""
    if not settings.is_file():
        return None
    try:
        root = ElementTree.parse(settings).getroot()  # noqa: S314 - the user's own file
    except ElementTree.ParseError as error:
        raise RuntimeSetupError(
            f"Maven's settings are not well-formed XML: {error}",
            origin=str(settings),
            remedy=f"Repair the file, or set {ADDRESS_VARIABLE}.",
        ) from error
    for mirror in root.findall("{*}mirrors/{*}mirror"):
        url = _text(mirror, "url")
        if url and _mirrors_central(_text(mirror, "mirrorOf")):
            user, password = _server(root, _text(mirror, "id"))
            return Repository.of(url, str(settings), user, password)
    return None


def _server(root: ElementTree.Element, identity: str) -> tuple[str, str]:
    for server in root.findall("{*}servers/{*}server"):
        if _text(server, "id") == identity:
            return _text(server, "username"), _text(server, "password")
    return "", ""


def _text(element: ElementTree.Element, name: str) -> str:
    text = (element.findtext(f"{{*}}{name}") or "").strip()
    return re.sub(r"\$\{env\.(\w+)\}", lambda found: os.environ.get(found[1], ""), text)


def _mirrors_central(mirror_of: str) -> bool:
    names = {name.strip() for name in mirror_of.split(",")}
    return "!central" not in names and bool(names & {"central", "*", "external:*"})


def _from_ivy() -> Repository:
    """Spark resolves `spark.jars.packages` with Ivy, whose default root is a constant of one class."""
    jars = sorted((installed_spark() / "jars").glob("ivy-*.jar"))
    if jars:
        with zipfile.ZipFile(jars[0]) as jar:
            constants = jar.read("org/apache/ivy/plugins/resolver/IBiblioResolver.class")
        found = re.search(rb"https://[\x21-\x7e]+", constants)
        if found:
            return Repository.of(found[0].decode(), f"Spark's own {jars[0].name}")
    raise RuntimeSetupError(
        "no Maven repository address is known: this pyspark has no Ivy jar",
        remedy=f"Set {ADDRESS_VARIABLE} to the root of a Maven repository.",
    )
