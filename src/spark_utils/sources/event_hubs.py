"""Event Hubs through its Kafka endpoint: from a connection string or an identity to options of Spark's Kafka source.

No session, no network; only a hub of this machine is looked up, in its files. Sources of the mirrored behaviour:

- connection strings: https://learn.microsoft.com/azure/event-hubs/event-hubs-get-connection-string
- SASL settings: https://learn.microsoft.com/azure/event-hubs/azure-event-hubs-apache-kafka-overview
- time-outs: https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations
- service credentials: https://docs.databricks.com/aws/en/connect/streaming/kafka/authentication
- the emulator's form: https://learn.microsoft.com/azure/event-hubs/overview-emulator
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spark_utils.configuration.secrets import Secret
from spark_utils.configuration.values import StartingPosition
from spark_utils.errors import ConfigurationError, ConnectionStringError
from spark_utils.redaction import MASK
from spark_utils.sources.clouds import CLOUDS, PUBLIC, cloud_of
from spark_utils.sources.local_hub import CERTIFICATE, TOKEN_ENDPOINT, is_local, local_hub_file

__all__ = [
    "ConnectionString",
    "KafkaOptions",
    "ServiceCredential",
    "ServicePrincipal",
    "jaas",
    "kafka_options",
    "namespace_host",
    "parse_connection_string",
    "split_namespace",
]

EVENT_HUBS_PORT: Final = 9093
EMULATOR_PORT: Final = 9092
EMULATOR_AMQP_PORT: Final = 5672  # what the emulator's own connection string names; its Kafka endpoint is another

_ZERO_WIDTH: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))  # come along when copied from a page
_QUOTES: Final = ('""', "''", "``", "\u201c\u201d", "\u2018\u2019")
_FOREIGN: Final = {
    "hostname": "it is that of an IoT Hub; use its Event Hub-compatible endpoint (IoT Hub, Built-in endpoints)",
    "accountname": "it is that of a storage account; use that of the Event Hubs namespace",
    "defaultendpointsprotocol": "it is that of a storage account; use that of the Event Hubs namespace",
}

# Microsoft's table: request at least 60 s (the service's own minimum is 20 s), session at least 30 s, metadata and
# idle connections below the 240 s after which Azure closes them without a word.
TIMEOUTS: Final[dict[str, str]] = {
    "kafka.request.timeout.ms": "60000",
    "kafka.session.timeout.ms": "30000",
    "kafka.metadata.max.age.ms": "180000",
    "kafka.connections.max.idle.ms": "180000",
    # Spark asks for a partition's last offset after each fetch, and that answer waits on the same connection behind
    # the next fetch, made ahead: at the end of a partition for all of this time (500 ms by default).
    "kafka.fetch.max.wait.ms": "10",
}
_PARTS: Final = {
    name.lower(): name
    for name in (
        "Endpoint",
        "SharedAccessKeyName",
        "SharedAccessKey",
        "SharedAccessSignature",
        "EntityPath",
        "UseDevelopmentEmulator",
    )
}
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,256}")  # resource-name-rules#microsofteventhub in Azure's documents
_SECRET_OPTIONS: Final = ("kafka.sasl.jaas.config",)


class KafkaOptions(dict[str, str]):
    """Options for `spark.readStream.format("kafka").options(**options)`; its repr masks the credentials."""

    def __repr__(self) -> str:
        """Show the options, the JAAS line as `***`."""
        return repr({key: MASK if key in _SECRET_OPTIONS else value for key, value in self.items()})


@dataclass(frozen=True)
class ConnectionString:
    """A parsed connection string of Event Hubs.

    Args:
        host: Host of the endpoint, such as `example.servicebus.windows.net`.
        port: Port of the endpoint, if it names one.
        hub: `EntityPath`, the event hub (the Kafka topic), if it names one.
        emulator: `UseDevelopmentEmulator`: plain text on the emulator's port.
        text: The whole string, which is the password of the Kafka endpoint.
        parts: The secrets inside (key or signature), for masking.
    """

    host: str
    port: int | None
    hub: str | None
    emulator: bool
    text: Secret
    parts: tuple[Secret, ...] = ()

    @property
    def bootstrap(self) -> str:
        """`host:port` of the Kafka endpoint: 9093 in Azure, 9092 on the emulator unless the endpoint names another.

        The emulator's AMQP port, which its own connection string names, counts as none.
        """
        if not self.emulator:
            return f"{self.host}:{_kafka_port(self.host, self.port)}"
        return f"{self.host}:{self.port if self.port not in (None, EMULATOR_AMQP_PORT) else EMULATOR_PORT}"


def parse_connection_string(text: str | Secret, *, origin: str | None = None) -> ConnectionString:
    """Take a connection string apart; parts may come in any order and case.

    It is taken as people paste it: in quotes, with invisible characters, with the `https://HOST:443/` that the portal
    also shows.

    Args:
        text: Such as `Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…`,
            or a secret (a reference is resolved here).
        origin: Where it came from, for messages.

    Raises:
        ConnectionStringError: If it is malformed or incomplete; the message names the part, never a value.
    """
    secret = text if isinstance(text, Secret) else Secret(text, origin=origin)
    origin = origin or secret.origin or "the Event Hubs connection string"
    plain = _unquoted(secret.reveal().translate(_ZERO_WIDTH).strip())
    parts = _split_parts(plain, origin)
    if "Endpoint" not in parts:
        raise _malformed("Endpoint is missing", origin)
    host, port = _split_endpoint(parts["Endpoint"], origin)
    if not parts["Endpoint"].lower().startswith("sb://"):  # the string is the password too, and the service knows sb://
        plain = plain.replace(parts["Endpoint"], f"sb://{host}/")
    _require_credential(parts, origin)
    emulator = parts.get("UseDevelopmentEmulator", "false").lower()
    if emulator not in ("true", "false"):
        raise _malformed("UseDevelopmentEmulator must be true or false", origin)
    inside = tuple(Secret(parts[name]) for name in ("SharedAccessKey", "SharedAccessSignature") if name in parts)
    return ConnectionString(
        host, port, parts.get("EntityPath"), emulator == "true", Secret(plain, origin=origin), inside
    )


def _split_parts(plain: str, origin: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    if any(ord(character) < 32 for character in plain):
        raise _malformed("it contains a line break or another control character", origin)
    for number, part in enumerate(filter(str.strip, plain.split(";")), start=1):
        name, equals, value = part.partition("=")  # keys are base64 and may end in '=': only the first one counts
        known = _PARTS.get(name.strip().lower())
        if known is None and (foreign := _FOREIGN.get(name.strip().lower())):
            raise _malformed(foreign, origin)
        if known is None:
            raise _malformed(f"part {number} has no known name (known: {', '.join(_PARTS.values())})", origin)
        if not equals or not value.strip():
            raise _malformed(f"{known} is empty", origin)
        if known in parts:
            raise _malformed(f"{known} is given twice", origin)
        parts[known] = value.strip()
    return parts


def _split_endpoint(endpoint: str, origin: str) -> tuple[str, int | None]:
    found = _host_and_port(endpoint)
    if found is None or "://" not in endpoint:
        raise _malformed("Endpoint must have the form sb://HOST/ or sb://HOST:PORT/", origin)
    host, port = found
    if port is not None and not 0 < port < 65536:
        raise _malformed(f"invalid port: {port}", origin)
    return host, port


def _host_and_port(text: str) -> tuple[str, int | None] | None:
    """Read `HOST`, `HOST:PORT`, or the same as an address: `sb://…/`, `https://…/`."""
    match = re.fullmatch(r"((sb|https|amqps?)://)?(?P<host>[a-z0-9][a-z0-9.-]*)(:(?P<port>\d+))?/?", text, re.I)
    return None if match is None else (match["host"], int(match["port"]) if match["port"] else None)


def _unquoted(text: str) -> str:
    in_quotes = len(text) > 1 and text[0] + text[-1] in _QUOTES
    return text[1:-1].strip() if in_quotes else text


def _require_credential(parts: Mapping[str, str], origin: str) -> None:
    if "SharedAccessSignature" in parts:
        return
    for name in ("SharedAccessKeyName", "SharedAccessKey"):
        if name not in parts:
            raise _malformed(f"{name} is missing", origin)


def _malformed(problem: str, origin: str) -> ConnectionStringError:
    return ConnectionStringError(
        f"the Event Hubs connection string is not usable: {problem}",
        origin=origin,
        remedy="Copy it from the portal: Event Hubs namespace, Shared access policies, Connection string-primary key.",
    )


@dataclass(frozen=True)
class ServicePrincipal:
    """An application identity in Microsoft Entra.

    Args:
        tenant_id: Directory (tenant) id.
        client_id: Application (client) id.
        client_secret: The application's secret.
        token_endpoint: Where tokens are fetched; by default that of the namespace's cloud.
    """

    tenant_id: str
    client_id: str
    client_secret: Secret
    token_endpoint: str | None = None

    def endpoint_for(self, host: str) -> str:
        """Return the token endpoint (OAuth 2.0 version 2) for a namespace's host."""
        if self.token_endpoint:
            return self.token_endpoint
        local = local_hub_file(TOKEN_ENDPOINT).read_text(encoding="utf-8") if is_local(host) else None
        return f"{local or f'https://{cloud_of(host).login}'}/{self.tenant_id}/oauth2/v2.0/token"


@dataclass(frozen=True)
class ServiceCredential:
    """A service credential of Unity Catalog, by name (Databricks Runtime 16.1 and newer)."""

    name: str


def kafka_options(
    identity: ConnectionString | ServicePrincipal | ServiceCredential,
    *,
    hub: str | None = None,
    namespace: str | None = None,
    consumer_group: str | None = None,
    starting_position: StartingPosition | None = None,
    max_events_per_trigger: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> KafkaOptions:
    """Return the options of Spark's Kafka source for one event hub.

    Args:
        identity: How to authenticate.
        hub: The event hub; needed when the connection string has no `EntityPath`, and must equal it when it has.
        namespace: Namespace or its full host; needed with a service principal or credential.
        consumer_group: Becomes `groupIdPrefix`. Not `kafka.group.id`: two queries, or a restart, sharing one fixed
            group would disturb each other; Spark keeps its own offsets in the checkpoint and commits none.
        starting_position: Where a *new* checkpoint starts; earliest by default.
        max_events_per_trigger: Upper bound of events in one micro-batch.
        environ: Tells Databricks (`DATABRICKS_RUNTIME_VERSION`), whose Kafka classes are shaded; the process's own
            by default.

    Raises:
        ConnectionStringError: If connection string and `hub` do not agree, or neither names a hub.
        ConfigurationError: If the namespace or hub is missing for the other identities, or no hub can have the name.
    """
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in (os.environ if environ is None else environ)
    prefix = "kafkashaded." if on_databricks else ""
    if isinstance(identity, ConnectionString):
        topic = _agreed_hub(identity, hub)
        options = {"kafka.bootstrap.servers": identity.bootstrap, **_plain_options(identity, prefix)}
    else:
        given, topic = _named(namespace, "--event-hubs-namespace"), _named(hub, "--event-hubs-name")
        host, port = split_namespace(given)
        options = {
            "kafka.bootstrap.servers": f"{host}:{port}",
            **_identity_options(identity, host, prefix, on_databricks),
        }
    _check_hub_name(topic)
    options |= {"subscribe": topic, "includeHeaders": "true", "failOnDataLoss": "true", **TIMEOUTS}
    options |= (starting_position or StartingPosition()).kafka_options(topic)
    if consumer_group:
        options["groupIdPrefix"] = consumer_group
    if max_events_per_trigger:
        options["maxOffsetsPerTrigger"] = str(max_events_per_trigger)
    return KafkaOptions(options)


def namespace_host(namespace: str) -> str:
    """Return the host of a namespace that is given by its name, its host or an address; see `split_namespace`."""
    return split_namespace(namespace)[0]


def split_namespace(namespace: str) -> tuple[str, int]:
    """Return host and Kafka port of a namespace, as people paste it: `NAME`, its host, `sb://…/`, `https://…:443/`.

    A port counts on hosts outside of Azure only: there the Kafka endpoint is 9093.

    Raises:
        ConfigurationError: If it is none of these.
    """
    found = _host_and_port(_unquoted(namespace.translate(_ZERO_WIDTH).strip()))
    if found is None or (found[1] is not None and not 0 < found[1] < 65536):
        raise ConfigurationError(
            f"invalid port: {found[1]}" if found else f"{namespace!r} is not the name or the host of a namespace",
            origin="--event-hubs-namespace",
            remedy=f"Write NAMESPACE or NAMESPACE.{PUBLIC.event_hubs}.",
        )
    host, port = found
    if "." not in host and host != "localhost":
        host = f"{host}.{PUBLIC.event_hubs}"
    return host, _kafka_port(host, port)


def _kafka_port(host: str, port: int | None) -> int:
    """Return the port of a namespace with TLS: the one that is named, except in Azure, where it is always the same."""
    in_azure = any(host.lower().endswith(f".{cloud.event_hubs}") for cloud in CLOUDS)
    return EVENT_HUBS_PORT if in_azure or port is None else port


def _agreed_hub(identity: ConnectionString, hub: str | None) -> str:
    origin = identity.text.origin
    if identity.hub and hub and identity.hub != hub:
        raise ConnectionStringError(
            f"EntityPath says {identity.hub!r}, but --event-hubs-name says {hub!r}",
            origin=origin,
            remedy="Leave one of them out.",
        )
    topic = identity.hub or hub
    if not topic:
        raise ConnectionStringError(
            "the connection string does not name an event hub: EntityPath is missing",
            origin=origin,
            remedy="Give --event-hubs-name, or use the connection string of the hub instead of the namespace's.",
        )
    return topic


def _check_hub_name(name: str) -> None:
    """Refuse what no event hub is called: by ``a,b`` Spark would read two, and for ``a b`` it would wait a minute."""
    if not _HUB_NAME.fullmatch(name):
        remedy = "A name has letters, digits, '.', '-' and '_'; give that of one hub."
        problem = f"{name!r} cannot be the name of an event hub"
        raise ConfigurationError(problem, origin="EntityPath, or --event-hubs-name", remedy=remedy)


def _named(value: str | None, option: str) -> str:
    if not value:
        raise ConfigurationError(
            f"{option} is needed with a service principal or a service credential",
            remedy=f"Give {option}.",
        )
    return value


def _plain_options(identity: ConnectionString, prefix: str) -> dict[str, str]:
    module = f"{prefix}org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        **({"kafka.security.protocol": "SASL_PLAINTEXT"} if identity.emulator else _tls_options(identity.host)),
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": jaas(module, username="$ConnectionString", password=identity.text.reveal()),
    }


def _identity_options(
    identity: ServicePrincipal | ServiceCredential, host: str, prefix: str, on_databricks: bool
) -> dict[str, str]:
    if isinstance(identity, ServiceCredential):
        if not on_databricks:
            raise ConfigurationError(
                f"the service credential {identity.name!r} exists on Databricks only",
                origin="--event-hubs-service-credential",
                remedy="Use a connection string or a service principal on this machine.",
            )
        return {"databricks.serviceCredential": identity.name}
    secured = f"{prefix}org.apache.kafka.common.security.oauthbearer"
    return {
        **_tls_options(host),
        "kafka.sasl.mechanism": "OAUTHBEARER",
        "kafka.sasl.jaas.config": jaas(
            f"{secured}.OAuthBearerLoginModule",
            clientId=identity.client_id,
            clientSecret=identity.client_secret.reveal(),
            scope=f"https://{host}/.default",
        ),
        "kafka.sasl.oauthbearer.token.endpoint.url": identity.endpoint_for(host),
        "kafka.sasl.login.callback.handler.class": f"{secured}.secured.OAuthBearerLoginCallbackHandler",
    }


def _tls_options(host: str) -> dict[str, str]:
    options = {"kafka.security.protocol": "SASL_SSL"}
    if is_local(host):
        certificate = str(local_hub_file(CERTIFICATE))
        options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": certificate}
    return options


def jaas(module: str, **settings: str) -> str:
    r"""Write one JAAS line; `\` and `"` inside a value are escaped, as Kafka's tokenizer reads them."""
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in settings.items()}
    return " ".join([module, "required", *(f'{name}="{value}"' for name, value in escaped.items())]) + ";"
