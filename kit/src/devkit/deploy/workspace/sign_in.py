"""Signing in: every way that the SDK knows, from the environment's file, a profile, variables or a Key Vault.

=========================  ======================================================================================
personal access token      ``DATABRICKS_TOKEN``, ``token: ${env.NAME}`` or ``token: ${key_vault.VAULT/NAME}``
token of Azure             the same: the service takes it as a bearer token
Azure service principal    ``ARM_CLIENT_ID``, ``ARM_CLIENT_SECRET``, ``ARM_TENANT_ID``, or ``azure_client_…``
Azure command line         ``auth_type: azure-cli`` after ``az login``
OAuth, machine to machine  ``DATABRICKS_CLIENT_ID``, ``DATABRICKS_CLIENT_SECRET``, or ``client_…``
profile                    ``profile: NAME`` of ``~/.databrickscfg``
=========================  ======================================================================================

Source: https://docs.databricks.com/dev-tools/auth
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from devkit.deploy.declaration.values import Values
from devkit.deploy.errors import DeploymentError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.clock import Clock

    from devkit.deploy.workspace.client import RetryPolicy

OURS: Final = ("root", "volume_root", "repos_root", "proxy", "login_endpoint")
DATABRICKS_ON_AZURE: Final = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"  # the application that tokens are asked for


def sign_in(
    settings: Mapping[str, Any],
    values: Values | None = None,
    clock: Clock | None = None,
    policy: RetryPolicy | None = None,
) -> WorkspaceClient:
    """Return a client of the workspace that an environment's file names.

    Args:
        settings: Its ``workspace`` mapping; what it does not say comes from the profile and the variables.
        values: Where references to secrets are looked up.
        clock: The clock that pauses are taken on.
        policy: How often calls are repeated.

    Raises:
        DeploymentError: If the workspace is not named, or no way of signing in is configured.
    """
    from databricks.sdk.core import Config

    from devkit.deploy.workspace.client import connect

    values = values or Values()
    given: dict[str, Any] = {
        name: values.text(value, f"workspace.{name}") for name, value in settings.items() if name not in OURS and value
    }
    if settings.get("login_endpoint"):
        given["databricks_environment"] = _azure_at(str(settings["login_endpoint"]))
    proxy = str(settings.get("proxy") or "")
    try:
        return connect(Config(**given), clock, policy, proxy)
    except ValueError as error:
        from spark_utils.redaction import redact

        remedy = "Set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a `profile` in the environment's file."
        raise DeploymentError(f"cannot sign in: {redact(str(error), values.revealed)}", remedy=remedy) from None


def _azure_at(login_endpoint: str) -> Any:
    """Return an Azure whose login endpoint is not Microsoft's: one of another cloud, or of this machine."""
    from databricks.sdk.environments import AzureEnvironment, Cloud, DatabricksEnvironment

    endpoint = login_endpoint.rstrip("/") + "/"
    azure = AzureEnvironment("LOCAL", endpoint, endpoint, endpoint)
    return DatabricksEnvironment(Cloud.AZURE, "", DATABRICKS_ON_AZURE, azure)
