"""Secret scopes and secrets. A marker secret in an owned scope says whose it is, and which secrets were declared.

A scope backed by a Key Vault takes no secrets: its marker lies in the scope ``devkit-<project>-<environment>``.
"""

from __future__ import annotations

import base64
import json
import secrets as random
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.errors import DeploymentError, UnknownOutcome
from devkit.deploy.kinds.base import Context, Operations, Recording, each, gone
from devkit.deploy.model import Action, Found, Json, Owner, Wanted
from devkit.deploy.values import MARKER, value_digest

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.workspace import SecretScope as Scope

MARKER_SCOPES: Final = "devkit-"


class SecretScopes(Operations):
    """Scopes with their access lists."""

    kind = "secret_scopes"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the scopes; of those that were deployed, whose they are and who may read them."""
        client = recording.client
        scopes = {str(scope.name): scope for scope in client.secrets.list_scopes()}
        elsewhere = _markers_elsewhere(client, scopes)
        declared = {each.name for each in recording.wanted if each.kind == self.kind}
        for name, scope in scopes.items():
            vault = scope.keyvault_metadata
            backend = scope.backend_type.value if scope.backend_type else "DATABRICKS"
            marker = elsewhere.get(name) if backend != "DATABRICKS" else _marker(client, name)
            owner = Owner.parse((marker or {}).get("owner"))
            body: dict[str, Any] = {"backend_type": backend, "keyvault": vault.as_dict() if vault else None}
            if owner or name in declared:
                listed = client.secrets.list_acls(name)
                body["acls"] = {str(acl.principal): acl.permission.value for acl in listed if acl.permission}
            extra: dict[str, Any] = {"marker": marker} if marker else {}
            if name in declared and not marker and backend == "DATABRICKS":
                extra["empty"] = not list(client.secrets.list_secrets(name))
            yield Found(self.kind, name, name, body, owner, extra)

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Create a scope, mark it, and set its access list; one that an earlier try left is taken on."""
        from databricks.sdk.service.workspace import AzureKeyVaultSecretScopeMetadata, ScopeBackendType

        backend, vault = ScopeBackendType(body["backend_type"]), body.get("keyvault")
        metadata = AzureKeyVaultSecretScopeMetadata.from_dict(vault) if vault else None
        if vault:
            self._mark(context, wanted, {})  # elsewhere, so it can be told before there is a scope
        _create_scope(context, wanted.name, scope_backend_type=backend, backend_azure_keyvault=metadata)
        if not vault:
            self._mark(context, wanted, {})
        self._allow(context, wanted.name, body, {})
        return wanted.name

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Set the access list and the marker."""
        wanted, found = action.wanted, action.found
        assert wanted is not None and found is not None  # noqa: S101, PT018  # an update has both
        self._allow(context, wanted.name, body, found.body.get("acls") or {})
        for principal in (found.extra.get("marker") or {}).get("acls") or []:
            if principal not in body["acls"]:
                gone(partial(context.client.secrets.delete_acl, wanted.name, principal))
        self._mark(context, wanted, found.extra.get("marker") or {})

    def delete(self, context: Context, found: Found) -> None:
        """Delete a scope with all that is in it."""
        gone(lambda: context.client.secrets.delete_scope(found.name))
        if found.body.get("backend_type") != "DATABRICKS" and found.owner:
            scope = _marker_scope(found.owner.project, found.owner.environment)
            gone(lambda: context.client.secrets.delete_secret(scope, found.name))
            if not any(True for _ in context.client.secrets.list_secrets(scope)):
                gone(lambda: context.client.secrets.delete_scope(scope))

    def _mark(self, context: Context, wanted: Wanted, marker: dict[str, Any]) -> None:
        known = {"salt": random.token_hex(8), "secrets": {}, **marker}
        content = {**known, "owner": str(context.owner(wanted)), "acls": sorted(wanted.body["acls"])}
        if wanted.body["backend_type"] == "DATABRICKS":
            write_marker(context.client, wanted.name, content)
            return
        declaration = context.declaration
        scope = _marker_scope(declaration.project, declaration.environment)
        if scope not in [each.name for each in context.client.secrets.list_scopes()]:
            _create_scope(context, scope, taken=True)
        context.client.secrets.put_secret(scope, wanted.name, string_value=json.dumps(content))

    def _allow(self, context: Context, scope: str, body: dict[str, Json], found: dict[str, str]) -> None:
        from databricks.sdk.service.workspace import AclPermission

        for principal, level in (body.get("acls") or {}).items():
            if found.get(principal) != level:
                context.client.secrets.put_acl(scope, principal, AclPermission(level))


class Secrets(Operations):
    """Secrets: their values are compared by salted digests, and are shown nowhere."""

    kind = "secrets"

    def record(self, recording: Recording) -> Iterable[Found]:
        """Return the secrets of the scopes that were deployed, each with a digest of its value."""
        scopes = [found for found in recording.found if found.kind == "secret_scopes" and found.extra.get("marker")]
        names = []
        for scope in scopes:
            listed = (
                recording.client.secrets.list_secrets(scope.name) if scope.body["backend_type"] == "DATABRICKS" else []
            )
            names += [(scope, str(secret.key)) for secret in listed if secret.key != MARKER]
        return [found for found in each(lambda pair: self._one(recording.client, *pair), names) if found is not None]

    def _one(self, client: WorkspaceClient, scope: Found, key: str) -> Found | None:
        from databricks.sdk.errors import NotFound

        if scope.owner and scope.name == _marker_scope(scope.owner.project, scope.owner.environment):
            return None
        marker = scope.extra["marker"]
        try:
            value = base64.b64decode(client.secrets.get_secret(scope.name, key).value or "")
        except NotFound:
            return None  # deleted in between
        salt = marker.get("salt") or ""
        owner = Owner.parse((marker.get("secrets") or {}).get(key))
        body = {"digest": value_digest(value, salt)}
        return Found(self.kind, f"{scope.name}/{key}", f"{scope.name}/{key}", body, owner, {"salt": salt})

    def create(self, context: Context, wanted: Wanted, body: dict[str, Json]) -> str:
        """Write a secret, after its scope's marker says that it is declared."""
        scope, key = wanted.name.split("/", 1)
        value = context.values.get(wanted.source or "", wanted.origin)
        marker = _marker(context.client, scope) or {}
        declared = {**(marker.get("secrets") or {}), key: str(context.owner(wanted))}
        if declared != marker.get("secrets"):
            write_marker(context.client, scope, {"salt": random.token_hex(8), **marker, "secrets": declared})
        if body.get("binary"):
            encoded = base64.b64encode(value).decode()
            context.client.secrets.put_secret(scope, key, bytes_value=encoded)
        else:
            context.client.secrets.put_secret(scope, key, string_value=_text(wanted, value))
        return wanted.name

    def update(self, context: Context, action: Action, body: dict[str, Json]) -> None:
        """Write a secret again."""
        assert action.wanted is not None  # noqa: S101  # an update has it
        self.create(context, action.wanted, body)

    def delete(self, context: Context, found: Found) -> None:
        """Delete a secret, and then its place in the marker."""
        from databricks.sdk.errors import NotFound

        scope, key = found.name.split("/", 1)
        gone(lambda: context.client.secrets.delete_secret(scope, key))
        try:
            marker = _marker(context.client, scope)
        except NotFound:
            return
        if marker and key in (marker.get("secrets") or {}):
            left = {name: owner for name, owner in marker["secrets"].items() if name != key}
            write_marker(context.client, scope, {**marker, "secrets": left})


def _text(wanted: Wanted, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        problem = f"the value of the secret {wanted.name!r} is no text"
        raise DeploymentError(
            problem, origin=wanted.origin, remedy="To store bytes, declare it with `binary: true`."
        ) from None


def write_marker(client: WorkspaceClient, scope: str, content: dict[str, Any]) -> None:
    """Write the secret that says whose a scope is."""
    client.secrets.put_secret(scope, MARKER, string_value=json.dumps(content))


def _marker(client: WorkspaceClient, scope: str, key: str = MARKER) -> dict[str, Any] | None:
    from databricks.sdk.errors import NotFound, PermissionDenied

    try:
        text = base64.b64decode(client.secrets.get_secret(scope, key).value or "").decode()
        content: dict[str, Any] = json.loads(text)
    except (NotFound, PermissionDenied, ValueError):
        return None
    return content


def _markers_elsewhere(client: WorkspaceClient, scopes: dict[str, Scope]) -> dict[str, dict[str, Any]]:
    """Return the markers of scopes that take none themselves."""
    markers = {}
    for holder in (name for name in scopes if name.startswith(MARKER_SCOPES)):
        for secret in client.secrets.list_secrets(holder):
            marker = _marker(client, holder, str(secret.key)) if secret.key != MARKER else None
            if marker:
                markers[str(secret.key)] = marker
    return markers


def _marker_scope(project: str, environment: str) -> str:
    return f"{MARKER_SCOPES}{project}-{environment}"


def _create_scope(context: Context, name: str, *, taken: bool = False, **settings: Any) -> None:
    """Create a scope; one that a lost answer left behind is taken, and any other one too if `taken`."""
    from databricks.sdk.core import DatabricksError

    lost: UnknownOutcome | None = None
    for attempt in range(6):
        try:
            context.client.secrets.create_scope(name, **settings)
        except UnknownOutcome as error:
            lost = error
            context.clock.sleep(0.5 * 2**attempt)
        except DatabricksError as error:
            if error.error_code == "RESOURCE_ALREADY_EXISTS" and (taken or lost is not None):
                return
            raise
        else:
            return
    raise lost or UnknownOutcome(f"the scope {name!r} was not created")
