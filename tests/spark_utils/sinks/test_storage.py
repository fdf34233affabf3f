"""Where output lies, and the Hadoop settings that authenticate to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import SparkRuntimeException
from pyspark.sql import SparkSession

from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.settings import StorageOptions
from spark_utils.configuration.show_config import show_config
from spark_utils.errors import ConfigurationError
from spark_utils.sinks.storage import AZURITE_ACCOUNT, configure_storage, resolve_path, storage_settings

KEY = Secret("canary")
HOST = "lake.dfs.core.windows.net"


def settings(**values: Any) -> dict[str, str]:
    found = storage_settings(StorageOptions(**values))
    assert "canary" not in repr(found)
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in found.items()}


def test_without_an_account_there_is_nothing_to_set() -> None:
    assert settings() == {}


def test_an_account_without_credentials_is_left_to_unity_catalog() -> None:
    assert settings(account_name="lake") == {}


def test_an_account_key_is_set_for_its_account_only() -> None:
    assert settings(account_name="lake", account_key=KEY) == {
        f"fs.azure.account.auth.type.{HOST}": "SharedKey",
        f"fs.azure.account.key.{HOST}": "canary",
    }


def test_a_shared_access_signature_is_a_fixed_token() -> None:
    assert settings(account_name="lake", sas_token=KEY) == {
        f"fs.azure.account.auth.type.{HOST}": "SAS",
        f"fs.azure.sas.fixed.token.{HOST}": "canary",
    }


def test_a_service_principal_fetches_tokens_from_its_tenant() -> None:
    found = settings(account_name="lake", tenant_id="t", client_id="c", client_secret=KEY)
    assert found == {
        f"fs.azure.account.auth.type.{HOST}": "OAuth",
        f"fs.azure.account.oauth.provider.type.{HOST}": "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider",
        f"fs.azure.account.oauth2.client.endpoint.{HOST}": "https://login.microsoftonline.com/t/oauth2/token",
        f"fs.azure.account.oauth2.client.id.{HOST}": "c",
        f"fs.azure.account.oauth2.client.secret.{HOST}": "canary",
    }


@pytest.mark.parametrize(
    ("account", "host", "login"),
    [
        ("lake.dfs.core.usgovcloudapi.net", "lake.dfs.core.usgovcloudapi.net", "login.microsoftonline.us"),
        ("https://lake.blob.core.chinacloudapi.cn/", "lake.dfs.core.chinacloudapi.cn", "login.chinacloudapi.cn"),
    ],
)
def test_an_account_of_a_sovereign_cloud_has_its_hosts(account: str, host: str, login: str) -> None:
    found = settings(account_name=account, tenant_id="t", client_id="c", client_secret=KEY)
    assert found[f"fs.azure.account.oauth2.client.endpoint.{host}"] == f"https://{login}/t/oauth2/token"
    resolved = resolve_path("t", Path("/work"), storage=StorageOptions(account_name=account))
    assert resolved == f"abfss://data@{host}/t"


def test_azurite_needs_its_endpoint_and_no_key_of_ones_own() -> None:
    found = settings(account_name=AZURITE_ACCOUNT, endpoint="127.0.0.1:10005")
    assert found["fs.azure.abfs.endpoint"] == "127.0.0.1:10005"
    assert found["fs.azure.always.use.https"] == "false"
    assert found["fs.azure.account.key.devstoreaccount1.dfs.core.windows.net"].startswith("Eby8vdM02x")


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("t", {}, "/work/t"),
        ("../t", {}, "/t"),
        ("my data/t", {}, "/work/my data/t"),
        ("/t", {"account_name": "lake"}, "/t"),
        ("t", {"account_name": "lake"}, f"abfss://data@{HOST}/t"),
        ("t", {"account_name": "lake", "container_name": "raw"}, f"abfss://raw@{HOST}/t"),
        ("t", {"account_name": AZURITE_ACCOUNT}, "abfs://data@devstoreaccount1.dfs.core.windows.net/t"),
    ],
)
def test_a_path_means_the_same_everywhere(text: str, values: dict[str, Any], expected: str) -> None:
    assert resolve_path(text, Path("/work"), storage=StorageOptions(**values)) == expected


def test_the_session_has_the_settings_and_shows_no_secret_of_them(each_spark: SparkSession) -> None:
    name = f"fs.azure.account.key.{HOST}"
    configure_storage(each_spark, StorageOptions(account_name="lake", account_key=KEY))
    try:
        assert each_spark.conf.get(name) == "canary"
        assert (name, "***") in show_config(each_spark).rows
        shown = {row.key: row.value for row in each_spark.sql("SET").collect()}
        assert shown[name] == "*********(redacted)"
        assert shown[f"fs.azure.account.auth.type.{HOST}"] == "SharedKey"
    finally:
        each_spark.conf.unset(name)


class Serverless:
    """What a serverless session looks like to this function: it takes hardly any setting."""

    @property
    def conf(self) -> Serverless:
        return self

    def get(self, name: str) -> str:
        raise SparkRuntimeException(f"[CONFIG_NOT_AVAILABLE] Configuration {name} is not available")


def test_a_session_that_takes_no_settings_is_told_with_the_remedy() -> None:
    config = StorageOptions(account_name="lake", account_key=KEY)
    with pytest.raises(ConfigurationError, match="Unity Catalog volume") as caught:
        configure_storage(Serverless(), config)  # type: ignore[arg-type]  # as little of a session as is looked at
    assert "canary" not in str(caught.value)


def test_a_session_that_takes_no_settings_serves_a_job_without_an_account() -> None:
    configure_storage(Serverless(), StorageOptions())  # type: ignore[arg-type]  # it is not looked at
