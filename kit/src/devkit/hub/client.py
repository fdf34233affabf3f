"""Talking to an event hub through its Kafka endpoint, local or real, with confluent-kafka.

Why that client: docs/decisions/0002-hub-client.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from spark_utils.errors import ConfigurationError, RuntimeSetupError
from spark_utils.sources.event_hubs import ConnectionString, parse_connection_string
from spark_utils.sources.local_hub import CERTIFICATE, is_local, local_hub_file

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message
    from confluent_kafka.admin import AdminClient

ANSWER_SECONDS = 10.0
STALL_SECONDS = 60.0  # without one acknowledgement; how long all of them take together is the machine's affair
ANY_PARTITION = -1  # librdkafka's: the key decides
POLL_EVERY = 1_000  # events between two looks at the delivery reports


class Sendable(Protocol):
    """What can be sent: a generated event, or one of a file."""

    @property
    def body(self) -> bytes | None:
        """The bytes of the event."""

    @property
    def key(self) -> bytes | None:
        """What decides the partition."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values, Event Hubs' properties."""


def kafka_settings(connection: ConnectionString) -> dict[str, Any]:
    """Return confluent-kafka's settings for a connection string; they hold the secret, so never print them.

    Raises:
        ConfigurationError: It is that of the local hub with TLS, which has no such listener.
    """
    own = is_local(connection.host) and not connection.emulator
    return ({"ssl.ca.location": str(local_hub_file(CERTIFICATE))} if own else {}) | {
        "bootstrap.servers": connection.bootstrap,
        "security.protocol": "SASL_PLAINTEXT" if connection.emulator else "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "$ConnectionString",
        "sasl.password": connection.text.reveal(),
        "log_level": 0,  # librdkafka writes to standard error by itself; failures are raised instead
        "reconnect.backoff.max.ms": 500,
    }


class Progress:
    """Counts what is sent and acknowledged, and notices when nothing moves any more.

    Args:
        limit: Seconds without an acknowledgement, while one is due, after which it stands still.
        clock: Gives seconds.
    """

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.sent = self.acknowledged = 0
        self.limit = limit
        self._clock = clock
        self._moved = clock()

    def send(self) -> None:
        """Count an event that was sent; the first one due starts the clock."""
        if self.sent == self.acknowledged:
            self._moved = self._clock()
        self.sent += 1

    def acknowledge(self) -> None:
        """Count an acknowledgement."""
        self.acknowledged += 1
        self._moved = self._clock()

    @property
    def stalled(self) -> bool:
        """Return whether an acknowledgement is due and none came for too long."""
        return self.acknowledged < self.sent and self._clock() - self._moved > self.limit


class EventSender:
    """Sends events to one event hub, batched; ``close`` (or the end of ``with``) waits until all are acknowledged.

    Args:
        connection_string: Of the event hub, with its ``EntityPath``.
        hub: The event hub, when the connection string names none.
        stall_seconds: How long the hub may acknowledge nothing before sending fails.

    Raises:
        ConfigurationError: No event hub is named.
    """

    def __init__(self, connection_string: str, hub: str | None = None, *, stall_seconds: float = STALL_SECONDS) -> None:
        from confluent_kafka import Producer

        connection = parse_connection_string(connection_string)
        named = hub or connection.hub
        if not named:
            raise ConfigurationError(
                "no event hub is named", remedy="Add EntityPath=… to the connection string, or name the hub."
            )
        self.hub = named
        self._failure: KafkaError | None = None
        self._refused: str | None = None
        self._progress = Progress(stall_seconds)
        self._producer = Producer(
            kafka_settings(connection)
            | {
                "acks": "all",
                "linger.ms": 20,
                "batch.size": 1_000_000,
                "message.max.bytes": 1_048_576,
                "enable.idempotence": True,  # a request that is repeated on a slow machine doubles nothing
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 262_144,
                "partitioner": "murmur2_random",  # the one of Java clients, and so of Spark
                "message.timeout.ms": 0,  # an event may wait behind many others; `Progress` tells when nothing moves
                "on_delivery": self._delivered,
                "error_cb": self._noted,
            }
        )

    def send(
        self,
        body: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Queue one event; it waits only when the queue is full.

        Raises:
            RuntimeSetupError: An earlier event was refused, or this one is too large.
        """
        from confluent_kafka import KafkaException

        where = ANY_PARTITION if partition is None else partition
        while True:
            try:
                self._producer.produce(self.hub, body, key, where, headers=list(headers))
                break
            except BufferError:
                self._producer.poll(0.1)
                self._raise_failure()
            except KafkaException as error:
                raise self._error(str(error.args[0].str())) from None
        self._progress.send()
        if self._progress.sent % POLL_EVERY == 0:
            self._producer.poll(0)
            self._raise_failure()

    @property
    def acknowledged(self) -> int:
        """How many events the hub has taken."""
        return self._progress.acknowledged

    def pause(self, seconds: float) -> None:
        """Let time pass, taking delivery reports meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._producer.poll(left)
        self._raise_failure()

    def flush(self) -> None:
        """Wait until every event is acknowledged.

        Raises:
            RuntimeSetupError: An event was refused, or the hub does not answer.
        """
        while self._producer.flush(0.2):
            self._raise_failure()
        self._raise_failure()

    def __enter__(self) -> EventSender:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the acknowledgements; after an error, give up what is queued."""
        if kind is None:
            self.flush()
        else:
            self._producer.purge()

    def _delivered(self, failure: KafkaError | None, _message: Message) -> None:
        if failure is None:
            self._progress.acknowledge()
        else:
            self._failure = self._failure or failure

    def _noted(self, error: KafkaError) -> None:
        # Passing trouble is retried by the client; a refused key never gets better.
        from confluent_kafka import KafkaError as Codes

        if error.code() == Codes._AUTHENTICATION:
            self._refused = "the connection string's key was refused"

    def _raise_failure(self) -> None:
        if self._refused:
            self._producer.purge()
            raise self._error(self._refused)
        if self._failure is not None:
            raise self._error(self._failure.str())
        if self._progress.stalled:
            self._producer.purge()
            raise self._error(f"nothing was acknowledged for {self._progress.limit:g} s")

    def _error(self, reason: str) -> RuntimeSetupError:
        return RuntimeSetupError(
            f"events cannot be sent to hub {self.hub!r}: {reason}",
            remedy="Check that the hub is up and the connection string is its own: `devkit hub status`.",
        )


def send(connection_string: str, events: Iterable[Sendable], *, hub: str | None = None) -> int:
    """Send events and wait until all are acknowledged; returns how many."""
    with EventSender(connection_string, hub) as sender:
        for event in events:
            sender.send(event.body, key=event.key, headers=event.headers)
    return sender.acknowledged


def answers(connection_string: str) -> bool:
    """Return whether the hub accepts the key and each of its event hubs takes and gives events now."""
    from confluent_kafka import KafkaException

    admin = _admin(connection_string)
    try:
        return all(_serves(admin, name, count) for name, count in _partitions(admin, timeout=2).items())
    except KafkaException:
        return False


def list_hubs(connection_string: str) -> dict[str, int]:
    """Return the partitions of each event hub, by name.

    Raises:
        RuntimeSetupError: The hub does not answer, or refuses the key.
    """
    from confluent_kafka import KafkaException

    try:
        return dict(sorted(_partitions(_admin(connection_string)).items()))
    except KafkaException as error:
        raise RuntimeSetupError(
            f"the event hub does not answer: {error.args[0].str()}",
            remedy="Check that it is up and the connection string is its own: `devkit hub status`.",
        ) from None


def create_hub(connection_string: str, name: str, partitions: int) -> int:
    """Create an event hub, wait until it takes events, and return its partitions; an existing one is left alone.

    Raises:
        RuntimeSetupError: The hub cannot be created.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.cimpl import NewTopic

    admin = _admin(connection_string)
    try:
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise RuntimeSetupError(f"event hub {name!r} cannot be created: {error.args[0].str()}") from None
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        found = _partitions(admin).get(name, 0)
        if found and _serves(admin, name, found):
            return found
        time.sleep(0.02)
    raise RuntimeSetupError(f"event hub {name!r} was created but does not take events")


def _admin(connection_string: str) -> AdminClient:
    from confluent_kafka.admin import AdminClient

    return AdminClient(kafka_settings(parse_connection_string(connection_string)))


def _partitions(admin: AdminClient, timeout: float = ANSWER_SECONDS) -> dict[str, int]:
    """Return the partitions of each topic that is not Kafka's own."""
    topics = admin.list_topics(timeout=timeout).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if not name.startswith("__")}


def _serves(admin: AdminClient, name: str, partitions: int) -> bool:
    """Return whether every partition tells its end: being listed with a leader comes a moment before that."""
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # exported, but not in its `__all__`

    end = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # confluent-kafka leaves it untyped
    places = {TopicPartition(name, number): end for number in range(partitions)}
    try:
        for found in admin.list_offsets(places, request_timeout=2).values():
            found.result(2)
    except KafkaException:
        return False
    return True
