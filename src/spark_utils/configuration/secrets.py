"""Secrets: a value that never shows itself, and references (`{{secrets/scope/key}}`) that are resolved when used.

A reference is looked up, in this order, in

1. Databricks (`dbutils.secrets.get`), when the code runs there, or on a workspace of this machine;
2. the environment: `SECRET_<SCOPE>__<KEY>`, upper case, every other character an underscore;
3. the file `.env` of the working directory or of a folder above it, up to the project's own (the nearest one with a
   `setup.py`, a `pyproject.toml` or a `.git`), with the same names (`NAME=value` lines);
4. the file `<cache>/secrets/<scope>/<key>`, where `<cache>` is `~/.cache/spark-devkit` or `SPARK_DEVKIT_HOME`
   (`devkit hub up` writes the connection string of the local hub there);
5. the keyring of the operating system, if the package `keyring` is installed (service `spark-devkit/<scope>`,
   user `<key>`).

Databricks resolves references in a cluster's Spark configuration and environment by itself, but not in a job's
parameters; that is why it is done here. The form of a reference:
https://docs.databricks.com/aws/en/security/secrets/secrets-spark-conf-env-var
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from spark_utils.errors import ConfigurationError
from spark_utils.redaction import MASK, mask_credentials

HOME_VARIABLE: Final = "SPARK_DEVKIT_HOME"
_PROJECT_MARKS: Final = ("setup.py", "pyproject.toml", ".git")
_REFERENCE = re.compile(r"\{\{\s*secrets/(?P<scope>[\w.@-]{1,128})/(?P<key>[\w.@-]{1,128})\s*\}\}", re.ASCII)


class Secret(str):
    """A secret value whose text is `***`; only `reveal()` gives the real one.

    It is a `str` holding the mask, so repr, str, format, f-strings, json, logging and anything that takes it for
    text by mistake get `***`. A pickle or a copy over the network carries the mask only.

    Args:
        value: The secret itself, or a reference `{{secrets/scope/key}}`, which is resolved by `reveal()`.
        origin: Where the value came from, for messages.
    """

    __slots__ = ("_open", "origin")
    _open: Callable[[], str]
    origin: str | None

    def __new__(cls, value: str, *, origin: str | None = None) -> Self:
        """Hide the value in a closure, out of reach of `vars()` and debuggers' listings."""
        secret = super().__new__(cls, MASK)
        plain = value.reveal_raw() if isinstance(value, Secret) else value
        secret._open = lambda: plain
        secret.origin = origin
        return secret

    def reveal(self, resolver: Resolver | None = None) -> str:
        """Return the real value; a reference is resolved now.

        Args:
            resolver: Where references are looked up; by default the places named in this module's docstring.

        Raises:
            ConfigurationError: If it is a reference that is malformed or found nowhere.
        """
        raw = self.reveal_raw()
        reference = parse_reference(raw, origin=self.origin)
        return raw if reference is None else (resolver or Resolver()).resolve(reference, origin=self.origin)

    def reveal_raw(self) -> str:
        """Return the value as it was given, a reference unresolved."""
        return self._open()

    @property
    def reference(self) -> str | None:
        """The reference, which is no secret and may be shown; None for a plain value."""
        raw = self.reveal_raw()
        return raw if _REFERENCE.fullmatch(raw.strip()) else None

    def __eq__(self, other: object) -> bool:
        """Compare real values with another secret; never equal to plain text, the mask included."""
        return isinstance(other, Secret) and self.reveal_raw() == other.reveal_raw()

    def __ne__(self, other: object) -> bool:
        """Negate `==`; `str` brings its own, which would compare masks."""
        return not self == other

    def __hash__(self) -> int:
        """Hash the real value, as `==` compares it."""
        return hash((Secret, self.reveal_raw()))

    def __repr__(self) -> str:
        """Show the mask."""
        return f"Secret({MASK!r})"

    def __copy__(self) -> Self:
        """Return itself: it is immutable."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: it is immutable, and `dataclasses.asdict` must keep it usable."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the mask only."""
        return _unpickled, (self.origin,)


def _unpickled(origin: str | None) -> Secret:
    """Rebuild a secret that travelled: its value stayed behind, and asking for it says so."""
    secret = Secret(MASK, origin=origin)

    def refuse() -> str:
        raise ConfigurationError(
            "this secret was pickled, and a pickle never carries the value",
            origin=origin,
            remedy="Call parse_arguments() where the value is needed, or reveal it before.",
        )

    secret._open = refuse
    return secret


@dataclass(frozen=True)
class Reference:
    """Names a secret: the scope and the key of `{{secrets/scope/key}}`."""

    scope: str
    key: str

    @property
    def variable(self) -> str:
        """The environment variable that may hold it, such as `SECRET_LOCAL_HUB__CONNECTION_STRING`."""
        scope, key = (re.sub(r"[^A-Za-z0-9]", "_", part).upper() for part in (self.scope, self.key))
        return f"SECRET_{scope}__{key}"

    def __str__(self) -> str:
        """The reference as it is written in configuration."""
        return f"{{{{secrets/{self.scope}/{self.key}}}}}"


def parse_reference(text: str, *, origin: str | None = None) -> Reference | None:
    """Return the reference that `text` is, or None for a plain value.

    Raises:
        ConfigurationError: If the text holds `{{secrets` without being one whole, well-formed reference. The text
            itself is not shown: it may hold a secret beside the reference.
    """
    match = _REFERENCE.fullmatch(text.strip())
    if match and not {match["scope"], match["key"]} & {".", ".."}:
        return Reference(match["scope"], match["key"])
    if "{{secrets" in text.replace(" ", ""):
        raise ConfigurationError(
            "a secret reference is malformed (its text is not shown)",
            origin=origin,
            remedy="Write exactly {{secrets/scope/key}}: letters, digits, '-', '_', '.' or '@', and nothing around it.",
        )
    return None


@dataclass(frozen=True)
class Resolver:
    """Looks references up; every place can be given, so that tests touch nothing of the machine.

    Args:
        environ: Environment variables; the process's own by default.
        folder: Where `find_dotenv` starts; the working directory by default.
        keyring: `(service, user) -> value or None`; the package `keyring`, if installed, by default.
        dbutils: `(scope, key) -> value`; by default Databricks' own when running there.
    """

    environ: Mapping[str, str] | None = None
    folder: Path | None = None
    keyring: Callable[[str, str], str | None] | None = None
    dbutils: Callable[[str, str], str] | None = None

    def resolve(self, reference: Reference, *, origin: str | None = None) -> str:
        """Return the secret's value from the first place that has it.

        Raises:
            ConfigurationError: If no place has it; the message lists scope, key, the places and the remedy, and tells
                a place that refused (no permission, a locked keyring) from one that does not have the secret.
        """
        environ = os.environ if self.environ is None else self.environ
        looked_at: list[str] = []
        refusals: list[str] = []
        for place, lookup in self._places(reference, environ):
            try:
                value = lookup()
            except Exception as error:  # every place has its own kinds; one that fails must not hide the next
                value = None
                if not _says_missing(error):
                    refusals.append(f"{place} refused: {_one_line(error)}")
            looked_at.append(place)
            if value:
                return value
        what = f"the secret {reference.key!r} of scope {reference.scope!r}"
        if refusals:
            raise ConfigurationError(
                f"{what} could not be read: {'; '.join(refusals)} (looked at {', '.join(looked_at)})",
                origin=origin,
                remedy=f"Get the right to read it (READ on a scope), or set {reference.variable}.",
            )
        local_hub = reference.scope == "local-hub"
        raise ConfigurationError(
            f"{what} was not found; looked at {', '.join(looked_at)}",
            origin=origin,
            remedy="Start the local hub: `devkit hub up`."
            if local_hub
            else f"Set {reference.variable}, or store the secret in one of them.",
        )

    def _places(
        self, reference: Reference, environ: Mapping[str, str]
    ) -> Iterable[tuple[str, Callable[[], str | None]]]:
        if self.dbutils is not None or "DATABRICKS_RUNTIME_VERSION" in environ or "pyspark.dbutils" in sys.modules:
            get = self.dbutils or _databricks_secret
            yield f"the Databricks scope {reference.scope!r}", lambda: get(reference.scope, reference.key)
        yield f"the environment variable {reference.variable}", lambda: environ.get(reference.variable)
        dotenv = find_dotenv(self.folder or Path.cwd())
        shown = "a file .env (none found)" if dotenv is None else str(dotenv)
        yield shown, lambda: read_dotenv(dotenv).get(reference.variable) if dotenv else None
        file = secrets_folder(environ) / reference.scope / reference.key
        yield str(file), lambda: file.read_text(encoding="utf-8").strip() if file.is_file() else None
        keyring = self.keyring or _keyring_lookup()
        service = f"spark-devkit/{reference.scope}"
        if keyring is None:
            yield "the keyring (this machine has none, or the package keyring is not installed)", lambda: None
        else:
            yield f"the keyring (service {service})", lambda: keyring(service, reference.key)


def secrets_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of locally stored secrets: `<cache>/secrets`, one file per scope and key."""
    return cache_folder(environ) / "secrets"


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the one folder for everything that is downloaded, generated or kept on a laptop; it may not exist yet."""
    home = (os.environ if environ is None else environ).get(HOME_VARIABLE)
    return Path(home or "~/.cache/spark-devkit").expanduser()


def read_dotenv(file: Path) -> dict[str, str]:
    """Read `NAME=value` lines; `export`, blank lines, `#` lines and quotes around a value are understood."""
    values: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = unquote(value.strip())
    return values


def unquote(text: str) -> str:
    """Take one pair of equal quotes off a text."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def find_dotenv(folder: Path) -> Path | None:
    """Return the nearest `.env` of a folder and those above it, up to the project's own folder and never beyond.

    The project's folder is the nearest one that holds a `setup.py`, a `pyproject.toml` or a `.git`; where there is
    none, only the given folder is looked at.
    """
    folder = folder.resolve()
    above = [folder, *folder.parents]
    root = next((each for each in above if any((each / mark).exists() for mark in _PROJECT_MARKS)), folder)
    candidates = (each / ".env" for each in above[: above.index(root) + 1])
    return next((file for file in candidates if file.is_file()), None)


def _keyring_lookup() -> Callable[[str, str], str | None] | None:
    try:
        import keyring
        from keyring.backends import fail
    except ImportError:
        return None
    if isinstance(keyring.get_keyring(), fail.Keyring):  # what the package takes where the system has none
        return None
    lookup: Callable[[str, str], str | None] = keyring.get_password
    return lookup


def _says_missing(error: Exception) -> bool:
    """Return whether a place says that there is no such scope or key, in the words of `dbutils` or the REST API."""
    return re.search(r"does not exist|DOES_NOT_EXIST|NotFound", f"{type(error).__name__}: {error}") is not None


def _one_line(error: Exception) -> str:
    text = mask_credentials(f"{type(error).__name__}: {error}".strip())
    return text.splitlines()[0][:200]


def _databricks_secret(scope: str, key: str) -> str:
    from pyspark.dbutils import DBUtils  # type: ignore[import-not-found]  # exists on Databricks only
    from pyspark.sql import SparkSession

    return str(DBUtils(SparkSession.builder.getOrCreate()).secrets.get(scope, key))
