"""Where output lies, and how Spark authenticates to it.

A storage account's settings are those of the running session, which Spark hands to Hadoop with each read and write. The
environment page has none of them; the event log, the SQL page and `SET` show a secret one as redacted, because the
session is told to.

Sources: https://learn.microsoft.com/azure/databricks/connect/storage/azure-storage for the settings;
https://hadoop.apache.org/docs/stable/hadoop-azure/abfs.html for those of Azurite.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spark_utils.configuration.secrets import Secret
from spark_utils.errors import ConfigurationError
from spark_utils.sources.clouds import PUBLIC, cloud_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_utils.configuration.settings import StorageOptions

AZURITE_ACCOUNT: Final = "devstoreaccount1"
# Public and the same for everyone: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
AZURITE_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_REDACTION: Final = "spark.sql.redaction.options.regex"
_SECRETS: Final = r"fs\.azure\.(account\.(key|oauth2\.client\.secret)|sas\.fixed\.token)\."
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def resolve_path(text: str, folder: Path, *, storage: StorageOptions | None = None) -> str:
    """Return a path that means the same everywhere.

    Args:
        text: A URL or an absolute path, which stay, or a relative path.
        folder: Where a relative path starts.
        storage: With an account named, a relative path lies in its container instead.

    Returns:
        A URL or an absolute path.
    """
    if _URL.match(text) or text.startswith("/"):
        return text
    if text.startswith("~"):
        return str(Path(text).expanduser())
    if storage is not None and storage.account_name:
        return f"{container_url(storage.account_name, storage.container_name)}/{text}"
    return os.path.normpath(folder / text)


def container_url(account: str, container: str) -> str:
    """Return the URL of a container: `abfss://`, or `abfs://` (no TLS) for Azurite's account."""
    scheme = "abfs" if account == AZURITE_ACCOUNT else "abfss"
    return f"{scheme}://{container}@{account_host(account)}"


def account_host(account: str) -> str:
    """Return the host of an account that is given by its name (in the public cloud), or by a host of any cloud."""
    name = re.sub(r"^[a-z]+://|/+$", "", account.strip(), flags=re.IGNORECASE)
    return name.replace(".blob.", ".dfs.", 1) if "." in name else f"{name}.dfs.{PUBLIC.storage}"


def storage_settings(storage: StorageOptions) -> dict[str, str | Secret]:
    """Return the Hadoop settings that authenticate to the configured account; secrets still closed.

    Empty when no account is named, or when nothing is given to authenticate with: a Unity Catalog volume or external
    location needs nothing.
    """
    account = storage.account_name
    if not account:
        return {}
    host = account_host(account)
    if account == AZURITE_ACCOUNT:
        return _azurite_settings(host, storage)
    if storage.account_key is not None:
        return {
            f"fs.azure.account.auth.type.{host}": "SharedKey",
            f"fs.azure.account.key.{host}": storage.account_key,
        }
    if storage.sas_token is not None:
        return {
            f"fs.azure.account.auth.type.{host}": "SAS",
            f"fs.azure.sas.fixed.token.{host}": storage.sas_token,
        }
    if storage.client_secret is not None:
        return _oauth_settings(host, storage)
    return {}


def _oauth_settings(host: str, storage: StorageOptions) -> dict[str, str | Secret]:
    assert storage.client_secret is not None  # noqa: S101 - the caller asked
    return {
        f"fs.azure.account.auth.type.{host}": "OAuth",
        f"fs.azure.account.oauth.provider.type.{host}": (
            "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider"
        ),
        f"fs.azure.account.oauth2.client.endpoint.{host}": (
            f"https://{cloud_of(host).login}/{storage.tenant_id}/oauth2/token"
        ),
        f"fs.azure.account.oauth2.client.id.{host}": str(storage.client_id),
        f"fs.azure.account.oauth2.client.secret.{host}": storage.client_secret,
    }


def _azurite_settings(host: str, storage: StorageOptions) -> dict[str, str | Secret]:
    return {
        "fs.azure.abfs.endpoint": storage.endpoint,
        "fs.azure.account.hns.enabled": "false",
        "fs.azure.fns.account.service.type": "BLOB",
        "fs.azure.networking.library": "JDK_HTTP_URL_CONNECTION",
        "fs.azure.always.use.https": "false",
        "fs.azure.createRemoteFileSystemDuringInitialization": "true",
        "fs.azure.account.auth.type": "SharedKey",
        f"fs.azure.account.key.{host}": storage.account_key or Secret(AZURITE_KEY),
    }


def configure_storage(spark: SparkSession, storage: StorageOptions) -> None:
    """Let the session read and write the configured storage account; nothing to do without one.

    Args:
        spark: The running session, of either kind.
        storage: How to authenticate: `config.storage`.

    Raises:
        ConfigurationError: If a secret is found nowhere, or the session takes no such settings (serverless).
    """
    from pyspark.errors import PySparkException

    settings = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in storage_settings(storage).items()
    }
    if not settings:
        return
    try:
        redacted = str(spark.conf.get(_REDACTION))
        if _SECRETS not in redacted:
            spark.conf.set(_REDACTION, f"{redacted}|{_SECRETS}")
        for name, value in settings.items():
            spark.conf.set(name, value)
    except PySparkException:
        raise ConfigurationError(
            "this session does not let a job authenticate to a storage account by itself (serverless)",
            origin="--storage-account-name",
            remedy="Write to a Unity Catalog volume or external location and name no account, or use a cluster in "
            "dedicated access mode.",
        ) from None
