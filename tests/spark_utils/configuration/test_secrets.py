"""Secrets never show themselves, and references are found where the documentation says."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import pickle
import pprint
from pathlib import Path
from typing import Any

import pytest

from spark_utils.configuration.secrets import (
    Reference,
    Resolver,
    Secret,
    parse_reference,
    secrets_folder,
)
from spark_utils.errors import ConfigurationError

CANARY = "canary-7f3a+/=="
REFERENCE = Reference("local-hub", "connection-string")


@dataclasses.dataclass(frozen=True)
class Holder:
    """As a configuration holds a secret."""

    secret: Secret


SHOWINGS = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret} {secret:>30} {secret!r}",
    "percent": lambda secret: "%s" % secret,  # noqa: UP031  # the old form is what is tested
    "json": json.dumps,
    "json of a structure": lambda secret: json.dumps({"a": [secret]}, default=str),
    "pickle": lambda secret: pickle.dumps(secret).decode("latin-1"),
    "concatenation": lambda secret: "x" + secret,
    "join": lambda secret: ",".join([secret]),
    "encode": lambda secret: secret.encode().decode(),
    "upper": lambda secret: secret.upper().lower(),
    "pprint": pprint.pformat,
    "a dataclass": lambda secret: repr(Holder(secret)) + repr(dataclasses.asdict(Holder(secret))),
    "attributes": lambda secret: repr([getattr(secret, name) for name in dir(secret) if not name.startswith("reveal")]),
}


@pytest.mark.parametrize("show", SHOWINGS.values(), ids=SHOWINGS.keys())
def test_a_secret_never_shows_itself(show: Any) -> None:
    assert "canary" not in show(Secret(CANARY))


def test_a_secret_gives_its_value_when_asked() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_a_copy_and_a_dictionary_of_a_dataclass_keep_the_secret_usable() -> None:
    secret = Secret(CANARY)
    assert copy.deepcopy(secret).reveal() == CANARY
    assert dataclasses.asdict(Holder(secret))["secret"].reveal() == CANARY


def test_a_pickled_secret_refuses_to_be_revealed_and_says_why() -> None:
    with pytest.raises(ConfigurationError, match="never carries the value"):
        pickle.loads(pickle.dumps(Secret(CANARY))).reveal()


def test_a_secret_equals_another_of_the_same_value_and_never_a_text() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert len({Secret(CANARY), Secret(CANARY), Secret("other")}) == 2
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY) != "***"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("{{secrets/scope/key}}", Reference("scope", "key")),
        ("  {{ secrets/my-scope.1/my_key@2 }} ", Reference("my-scope.1", "my_key@2")),
        ("plain", None),
        ("{{not a reference}}", None),
        ("", None),
    ],
)
def test_a_reference_is_told_from_a_plain_value(text: str, reference: Reference | None) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        "{{secrets/scope}}",
        "{{secrets/scope/key",
        "canary{{secrets/scope/key}}",
        "{{secrets/../key}}",
        "{{secrets/scope/..}}",
        "{{secrets/a/b/canary}}",
        "{{ secrets/sc ope/canary }}",
    ],
)
def test_a_malformed_reference_is_an_error_that_does_not_show_the_text(text: str) -> None:
    with pytest.raises(ConfigurationError, match="malformed") as caught:
        parse_reference(text, origin="command line --storage-account-key")
    assert "canary" not in str(caught.value)
    assert "--storage-account-key" in str(caught.value)


class Places:
    """Every place a secret can lie in, on a machine of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"SPARK_DEVKIT_HOME": str(folder / "cache")}
        self.keyring: dict[tuple[str, str], str] = {}
        self.dbutils: dict[tuple[str, str], str] | None = None

    def resolve(self, reference: Reference = REFERENCE) -> str:
        dbutils = None if self.dbutils is None else lambda scope, key: self.dbutils[scope, key]
        found = lambda service, user: self.keyring.get((service, user))  # noqa: E731  # one expression
        return Resolver(self.environ, self.folder, found, dbutils).resolve(reference, origin="here")

    def write_file(self, value: str) -> None:
        file = secrets_folder(self.environ) / REFERENCE.scope / REFERENCE.key
        file.parent.mkdir(parents=True)
        file.write_text(value + "\n")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_places_are_asked_in_the_documented_order(places: Places) -> None:
    places.keyring["spark-devkit/local-hub", "connection-string"] = "from the keyring"
    assert places.resolve() == "from the keyring"
    places.write_file("from the file")
    assert places.resolve() == "from the file"
    (places.folder / ".env").write_text("# a comment\nexport SECRET_LOCAL_HUB__CONNECTION_STRING='from = .env'\n")
    assert places.resolve() == "from = .env"
    places.environ["SECRET_LOCAL_HUB__CONNECTION_STRING"] = "from the environment"
    assert places.resolve() == "from the environment"
    places.dbutils = {("local-hub", "connection-string"): "from Databricks"}
    assert places.resolve() == "from Databricks"


@pytest.mark.parametrize("mark", ["setup.py", "pyproject.toml", ".git"])
def test_a_dotenv_file_of_a_folder_above_is_found_within_the_project(places: Places, mark: str) -> None:
    (places.folder / ".env").write_text("SECRET_LOCAL_HUB__CONNECTION_STRING=above")
    (places.folder / mark).touch()
    places.folder = places.folder / "src" / "deep"
    places.folder.mkdir(parents=True)
    assert places.resolve() == "above"


@pytest.mark.parametrize("mark", ["src/deep/pyproject.toml", "src/.git", None])
def test_a_dotenv_file_beyond_the_project_is_not_read(places: Places, mark: str | None) -> None:
    (places.folder / ".env").write_text("SECRET_LOCAL_HUB__CONNECTION_STRING=beyond")
    above, places.folder = places.folder, places.folder / "src" / "deep"
    places.folder.mkdir(parents=True)
    if mark:
        (above / mark).touch()
    with pytest.raises(ConfigurationError, match="was not found"):
        places.resolve()


class PermissionDenied(Exception):  # noqa: N818  # as databricks-sdk names it
    """As databricks-sdk raises it."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionDenied("User x does not have permission to access the scope"), "could not be read: .*scope 'local-"),
        (RuntimeError("PERMISSION_DENIED: token=canary"), r"refused: RuntimeError: PERMISSION_DENIED: token=\*\*\*"),
        (ValueError("Secret does not exist with scope: local-hub and key: connection-string"), "was not found"),
    ],
)
def test_a_place_that_refuses_is_told_from_one_that_has_no_such_secret(
    places: Places, error: Exception, told: str
) -> None:
    def refuse(scope: str, key: str) -> str:
        raise error

    resolver = Resolver(places.environ, places.folder, lambda _service, _user: None, refuse)
    with pytest.raises(ConfigurationError, match=told) as caught:
        resolver.resolve(REFERENCE, origin="here")
    assert "canary" not in str(caught.value)
    places.write_file("from the file")
    assert resolver.resolve(REFERENCE) == "from the file"


def test_a_stored_file_that_may_not_be_read_is_told(places: Places) -> None:
    (secrets_folder(places.environ) / REFERENCE.scope / REFERENCE.key / "a folder instead").mkdir(parents=True)
    (places.folder / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"\.env refused: UnicodeDecodeError"):
        places.resolve()


def test_a_scope_that_databricks_refuses_is_looked_up_elsewhere(places: Places) -> None:
    places.dbutils = {}
    places.write_file("from the file")
    assert places.resolve() == "from the file"


def test_a_machine_without_a_keyring_does_not_refuse() -> None:
    keyring = pytest.importorskip("keyring")
    before = keyring.get_keyring()
    keyring.set_keyring(importlib.import_module("keyring.backends.fail").Keyring())
    try:
        with pytest.raises(ConfigurationError, match="this machine has none") as caught:
            Resolver(environ={}).resolve(Reference("prod", "account-key"))
    finally:
        keyring.set_keyring(before)
    assert "refused" not in str(caught.value)


def test_a_secret_found_nowhere_names_scope_key_places_and_remedy(places: Places) -> None:
    with pytest.raises(ConfigurationError) as caught:
        places.resolve(Reference("prod", "account-key"))
    message = str(caught.value)
    for part in (
        "'prod'",
        "'account-key'",
        "SECRET_PROD__ACCOUNT_KEY",
        ".env",
        "secrets/prod/account-key",
        "keyring",
        "here",
    ):
        assert part in message


def test_the_local_hub_has_a_remedy_of_its_own(places: Places) -> None:
    with pytest.raises(ConfigurationError, match="devkit hub up"):
        places.resolve()


def test_two_references_never_share_a_variable_by_where_scope_ends() -> None:
    assert Reference("a-b", "c").variable != Reference("a", "b-c").variable
