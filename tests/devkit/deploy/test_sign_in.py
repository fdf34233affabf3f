"""Every way of signing in, against the local workspace's own login endpoints; a proxy; a Key Vault."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from devkit.deploy.declaration.values import Values
from devkit.deploy.errors import DeploymentError
from devkit.deploy.workspace.sign_in import sign_in
from local_workspace import Workspace
from spark_utils.errors import ConfigurationError
from tests.devkit.deploy.gateways import Proxy, Vault, served
from tests.devkit.deploy.kit import CANARY
from tests.patience import PATIENCE

ME = "engineer@localhost"


@pytest.fixture(autouse=True)
def nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))


def who(settings: dict[str, Any], values: Values | None = None) -> str:
    return str(sign_in(settings, values).current_user.me().user_name)


def test_a_token_from_the_variables(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    assert who({}) == ME


def test_a_token_that_the_environments_file_refers_to(workspace: Workspace) -> None:
    values = Values(environ={"MY_TOKEN": workspace.token})
    assert who({"host": workspace.host, "token": "${env.MY_TOKEN}"}, values) == ME


def test_a_profile(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "databrickscfg").write_text(f"[preprod]\nhost = {workspace.host}\ntoken = {workspace.token}\n")
    assert who({"profile": "preprod"}) == ME


def test_a_token_of_azure_is_taken_as_a_bearer_token(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = azure_token(workspace)
    monkeypatch.setenv("DATABRICKS_TOKEN", issued)
    assert who({"host": workspace.host, "auth_type": "pat"}) == ME


def azure_token(workspace: Workspace) -> str:
    workspace.sign_in.add_service_principal("app", "secret", workspace.token)
    form = {"client_id": "app", "client_secret": "secret", "grant_type": "client_credentials"}
    answer = requests.post(f"{workspace.host}/tenant/oauth2/token", data=form, timeout=PATIENCE)
    return str(answer.json()["access_token"])


def test_an_azure_service_principal_signs_in_at_the_login_endpoint(workspace: Workspace) -> None:
    workspace.sign_in.add_service_principal("app", CANARY, workspace.token)
    settings = {
        "host": workspace.host,
        "login_endpoint": workspace.host,
        "auth_type": "azure-client-secret",
        "azure_client_id": "app",
        "azure_client_secret": "${env.ARM_SECRET}",
        "azure_tenant_id": "tenant",
    }
    before = workspace.sign_in.issued
    assert who(settings, Values(environ={"ARM_SECRET": CANARY})) == ME
    assert workspace.sign_in.issued > before


def test_a_wrong_secret_is_refused_and_not_shown(workspace: Workspace) -> None:
    settings = {
        "host": workspace.host,
        "login_endpoint": workspace.host,
        "auth_type": "azure-client-secret",
        "azure_client_id": "app",
        "azure_client_secret": "${env.ARM_SECRET}",
        "azure_tenant_id": "tenant",
    }
    with pytest.raises(Exception, match=r".") as raised:
        who(settings, Values(environ={"ARM_SECRET": CANARY}))
    assert CANARY not in str(raised.value)


def test_a_service_principal_of_databricks_signs_in_by_oauth(workspace: Workspace) -> None:
    workspace.sign_in.add_service_principal("app", "secret", workspace.token)
    before = workspace.sign_in.issued
    assert who({"host": workspace.host, "client_id": "app", "client_secret": "secret"}) == ME
    assert workspace.sign_in.issued > before


def test_the_azure_command_line_gives_the_token(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = {"accessToken": workspace.token, "tokenType": "Bearer", "expiresOn": "2099-01-01 00:00:00.000000"}
    az = tmp_path / "bin" / "az"
    az.parent.mkdir()
    az.write_text(f"#!{sys.executable}\nprint({json.dumps(token)!r})\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{az.parent}:/usr/bin:/bin")
    settings = {"host": workspace.host, "login_endpoint": workspace.host, "auth_type": "azure-cli"}
    assert who(settings) == ME


def test_nobody_signed_in_says_what_to_set(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError, match="Set DATABRICKS_HOST and DATABRICKS_TOKEN"):
        who({"host": workspace.host, "auth_type": "pat"})


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    yield from served(Proxy)


@pytest.fixture
def vault() -> Iterator[tuple[str, list[str]]]:
    yield from served(Vault)


def test_every_call_goes_through_the_proxy_that_the_environments_file_names(
    workspace: Workspace, proxy: tuple[str, list[str]]
) -> None:
    address, seen = proxy
    assert who({"host": workspace.host, "token": workspace.token, "proxy": address}) == ME
    assert any(path.endswith("/api/2.0/preview/scim/v2/Me") for path in seen)


def test_a_proxy_of_the_variables_is_used_too(
    workspace: Workspace, proxy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, seen = proxy
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert who({"host": workspace.host, "token": workspace.token}) == ME
    assert seen


def test_a_token_from_a_key_vault(
    workspace: Workspace, vault: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, seen = vault
    monkeypatch.setattr(Vault, "secret", workspace.token)
    values = Values(environ={}, vault_token=lambda scope: f"token for {scope}", vault_address=lambda _: address)
    assert who({"host": workspace.host, "token": "${key_vault.demo/token}"}, values) == ME
    assert seen == ["/secrets/token?api-version=7.4 Bearer token for https://vault.azure.net/.default"]


def test_a_secret_is_looked_up_in_every_kind_of_place(tmp_path: Path, vault: tuple[str, list[str]]) -> None:
    (tmp_path / ".env").write_text("FROM_DOTENV=two\nSECRET_DEMO_SCOPE__KEY=five\n")
    (tmp_path / "file.bin").write_bytes(b"\x00three")
    values = Values(
        environ={"FROM_ENV": "one"},
        folder=tmp_path,
        keyring=lambda service, user: "four" if (service, user) == ("demo/service", "user") else None,
        vault_token=lambda _: "token",
        vault_address=lambda _: vault[0],
    )
    assert values.get("${env.FROM_ENV}") == b"one"
    assert values.get("${env.FROM_DOTENV}") == b"two"
    assert values.get("${file.file.bin}") == b"\x00three"
    assert values.get("${keyring.demo/service/user}") == b"four"
    assert values.get("${secret.demo-scope/key}") == b"five"
    assert values.get("${key_vault.demo/token}") == CANARY.encode()
    assert base64.b64encode(CANARY.encode()).decode() in values.revealed


@pytest.mark.parametrize("source", ["${env.NOWHERE}", "${file.nowhere}", "${keyring.a/b}", "${key_vault.demo/other}"])
def test_a_secret_that_is_found_nowhere_says_what_to_do(
    tmp_path: Path, vault: tuple[str, list[str]], source: str
) -> None:
    values = Values({}, tmp_path, lambda *_: None, lambda _: "token", lambda _: vault[0])
    with pytest.raises(ConfigurationError) as raised:
        values.get(source, "resources/all.yml:3")
    assert source in str(raised.value)
    assert raised.value.origin == "resources/all.yml:3"
    assert raised.value.remedy


def test_values_do_not_show_themselves() -> None:
    values = Values(environ={"HUB": CANARY})
    values.get("${env.HUB}")
    assert CANARY not in repr(values)
