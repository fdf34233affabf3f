"""The event hub of this machine (`devkit hub up --tls`): what a client of Azure's must know to be let in there.

Its certificate is of nobody's making, and its tokens come from itself; the kit leaves both facts in the cache folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spark_utils.configuration.secrets import cache_folder
from spark_utils.errors import ConfigurationError

CERTIFICATE: Final = "certificate.pem"
TOKEN_ENDPOINT: Final = "token-endpoint"  # noqa: S105 - a file's name


def is_local(host: str) -> bool:
    """Return whether a namespace's host is this machine by name."""
    return host.lower() in ("localhost", "127.0.0.1")


def local_hub_file(name: str) -> Path:
    """Return a file of the local hub.

    Raises:
        ConfigurationError: It is not there: the hub has no listener with TLS.
    """
    file = cache_folder().absolute() / "hub" / name
    if not file.is_file():
        raise ConfigurationError(
            f"the event hub of this machine has no listener with TLS: there is no {file}",
            remedy="Start it with `devkit hub up --tls`, or use a connection string with UseDevelopmentEmulator=true.",
        )
    return file
