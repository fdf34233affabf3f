"""Azure's clouds: which hosts belong together.

Source: https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure and
https://learn.microsoft.com/azure/china/resources-developer-guide (endpoints).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Cloud:
    """The domains of one cloud.

    Args:
        event_hubs: Of namespaces.
        storage: Of storage accounts, without the service (`dfs`, `blob`).
        login: The host of Microsoft Entra that gives tokens.
    """

    event_hubs: str
    storage: str
    login: str


PUBLIC: Final = Cloud("servicebus.windows.net", "core.windows.net", "login.microsoftonline.com")
CLOUDS: Final = (
    PUBLIC,
    Cloud("servicebus.usgovcloudapi.net", "core.usgovcloudapi.net", "login.microsoftonline.us"),
    Cloud("servicebus.chinacloudapi.cn", "core.chinacloudapi.cn", "login.chinacloudapi.cn"),
)


def cloud_of(host: str) -> Cloud:
    """Return the cloud that a namespace's or a storage account's host belongs to; the public one for any other host."""
    name = host.lower().rstrip(".")
    return next((each for each in CLOUDS if name.endswith((f".{each.event_hubs}", f".{each.storage}"))), PUBLIC)
