"""Checks of settings against each other, once each of them is well-formed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from spark_utils.configuration.secrets import parse_reference
from spark_utils.configuration.settings import StreamingConfig
from spark_utils.errors import ConfigurationError

TABLES = ("events", "rejected")
_EVENT_HUBS_PRINCIPAL = ("event_hubs_tenant_id", "event_hubs_client_id", "event_hubs_client_secret")
_STORAGE_PRINCIPAL = ("storage_tenant_id", "storage_client_id", "storage_client_secret")


def check_settings(config: StreamingConfig, environ: Mapping[str, str]) -> list[str]:
    """Return what does not go together, one sentence each; empty when all is well."""
    return [*_secrets(config), *_source(config), *_storage(config), *_output(config, environ)]


def _secrets(config: StreamingConfig) -> Iterator[str]:
    for secret in config.given_secrets:
        try:
            parse_reference(secret.reveal_raw(), origin=secret.origin)
        except ConfigurationError as error:
            yield str(error).removesuffix(".")


def _source(config: StreamingConfig) -> Iterator[str]:
    if config.source == "files":
        if not config.source_path:
            yield "--source files needs --source-path"
        return
    yield from _whole(config, _EVENT_HUBS_PRINCIPAL)
    string = config.event_hubs_connection_string
    ways = _ways(config, "event_hubs_connection_string", "event_hubs_client_secret", "event_hubs_service_credential")
    if len(ways) > 1:
        yield f"{' and '.join(ways)} exclude each other: authenticate to Event Hubs in one way"
    elif not ways:
        yield (
            "--source hub needs --event-hubs-connection-string, a service principal (--event-hubs-tenant-id, "
            "--event-hubs-client-id, --event-hubs-client-secret) or --event-hubs-service-credential"
        )
    elif string is None:
        for name in ("event_hubs_namespace", "event_hubs_name"):
            if not getattr(config, name):
                yield f"{ways[0]} needs {_flag(name)}"
    elif string.reference is None:
        try:
            _ = config.event_hubs_identity  # a plain connection string can be judged now, a reference when it is used
        except ConfigurationError as error:
            yield str(error).removesuffix(".")


def _storage(config: StreamingConfig) -> Iterator[str]:
    ways = _ways(config, "storage_account_key", "storage_sas_token", "storage_client_secret")
    if len(ways) > 1:
        yield f"{' and '.join(ways)} exclude each other: authenticate to the storage account in one way"
    if ways and not config.storage_account_name:
        yield f"{ways[0]} needs --storage-account-name"
    yield from _whole(config, _STORAGE_PRINCIPAL)


def _output(config: StreamingConfig, environ: Mapping[str, str]) -> Iterator[str]:
    checkpoint, output = config.checkpoint_path.rstrip("/"), config.output_path.rstrip("/")
    for folder in (f"{output}/{table}" for table in TABLES):
        if checkpoint == folder or checkpoint.startswith(folder + "/"):
            yield f"--checkpoint-path {checkpoint!r} lies in the table {folder!r}; put it beside the tables"
    if checkpoint == output:
        yield f"--checkpoint-path is --output-path, {output!r}; give it a folder of its own"
    for option in ("output_path", "checkpoint_path"):
        path = getattr(config, option)
        on_driver = "DATABRICKS_RUNTIME_VERSION" in environ and Path(path).is_relative_to(Path.cwd())
        if on_driver and not path.startswith(("/Volumes/", "/dbfs/")):
            yield f"{_flag(option)} {path!r} is a folder of the driver, which vanishes; name a volume or a URL"


def _whole(config: StreamingConfig, names: tuple[str, ...]) -> Iterator[str]:
    missing = [_flag(name) for name in names if not getattr(config, name)]
    if missing and len(missing) < len(names):
        yield f"the service principal is incomplete: {', '.join(missing)} missing"


def _ways(config: StreamingConfig, *names: str) -> list[str]:
    return [_flag(name) for name in names if getattr(config, name) is not None]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
