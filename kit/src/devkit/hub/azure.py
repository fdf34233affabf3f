"""Sending to a real event hub with the official client, ``azure-eventhub`` (AMQP)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from spark_utils.errors import ConfigurationError
from spark_utils.sources.event_hubs import ConnectionString

FLUSH_EVENTS = 1_000
FLUSH_SECONDS = 0.5


class AzureSender:
    """Sends events in batches of one partition key each: Event Hubs gives a batch, not an event, its partition.

    Args:
        client: An ``EventHubProducerClient``.
        hub: The event hub, for messages.
    """

    def __init__(self, client: Any, hub: str) -> None:
        self.hub = hub
        self.acknowledged = 0
        self._client = client
        self._queued: dict[bytes | None, list[Any]] = {}
        self._count = 0
        self._oldest = time.monotonic()

    @classmethod
    def connect(cls, connection: ConnectionString, hub: str | None = None) -> AzureSender:
        """Open a client.

        Raises:
            ConfigurationError: No event hub is named, or the client library is not installed.
        """
        try:
            from azure.eventhub import EventHubProducerClient
        except ImportError:
            raise ConfigurationError(
                "azure-eventhub is not installed, and a real event hub is reached by it",
                remedy="Run `pip install 'spark-streaming-devkit[events]'`.",
            ) from None
        named = hub or connection.hub
        if not named:
            raise ConfigurationError("no event hub is named", remedy="Add EntityPath=…, or give --hub.")
        client = EventHubProducerClient.from_connection_string(connection.text.reveal(), eventhub_name=named)
        return cls(client, named)

    def send(
        self, body: bytes | None, *, key: bytes | None = None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> None:
        """Queue one event; a full queue is sent."""
        from azure.eventhub import EventData

        event = EventData(body or b"")
        event.properties = {name: value for name, value in headers if value is not None}
        if not self._count:
            self._oldest = time.monotonic()
        self._queued.setdefault(key, []).append(event)
        self._count += 1
        if self._count >= FLUSH_EVENTS or time.monotonic() - self._oldest >= FLUSH_SECONDS:
            self.flush()

    def pause(self, seconds: float) -> None:
        """Send what is old enough, then wait."""
        if self._count and time.monotonic() - self._oldest >= FLUSH_SECONDS:
            self.flush()
        time.sleep(seconds)

    def flush(self) -> None:
        """Send everything that is queued; each call to the service returns when it has acknowledged."""
        for key, events in self._queued.items():
            self._send_all(key, events)
        self._queued.clear()
        self._count = 0

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _send_all(self, key: bytes | None, events: list[Any]) -> None:
        partition_key = None if key is None else key.decode(errors="replace")
        batch = self._client.create_batch(partition_key=partition_key)
        for event in events:
            try:
                batch.add(event)
            except ValueError:  # the batch is full; an event too large for an empty one raises again
                self._send_batch(batch)
                batch = self._client.create_batch(partition_key=partition_key)
                batch.add(event)
        self._send_batch(batch)

    def _send_batch(self, batch: Any) -> None:
        self._client.send_batch(batch)
        self.acknowledged += len(batch)
