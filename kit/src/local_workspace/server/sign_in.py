"""The sign-in endpoints: what clients ask before they hold a token.

* ``/.well-known/databricks-config`` and ``/oidc/.well-known/oauth-authorization-server``: discovery.
* ``/oidc/v1/token``: OAuth for service principals of Databricks.
* ``/<tenant>/oauth2/token`` and ``/<tenant>/oauth2/v2.0/token``: what Microsoft's login endpoint answers to an Azure
  service principal, for ``Config(databricks_environment=…)`` with this server as ``azure_environment``.

Sources: https://docs.databricks.com/dev-tools/auth/oauth-m2m and
https://learn.microsoft.com/azure/databricks/dev-tools/service-prin-aad-token
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Final

from werkzeug.wrappers import Request as HttpRequest

from local_workspace.errors import ApiError
from local_workspace.server.routing import Reply

TOKEN_PATH: Final = re.compile(r"/oidc/v1/token|/(?!api/|oidc/)[^/]+/oauth2/(v2\.0/)?token")
TOKEN_SECONDS: Final = 3600


class SignIn:
    """Answers the calls that need no token, and remembers the service principals that may sign in.

    Args:
        host: The address of the server.
        workspace_id: Of the first workspace, for discovery.
        admit: Told of each token issued and of the workspace's token that it stands for.
    """

    def __init__(self, host: str, workspace_id: int, admit: Callable[[str, str], None]) -> None:
        self._host = host
        self._workspace_id = workspace_id
        self._admit = admit
        self._principals: dict[tuple[str, str], str] = {}
        self.issued = 0

    def add_service_principal(self, client_id: str, client_secret: str, token: str) -> None:
        """Let a service principal sign in to the workspace that `token` opens."""
        self._principals[client_id, client_secret] = token

    def answer(self, request: HttpRequest) -> Reply | None:
        """Answer discovery and sign-in; None for every other call.

        Raises:
            ApiError: 401 when a service principal is unknown or its secret is wrong.
        """
        if request.method == "GET" and request.path.startswith(("/.well-known/", "/oidc/.well-known/")):
            return self._discovery(request.path)
        if request.method == "POST" and TOKEN_PATH.fullmatch(request.path):
            return self._issue(request)
        return None

    def _discovery(self, path: str) -> Reply | None:
        oidc = f"{self._host}/oidc"
        if path == "/.well-known/databricks-config":
            return _json({"oidc_endpoint": oidc, "workspace_id": str(self._workspace_id), "cloud": "azure"})
        if path == "/oidc/.well-known/oauth-authorization-server":
            return _json({"authorization_endpoint": f"{oidc}/v1/authorize", "token_endpoint": f"{oidc}/v1/token"})
        return None

    def _issue(self, request: HttpRequest) -> Reply:
        client_id, client_secret = _credentials(request)
        workspace_token = self._principals.get((client_id, client_secret))
        if workspace_token is None:
            message = f"The service principal {client_id!r} is unknown or its secret is wrong"
            raise ApiError(401, "invalid_client", message)
        issued = f"local-{secrets.token_hex(16)}"
        self._admit(issued, workspace_token)
        self.issued += 1
        return _json({"access_token": issued, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})


def _credentials(request: HttpRequest) -> tuple[str, str]:
    """Read id and secret from the form, or from basic authentication."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, client_secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            raise ApiError(401, "invalid_client", "The basic authentication is not base64 of UTF-8") from None
        return client_id, client_secret
    return request.form.get("client_id", ""), request.form.get("client_secret", "")


def _json(content: dict[str, Any]) -> Reply:
    return Reply(json.dumps(content).encode(), content_type="application/json")
