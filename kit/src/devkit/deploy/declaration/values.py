"""The values of secrets, resolved when they are applied, and never shown.

========================================  =========================================================================
``${env.NAME}``                           the environment variable, or the same name in the project's file ``.env``
``${file.PATH}``                          the content of a local file
``${keyring.SERVICE/USER}``               the keyring of the operating system (package ``keyring``)
``${key_vault.VAULT/NAME}``               an Azure Key Vault (package ``azure-identity``)
``${secret.SCOPE/KEY}``                   every local place that `spark_utils.configuration.secrets.Resolver` knows
========================================  =========================================================================
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devkit.deploy.declaration.variables import VARIABLE
from spark_utils.configuration.secrets import Reference, Resolver, find_dotenv, read_dotenv
from spark_utils.errors import ConfigurationError

MARKER: Final = ".devkit"  # the secret in an owned scope that says whose it is
VAULT_SCOPE: Final = "https://vault.azure.net/.default"
Token = Callable[[str], str]


@dataclass
class Values:
    """Looks values up; every place can be given, so that tests touch nothing of the machine.

    Attributes:
        environ: Environment variables.
        folder: Where ``.env`` and relative files are looked for.
        keyring: ``(service, user) -> value or None``.
        vault_token: Gives a token of Azure for a scope; by default that of ``azure-identity``.
        vault_address: Makes the address of a vault out of its name.
        revealed: Every value that was looked up, so that output can be cleaned of it.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    folder: Path = field(default_factory=Path.cwd)
    keyring: Callable[[str, str], str | None] | None = field(default=None, repr=False)
    vault_token: Token | None = field(default=None, repr=False)
    vault_address: Callable[[str], str] = "https://{}.vault.azure.net".format
    revealed: set[str] = field(default_factory=set, repr=False)

    def get(self, source: str, origin: str = "") -> bytes:
        """Return the value of a reference.

        Raises:
            ConfigurationError: If it is found nowhere.
        """
        match = VARIABLE.fullmatch(source)
        kind, _, name = match["name"].partition(".") if match else ("", "", "")
        look = {
            "env": self._env,
            "file": self._file,
            "keyring": self._keyring,
            "key_vault": self._key_vault,
            "secret": self._secret,
        }.get(kind)
        value = look(name, origin) if look else None
        if value is None:
            raise ConfigurationError(f"the secret {source} cannot be found", origin=origin, remedy=_REMEDIES.get(kind))
        if value:
            self.revealed.add(value.decode(errors="replace"))
            self.revealed.add(base64.b64encode(value).decode())
        return value

    def text(self, content: Any, origin: str = "") -> str:
        """Return a setting, the value of a reference if it is one."""
        text = str(content)
        return self.get(text, origin).decode() if VARIABLE.fullmatch(text) else text

    def _env(self, name: str, _origin: str) -> bytes | None:
        value = self.environ.get(name)
        if value is None:
            dotenv = find_dotenv(self.folder)
            value = read_dotenv(dotenv).get(name) if dotenv else None
        return value.encode() if value else None

    def _file(self, name: str, _origin: str) -> bytes | None:
        file = self.folder / Path(name).expanduser()
        return file.read_bytes() if file.is_file() else None

    def _keyring(self, name: str, _origin: str) -> bytes | None:
        service, _, user = name.rpartition("/")
        look = self.keyring
        if look is None:
            try:
                import keyring
            except ImportError:
                return None
            look = keyring.get_password
        value = look(service, user)
        return value.encode() if value else None

    def _key_vault(self, name: str, origin: str) -> bytes | None:
        """Source: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret."""
        import requests

        vault, _, secret = name.rpartition("/")
        token = (self.vault_token or _azure_token(origin))(VAULT_SCOPE)
        address = f"{self.vault_address(vault)}/secrets/{secret}"
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(address, params={"api-version": "7.4"}, headers=headers, timeout=30)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            problem = f"the Key Vault {vault!r} answered {answer.status_code} for the secret {secret!r}"
            raise ConfigurationError(problem, origin=origin, remedy="Check the vault's access policy.")
        return str(answer.json()["value"]).encode()

    def _secret(self, name: str, origin: str) -> bytes:
        scope, _, key = name.rpartition("/")
        resolver = Resolver(environ=self.environ, folder=self.folder, keyring=self.keyring)
        return resolver.resolve(Reference(scope, key), origin=origin).encode()


_REMEDIES: Final = {
    "env": "Set the environment variable, or write it into the file .env.",
    "file": "Write the file, or correct its path.",
    "keyring": "Store it with `keyring set SERVICE USER`, and install the package keyring.",
    "key_vault": "Write the secret into the vault, or correct its name.",
}


def value_digest(value: bytes, salt: str) -> str:
    """Return a digest that tells whether a secret changed, and from which it cannot be guessed cheaply."""
    return hashlib.scrypt(value, salt=salt.encode(), n=2**12, r=8, p=1, dklen=16).hex()


def _azure_token(origin: str) -> Token:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        remedy = "Install it: pip install azure-identity."
        raise ConfigurationError("a Key Vault needs the package azure-identity", origin=origin, remedy=remedy) from None
    return lambda scope: str(DefaultAzureCredential().get_token(scope).token)
