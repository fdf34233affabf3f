"""Checks of settings against each other, once each of them is well-formed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from spark_utils.configuration.secrets import parse_reference
from spark_utils.configuration.settings import OutputOptions, SourceOptions, StorageOptions, StreamingConfig
from spark_utils.errors import ConfigurationError

TABLES = ("events", "rejected")
_PRINCIPAL = ("tenant_id", "client_id", "client_secret")


def check_settings(config: StreamingConfig, environ: Mapping[str, str]) -> list[str]:
    """Return what does not go together, one sentence each; empty when all is well."""
    return [
        *_secrets(config),
        *_source(config.source),
        *_storage(config.storage),
        *_output(config.output, environ),
    ]


def _secrets(config: StreamingConfig) -> Iterator[str]:
    for secret in config.given_secrets:
        try:
            parse_reference(secret.reveal_raw(), origin=secret.origin)
        except ConfigurationError as error:
            yield str(error).removesuffix(".")


def _source(source: SourceOptions) -> Iterator[str]:
    if source.kind == "files":
        if not source.path:
            yield "--source files requires --source-path"
        return
    yield from _incomplete_principal(source, "event_hubs_")
    string = source.event_hubs_connection_string
    ways = _ways(source, "event_hubs_connection_string", "event_hubs_client_secret", "event_hubs_service_credential")
    if len(ways) > 1:
        yield f"{' and '.join(ways)} are mutually exclusive: choose one way to authenticate to Event Hubs"
    elif not ways:
        yield (
            "--source hub requires --event-hubs-connection-string, a service principal (--event-hubs-tenant-id, "
            "--event-hubs-client-id, --event-hubs-client-secret) or --event-hubs-service-credential"
        )
    elif string is None:
        for name in ("event_hubs_namespace", "event_hubs_name"):
            if not getattr(source, name):
                yield f"{ways[0]} requires {_argument(name)}"
    elif string.reference is None:
        try:
            _ = source.authentication  # a plain connection string can be judged now, a reference when it is used
        except ConfigurationError as error:
            yield str(error).removesuffix(".")


def _storage(storage: StorageOptions) -> Iterator[str]:
    ways = _ways(storage, "account_key", "sas_token", "client_secret", prefix="storage_")
    if len(ways) > 1:
        yield f"{' and '.join(ways)} are mutually exclusive: choose one way to authenticate to the storage account"
    if ways and not storage.account_name:
        yield f"{ways[0]} requires --storage-account-name"
    yield from _incomplete_principal(storage, "", shown="storage_")


def _output(output: OutputOptions, environ: Mapping[str, str]) -> Iterator[str]:
    checkpoint, root = output.checkpoint_path.rstrip("/"), output.path.rstrip("/")
    for folder in (f"{root}/{table}" for table in TABLES):
        if checkpoint == folder or checkpoint.startswith(folder + "/"):
            yield f"--checkpoint-path {checkpoint!r} is inside the table {folder!r}; put it beside the tables"
    if checkpoint == root:
        yield f"--checkpoint-path is --output-path, {root!r}; give it a folder of its own"
    for argument, path in (("--output-path", output.path), ("--checkpoint-path", output.checkpoint_path)):
        on_driver = "DATABRICKS_RUNTIME_VERSION" in environ and Path(path).is_relative_to(Path.cwd())
        if on_driver and not path.startswith(("/Volumes/", "/dbfs/")):
            yield f"{argument} {path!r} is on the driver's local disk, which is lost with it; use a volume or a URL"
    if output.trigger.kind != "available-now" and is_serverless(environ):
        yield (
            f"--trigger is {str(output.trigger)!r}, and serverless compute runs streams with `available-now` only; "
            "use that on a schedule (or a continuous job), or run this job on a cluster"
        )


def is_serverless(environ: Mapping[str, str]) -> bool:
    """Return whether the code runs on Databricks serverless compute, or is connected to it by Databricks Connect.

    Serverless compute names its runtime `client.N`, and Databricks Connect takes its choice from a variable.
    Source: https://docs.databricks.com/aws/en/compute/serverless/limitations ("Streaming limitations").
    """
    return (
        environ.get("IS_SERVERLESS", "").lower() == "true"
        or environ.get("DATABRICKS_RUNTIME_VERSION", "").startswith("client.")
        or environ.get("DATABRICKS_SERVERLESS_COMPUTE_ID", "") != ""
    )


def _incomplete_principal(options: SourceOptions | StorageOptions, prefix: str, *, shown: str = "") -> Iterator[str]:
    missing = [name for name in _PRINCIPAL if not getattr(options, prefix + name)]
    if missing and len(missing) < len(_PRINCIPAL):
        names = ", ".join(_argument((shown or prefix) + name) for name in missing)
        yield f"the service principal is incomplete: {names} missing"


def _ways(options: SourceOptions | StorageOptions, *names: str, prefix: str = "") -> list[str]:
    return [_argument(prefix + name) for name in names if getattr(options, name) is not None]


def _argument(name: str) -> str:
    return "--" + name.replace("_", "-")
