"""Download one file of known hash and size: resumed after an interruption, verified, then renamed into place."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
from collections.abc import Callable
from pathlib import Path

from devkit.spark.repository import ADDRESS_VARIABLE, Repository, Response
from spark_utils.errors import RuntimeSetupError

CHUNK_BYTES = 1 << 18
ATTEMPTS = 4
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # statuses after which asking again may help


class DamagedFileError(Exception):
    """What arrived is not what the lock describes."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def download(
    repository: Repository,
    path: str,
    target: Path,
    *,
    name: str,
    sha256: str,
    size: int,
    received: Callable[[int], None],
    pause: Callable[[float], None],
) -> None:
    """Download one file to `target`, which appears only whole and verified.

    What has arrived is kept in ``<target>.part`` and continued by a range request, now or in a later process.

    Args:
        repository: Where to ask.
        path: The file's path below the repository's address.
        target: Where the file goes; its folder must exist.
        name: The coordinate, for error messages.
        sha256: The expected hash in hexadecimal.
        size: The expected size in bytes.
        received: Called with the number of bytes of each piece; negative when pieces are thrown away.
        pause: Waits that many seconds between attempts.

    Raises:
        RuntimeSetupError: The file cannot be had; names the coordinate, the address and the remedy.
    """
    part = target.with_name(target.name + ".part")
    if part.exists():
        received(part.stat().st_size)
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(2.0 ** (attempt - 1))
        try:
            _continue_part(repository, path, part, size, received)
            _check_part(part, sha256, size, received)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)  # the server's file is shorter than what had arrived
            elif error.code not in TRANSIENT or attempt == ATTEMPTS - 1:
                raise _refused(repository, path, name, error.code) from None
        except (OSError, http.client.HTTPException, DamagedFileError) as error:
            if attempt == ATTEMPTS - 1:
                raise _failed(repository, path, name, error) from None
        else:
            part.replace(target)
            return


def _continue_part(repository: Repository, path: str, part: Path, size: int, received: Callable[[int], None]) -> None:
    start = part.stat().st_size if part.exists() else 0
    if start == size:
        return  # interrupted between the last byte and the renaming
    if start > size:
        received(-start)
        part.unlink()
        start = 0
    response = repository.open(path, start)
    try:
        resumed = start > 0 and response.status == http.client.PARTIAL_CONTENT
        if start and not resumed:
            received(-start)  # the server sends all of it again
        with part.open("ab" if resumed else "wb") as handle:
            _copy(response, handle.write, size - (start if resumed else 0), received)
    finally:
        response.close()


def _copy(response: Response, write: Callable[[bytes], int], limit: int, received: Callable[[int], None]) -> None:
    while limit >= 0 and (piece := response.read(CHUNK_BYTES)):
        write(piece)
        received(len(piece))
        limit -= len(piece)


def _check_part(part: Path, sha256: str, size: int, received: Callable[[int], None]) -> None:
    found = part.stat().st_size
    if found < size:
        raise DamagedFileError(f"the connection ended after {found} of {size} bytes")
    if found > size or sha256_of(part) != sha256:
        received(-found)
        part.unlink()
        raise DamagedFileError(f"what arrived ({found} bytes) does not have the locked SHA-256 {sha256[:12]}…")


def _refused(repository: Repository, path: str, name: str, status: int) -> RuntimeSetupError:
    remedies = {
        401: "Give the repository's user name and password in the address or in ~/.m2/settings.xml.",
        403: "Ask whoever runs the repository for access, or use another one.",
        404: "Use a repository that carries this artifact.",
        407: "Give the proxy's user name and password in HTTPS_PROXY.",
    }
    return RuntimeSetupError(
        f"{name} cannot be fetched: HTTP status {status} at {repository.address}/{path}",
        origin=f"repository of {repository.origin}",
        remedy=remedies.get(status, "Try again later; what has arrived is kept.")
        + f" {ADDRESS_VARIABLE} chooses the repository.",
    )


def _failed(repository: Repository, path: str, name: str, error: Exception) -> RuntimeSetupError:
    reason = getattr(error, "reason", None) or error
    return RuntimeSetupError(
        f"{name} cannot be fetched: {reason} at {repository.address}/{path}",
        origin=f"repository of {repository.origin}",
        remedy="Check the network, HTTPS_PROXY and SSL_CERT_FILE and try again; what has arrived is kept. "
        f"{ADDRESS_VARIABLE} chooses another repository.",
    )
