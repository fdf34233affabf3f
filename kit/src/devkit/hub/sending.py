"""Sending many events at a rate, counted by kind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from devkit.hub.client import EventSender, Sendable
from devkit.hub.recording import RecordedEvent
from spark_utils.sources.event_hubs import ConnectionString
from spark_utils.sources.local_hub import is_local

REPORT_SECONDS = 1.0
LOOK_EVERY = 64  # events between two looks at the clock when they go as fast as possible


class Sender(Protocol):
    """What sends to one event hub: over Kafka (`EventSender`) or AMQP (`devkit.hub.azure.AzureSender`)."""

    hub: str

    def send(
        self, body: bytes | None, *, key: bytes | None = None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> None:
        """Queue one event."""

    def pause(self, seconds: float) -> None:
        """Let time pass, and queued events leave."""

    def flush(self) -> None:
        """Wait until every event is acknowledged."""


@dataclass
class SendReport:
    """What was sent so far.

    Attributes:
        kinds: Events by kind, such as ``clean`` or ``malformed:truncated``.
        seconds: Time taken.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """How many events."""
        return self.kinds.total()

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.sent / self.seconds if self.seconds else 0.0

    def families(self) -> dict[str, int]:
        """Events by family of faults: ``clean`` first, then the most frequent."""
        families: Counter[str] = Counter()
        for kind, count in self.kinds.items():
            families[kind.partition(":")[0]] += count
        return dict(sorted(families.items(), key=lambda item: (item[0] != "clean", -item[1])))


def open_sender(connection: ConnectionString, hub: str | None = None) -> Sender:
    """Choose how to reach a hub: the local one over Kafka, a real one by the official ``azure-eventhub``.

    Raises:
        ConfigurationError: No event hub is named, or ``azure-eventhub`` is not installed.
    """
    if connection.emulator or is_local(connection.host):
        return EventSender(connection.text.reveal(), hub)
    from devkit.hub.azure import AzureSender

    return AzureSender.connect(connection, hub)


def send_paced(
    sender: Sender,
    events: Iterable[Sendable],
    *,
    rate: float | None = None,
    seconds: float | None = None,
    progress: Callable[[SendReport], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    send: Callable[[Any], None] | None = None,
) -> SendReport:
    """Send events until they or the time run out, or Ctrl-C, and wait until all are acknowledged.

    Args:
        sender: Where to.
        events: What to send.
        rate: Events per second; as fast as possible by default.
        seconds: How long at most.
        progress: Called about once a second.
        clock: The time in seconds, which only grows.
        send: Sends one event; by default its key decides the partition.

    Returns:
        What was sent and acknowledged.
    """
    look_every = LOOK_EVERY if rate is None and send is None else 1
    send = send or (lambda event: sender.send(event.body, key=event.key, headers=event.headers))
    report = SendReport()
    started = clock()
    next_report = started + REPORT_SECONDS
    try:
        for number, event in enumerate(events, start=1):
            send(event)
            report.kinds[kind_of(event)] += 1
            if number % look_every:
                continue
            now = clock()
            if rate and (early := started + number / rate - now) > 0.001:
                sender.pause(early)
            if progress and now >= next_report:
                report.seconds = now - started
                progress(report)
                next_report = now + REPORT_SECONDS
            if seconds is not None and now - started >= seconds:
                break
    except KeyboardInterrupt:
        pass  # a stop asked for, not a failure: what is queued is still delivered and counted
    sender.flush()
    report.seconds = clock() - started
    return report


def replay(
    sender: EventSender,
    events: Iterable[RecordedEvent],
    *,
    partitions: int,
    speed: float = 1.0,
    progress: Callable[[SendReport], None] | None = None,
) -> SendReport:
    """Send recorded events to the partitions they were in, as far apart as they were enqueued.

    Args:
        sender: Where to.
        events: What to send; those without a time follow at once, those without a partition go where their key says.
        partitions: How many the hub has: where they are fewer, some are put together.
        speed: How much faster than recorded; infinite for as fast as possible.
        progress: As for `send_paced`.
    """
    began = time.monotonic()

    def when_due() -> Iterator[RecordedEvent]:
        first = None
        for event in events:
            first = first or event.enqueued_time
            if first and event.enqueued_time:
                due = began + (event.enqueued_time - first).total_seconds() / speed
                if (early := due - time.monotonic()) > 0.001:
                    sender.pause(early)
            yield event

    def send(event: RecordedEvent) -> None:
        place = None if event.partition is None else event.partition % partitions
        sender.send(event.body, key=event.key, headers=event.headers, partition=place)

    return send_paced(sender, when_due(), progress=progress, send=send)


def kind_of(event: Sendable) -> str:
    """Return the kind that travels in the header ``kind``, or ``unlabelled``."""
    for name, value in event.headers:
        if name == "kind" and value is not None:
            return value.decode(errors="replace")
    return "unlabelled"
