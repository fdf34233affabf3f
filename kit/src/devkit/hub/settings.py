"""What a local hub keeps in its folder: its state file, and the broker's properties made from it."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devkit import cache
from devkit.hub.tls import tls_properties
from devkit.processes import LOOPBACK
from spark_utils.errors import RuntimeSetupError

KEY_NAME = "RootManageSharedAccessKey"
EVENT_SIZE_LIMIT = 1_048_576  # bytes; Event Hubs' ceiling in the Standard tier
# Event Hubs keeps events for at most seven days in the Standard tier:
# https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas
RETENTION_HOURS = 168
AUTHENTICATION_CLASS = "devkit.hub.ConnectionStringAuthentication"


@dataclass
class HubState:
    """The state file, which only its owner may read.

    Attributes:
        port: Of the Kafka endpoint.
        key: The shared access key; made once per hub, kept by ``reset``.
        pid: The broker's process, if one was started.
        started: When, in seconds since 1970.
        tls_port: Of the Kafka endpoint with TLS, if it has one.
        token_port: Of the endpoint that gives tokens for that one.
    """

    port: int
    key: str = field(repr=False)
    pid: int | None = None
    started: float | None = None
    tls_port: int | None = None
    token_port: int | None = None

    @classmethod
    def create(cls, port: int) -> HubState:
        """Make the state of a new hub, with a random key."""
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(port, key)

    @classmethod
    def load(cls, path: Path) -> HubState | None:
        """Read the state file; None when there is none.

        Raises:
            RuntimeSetupError: The file is damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise RuntimeSetupError(
                f"the state of the local hub cannot be read: {type(error).__name__}",
                origin=str(path),
                remedy="Delete the file; the next `devkit hub up` makes a new hub.",
            ) from None

    def save(self, path: Path) -> None:
        """Write the state file."""
        cache.write_private(path, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def ports(self) -> list[int]:
        """The ports that clients use."""
        return [each for each in (self.port, self.tls_port, self.token_port) if each]

    def connection_string(self, hub: str | None, *, tls: bool = False) -> str:
        """Return the connection string of one event hub, or of the namespace; with TLS it has the form of Azure's."""
        entity = f";EntityPath={hub}" if hub else ""
        return (
            f"Endpoint=sb://{LOOPBACK}:{self.tls_port if tls else self.port}/;SharedAccessKeyName={KEY_NAME};"
            f"SharedAccessKey={self.key}{entity}{'' if tls else ';UseDevelopmentEmulator=true'}"
        )


def server_properties(state: HubState, *, data: Path, controller_port: int) -> str:
    """Return the broker's properties: one node that is broker and controller, on loopback, with no replicas.

    Every listener asks for the key, so no other user of this machine gets in.
    """
    jaas = (
        'org.apache.kafka.common.security.plain.PlainLoginModule required username="$ConnectionString" '
        f'password="{state.connection_string(None)}" '
        f'shared_access_key_name="{KEY_NAME}" shared_access_key="{state.key}";'
    )
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"CLIENT://{LOOPBACK}:{state.port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,TLS:SASL_SSL",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "log.dirs": str(data),
        "log.retention.hours": str(RETENTION_HOURS),
        "message.max.bytes": str(EVENT_SIZE_LIMIT),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # One node has nobody to wait for: elect at once, and forget a broker that crashed after three seconds.
        "controller.quorum.election.timeout.ms": "100",
        "controller.quorum.election.backoff.max.ms": "50",
        "controller.quorum.fetch.timeout.ms": "500",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
    if state.tls_port and state.token_port:
        lines["listeners"] += f",TLS://{LOOPBACK}:{state.tls_port}"
        lines |= tls_properties(data.parent, token_port=state.token_port, client_secret=state.key)
    for listener in ("client", "controller", "tls"):
        lines[f"listener.name.{listener}.plain.sasl.jaas.config"] = jaas
        lines[f"listener.name.{listener}.plain.sasl.server.callback.handler.class"] = AUTHENTICATION_CLASS
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        lines[f"{topic}.num.partitions"] = "1"
        lines[f"{topic}.replication.factor"] = "1"
    lines["transaction.state.log.min.isr"] = lines["share.coordinator.state.topic.min.isr"] = "1"
    return "".join(f"{name}={value}\n" for name, value in lines.items())
