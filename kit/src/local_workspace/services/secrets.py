"""Secret scopes, secrets and their access lists.

Source: https://docs.databricks.com/api/azure/workspace/secrets
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final

from databricks.sdk.service.workspace import AclItem, AclPermission, ScopeBackendType, SecretScope

from local_workspace.errors import ApiError, invalid, not_found
from local_workspace.server.routing import Request, from_base64, route
from local_workspace.server.state import Service

NAME: Final = re.compile(r"[\w.@-]{1,128}")
MAXIMUM_BYTES: Final = 128 * 1024


class Secrets(Service):
    """Scopes by name; secrets and access lists by ``scope/key`` and ``scope/principal``."""

    name = "secrets"

    def prepare(self) -> None:
        """Make the tables."""
        self.scopes = self.table("scopes", SecretScope)
        self.values = self.table("values", dict[str, Any])
        self.acls = self.table("acls", AclItem)

    @route("POST", "2.0/secrets/scopes/create", differs="a Key Vault is remembered, never asked: its scope is empty")
    def create_scope(self, request: Request) -> object:
        """Make a scope; 400 RESOURCE_ALREADY_EXISTS when there is one of that name."""
        name = _name(request, "scope")
        if name in self.scopes:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Scope {name} already exists!")
        backend = ScopeBackendType(request.get("scope_backend_type") or "DATABRICKS")
        vault = request.get("backend_azure_keyvault")
        if backend is ScopeBackendType.AZURE_KEYVAULT and not (vault or {}).get("resource_id"):
            raise invalid("A scope backed by a Key Vault needs backend_azure_keyvault.resource_id and dns_name")
        scope: dict[str, Any] = {"name": name, "backend_type": backend.value}
        if vault:
            scope["keyvault_metadata"] = vault
        self.scopes[name] = SecretScope.from_dict(scope)
        principal = request.get("initial_manage_principal") or self.state.identity.user_name
        self.acls[f"{name}/{principal}"] = AclItem(permission=AclPermission.MANAGE, principal=principal)
        return None

    @route("GET", "2.0/secrets/scopes/list")
    def list_scopes(self, _request: Request) -> object:
        """Return all scopes; this listing has no pages."""
        return {"scopes": [*self.scopes.values()]} if self.scopes else {}

    @route("POST", "2.0/secrets/scopes/delete")
    def delete_scope(self, request: Request) -> object:
        """Delete a scope with all that is in it."""
        name = self._scope(request)
        del self.scopes[name]
        self.values.forget(lambda key, _: key.startswith(f"{name}/"))
        self.acls.forget(lambda key, _: key.startswith(f"{name}/"))
        return None

    @route("POST", "2.0/secrets/put")
    def put_secret(self, request: Request) -> object:
        """Write a secret, text or bytes; an existing one is replaced."""
        scope = self._scope(request)
        if self.scopes[scope].backend_type is ScopeBackendType.AZURE_KEYVAULT:
            raise ApiError(400, "BAD_REQUEST", f"Scope {scope} is backed by a Key Vault: write the secret there")
        text, encoded = request.get("string_value"), request.get("bytes_value")
        if (text is None) == (encoded is None):
            raise invalid("Exactly one of string_value and bytes_value must be given")
        content = text.encode() if text is not None else from_base64("bytes_value", encoded)
        if len(content) > MAXIMUM_BYTES:
            raise ApiError(400, "MAX_SECRET_SIZE_EXCEEDED", f"A secret holds at most {MAXIMUM_BYTES} bytes")
        self.values[f"{scope}/{_name(request, 'key')}"] = {
            "value": base64.b64encode(content).decode(),
            "last_updated_timestamp": self.state.now(),
        }
        return None

    @route("GET", "2.0/secrets/get")
    def get_secret(self, request: Request) -> object:
        """Return a secret, base64."""
        key = _name(request, "key")
        return {"key": key, "value": self.values[self._secret(request)]["value"]}

    @route("GET", "2.0/secrets/list")
    def list_secrets(self, request: Request) -> object:
        """Return the keys of a scope, never the values; this listing has no pages."""
        prefix = self._scope(request) + "/"
        found = [(key.removeprefix(prefix), value) for key, value in self.values.items() if key.startswith(prefix)]
        listed = [{"key": k, "last_updated_timestamp": v["last_updated_timestamp"]} for k, v in sorted(found)]
        return {"secrets": listed} if listed else {}

    @route("POST", "2.0/secrets/delete")
    def delete_secret(self, request: Request) -> object:
        """Delete a secret."""
        del self.values[self._secret(request)]
        return None

    @route("POST", "2.0/secrets/acls/put")
    def put_acl(self, request: Request) -> object:
        """Give a principal a permission on a scope."""
        scope, principal = self._scope(request), str(request.required("principal"))
        permission = str(request.required("permission"))
        if permission not in AclPermission.__members__:
            raise invalid(f"permission must be one of {', '.join(AclPermission.__members__)}, not {permission!r}")
        self.acls[f"{scope}/{principal}"] = AclItem(permission=AclPermission[permission], principal=principal)
        return None

    @route("GET", "2.0/secrets/acls/get")
    def get_acl(self, request: Request) -> object:
        """Return a principal's permission on a scope."""
        return self.acls[self._acl(request)]

    @route("GET", "2.0/secrets/acls/list")
    def list_acls(self, request: Request) -> object:
        """Return who may do what with a scope."""
        prefix = self._scope(request) + "/"
        return {"items": [acl for key, acl in self.acls.items() if key.startswith(prefix)]}

    @route("POST", "2.0/secrets/acls/delete")
    def delete_acl(self, request: Request) -> object:
        """Take a principal's permission away."""
        del self.acls[self._acl(request)]
        return None

    def _scope(self, request: Request) -> str:
        name = str(request.required("scope"))
        if name not in self.scopes:
            raise not_found(f"Scope {name} does not exist!")
        return name

    def _secret(self, request: Request) -> str:
        scope, key = self._scope(request), str(request.required("key"))
        if f"{scope}/{key}" not in self.values:
            raise not_found(f"Secret does not exist with scope: {scope} and key: {key}")
        return f"{scope}/{key}"

    def _acl(self, request: Request) -> str:
        scope, principal = self._scope(request), str(request.required("principal"))
        if f"{scope}/{principal}" not in self.acls:
            raise not_found(f"Principal {principal} has no permission on scope {scope}")
        return f"{scope}/{principal}"


def _name(request: Request, field: str) -> str:
    name = str(request.required(field))
    if not NAME.fullmatch(name):
        raise invalid(f"{field} {name!r} must be 1 to 128 letters, digits, '-', '_', '@' or '.'")
    return name
