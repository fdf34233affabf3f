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

from devkit.deploy.declaration.model import Declaration, Desired, Json, Owner
from devkit.deploy.declaration.values import MARKER, Values, value_digest
from devkit.deploy.errors import DeploymentError, UnknownOutcome
from devkit.deploy.plan.model import Actual, ActualState
from devkit.deploy.resources.base import Context, Recording, Resource, concurrently, gone
from devkit.deploy.workspace.client import repeat
from spark_utils.errors import ConfigurationError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.workspace import SecretScope as Scope

MARKER_SCOPES: Final = "devkit-"


class SecretScopes(Resource):
    """Scopes with their access lists."""

    kind = "secret_scopes"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the scopes; of those that were deployed or are declared, owner and access list too."""
        client = recording.client
        scopes = {str(scope.name): scope for scope in client.secrets.list_scopes()}
        elsewhere = _markers_elsewhere(client, scopes)
        declared = {each.name for each in recording.desired(self.kind)}
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
            yield Actual(self.kind, name, name, body, owner, extra)

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Create a scope, mark it, and set its access list; one that an earlier attempt left is taken over."""
        from databricks.sdk.service.workspace import AzureKeyVaultSecretScopeMetadata, ScopeBackendType

        backend, vault = ScopeBackendType(body["backend_type"]), body.get("keyvault")
        metadata = AzureKeyVaultSecretScopeMetadata.from_dict(vault) if vault else None
        if vault:
            self._mark(context, desired, {})  # elsewhere, so it can be written before the scope exists
        _create_scope(context, desired.name, scope_backend_type=backend, backend_azure_keyvault=metadata)
        if not vault:
            self._mark(context, desired, {})
        self._allow(context, desired.name, body, {})
        return desired.name

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:
        """Set the access list and the marker."""
        marker = actual.extra.get("marker") or {}
        self._allow(context, desired.name, body, actual.body.get("acls") or {})
        for principal in marker.get("acls") or []:
            if principal not in body["acls"]:
                gone(partial(context.client.secrets.delete_acl, desired.name, principal))
        self._mark(context, desired, marker)

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a scope with its secrets."""
        gone(lambda: context.client.secrets.delete_scope(actual.name))
        if actual.body.get("backend_type") != "DATABRICKS" and actual.owner:
            scope = _marker_scope(actual.owner)
            gone(lambda: context.client.secrets.delete_secret(scope, actual.name))
            if not any(True for _ in context.client.secrets.list_secrets(scope)):
                gone(lambda: context.client.secrets.delete_scope(scope))

    def _mark(self, context: Context, desired: Desired, marker: dict[str, Any]) -> None:
        known = {"salt": random.token_hex(8), "secrets": {}, **marker}
        owner = context.owner(desired)
        content = {**known, "owner": str(owner), "acls": sorted(desired.body["acls"])}
        if desired.body["backend_type"] == "DATABRICKS":
            _write_marker(context.client, desired.name, content)
            return
        scope = _marker_scope(owner)
        if scope not in [each.name for each in context.client.secrets.list_scopes()]:
            _create_scope(context, scope, taken=True)
        _write_marker(context.client, scope, content, desired.name)

    def _allow(self, context: Context, scope: str, body: dict[str, Json], actual: dict[str, str]) -> None:
        from databricks.sdk.service.workspace import AclPermission

        for principal, level in (body.get("acls") or {}).items():
            if actual.get(principal) != level:
                context.client.secrets.put_acl(scope, principal, AclPermission(level))


class Secrets(Resource):
    """Secrets: their values are compared by salted digests, and never shown."""

    kind = "secrets"

    def record(self, recording: Recording) -> Iterable[Actual]:
        """Return the secrets of the scopes that were deployed, each with a digest of its value."""
        names = [
            (scope, str(secret.key))
            for scope in recording.found
            if scope.kind == "secret_scopes"
            and scope.extra.get("marker")
            and scope.body["backend_type"] == "DATABRICKS"
            for secret in recording.client.secrets.list_secrets(scope.name)
            if secret.key != MARKER
        ]
        recorded = concurrently(lambda pair: self._one(recording.client, *pair), names)
        return [actual for actual in recorded if actual is not None]

    def _one(self, client: WorkspaceClient, scope: Actual, key: str) -> Actual | None:
        from databricks.sdk.errors import NotFound

        if scope.owner and scope.name == _marker_scope(scope.owner):
            return None
        marker = scope.extra["marker"]
        try:
            value = base64.b64decode(client.secrets.get_secret(scope.name, key).value or "")
        except NotFound:
            return None  # deleted in between
        salt, name = marker.get("salt") or "", f"{scope.name}/{key}"
        owner = Owner.parse((marker.get("secrets") or {}).get(key))
        return Actual(self.kind, name, name, {"digest": value_digest(value, salt)}, owner, {"salt": salt})

    def create(self, context: Context, desired: Desired, body: dict[str, Json]) -> str:
        """Write a secret, after its scope's marker says that it is declared."""
        scope, key = desired.name.split("/", 1)
        value = context.values.get(desired.source or "", desired.origin)
        marker = _marker(context.client, scope) or {}
        declared = {**(marker.get("secrets") or {}), key: str(context.owner(desired))}
        if declared != marker.get("secrets"):
            _write_marker(context.client, scope, {"salt": random.token_hex(8), **marker, "secrets": declared})
        if body.get("binary"):
            context.client.secrets.put_secret(scope, key, bytes_value=base64.b64encode(value).decode())
        else:
            context.client.secrets.put_secret(scope, key, string_value=_text(desired, value))
        return desired.name

    def update(self, context: Context, desired: Desired, actual: Actual, body: dict[str, Json]) -> None:  # noqa: ARG002  # it is overwritten
        """Write a secret again."""
        self.create(context, desired, body)

    def delete(self, context: Context, actual: Actual) -> None:
        """Delete a secret, and then its entry in the marker."""
        scope, key = actual.name.split("/", 1)
        gone(lambda: context.client.secrets.delete_secret(scope, key))
        marker = _marker(context.client, scope)
        if marker and key in (marker.get("secrets") or {}):
            left = {name: owner for name, owner in marker["secrets"].items() if name != key}
            _write_marker(context.client, scope, {**marker, "secrets": left})


def secret_digests(declaration: Declaration, state: ActualState, values: Values) -> dict[str, str]:
    """Return the digests of the declared secrets that exist already and whose values are known here."""
    salts = {each.name: each.extra.get("salt") for each in state.of("secrets")}
    digests = {}
    for desired in declaration.of("secrets"):
        salt = salts.get(desired.name)
        if not salt or desired.source is None:
            continue
        try:
            digests[desired.address] = value_digest(values.get(desired.source, desired.origin), salt)
        except ConfigurationError:
            continue  # it is compared where its value is known: at the apply
    return digests


def _text(desired: Desired, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        remedy = "Declare it with `binary: true` to store bytes."
        problem = f"the value of the secret {desired.name!r} is not text"
        raise DeploymentError(problem, origin=desired.origin, remedy=remedy) from None


def _write_marker(client: WorkspaceClient, scope: str, content: dict[str, Any], key: str = MARKER) -> None:
    client.secrets.put_secret(scope, key, string_value=json.dumps(content))


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
    holders = [name for name in scopes if name.startswith(MARKER_SCOPES)]
    keys = [(name, str(secret.key)) for name in holders for secret in client.secrets.list_secrets(name)]
    markers = {key: _marker(client, name, key) for name, key in keys if key != MARKER}
    return {key: marker for key, marker in markers.items() if marker}


def _marker_scope(owner: Owner) -> str:
    return f"{MARKER_SCOPES}{owner.project}-{owner.environment}"


def _create_scope(context: Context, name: str, *, taken: bool = False, **settings: Any) -> None:
    """Create a scope; one that a lost answer left behind is taken over, and with `taken` any other too."""
    from databricks.sdk.core import DatabricksError

    lost = taken

    def create() -> None:
        nonlocal lost
        try:
            context.client.secrets.create_scope(name, **settings)
        except UnknownOutcome:
            lost = True
            raise
        except DatabricksError as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or not lost:
                raise

    repeat(create, context.clock)
